"""Forms chosen for the layers of whole models, and models computed in them."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_normpack
from advisor.export.convert import convert
from advisor.export.keras_export import keras_export
from advisor.export.precision import computing_in_float32
from advisor.export.signature import read_signature
from advisor.export.trace import trace
from advisor.graph import keras_internals
from advisor.litert import choice as choice_module
from advisor.litert.choice import OWN, Choice, Cost
from advisor.litert.forms import forms_of
from advisor.litert.interpreter import LiteRTModel
from advisor.litert.lowering import choose_forms, lowered
from advisor.litert.operators import operator_table

RNG = np.random.default_rng(0)


@pytest.fixture
def first_form(monkeypatch):
    """The first form that fits is chosen, without measuring; the calls that were asked about."""
    asked = []

    def choose(call, seed, allowed):
        asked.append(call)
        fitting = [form for form in forms_of(call.layer) if form.fits(call)]
        costs = {OWN: Cost(2.0, 2, 2), **{form.name: Cost(1.0, 1, 1) for form in fitting}}
        return Choice(fitting[0], costs) if fitting else None

    monkeypatch.setattr(choice_module, "_measured_choice", choose)
    return asked


def randomized(model, seed=0):
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        if "int" not in str(weight.dtype) and "seed" not in weight.path:
            positive = "gamma" in weight.path or "variance" in weight.path
            weight.assign(rng.uniform(0.5, 1.5, weight.shape) if positive else rng.normal(0, 0.3, weight.shape))
    return model


def exported(model, samples=None, batch_size=1):
    """The model in LiteRT in the forms chosen, its signature and what was chosen."""
    signature = read_signature(model, samples, batch_size)
    chosen = choose_forms(model, lambda: trace(model, signature, ("y",)))
    with lowered(model, chosen):
        return convert(model, signature, ("y",)), signature, chosen


def agree(model, flatbuffer, signature, tolerance=1e-5):
    inputs = {tensor.name: RNG.normal(0.5, 1.5, tensor.shape).astype("float32") for tensor in signature.inputs}
    received = LiteRTModel(flatbuffer)(inputs)["y"]
    expected = np.asarray(model(signature.pack(inputs), training=False), "float32")
    assert received.shape == expected.shape
    assert np.abs(received - expected).max() <= tolerance * np.abs(expected).max()


def calls_are_their_own(model):
    return all("call" not in vars(layer) for layer in keras_internals.layer_tree(model))


def block(norm, channels=8):
    return keras.Sequential([layers.Conv2D(channels, 3, padding="same", use_bias=False), norm, layers.ReLU()])


def test_a_net_of_every_normalization_is_exported_with_cheaper_operators(first_form):
    x = inputs = keras.Input((24, 24, 3))
    norms = (
        layers.GroupNormalization(4),
        layers.GroupNormalization(-1),
        layers.LayerNormalization(),
        keras_normpack.FilterResponseNormalization(),
        keras_normpack.GlobalResponseNormalization(),
    )
    for norm in norms:
        x = block(norm)(x)
    model = randomized(keras.Model(inputs, layers.Dense(5)(layers.GlobalAveragePooling2D()(x))))
    flatbuffer, signature, chosen = exported(model)
    assert [type(call.layer) for call, _ in chosen.lowered] == [type(norm) for norm in norms]
    agree(model, flatbuffer, signature)
    by_keras = keras_export(model, signature)
    assert len(flatbuffer) < by_keras.size_bytes
    ours = operator_table(flatbuffer)
    assert sum(ours.values()) <= sum(by_keras.operators.values()) - 6
    # Each of these is a pass over a map in Keras's export, or keeps the interpreter from running all in one go.
    for operator in ("NEG", "SELECT_V2", "GREATER"):
        assert by_keras.operators[operator] > 0
        assert operator not in ours


def test_layers_within_layers_and_models_are_reached(first_form):
    inputs = keras.Input((3, 8, 8, 4))
    x = layers.TimeDistributed(block(layers.GroupNormalization(2)))(inputs)
    x = layers.TimeDistributed(layers.LayerNormalization())(x)
    model = randomized(
        keras.Model(inputs, keras.Sequential([layers.Reshape((24, 8, 8)), block(layers.LayerNormalization())])(x))
    )
    flatbuffer, signature, chosen = exported(model)
    assert {type(call.layer).__name__ for call, _ in chosen.lowered} == {"GroupNormalization", "LayerNormalization"}
    assert len(chosen.lowered) == 3
    agree(model, flatbuffer, signature)
    assert calls_are_their_own(model)


def test_a_shared_layer_has_a_form_for_each_shape(first_form):
    norm = layers.LayerNormalization()
    image, series = keras.Input((8, 8, 6)), keras.Input((10, 6))
    pooled = [layers.GlobalAveragePooling2D()(norm(image)), layers.GlobalAveragePooling1D()(norm(series))]
    model = randomized(keras.Model([image, series], layers.Add()(pooled)))
    flatbuffer, signature, chosen = exported(model)
    names = {len(call.inputs.shape): choice.form.name for call, choice in chosen.lowered}
    assert names == {4: "deviation · 1/σ, gamma and beta in one pass", 3: "deviation · 1/σ"}
    agree(model, flatbuffer, signature)


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.blocks = [block(layers.GroupNormalization(2)), block(layers.BatchNormalization())]
        self.norm = keras_normpack.GroupNormalization(4)

    def call(self, inputs, training=None):
        x = inputs
        for one in self.blocks:
            x = one(x, training=training)
        return self.norm(x, training=training)


def test_a_subclassed_model_is_reached(first_form):
    model = Subclassed()
    sample = RNG.normal(size=(2, 8, 8, 3)).astype("float32")
    model(sample)
    randomized(model)
    flatbuffer, signature, chosen = exported(model, sample, 2)
    assert len(chosen.lowered) == 3
    agree(model, flatbuffer, signature)
    assert calls_are_their_own(model)


def test_a_model_of_mixed_precision_is_lowered_in_float32(first_form):
    inputs = keras.Input((8, 8, 4))
    norms = [
        layers.LayerNormalization(dtype="mixed_float16"),
        keras_normpack.GroupNormalization(2, dtype="mixed_float16"),
    ]
    model = randomized(keras.Model(inputs, norms[1](norms[0](inputs))))
    with computing_in_float32(model):
        flatbuffer, signature, chosen = exported(model)
        agree(model, flatbuffer, signature)
    assert all(call.inputs.dtype == "float32" for call, _ in chosen.lowered)
    assert len(chosen.lowered) == 2


def test_inputs_with_and_without_masks(first_form):
    series, condition = keras.Input((6, 8)), keras.Input((3,))
    conditional = keras_normpack.ConditionalNormalization(keras_normpack.InstanceNormalization())
    model = randomized(keras.Model([series, condition], conditional([series, condition])))
    flatbuffer, signature, chosen = exported(model)
    assert "ConditionalNormalization" in chosen.descriptions[0]
    agree(model, flatbuffer, signature)
    masked = keras_normpack.ConditionalNormalization(keras_normpack.InstanceNormalization())
    outputs = masked([layers.Masking()(series), condition])
    flatbuffer, signature, chosen = exported(randomized(keras.Model([series, condition], outputs)))
    assert chosen.lowered == ()


class Doubled(layers.LayerNormalization):
    def call(self, inputs):
        return 2 * super().call(inputs)


def test_a_custom_subclass_keeps_its_own_call(first_form):
    inputs = keras.Input((8, 8, 4))
    model = randomized(keras.Model(inputs, Doubled()(inputs)))
    flatbuffer, signature, chosen = exported(model)
    assert chosen.choices == {}
    assert first_form == []
    agree(model, flatbuffer, signature)


def test_an_error_leaves_the_layers_as_they_were(first_form):
    model = keras.Sequential([keras.Input((8, 8, 4)), layers.LayerNormalization(), layers.GroupNormalization(2)])
    x = RNG.normal(size=(1, 8, 8, 4)).astype("float32")
    before = np.asarray(model(x))

    def fail():
        assert all("call" in vars(layer) for layer in model.layers)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        choose_forms(model, fail)
    assert calls_are_their_own(model)
    chosen = choose_forms(model, lambda: model(x))
    with pytest.raises(KeyboardInterrupt), lowered(model, chosen):
        fail()
    assert calls_are_their_own(model)
    np.testing.assert_array_equal(model(x), before)


def test_equal_layers_are_measured_once(first_form):
    inputs = keras.Input((8, 8, 4))
    trained = [layers.LayerNormalization(), layers.LayerNormalization()]
    other = [layers.LayerNormalization(epsilon=1e-6), layers.LayerNormalization()]
    x = inputs
    for layer in [*trained, *other]:
        x = layer(x)
    model = keras.Model(inputs, x)
    randomized(trained[0]), randomized(trained[1], seed=1), randomized(other[0])
    chosen = choose_forms(model, lambda: model(np.ones((1, 8, 8, 4), "float32")))
    # The last one's weights are 1 and 0 as at the start, for which the converter leaves operators out.
    assert [call.layer for call in first_form] == [trained[0], *other]
    assert len(chosen.lowered) == 4


def test_layers_within_equal_wrappers_are_alike_whatever_their_names(first_form):
    inputs, condition = keras.Input((8, 8, 4)), keras.Input((3,))
    x = inputs
    for _ in range(2):
        wrapped = keras_normpack.ConditionalNormalization(keras_normpack.InstanceNormalization())
        x = randomized(wrapped, seed=1)([x, condition]) if wrapped.built else wrapped([x, condition])
    model = randomized(keras.Model([inputs, condition], x))
    choose_forms(model, lambda: model([np.ones((1, 8, 8, 4), "float32"), np.ones((1, 3), "float32")]))
    wrappers = [call for call in first_form if isinstance(call.layer, keras_normpack.ConditionalNormalization)]
    assert len(wrappers) == 1
