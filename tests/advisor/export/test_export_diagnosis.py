import keras
import numpy as np
import pytest
from keras import layers

from advisor.export.diagnosis import conversion_blamed, first_over, preparation_blamed, worst
from advisor.export.layer_errors import LayerError
from advisor.export.layer_scopes import read_layer_scopes
from advisor.export.quantization_advice import channel_range_ratio, quantization_advice
from advisor.export.signature import read_signature
from advisor.export.verify import Limit
from advisor.litert.lowering import Lowering

LIMIT = Limit("relative_rms", 0.1)


def error(layer, rms, added=None):
    return LayerError(layer, "Dense", rms, rms, added)


ERRORS = (error("a", 0.05, 0.05), error("b", 0.3, 0.02), error("c", 0.4, 0.0), error("d", 0.4, 0.3))


def test_the_first_over_the_limit_is_not_the_worst():
    assert first_over(ERRORS, LIMIT).layer == "b"
    assert [found.layer for found in worst(ERRORS)] == ["d", "a", "b"]
    text = conversion_blamed(ERRORS, LIMIT, Lowering({}))
    assert text == "The first layer that differs by more is 'b' (Dense): 0.3."


def test_an_error_that_builds_up_has_its_largest_parts_named():
    text = conversion_blamed(ERRORS, Limit("relative_rms", 0.5), Lowering({}))
    assert text == "No layer alone differs by more; most is added by 'd', 'a', 'b'."
    assert conversion_blamed((), LIMIT, Lowering({})) == "No layer differs by more."


def test_nan_is_over_every_limit():
    assert first_over((error("a", float("nan")),), LIMIT).layer == "a"


def test_a_preparation_is_blamed_with_what_it_did():
    text = preparation_blamed(ERRORS, LIMIT, ("folded 1 BatchNormalization",))
    assert "(folded 1 BatchNormalization)" in text
    assert text.endswith("first in layer 'b': 0.3.")


def net(activation="relu", last="softmax"):
    return keras.Sequential(
        [
            keras.Input((8, 8, 4)),
            layers.Conv2D(4, 3, name="conv", activation=activation),
            layers.DepthwiseConv2D(3, name="depthwise"),
            layers.ReLU(name="relu"),
            layers.GlobalAveragePooling2D(name="pool"),
            layers.Dense(3, name="head", activation=last),
        ]
    )


@pytest.mark.parametrize(
    ("activation", "replacement"), [("silu", "hard_silu or relu6"), ("gelu", "relu6"), ("mish", "hard_silu")]
)
def test_what_rule_e705_lists_is_advised_against_where_it_loses(activation, replacement):
    (line,) = quantization_advice(net(activation), [error("conv", 0.1, 0.1)])
    assert line.startswith("E705: `conv` adds 10%")
    assert replacement in line
    assert quantization_advice(net(activation), [error("conv", 0.1, 0.01)]) == ()
    assert quantization_advice(net("relu"), [error("conv", 0.1, 0.1)]) == ()


def test_depthwise_kernels_of_unequal_range_are_named_behind_their_activation_too():
    model = net()
    kernel = np.ones((3, 3, 4, 1), "float32")
    model.get_layer("depthwise").set_weights([kernel, np.zeros(4)])
    assert quantization_advice(model, [error("relu", 0.3, 0.3)]) == ()
    kernel[:, :, 2] = -0.005
    kernel[:, :, 3] = 0.0
    model.get_layer("depthwise").set_weights([kernel, np.zeros(4)])
    assert channel_range_ratio(model.get_layer("depthwise")) == pytest.approx(200)
    for layer in ("relu", "depthwise"):
        (line,) = quantization_advice(model, [error(layer, 0.3, 0.3)])
        assert line.startswith(f"`{layer}` adds 30%")
        assert "`depthwise` differ by a factor of 200" in line


def test_probabilities_and_outputs_are_named():
    (line,) = quantization_advice(net(), [error("head", 0.2, 0.2)])
    assert "export the logits" in line
    (line,) = quantization_advice(net(last=None), [error("head", 0.2, 0.2)])
    assert "gives the output" in line


def test_layers_that_are_no_part_of_the_graph_call_for_nothing():
    assert quantization_advice(net(), [error("output 'y'", 0.9, 0.9)]) == ()


def test_scopes_are_noted_not_guessed():
    # TensorFlow calls the layer `dense` in the scope `dense_1`, for its weights have taken the name `dense`.
    model = keras.Sequential([keras.Input((4,)), layers.Dense(4, name="dense"), layers.Dense(4, name="dense_1")])
    scopes = read_layer_scopes(model, read_signature(model, None, 1), ("y",))
    by_layer = {layer: scope for scope, layer in scopes.scopes.items()}
    assert set(by_layer) == {model.name, "dense", "dense_1"}
    for layer in ("dense", "dense_1"):
        assert scopes.at(f"{by_layer[layer]}/MatMul;other/BiasAdd") == layer
    assert scopes.at("elsewhere/MatMul") is None
    assert scopes.at(scopes.outputs["y"]) == "dense_1"
