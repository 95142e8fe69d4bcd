"""Random models of which Python code is a part: subclassed ones, hand-written blocks, classes with own constructors."""

from __future__ import annotations

import keras
from hypothesis import strategies as st
from keras import layers

from tests.advisor.random_models import RATES, dense_block, head

PACKAGE = "random_code"


def _stack(makers, width, name):
    return keras.Sequential([keras.Input((width,)), *(make() for make in makers)], name=name)


@keras.saving.register_keras_serializable(PACKAGE)
class Given(keras.Model):
    """A subclassed model that is given one part and makes the other."""

    def __init__(self, part, rate=0.0, **kwargs):
        super().__init__(**kwargs)
        self.part, self.rate = part, rate
        self.own = layers.Dense(6)
        self.norm = layers.BatchNormalization()
        self.drop = layers.Dropout(rate)
        self.head = layers.Dense(3)

    def call(self, inputs, training=None):
        x = self.drop(self.norm(self.own(inputs), training=training), training=training)
        return self.head(keras.ops.relu(self.part(x)))

    def get_config(self):
        part = keras.saving.serialize_keras_object(self.part)
        return {**super().get_config(), "part": part, "rate": self.rate}

    @classmethod
    def from_config(cls, config):
        return cls(keras.saving.deserialize_keras_object(config.pop("part")), **config)


@keras.saving.register_keras_serializable(PACKAGE)
class Around(layers.Layer):
    """A block around a layer it is given, residual where the shapes allow it."""

    def __init__(self, inner, **kwargs):
        super().__init__(**kwargs)
        self.inner = inner

    def call(self, x):
        y = self.inner(x)
        return x + y if x.shape == y.shape else y

    def get_config(self):
        return {**super().get_config(), "inner": keras.saving.serialize_keras_object(self.inner)}

    @classmethod
    def from_config(cls, config):
        return cls(keras.saving.deserialize_keras_object(config.pop("inner")), **config)


@keras.saving.register_keras_serializable(PACKAGE)
class Own(layers.Layer):
    """A block that makes its layers when it is built."""

    def __init__(self, units=6, rate=0.0, **kwargs):
        super().__init__(**kwargs)
        self.units, self.rate = units, rate

    def build(self, shape):
        self.dense = layers.Dense(self.units, dtype=self.dtype_policy)
        self.norm = layers.BatchNormalization(dtype=self.dtype_policy)
        self.drop = layers.Dropout(self.rate, dtype=self.dtype_policy)
        self.dense.build(shape)
        self.norm.build((*shape[:-1], self.units))

    def call(self, x, training=None):
        return self.drop(self.norm(self.dense(x), training=training), training=training)

    def get_config(self):
        return {**super().get_config(), "units": self.units, "rate": self.rate}


@keras.saving.register_keras_serializable(PACKAGE)
class Backbone(keras.Model):
    """A functional model with a constructor of its own."""

    def __init__(self, width, units=4, rate=0.0, **kwargs):
        x = keras.Input((width,))
        y = layers.BatchNormalization()(layers.Dense(units)(x))
        super().__init__(x, layers.Dropout(rate)(layers.ReLU()(y)), **kwargs)
        self.arguments = {"width": width, "units": units, "rate": rate}

    def get_config(self):
        return {"name": self.name, **self.arguments}


@st.composite
def code_models(draw):
    """Functions that build models of which one part or all is code."""
    makers = [make for block in draw(st.lists(dense_block(), min_size=1, max_size=2)) for make in block]
    rate, tail = draw(RATES), draw(head())
    kind = draw(st.sampled_from(["given", "given a backbone", *_BLOCKS]))
    frozen, compiled = draw(st.booleans()), draw(st.booleans())

    def build():
        if kind == "given":
            model = Given(_stack(makers, 6, "part"), rate, name="model")
            model(keras.ops.ones((1, 5)))
        elif kind == "given a backbone":
            model = Given(Backbone(6, rate=rate, name="part"), rate, name="model")
            model(keras.ops.ones((1, 5)))
        else:
            inputs = keras.Input((5,))
            x = _BLOCKS[kind](inputs, makers, rate)
            for make in tail:
                x = make()(x)
            model = keras.Model(inputs, x)
        if frozen:
            model.layers[1].trainable = False
        if compiled:
            model.compile("adam", "mse")
        return model

    return build


def _around(x, makers, rate):
    return Around(_stack(makers, 5, "inner"), name="around")(x)


def _own(x, makers, rate):
    for make in makers:
        x = make()(x)
    return Own(rate=rate, name="own")(x)


def _backbone(x, makers, rate):
    return layers.Concatenate()([Backbone(5, rate=rate, name="backbone")(x), _stack(makers, 5, "stack")(x)])


def _each(x, makers, rate):
    frames = layers.RepeatVector(3)(x)
    each = layers.TimeDistributed(_stack(makers, 5, "inner"), name="each")(frames)
    return layers.GlobalAveragePooling1D()(layers.Dropout(rate)(each))


def _twice(x, makers, rate):
    block = Own(units=5, rate=rate, name="twice")
    return block(block(x))


_BLOCKS = {"around": _around, "own": _own, "backbone": _backbone, "each": _each, "twice": _twice}
