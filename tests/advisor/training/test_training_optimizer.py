import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers, optimizers

from advisor.training import undecayed_variables, with_weight_decay

# Exact in binary, so that the float32 of Keras's learning rate rounds nothing.
RATE, DECAY = 0.5, 0.125
NAMES = ("conv/kernel", "conv/bias", "norm/gamma", "norm/beta", "out/kernel", "out/bias")


def small_model(dtype="float64"):
    steps = [
        layers.Conv1D(3, 2, name="conv", dtype=dtype),
        layers.BatchNormalization(name="norm", dtype=dtype),
        layers.Flatten(dtype=dtype),
        layers.Dense(1, name="out", dtype=dtype),
    ]
    model = keras.Sequential([keras.Input((4, 2), dtype=dtype), *steps], name="net")
    generator = np.random.default_rng(0)
    model.set_weights([generator.uniform(0.5, 1.5, weight.shape) for weight in model.weights])
    return model


def after_one_step(optimizer, dtype="float64"):
    model = small_model(dtype)
    model.compile(
        optimizer if isinstance(optimizer, optimizers.Optimizer) else optimizer(model), "mse", run_eagerly=True
    )
    generator = np.random.default_rng(1)
    model.train_on_batch(generator.normal(size=(8, 4, 2)), generator.normal(size=(8, 1)))
    return {variable.path: np.array(variable) for variable in model.trainable_variables}


@pytest.mark.parametrize(
    "make",
    [
        lambda: optimizers.SGD(RATE),
        lambda: optimizers.SGD(RATE, momentum=0.5, nesterov=True),
        lambda: optimizers.Adam(RATE),
        lambda: optimizers.RMSprop(RATE),
        lambda: optimizers.Adam(RATE, clipnorm=0.25),
    ],
)
def test_one_step_is_the_plain_step_minus_rate_times_decay_times_weight(make):
    before = {variable.path: np.array(variable) for variable in small_model().trainable_variables}
    plain = after_one_step(make())
    decayed = after_one_step(lambda model: with_weight_decay(make(), DECAY, model))
    assert set(plain) == {f"net/{name}" for name in NAMES}
    for path, value in plain.items():
        expected = value - RATE * DECAY * before[path] if path.endswith("kernel") else value
        np.testing.assert_allclose(decayed[path], expected, rtol=1e-12, atol=0)
        assert path.endswith("kernel") == bool(np.any(decayed[path] != value))


def test_decay_is_not_a_gradient_that_adam_rescales():
    decayed = after_one_step(lambda model: with_weight_decay(optimizers.Adam(RATE), DECAY, model), "float32")

    def coupled(model):
        for layer in model.layers:
            if hasattr(layer, "kernel"):
                layer.kernel.regularizer = keras.regularizers.L2(DECAY / 2)
        return optimizers.Adam(RATE)

    for path, value in after_one_step(coupled, "float32").items():
        if path.endswith("kernel"):
            assert np.max(np.abs(decayed[path] - value)) > 1e-2


@settings(max_examples=10, deadline=None)
@given(st.floats(0, 1, allow_subnormal=False), st.integers(1, 3))
def test_without_gradients_kernels_shrink_geometrically_and_nothing_else_moves(decay, steps):
    model = small_model("float32")
    before = [np.array(variable) for variable in model.trainable_variables]
    optimizer = with_weight_decay(optimizers.SGD(0.5), decay, model)
    optimizer.build(model.trainable_variables)
    for _ in range(steps):
        optimizer.apply([keras.ops.zeros_like(variable) for variable in model.trainable_variables])
    for variable, old in zip(model.trainable_variables, before, strict=True):
        factor = (1 - 0.5 * decay) ** steps if variable.name == "kernel" else 1.0
        np.testing.assert_allclose(np.array(variable), factor * old, rtol=1e-6)


def test_what_is_decayed_of_every_sort_of_layer():
    tokens = keras.Input((6,), dtype="int32")
    x = layers.Embedding(10, 8, name="embedding")(tokens)
    x = layers.MultiHeadAttention(2, 4, name="attention")(x, x)
    x = layers.LayerNormalization(name="norm")(x)
    x = layers.Bidirectional(layers.LSTM(3, return_sequences=True, name="lstm"))(x)
    x = layers.TimeDistributed(layers.Dense(4), name="each")(x)
    x = layers.SeparableConv1D(4, 2, name="separable")(x)
    x = layers.PReLU(shared_axes=[1], name="prelu")(x)
    model = keras.Model(tokens, layers.Dense(1, name="out")(layers.GRU(3, name="gru")(x)))
    left_out = {id(variable) for variable in undecayed_variables(model)}
    decayed = {variable.name for variable in model.trainable_variables if id(variable) not in left_out}
    assert decayed == {"kernel", "recurrent_kernel", "depthwise_kernel", "pointwise_kernel"}
    assert {variable.name for variable in model.trainable_variables if id(variable) in left_out} == {
        "embeddings", "bias", "gamma", "beta", "alpha"
    }  # fmt: skip


def test_variables_of_a_layer_of_the_users_go_by_their_shape():
    class Scaled(keras.layers.Layer):
        def build(self, shape):
            self.scale = self.add_weight(shape=(shape[-1],), name="scale")
            self.token = self.add_weight(shape=(1, 1, shape[-1]), name="token")
            self.mixing = self.add_weight(shape=(shape[-1], shape[-1]), name="mixing")

        def call(self, inputs):
            return (inputs @ self.mixing) * self.scale + self.token[0]

    model = keras.Sequential([keras.Input((4,)), Scaled()])
    assert [variable.name for variable in undecayed_variables(model)] == ["scale", "token"]


@pytest.mark.parametrize(
    "optimizer",
    [
        optimizers.SGD(0.1, momentum=0.9, nesterov=True, clipnorm=1.0),
        optimizers.RMSprop(optimizers.schedules.CosineDecay(0.1, 100), rho=0.8),
        optimizers.Lion(1e-3, beta_1=0.8),
        optimizers.AdamW(1e-3, weight_decay=0.3, use_ema=True),
        optimizers.Nadam(1e-3, gradient_accumulation_steps=2, name="mine"),
    ],
)
def test_class_and_arguments_of_the_optimizer_are_kept(optimizer):
    before = optimizer.get_config()
    new = with_weight_decay(optimizer, DECAY, small_model())
    assert new is not optimizer
    assert type(new) is type(optimizer)
    assert new.get_config() == {**before, "weight_decay": DECAY}
    assert optimizer.get_config() == before


def test_adam_becomes_adamw_by_name_too():
    new = with_weight_decay(optimizers.Adam(0.25, beta_1=0.8, amsgrad=True), DECAY, small_model())
    assert type(new) is optimizers.AdamW
    assert (float(new.learning_rate), new.beta_1, new.amsgrad) == (0.25, 0.8, True)
    assert type(with_weight_decay("adam", DECAY, small_model())) is optimizers.AdamW


def test_a_loss_scaled_optimizer_decays_inside():
    scaled = optimizers.LossScaleOptimizer(optimizers.SGD(0.5), initial_scale=64.0)
    new = with_weight_decay(scaled, DECAY, small_model())
    assert (type(new), new.initial_scale) == (optimizers.LossScaleOptimizer, 64.0)
    assert new.inner_optimizer.weight_decay == DECAY
    assert new.inner_optimizer is not scaled.inner_optimizer


@pytest.mark.parametrize("decay", [-1e-4, float("nan"), float("inf")])
def test_a_decay_that_is_none_is_refused(decay):
    with pytest.raises(ValueError, match="Received: weight_decay="):
        with_weight_decay("sgd", decay, small_model())
