"""Models of every make that a `.keras` file can hold, for what reads and writes such files."""

import keras
import numpy as np
from keras import layers


@keras.saving.register_keras_serializable(package="stored")
class OwnStorage(layers.Layer):
    """Stores its weight halved, under a name of its own, and a number beside it."""

    def build(self, input_shape):
        self.scale = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="scale")
        self.shift = self.add_weight(shape=(input_shape[-1],), initializer="zeros", name="shift")
        self.steps = 0

    def call(self, inputs):
        return inputs * self.scale + self.shift

    def save_own_variables(self, store):
        store["half"] = keras.ops.convert_to_numpy(self.scale.value) / 2
        store["shift"] = self.shift
        store["steps"] = np.array(self.steps)

    def load_own_variables(self, store):
        self.scale.assign(store["half"] * 2)
        self.shift.assign(store["shift"])
        self.steps = int(store["steps"])


@keras.saving.register_keras_serializable(package="stored")
class Block(layers.Layer):
    """Layers in attributes, lists and dicts."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.parts = [layers.Dense(units), [layers.Dense(units, use_bias=False)]]
        self.named = {"norm": layers.LayerNormalization()}

    def build(self, input_shape):
        for layer in (self.parts[0], self.parts[1][0], self.named["norm"]):
            layer.build((*input_shape[:-1], self.units if layer is not self.parts[0] else input_shape[-1]))

    def call(self, inputs):
        return self.named["norm"](self.parts[1][0](self.parts[0](inputs)))

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units)

    def get_config(self):
        return {**super().get_config(), "units": self.units}


def conv_net():
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(4, 3, name="conv"),
            layers.BatchNormalization(name="norm"),
            layers.ReLU(),
            layers.Dropout(0.0, name="drop"),
            layers.SeparableConv2D(4, 3),
            layers.DepthwiseConv2D(3),
            layers.BatchNormalization(),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3),
        ]
    )


def residual():
    inputs = x = keras.Input((8, 8, 4))
    for _ in range(3):
        y = layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same")(x))
        x = layers.Add()([x, layers.ReLU()(y)])
    return keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x)))


def nested():
    part = keras.Sequential(
        [keras.Input((6,)), layers.Dense(6, name="dense"), layers.BatchNormalization()], name="part"
    )
    whole = keras.Input((6,))
    twice = part(part(whole))
    inner = keras.Model(whole, layers.Dense(4)(twice), name="inner")
    inputs = keras.Input((6,))
    return keras.Model(inputs, {"a": layers.Dense(2, name="a")(inner(inputs)), "b": layers.Dense(1, name="b")(inputs)})


def shared():
    inputs = [keras.Input((5,)), keras.Input((5,))]
    dense = layers.Dense(5)
    return keras.Model(inputs, layers.Concatenate()([dense(inputs[0]), dense(dense(inputs[1]))]))


def wrapped():
    inputs = keras.Input((7, 4))
    x = layers.TimeDistributed(layers.Dense(4))(inputs)
    x = layers.Bidirectional(layers.LSTM(3, return_sequences=True))(x)
    return keras.Model(inputs, layers.SpectralNormalization(layers.Dense(2))(layers.GRU(4)(x)))


def recurrent():
    cells = [layers.LSTMCell(3), layers.GRUCell(2)]
    return keras.Sequential([keras.Input((5, 2)), layers.RNN(cells, return_sequences=True), layers.SimpleRNN(2)])


def transformer():
    tokens = keras.Input((6,), dtype="int32")
    x = layers.Embedding(11, 8, mask_zero=True)(tokens)
    x = layers.LayerNormalization()(layers.Add()([x, layers.MultiHeadAttention(2, 4)(x, x)]))
    x = layers.Add()([x, layers.EinsumDense("abc,cd->abd", output_shape=(None, 8), bias_axes="d")(x)])
    return keras.Model(tokens, layers.Dense(2)(layers.GlobalAveragePooling1D()(x)))


def preprocessing():
    normalization, bins = layers.Normalization(), layers.Discretization(num_bins=3, output_mode="one_hot")
    data = np.random.default_rng(0).normal(2.0, 3.0, (64, 4))
    normalization.adapt(data)
    bins.adapt(data)
    inputs = keras.Input((4,))
    return keras.Model(inputs, layers.Dense(2)(layers.Flatten()(bins(normalization(inputs)))))


def text():
    vectorization = layers.TextVectorization(output_sequence_length=3)
    vectorization.adapt(["one two three", "two three", "three"])
    return keras.Sequential([keras.Input((), dtype="string"), vectorization, layers.Embedding(9, 2), layers.LSTM(2)])


def own_storage():
    own = OwnStorage(name="own")
    model = keras.Sequential([keras.Input((4,)), layers.Dense(4), own, Block(3), layers.Dropout(0.0)])
    own.steps = 7
    return model


def half_precision():
    with _Policy("mixed_float16"):
        return conv_net()


def bfloat():
    with _Policy("bfloat16"):
        return keras.Sequential([keras.Input((4,)), layers.Dense(4), layers.Dense(2)])


def quantized():
    model = keras.Sequential([keras.Input((8,)), layers.Dense(8), layers.BatchNormalization(), layers.Dense(2)])
    model.quantize("int8")
    return model


def low_rank():
    model = keras.Sequential([keras.Input((8,)), layers.Dense(8, name="dense"), layers.Dropout(0.0)])
    model.get_layer("dense").enable_lora(2)
    return model


class _Policy:
    def __init__(self, name):
        self.name = name

    def __enter__(self):
        self.before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(self.name)

    def __exit__(self, *_):
        keras.config.set_dtype_policy(self.before)


MODELS = (
    conv_net,
    residual,
    nested,
    shared,
    wrapped,
    recurrent,
    transformer,
    preprocessing,
    text,
    own_storage,
    half_precision,
    bfloat,
    quantized,
    low_rank,
)
