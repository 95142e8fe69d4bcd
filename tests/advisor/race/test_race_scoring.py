"""Scores per sample: right answers where outputs are answers, else the loss of the original."""

import keras
import numpy as np
import pytest
from keras import layers

from advisor.race.scoring import scorer_for

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(40, 4)).astype("float32")
CLASSES, BITS, NUMBERS = np.arange(40) % 3, np.arange(40) % 2, GENERATOR.normal(size=40).astype("float32")


def network(*heads):
    inputs = keras.Input((4,))
    outputs = [layers.Dense(units, activation, name=f"head{n}")(inputs) for n, (units, activation) in enumerate(heads)]
    return keras.Model(inputs, outputs if len(outputs) > 1 else outputs[0])


def outputs_of(model):
    return [np.asarray(output) for output in keras.tree.flatten(model.predict(X, verbose=0))]


@pytest.mark.parametrize("labels", [CLASSES, CLASSES[:, None], np.eye(3)[CLASSES]])
def test_classes_are_right_or_wrong(labels):
    model = network((3, "softmax"))
    scorer = scorer_for(model, "sparse_categorical_crossentropy", (X, labels), 16)
    (outputs,) = outputs_of(model)
    assert (scorer.name, scorer.counts_right_answers) == ("accuracy", True)
    assert scorer(model, (X, labels), 16).tolist() == (outputs.argmax(-1) == CLASSES).tolist()


@pytest.mark.parametrize(("activation", "boundary"), [("sigmoid", 0.5), (None, 0.0)])
def test_two_classes_by_one_unit(activation, boundary):
    model = network((1, activation))
    scorer = scorer_for(model, "binary_crossentropy", (X, BITS), 16)
    (outputs,) = outputs_of(model)
    assert scorer(model, (X, BITS), 16).tolist() == ((outputs[:, 0] > boundary) == BITS).tolist()


def test_a_candidate_with_logits_is_judged_at_its_own_boundary():
    """Both say the same, one as a probability."""
    original, candidate = network((1, "sigmoid")), network((1, None))
    candidate.set_weights(original.get_weights())
    scorer = scorer_for(original, "binary_crossentropy", (X, BITS), 16)
    assert scorer(original, (X, BITS), 16).tolist() == scorer(candidate, (X, BITS), 16).tolist()


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        ("mse", lambda d: d**2),
        ("mean_absolute_error", np.abs),
        (keras.losses.MeanSquaredError(), lambda d: d**2),
        (keras.losses.mean_squared_error, lambda d: d**2),
        (lambda y, p: keras.ops.mean(keras.ops.abs(keras.ops.reshape(y, (-1, 1)) - p)), np.abs),
    ],
)
def test_numbers_are_scored_by_the_loss(loss, expected):
    model = network((1, None))
    scorer = scorer_for(model, loss, (X, NUMBERS), 16)
    (outputs,) = outputs_of(model)
    assert (scorer.name, scorer.counts_right_answers) == ("loss", False)
    np.testing.assert_allclose(scorer(model, (X, NUMBERS), 16), -expected(outputs[:, 0] - NUMBERS), rtol=1e-4)


def test_numbers_that_look_like_classes_are_numbers_under_a_loss_of_numbers():
    assert scorer_for(network((1, None)), "mse", (X, BITS), 16).name == "loss"


def test_neither_penalties_nor_smoothing_are_in_the_score():
    labels = GENERATOR.random((40, 3)).astype("float32")  # no distribution, and so no classes
    plain, smooth = (keras.losses.CategoricalCrossentropy(label_smoothing=amount) for amount in (0.0, 0.3))
    model = network((3, "softmax"))
    model.layers[-1].kernel.regularizer = keras.regularizers.L2(10.0)
    one, other = (scorer_for(model, loss, (X, labels), 16)(model, (X, labels), 16) for loss in (plain, smooth))
    assert one.tolist() == other.tolist()


def test_several_outputs_count_alike():
    model = network((3, "softmax"), (1, "sigmoid"))
    labels = {"head0": CLASSES, "head1": BITS}
    losses = {"head0": "sparse_categorical_crossentropy", "head1": "binary_crossentropy"}
    scorer = scorer_for(model, losses, (X, labels), 16)
    first, second = outputs_of(model)
    expected = ((first.argmax(-1) == CLASSES).astype(float) + ((second[:, 0] > 0.5) == BITS)) / 2
    assert scorer.name == "accuracy"
    assert scorer(model, (X, labels), 16).tolist() == expected.tolist()


def test_outputs_without_labels_do_not_count():
    model = network((3, "softmax"), (1, "sigmoid"))
    scorer = scorer_for(model, ["sparse_categorical_crossentropy", None], (X, {"head0": CLASSES}), 16)
    first, _ = outputs_of(model)
    assert scorer(model, (X, {"head0": CLASSES}), 16).tolist() == (first.argmax(-1) == CLASSES).tolist()


def test_one_output_of_numbers_makes_all_count_by_their_loss():
    model = network((3, "softmax"), (1, None))
    labels = [CLASSES, NUMBERS]
    assert scorer_for(model, ["sparse_categorical_crossentropy", "mse"], (X, labels), 16).name == "loss"
    with pytest.raises(ValueError, match="no loss for head1"):
        scorer_for(model, ["sparse_categorical_crossentropy", None], (X, labels), 16)


def test_labels_that_fit_no_output_are_refused():
    with pytest.raises(ValueError, match=r"labels for the outputs.*Received: 2 arrays"):
        scorer_for(network((3, "softmax")), "mse", (X, [CLASSES, BITS]), 16)
