"""Compile arguments that go by the names of outputs, when the only output gets another name."""

import keras
import numpy as np
import pytest
from keras import layers

from advisor.graph import InsertAfter, LayerSpec, Remove, read_graph
from advisor.rewrite import rebuild

SCALING = InsertAfter("price", (LayerSpec(layers.Rescaling, {"scale": 2.0, "offset": 0.0}),))


def network(*, as_dict=False):
    inputs = keras.Input((3,))
    price = layers.Dense(1, name="price")(inputs)
    model = keras.Model(inputs, {"price": price} if as_dict else price)
    model.compile("adam", {"price": "mse"}, metrics={"price": ["mae"]}, loss_weights={"price": 0.5})
    return model


@pytest.mark.parametrize("as_dict", [False, True], ids=["by its layer", "by a key equal to its layer's name"])
def test_losses_and_metrics_find_an_output_behind_which_a_layer_was_put(as_dict):
    rebuilt = rebuild(read_graph(network(as_dict=as_dict)), [SCALING]).model
    x, y = np.ones((8, 3)), np.ones((8, 1))
    history = rebuilt.fit(x, {"price": y} if as_dict else y, verbose=0).history
    assert history["loss"][0] > 0
    assert any("mae" in name or "mean_absolute_error" in name for name in history)
    name = "price" if as_dict else "price_rescaling"
    assert rebuilt.get_compile_config()["loss_weights"] == {name: 0.5}


def test_losses_find_an_output_whose_last_layer_was_taken_away():
    inputs = keras.Input((3,))
    model = keras.Model(inputs, layers.Dropout(0.0, name="drop")(layers.Dense(1, name="price")(inputs)))
    model.compile("adam", {"drop": "mse"})
    rebuilt = rebuild(read_graph(model), [Remove("drop")]).model
    assert rebuilt.fit(np.ones((8, 3)), np.ones((8, 1)), verbose=0).history["loss"][0] > 0
