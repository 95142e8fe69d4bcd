"""What is known of the whole model: heads, losses, task, family, whether it is trained; and the facts' helpers."""

import keras
import numpy as np
import pytest
from keras import layers

from advisor.facts import Kind, TrainingFacts, gather_facts
from advisor.graph import read_graph


def facts_of(model, **known):
    return gather_facts(read_graph(model), **known)


def sequential(*stack, shape=(8,), compiled=None):
    model = keras.Sequential([keras.Input(shape), *stack])
    if compiled:
        model.compile(**compiled)
    return model


def image_model(head_activation=None, units=1, loss=None):
    head = layers.Conv2D(units, 3, padding="same", activation=head_activation)
    return sequential(head, shape=(8, 8, 3), compiled={"loss": loss} if loss else None)


@pytest.mark.parametrize(
    ("tail", "linear", "activation"),
    [
        ([layers.Dense(3, activation="softmax", name="d")], "d", "softmax"),
        ([layers.Dense(3, name="d")], "d", None),
        ([layers.Dense(3, name="d"), layers.Softmax()], "d", "softmax"),
        (
            [layers.Dense(3, activation="relu", name="d"), layers.Dropout(0.1), layers.Activation("sigmoid")],
            "d",
            "sigmoid",
        ),
        ([layers.LSTM(3)], None, None),
    ],
    ids=["fused", "linear", "layer", "past dropout", "recurrent"],
)
def test_heads(tail, linear, activation):
    (head,) = facts_of(sequential(*tail, shape=(5, 4))).model.heads
    assert (head.linear, head.activation, head.units) == (linear, activation, 3)


@pytest.mark.parametrize(
    ("loss", "name", "from_logits", "configurable"),
    [
        ("sparse_categorical_crossentropy", "SparseCategoricalCrossentropy", False, True),
        ("mse", "mean_squared_error", None, False),
        (keras.losses.BinaryCrossentropy(from_logits=True), "BinaryCrossentropy", True, True),
        (keras.losses.categorical_crossentropy, "CategoricalCrossentropy", False, True),
        (lambda y_true, y_pred: keras.ops.mean(y_pred), "<lambda>", None, False),
    ],
    ids=["string", "short string", "object", "function", "own function"],
)
def test_losses(loss, name, from_logits, configurable):
    (head,) = facts_of(sequential(layers.Dense(3), compiled={"loss": loss})).model.heads
    assert (head.loss.name, head.loss.from_logits, head.loss.configurable) == (name, from_logits, configurable)


@pytest.mark.parametrize("as_dict", [True, False])
def test_losses_belong_to_their_outputs(as_dict):
    x = keras.Input((4,))
    second, first = layers.Dense(2, name="second")(x), layers.Dense(1, name="first")(x)
    losses = {"second": "mae", "first": "mse"}
    if as_dict:
        model = keras.Model(x, {"second": second, "first": first})
        model.compile(loss=losses)
    else:
        model = keras.Model(x, [second, first])
        model.compile(loss=list(losses.values()))
    heads = facts_of(model).model.heads
    assert {head.linear: head.loss.name for head in heads} == {
        "second": "mean_absolute_error",
        "first": "mean_squared_error",
    }


def test_dict_outputs_under_names_of_their_own_find_their_losses():
    x = keras.Input((4,))
    model = keras.Model(x, {"b": layers.Dense(2, name="one")(x), "a": layers.Dense(3, name="two")(x)})
    model.compile(loss={"a": "mae", "b": "mse"})
    model.fit(np.ones((2, 4)), {"a": np.ones((2, 3)), "b": np.ones((2, 2))}, verbose=0)
    heads = facts_of(model).model.heads
    assert {head.linear: head.loss.name for head in heads} == {
        "one": "mean_squared_error",
        "two": "mean_absolute_error",
    }


@pytest.mark.parametrize(
    ("model", "task"),
    [
        (lambda: sequential(layers.Dense(3, activation="softmax")), "classification"),
        (lambda: sequential(layers.Dense(3), compiled={"loss": "sparse_categorical_crossentropy"}), "classification"),
        (lambda: sequential(layers.Dense(1, activation="sigmoid")), "classification"),
        (lambda: sequential(layers.Dense(3), compiled={"loss": "mse"}), "regression"),
        (lambda: image_model("sigmoid"), "segmentation"),
        (lambda: image_model("sigmoid", loss="mse"), "image_to_image"),
        (lambda: image_model("softmax", 5), "segmentation"),
        (lambda: image_model("tanh", 3), "image_to_image"),
        (lambda: image_model(None, 3), "image_to_image"),
        (lambda: sequential(layers.LSTM(3, return_sequences=True), layers.Dense(2), shape=(5, 4)), "sequence"),
    ],
    ids=["softmax", "loss", "sigmoid", "numbers", "mask", "pixels", "classes", "tanh image", "image", "sequence"],
)
def test_the_task_is_inferred_from_head_and_loss(model, task):
    facts = facts_of(model())
    assert facts.model.task == task
    assert facts_of(facts.graph.model, task="detection").model.task == "detection"


def test_family_and_shares():
    stack = [layers.Conv2D(8, 3), layers.DepthwiseConv2D(3), layers.Flatten(), layers.Dense(10)]
    model = sequential(*stack, shape=(16, 16, 3))
    facts = facts_of(model).model
    assert facts.family is Kind.CONV
    conv = sum(layer.count_params() for layer in model.layers[:2])
    assert facts.params == model.count_params()
    assert facts.parameter_shares[Kind.CONV] == pytest.approx(conv / model.count_params())
    assert sum(facts.flops_shares.values()) == pytest.approx(1)


def test_shared_layers_count_their_weights_once_and_their_work_each_time():
    x = keras.Input((4,))
    shared = layers.Dense(4, name="shared")
    facts = facts_of(keras.Model(x, layers.LSTM(4)(layers.Reshape((1, 4))(shared(shared(x)))))).model
    lstm = 4 * 4 * (4 + 4 + 1)
    assert facts.parameter_shares[Kind.DENSE] == pytest.approx(20 / (20 + lstm))
    assert facts.flops_shares[Kind.DENSE] == pytest.approx(64 / (64 + 2 * 4 * 4 * 8))


def test_a_model_without_layers_of_any_family():
    facts = facts_of(sequential(layers.ReLU())).model
    assert set(facts.parameter_shares.values()) == {0.0}
    assert not facts.compiled
    assert facts.optimizer is None


def test_compile_state():
    optimizer = keras.optimizers.AdamW(weight_decay=0.01)
    facts = facts_of(sequential(layers.Dense(1), compiled={"optimizer": optimizer, "loss": "mse"})).model
    assert (facts.compiled, facts.optimizer, facts.weight_decay) == (True, "AdamW", 0.01)
    plain = facts_of(sequential(layers.Dense(1), compiled={"optimizer": "adam", "loss": "mse"})).model
    assert plain.weight_decay is None


def test_a_trained_model_shows_by_steps_or_statistics():
    model = sequential(layers.Dense(2), layers.BatchNormalization(name="norm"), compiled={"loss": "mse"})
    assert facts_of(model).model.trained is None
    assert "given" in facts_of(model, trained=True).model.trained
    model.fit(np.ones((2, 8)), np.ones((2, 2)), verbose=0)
    assert "1 steps" in facts_of(model).model.trained
    assert facts_of(model, trained=False).model.trained is None
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    assert "`norm`" in facts_of(copy).model.trained


def test_helpers_follow_the_graph():
    x = keras.Input((8, 8, 3))
    conv = layers.Conv2D(4, 3, name="conv")(x)
    norm = layers.BatchNormalization(name="norm")(conv)
    model = keras.Model(x, [layers.ReLU(name="relu")(norm), layers.Flatten(name="flat")(norm)])
    facts = facts_of(model)
    assert [layer.path for layer in facts.of_kind(Kind.CONV, Kind.ACTIVATION)] == ["conv", "relu"]
    assert facts.sole_producer("norm").path == "conv"
    assert facts.sole_consumer("conv").path == "norm"
    assert facts.sole_consumer("norm") is None
    assert {layer.path for layer in facts.consumers("norm")} == {"relu", "flat"}
    assert [layer.path for layer in facts.producers("relu")] == ["norm"]
    assert facts.measure("batch_dispersion", "norm") is None


def test_a_shared_batch_normalization_is_named_once():
    x = keras.Input((4,))
    norm = layers.BatchNormalization(name="norm")
    facts = facts_of(keras.Model(x, norm(norm(x))))
    assert [layer.path for layer in facts.batch_norms()] == ["norm"]


@pytest.mark.parametrize(
    ("shape", "expected"), [((8, 8, 3), 4 * 4), ((2, 1, 3), 4 * 2), ((3,), 4), ((None, None, 3), 16)]
)
def test_effective_samples_grow_with_positions_up_to_the_independent_ones(shape, expected):
    model = keras.Sequential([keras.Input(shape), layers.BatchNormalization(name="norm")])
    facts = facts_of(model, training=TrainingFacts(batch_size=8, replicas=2))
    assert facts.effective_samples(facts["norm"]) == expected
    assert facts_of(model).effective_samples(facts["norm"]) is None


def test_a_subclassed_model_has_facts_but_no_heads():
    class Hidden(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(1)

        def call(self, x):
            return self.dense(x)

    facts = facts_of(Hidden())
    assert facts.model.heads == ()
    assert facts["dense"].output_shape == ()
    assert facts["dense"].channels is None
