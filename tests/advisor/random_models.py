"""Random models as people build them, for property tests."""

from __future__ import annotations

import keras
from hypothesis import strategies as st
from keras import layers

ACTIVATIONS = st.sampled_from([None, "relu", "tanh"])
RATES = st.sampled_from([0.0, 0.2, 0.5])


@st.composite
def conv_block(draw, filters=None):
    """A convolution with any of bias, fused activation, normalization, activation layer and dropout around it."""
    block = [
        layers.Conv2D(
            filters or draw(st.sampled_from([4, 6, 8])),
            draw(st.sampled_from([1, 3])),
            padding="same",
            use_bias=draw(st.booleans()),
            activation=draw(ACTIVATIONS),
        )
    ]
    if draw(st.booleans()):
        block[:0] = [layers.DepthwiseConv2D(3, padding="same", use_bias=draw(st.booleans()))]
    norm = draw(st.sampled_from([None, "batch", "batch", "layer", "group", "two"]))
    if norm == "batch":
        block.append(layers.BatchNormalization(center=draw(st.booleans()), scale=draw(st.booleans())))
    elif norm == "layer":
        block.append(layers.LayerNormalization())
    elif norm == "group":
        block.append(layers.GroupNormalization(2))
    elif norm == "two":
        block += [layers.BatchNormalization(), layers.LayerNormalization()]
    if draw(st.booleans()):
        block.append(layers.ReLU())
    if draw(st.integers(0, 3)) == 0:
        block.append(layers.Dropout(draw(RATES)))
    return block


@st.composite
def dense_block(draw):
    """A dense layer with any of normalization and dropout behind it."""
    block = [layers.Dense(draw(st.sampled_from([4, 8])), activation=draw(ACTIVATIONS), use_bias=draw(st.booleans()))]
    if draw(st.booleans()):
        block.append(layers.BatchNormalization())
    if draw(st.booleans()):
        block.append(layers.Dropout(draw(RATES)))
    return block


@st.composite
def head(draw):
    """The last layers of a classifier."""
    tail = [layers.Dense(3, activation=draw(st.sampled_from([None, "softmax"])))]
    if draw(st.integers(0, 4)) == 0:
        tail.append(layers.Dropout(draw(RATES)))
    return tail


@st.composite
def sequential_models(draw):
    """Convolutional or dense stacks."""
    if draw(st.booleans()):
        body = [layer for block in draw(st.lists(conv_block(), min_size=1, max_size=3)) for layer in block]
        stack = [keras.Input((6, 6, 2)), *body, layers.GlobalAveragePooling2D()]
    else:
        body = [layer for block in draw(st.lists(dense_block(), min_size=1, max_size=4)) for layer in block]
        stack = [keras.Input((5,)), *body]
    model = keras.Sequential([*stack, *draw(head())])
    return _perhaps_compiled(draw, model)


@st.composite
def functional_models(draw):
    """Residual, shared, nested and branching graphs with `keras.ops` calls, several outputs and frozen parts."""
    image = keras.Input((6, 6, 2), name="image")
    x = layers.Conv2D(4, 3, padding="same")(image)
    for kind in draw(
        st.lists(st.sampled_from(["plain", "residual", "nested", "shared", "ops"]), min_size=1, max_size=3)
    ):
        if kind == "plain":
            x = _through(x, draw(conv_block(filters=4)))
        elif kind == "residual":
            x = layers.Add()([x, _through(x, draw(conv_block(filters=4)))])
        elif kind == "nested":
            inner = keras.Input((6, 6, 4))
            x = keras.Model(inner, _through(inner, draw(conv_block(filters=4))))(x)
        elif kind == "shared":
            shared = keras.Sequential([keras.Input((6, 6, 4)), *draw(conv_block(filters=4))])
            x = layers.Concatenate()([shared(x), shared(keras.ops.tanh(x))])
            x = layers.Conv2D(4, 1)(x)
        else:
            x = keras.ops.relu(x) * 2.0 + 1.0
    features = layers.GlobalAveragePooling2D()(x)
    outputs = _through(features, draw(head()))
    if draw(st.booleans()):
        outputs = {"main": outputs, "auxiliary": layers.Dense(1, name="auxiliary")(features)}
    model = keras.Model({"image": image} if draw(st.booleans()) else image, outputs)
    if draw(st.integers(0, 3)) == 0:
        model.layers[draw(st.integers(1, len(model.layers) - 1))].trainable = False
    return model if isinstance(outputs, dict) else _perhaps_compiled(draw, model)


def _through(x, stack):
    for layer in stack:
        x = layer(x)
    return x


def _perhaps_compiled(draw, model):
    loss = draw(st.sampled_from([None, "sparse_categorical_crossentropy", "logits"]))
    if loss == "logits":
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    if loss is not None:
        model.compile(optimizer=draw(st.sampled_from(["adam", "sgd"])), loss=loss, metrics=["accuracy"])
    return model
