"""The recipe that drops branches."""

import keras
import numpy as np
import pytest
from keras import layers

from advisor.rewrite import add_drop_path, relative_difference
from keras_normpack import DropPath


def residual(depth, *, branch_first=False, drop=None):
    inputs = features = keras.Input((8,), name="inputs")
    for index in range(depth):
        branch = layers.Dense(8, activation="tanh", name=f"branch{index}")(features)
        branch = drop(branch) if drop else branch
        pair = [branch, features] if branch_first else [features, branch]
        features = layers.Add(name=f"sum{index}")(pair)
    return keras.Model(inputs, layers.Dense(2, name="head")(features))


def rates(model):
    return [layer.rate for layer in model.layers if isinstance(layer, DropPath)]


@pytest.mark.parametrize("branch_first", [False, True])
def test_the_branch_is_dropped_and_the_shortcut_is_not(branch_first):
    model = residual(1, branch_first=branch_first)
    dropped = add_drop_path(model, 0.5, seed=0)
    for layer in dropped.layers:
        if isinstance(layer, layers.Dense) and layer.name != "head":
            layer.bias.assign(np.full(8, 100.0))
    sums = keras.Model(dropped.input, dropped.get_layer("sum0").output)
    x = np.random.default_rng(0).normal(size=(64, 8)).astype("float32")
    out = keras.ops.convert_to_numpy(sums(x, training=True))
    # Either the shortcut alone, or the shortcut and twice the branch, whose tanh is 1.
    added = np.round(out - x, 4)
    assert {tuple(np.unique(row)) for row in added} == {(0.0,), (2.0,)}


def test_weights_and_the_function_at_inference_stay():
    model = residual(4)
    dropped = add_drop_path(model, 0.2)
    assert rates(dropped) == [0.05, 0.1, 0.15, 0.2]
    assert relative_difference(model, dropped, np.ones((2, 8), "float32")) == 0
    assert rates(model) == []


def test_a_constant_rate_and_a_seed_per_block():
    dropped = add_drop_path(residual(3), 0.3, schedule="constant", seed=7)
    assert rates(dropped) == [0.3, 0.3, 0.3]
    assert [layer.seed for layer in dropped.layers if isinstance(layer, DropPath)] == [7, 8, 9]


def test_a_branch_that_is_read_elsewhere_is_dropped_in_the_sum_only():
    inputs = keras.Input((8,))
    branch = layers.Dense(8, name="branch")(inputs)
    model = keras.Model(inputs, [layers.Add(name="sum")([branch, inputs]), layers.Dense(2, name="aside")(branch)])
    dropped = add_drop_path(model, 0.5)
    assert dropped.get_layer("aside").input is dropped.get_layer("branch").output
    assert rates(dropped) == [0.5]


def test_blocks_that_drop_already_are_left_alone():
    model = residual(2, drop=layers.Dropout(0.1, noise_shape=(None, 1)))
    with pytest.raises(ValueError, match=r"residual block without stochastic depth.*2 residual blocks"):
        add_drop_path(model)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rate": 1.0}, "`rate` must be .* Received: rate=1.0"),
        ({"schedule": "cosine"}, "`schedule` must be one of linear, constant. Received: schedule='cosine'"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        add_drop_path(residual(1), **arguments)


def test_a_model_without_blocks_is_refused():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(4), layers.Dense(2)])
    with pytest.raises(ValueError, match="with 0 residual blocks"):
        add_drop_path(model)
