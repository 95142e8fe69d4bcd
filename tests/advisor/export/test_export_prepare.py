import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from advisor import advise
from advisor.export.convert import convert
from advisor.export.prepare import prepare
from advisor.export.signature import read_signature
from advisor.export.trace import trace
from advisor.graph.keras_internals import layer_tree
from advisor.graph.sampling import sample_inputs
from advisor.litert.operators import operator_table
from advisor.rewrite import relative_difference
from advisor.rewrite.verify import tolerance
from advisor.testing import randomize_weights
from keras_normpack import LayerScale, WeightNormalization, WeightStandardization
from tests.advisor.random_chains import chains
from tests.advisor.random_code import code_models
from tests.advisor.random_models import functional_models, sequence_models, structured_models, volume_models

RNG = np.random.default_rng(0)


def trained_looking(model):
    """Weights, moving averages included, as after some training, so that folding has something to get wrong."""
    model.set_weights([RNG.uniform(0.5, 1.5, w.shape).astype(w.dtype) for w in model.get_weights()])
    return model


def stack(shape, *steps):
    return keras.Sequential([keras.Input(shape), *steps])


def flatbuffer(model):
    signature = read_signature(model, None, 1)
    return convert(model, signature, trace(model, signature).outputs)


def operators(model):
    return sum(operator_table(flatbuffer(model)).values())


def difference(model, other):
    return relative_difference(model, other, sample_inputs(model, batch_size=3, seed=1))


def test_training_layers_and_batch_norm_disappear_from_the_copy():
    model = trained_looking(
        stack(
            (8, 8, 3),
            layers.GaussianNoise(0.1),
            layers.Conv2D(4, 3, use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(2),
        )
    )
    x = RNG.normal(size=(3, 8, 8, 3)).astype("float32")
    before, weights, names = model(x).numpy(), model.get_weights(), [layer.name for layer in model.layers]
    prepared = prepare(model)
    assert prepared.done == ("removed 1 GaussianNoise", "removed 1 Dropout", "folded 1 BatchNormalization")
    assert [type(layer).__name__ for layer in prepared.model.layers] == ["Conv2D", "ReLU", "Flatten", "Dense"]
    np.testing.assert_allclose(prepared.model(x), before, rtol=1e-5, atol=1e-5)
    assert [layer.name for layer in model.layers] == names
    for old, new in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("wrap", [WeightNormalization, WeightStandardization, layers.SpectralNormalization])
def test_a_computed_kernel_is_baked_and_then_takes_up_the_norms_around_it(wrap):
    norms = [layers.BatchNormalization() for _ in range(2)]
    model = randomize_weights(stack((8, 8, 3), layers.ReLU(), norms[0], wrap(layers.Conv2D(4, 3)), norms[1]))
    prepared = prepare(model)
    assert prepared.done == (f"baked 1 {wrap.__name__}", "folded 2 BatchNormalization")
    assert [type(layer).__name__ for layer in prepared.model.layers] == ["ReLU", "Conv2D"]
    assert difference(model, prepared.model) < 1e-6


def test_every_stage_makes_room_for_the_next():
    image = keras.Input((8, 8, 4), name="image")
    x = layers.Rescaling(0.5)(image)
    x = layers.BatchNormalization()(layers.Dropout(0.2)(layers.Conv2D(4, 3, padding="same")(x)))
    branch = layers.Dense(4)(layers.Dense(8, "gelu")(layers.LayerNormalization()(x)))
    x = layers.Add()([x, layers.Dropout(0.1)(LayerScale(0.1)(branch))])
    zero = layers.Dense(4, kernel_initializer="zeros", bias_initializer="zeros", name="zero")
    x = layers.Add()([x, zero(layers.ReLU()(x))])
    model = keras.Model(image, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))
    randomize_weights(model)
    zero.bias.assign(np.zeros(4))
    prepared = prepare(model)
    assert prepared.done == (
        "removed 2 Dropout",
        "dropped the zeros in 1 Add",
        "folded 1 Rescaling",
        "folded 1 BatchNormalization",
        "folded 1 LayerScale",
        "folded the weights of 1 LayerNormalization",
    )
    assert not prepared.refused
    assert difference(model, prepared.model) < 3e-6
    assert not prepare(prepared.model).done


def test_a_model_with_nothing_to_prepare_is_taken_as_it_is():
    model = stack((4,), layers.Dense(2))
    prepared = prepare(model)
    assert prepared.model is model
    assert (prepared.done, prepared.refused) == ((), ())


@pytest.mark.parametrize("built", [False, True])
def test_a_model_that_cannot_be_rewritten_is_taken_as_it_is_and_said_so(built):
    class Own(keras.Model):
        def __init__(self):
            super().__init__(name="own")
            self.drop = layers.Dropout(0.5)

        def call(self, inputs):
            return self.drop(inputs)

    model = Own()
    if built:
        model(np.ones((1, 2)))
    prepared = prepare(model)
    assert prepared.model is model
    assert prepared.done == ()
    (reason,) = prepared.refused
    assert "own" in reason


@keras.saving.register_keras_serializable("export_prepare")
class Holder(keras.Model):
    """Code around a model that its configuration holds."""

    def __init__(self, body, **kwargs):
        super().__init__(**kwargs)
        self.body = body

    def call(self, inputs):
        return keras.ops.tanh(self.body(inputs)) + 1

    def get_config(self):
        return {**super().get_config(), "body": keras.saving.serialize_keras_object(self.body)}

    @classmethod
    def from_config(cls, config):
        return cls(keras.saving.deserialize_keras_object(config.pop("body")), **config)


def test_a_model_that_code_holds_is_prepared():
    body = stack((8, 8, 3), layers.Conv2D(4, 3), layers.BatchNormalization(), layers.Dropout(0.2))
    model = Holder(body)
    x = RNG.normal(size=(2, 8, 8, 3)).astype("float32")
    model(x)
    randomize_weights(model)
    prepared = prepare(model)
    assert prepared.done == ("removed 1 Dropout", "folded 1 BatchNormalization")
    assert [type(layer).__name__ for layer in prepared.model.body.layers] == ["Conv2D"]
    assert relative_difference(model, prepared.model, x) < 1e-6


def _net(norm):
    """A net with normalization wherever it folds."""
    image = keras.Input((16, 16, 3), name="image")
    x = norm()(layers.Conv2D(8, 3, padding="same")(image))
    x = norm()(layers.AveragePooling2D(2)(layers.DepthwiseConv2D(3)(layers.ReLU()(x))))
    x = norm()(layers.SeparableConv2D(8, 3)(layers.ReLU()(x)))
    x = layers.Conv2D(4, 1)(norm()(layers.ReLU()(x)))
    parts = [layers.Conv2D(4, 1)(x), layers.Conv2D(4, 1)(x)]
    x = layers.ReLU()(norm()(layers.Concatenate()(parts)))
    return keras.Model(image, layers.Dense(2)(norm()(layers.Flatten()(norm()(layers.Conv2DTranspose(4, 2)(x))))))


def test_a_net_with_batch_norm_has_the_operators_of_one_without():
    model = randomize_weights(_net(layers.BatchNormalization))
    prepared = prepare(model)
    assert prepared.done == ("folded 7 BatchNormalization",)
    assert operators(prepared.model) == operators(_net(layers.Identity))
    assert difference(model, prepared.model) < 1e-6


def test_what_no_output_depends_on_leaves_no_trace_in_the_file():
    """Weights of an unused output of a nested model, and of a branch of zeros, are not shipped."""
    inner = keras.Input((4,))
    used, unused = layers.Dense(3)(inner), layers.Dense(500, name="unused")(inner)
    body = keras.Model(inner, [used, unused])
    x = keras.Input((4,), name="x")
    zeros = LayerScale(name="zeros")
    summed = layers.Add()([x, zeros(layers.Dense(4)(layers.Dense(500, "relu")(x)))])
    model = randomize_weights(keras.Model(x, body(summed)[0]))
    zeros.gamma.assign(np.zeros(4))
    prepared = prepare(model)
    assert prepared.done == ("dropped the zeros in 1 Add",)
    content = flatbuffer(prepared.model)
    assert dict(operator_table(content)) == {"FULLY_CONNECTED": 1}
    assert len(content) < 4 * 500


KINDS = {
    "chains": chains(),
    "functional": functional_models(),
    "sequences": sequence_models(),
    "structures": st.one_of(structured_models(), volume_models()),
    "code": code_models(),
}


def check_preparation(build, seed):
    """The prepared model computes the same, has nothing left to do, and E701 says which normalizations stay."""
    model = _with_norms_of_all_sorts(randomize_weights(build(), seed), seed)
    weights = [weight.copy() for weight in model.get_weights()]
    prepared = prepare(model)
    assert difference(model, prepared.model) < max(3e-6, tolerance(model))
    assert not prepare(prepared.model).done
    for old, new in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    # A normalization in a branch of zeros goes with it, of which the rule does not know.
    if _is_all_graph(model) and not any("zeros" in line for line in prepared.done):
        findings = advise(model, select="E701", target="mobile", trained=True, verbose=0).findings
        staying = [layer for layer in layer_tree(prepared.model) if isinstance(layer, layers.BatchNormalization)]
        assert sum(len(finding.layers) for finding in findings) == len(staying)


def _with_norms_of_all_sorts(model, seed):
    """Some with negative scales, some without a shift."""
    generator = np.random.default_rng(seed)
    for layer in layer_tree(model):
        if not isinstance(layer, layers.BatchNormalization):
            continue
        if layer.gamma is not None and generator.random() < 0.7:
            layer.gamma.assign(generator.uniform(generator.choice([-1.5, 0.3]), 1.5, layer.gamma.shape))
        if generator.random() < 0.3:
            for vector in filter(lambda found: found is not None, (layer.moving_mean, layer.beta)):
                vector.assign(np.zeros(vector.shape))
    return model


def _is_all_graph(model):
    plain = (keras.Sequential, keras.Model)
    own = [layer for layer in layer_tree(model) if type(layer).__module__.split(".")[0] == "tests"]
    return isinstance(model, plain) and not own


@settings(max_examples=5)
@given(build=chains(), seed=st.integers(0, 99))
def test_preparation_is_exact_on_random_chains(build, seed):
    check_preparation(build, seed)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=40)
@given(data=st.data(), seed=st.integers(0, 999))
def test_preparation_is_exact_on_many_random_models(kind, data, seed):
    check_preparation(data.draw(KINDS[kind]), seed)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["MobileNetV2", "EfficientNetV2B0", "ConvNeXtTiny", "DenseNet121", "Xception"])
def test_preparation_is_exact_on_known_networks(name):
    side = 71 if name == "Xception" else 32
    model = getattr(keras.applications, name)(weights=None, input_shape=(side, side, 3), classifier_activation=None)
    randomize_weights(model)
    prepared = prepare(model)
    assert not prepared.refused
    assert difference(model, prepared.model) < 1e-5
