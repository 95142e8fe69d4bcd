import keras
import numpy as np
import pytest
from keras import layers

from advisor import advise


def dense(activation=None, *, units=3, loss="sparse_categorical_crossentropy", then=()):
    model = keras.Sequential([keras.Input((4,)), layers.Dense(units, activation=activation), *then])
    model.compile("sgd", loss)
    return model


def look(model):
    return advise(model, select="H602", verbose=0, trained=False)


def logits_of(loss_class, **arguments):
    return getattr(keras.losses, loss_class)(from_logits=True, **arguments)


def test_the_mended_loss_judges_the_same_predictions_rightly():
    # On TensorFlow Keras would find the logits behind a softmax that comes last, and undo the mistake.
    model = dense("softmax", loss=logits_of("SparseCategoricalCrossentropy"), then=[layers.Reshape((3,))])
    x, labels = np.random.default_rng(0).normal(size=(16, 4)), np.arange(16) % 3
    predictions = model.predict(x, verbose=0)
    right = keras.losses.SparseCategoricalCrossentropy()(labels, predictions)
    mended = look(model).apply()
    assert mended.loss.from_logits is False
    np.testing.assert_allclose(mended.evaluate(x, labels, verbose=0), right, rtol=1e-5)
    assert model.evaluate(x, labels, verbose=0) != pytest.approx(float(right), rel=1e-3)
    assert model.loss.from_logits is True


def test_the_other_arguments_of_the_loss_survive():
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
    mended = look(dense("softmax", loss=loss)).apply()
    assert (mended.loss.from_logits, mended.loss.label_smoothing) == (False, 0.1)


def test_only_the_wrong_one_of_two_outputs_changes():
    inputs = keras.Input((4,))
    outputs = {"good": layers.Dense(3, name="good")(inputs), "bad": layers.Dense(3, name="bad")(inputs)}
    model = keras.Model(inputs, outputs)
    model.compile("sgd", {"good": logits_of("SparseCategoricalCrossentropy"), "bad": "sparse_categorical_crossentropy"})
    (finding,) = look(model).findings
    assert finding.layer == "bad"
    mended = look(model).apply()
    assert not look(mended).findings
    assert mended.compiled


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (lambda: dense("softmax", loss="binary_crossentropy"), "one distribution"),
        (lambda: dense("sigmoid", units=1, loss="sparse_categorical_crossentropy"), "one by one"),
        (lambda: dense("softmax", loss=logits_of("CategoricalFocalCrossentropy")), "gives probabilities (softmax)"),
        (lambda: dense("hard_sigmoid", units=1, loss=logits_of("BinaryCrossentropy")), "(hard_sigmoid)"),
        (lambda: dense(then=[layers.Dropout(0.1)]), "logits"),
        (lambda: dense(then=[layers.Activation("linear")]), "logits"),
        (
            lambda: dense(then=[layers.Softmax(), layers.Reshape((3,))], loss=logits_of("CategoricalCrossentropy")),
            "soft",
        ),
    ],
)
def test_what_is_wrong_is_named(model, says):
    (finding,) = look(model()).findings
    assert says in finding.message


@pytest.mark.parametrize(
    "model",
    [
        lambda: dense("softmax", then=[layers.Dropout(0.1)]),
        lambda: dense(then=[layers.LayerNormalization()]),
        lambda: dense("relu"),
        lambda: dense("softmax", units=1, loss="binary_crossentropy"),
        lambda: dense("softmax", loss=lambda y, p: keras.ops.mean(p)),
        lambda: dense(loss="mse"),
        lambda: dense(loss="kl_divergence"),
    ],
)
def test_what_cannot_be_judged_is_left_alone(model):
    assert not look(model()).findings


def test_a_softmax_operation_counts_as_softmax():
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.ops.softmax(layers.Dense(3)(inputs)))
    model.compile("sgd", "sparse_categorical_crossentropy")
    assert not look(model).findings
    model.compile("sgd", logits_of("SparseCategoricalCrossentropy"))
    assert len(look(model).findings) == 1
