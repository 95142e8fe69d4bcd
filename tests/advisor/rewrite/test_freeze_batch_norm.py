"""Batch normalization frozen and set free."""

import keras
import numpy as np
import pytest
from keras import layers

from advisor.graph import SetTrainable, read_graph
from advisor.graph.sampling import sample_inputs
from advisor.rewrite import RewriteError, freeze_batch_norm, rebuild, relative_difference, unfreeze_batch_norm
from advisor.testing import randomize_weights


class Block(layers.Layer):
    """A convolution with batch normalization, put together in Python."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.conv = layers.Conv2D(4, 3, padding="same")
        self.norm = layers.BatchNormalization(name="norm")

    def call(self, inputs, training=None):
        return self.norm(self.conv(inputs), training=training)


def _net():
    body = keras.Sequential(
        [keras.Input((8, 8, 3)), layers.Conv2D(4, 3, name="conv"), layers.BatchNormalization(name="norm")], name="body"
    )
    each = layers.TimeDistributed(layers.BatchNormalization(), name="each")
    stack = [body, Block(name="block"), each, layers.GlobalAveragePooling2D(), layers.Dense(2, name="head")]
    model = randomize_weights(keras.Sequential([keras.Input((8, 8, 3)), *stack]))
    model.compile("adam", "mse")
    return model


def _flags(model):
    return {
        "body": model.get_layer("body").get_layer("norm").trainable,
        "block": model.get_layer("block").norm.trainable,
        "each": model.get_layer("each").trainable,
    }


def test_all_are_frozen_in_nested_models_layers_and_wrappers():
    model = _net()
    frozen = freeze_batch_norm(model)
    assert _flags(frozen) == {"body": False, "block": False, "each": False}
    assert _flags(model) == {"body": True, "block": True, "each": True}
    assert relative_difference(model, frozen, sample_inputs(model)) == 0.0


def test_frozen_ones_infer_while_the_model_trains():
    frozen = freeze_batch_norm(_net())
    before = {v.path: np.array(v.value) for v in frozen.variables}
    x = np.random.default_rng(0).normal(size=(8, 8, 8, 3)).astype("float32")
    np.testing.assert_allclose(frozen(x, training=True), frozen(x, training=False))
    frozen.fit(x, np.zeros((8, 2), "float32"), epochs=2, verbose=0)
    changed = {path for path, value in before.items() if not np.array_equal(value, _value(frozen, path))}
    assert changed
    assert not [path for path in changed if path.split("/")[-1] in {"gamma", "beta", "moving_mean", "moving_variance"}]


def test_the_optimizer_goes_on_with_its_steps():
    model = _net()
    model.fit(np.zeros((4, 8, 8, 3)), np.zeros((4, 2)), verbose=0)
    frozen = freeze_batch_norm(model)
    assert int(frozen.optimizer.iterations) == 1
    frozen.fit(np.zeros((4, 8, 8, 3)), np.zeros((4, 2)), verbose=0)


def test_only_those_inside_what_is_named():
    assert _flags(freeze_batch_norm(_net(), layers="body")) == {"body": False, "block": True, "each": True}
    assert _flags(freeze_batch_norm(_net(), layers=["block", "each"])) == {"body": True, "block": False, "each": False}


def test_a_shared_norm_is_found_under_any_of_its_calls():
    norm, x = layers.BatchNormalization(name="norm"), keras.Input((4,))
    model = keras.Model(x, norm(layers.Dense(4)(norm(x))))
    assert not freeze_batch_norm(model, layers="norm#2").get_layer("norm").trainable


def test_unfreezing_takes_back_freezing():
    model = _net()
    again = unfreeze_batch_norm(freeze_batch_norm(model))
    assert [v.shape for v in again.trainable_variables] == [v.shape for v in model.trainable_variables]


def test_the_flags_are_saved(tmp_path):
    body = _net().get_layer("body")
    freeze_batch_norm(body).save(tmp_path / "body.keras")
    assert not keras.saving.load_model(tmp_path / "body.keras").get_layer("norm").trainable


def test_a_whole_nested_model_can_be_frozen_by_an_edit():
    frozen = rebuild(read_graph(_net()), [SetTrainable("body", False)]).model
    assert not any(layer.trainable for layer in frozen.get_layer("body").layers)


@pytest.mark.parametrize(
    ("layers_named", "match"),
    [("nope", "`layers` names no layer of the model"), ("head", "or what holds some. Received: `head`")],
)
def test_wrong_names_are_named(layers_named, match):
    with pytest.raises(ValueError, match=match):
        freeze_batch_norm(_net(), layers=layers_named)


def test_subclassed_models_are_refused():
    class Net(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(RewriteError, match="Python code"):
        freeze_batch_norm(Net(name="net"))


def _value(model, path):
    return np.array(next(v for v in model.variables if v.path == path).value)
