"""Random models as people build them, for property tests.

The strategies draw functions that build models, not models: Keras draws random seeds while it makes layers, which
hypothesis must not see.
"""

from __future__ import annotations

from functools import partial

import keras
from hypothesis import strategies as st
from keras import layers

ACTIVATIONS = st.sampled_from([None, "relu", "tanh"])
RATES = st.sampled_from([0.0, 0.2, 0.5])
LOSSES = st.sampled_from([None, "sparse_categorical_crossentropy", "logits"])
OPTIMIZERS = st.sampled_from(["adam", "sgd"])
NORMS = {
    "none": [],
    "layer": [layers.LayerNormalization],
    "group": [partial(layers.GroupNormalization, 2)],
    "two": [layers.BatchNormalization, layers.LayerNormalization],
}


@st.composite
def conv_block(draw, filters=None):
    """A convolution with any of bias, fused activation, normalization, activation layer and dropout around it."""
    block = [
        partial(
            layers.Conv2D,
            filters or draw(st.sampled_from([4, 6, 8])),
            draw(st.sampled_from([1, 3])),
            padding="same",
            use_bias=draw(st.booleans()),
            activation=draw(ACTIVATIONS),
        )
    ]
    if draw(st.booleans()):
        block[:0] = [partial(layers.DepthwiseConv2D, 3, padding="same", use_bias=draw(st.booleans()))]
    norm = draw(st.sampled_from([*NORMS, "batch", "batch"]))
    if norm == "batch":
        block.append(partial(layers.BatchNormalization, center=draw(st.booleans()), scale=draw(st.booleans())))
    else:
        block += NORMS[norm]
    if draw(st.booleans()):
        block.append(layers.ReLU)
    if draw(st.integers(0, 3)) == 0:
        block.append(partial(layers.Dropout, draw(RATES)))
    return block


@st.composite
def dense_block(draw):
    """A dense layer with any of normalization and dropout behind it."""
    units, activation, use_bias = draw(st.sampled_from([4, 8])), draw(ACTIVATIONS), draw(st.booleans())
    block = [partial(layers.Dense, units, activation=activation, use_bias=use_bias)]
    if draw(st.booleans()):
        block.append(layers.BatchNormalization)
    if draw(st.booleans()):
        block.append(partial(layers.Dropout, draw(RATES)))
    return block


@st.composite
def head(draw):
    """The last layers of a classifier."""
    tail = [partial(layers.Dense, 3, activation=draw(st.sampled_from([None, "softmax"])))]
    if draw(st.integers(0, 4)) == 0:
        tail.append(partial(layers.Dropout, draw(RATES)))
    return tail


@st.composite
def sequential_models(draw):
    """Functions that build convolutional or dense stacks."""
    if draw(st.booleans()):
        blocks, shape, tail = draw(st.lists(conv_block(), min_size=1, max_size=3)), (6, 6, 2), _POOL
    else:
        blocks, shape, tail = draw(st.lists(dense_block(), min_size=1, max_size=4)), (5,), []
    stack = [make for block in blocks for make in block] + tail + draw(head())
    loss, optimizer = draw(LOSSES), draw(OPTIMIZERS)

    def build():
        model = keras.Sequential([keras.Input(shape), *(make() for make in stack)])
        return _compiled(model, loss, optimizer)

    return build


@st.composite
def functional_models(draw):
    """Functions that build residual, shared, nested and branching graphs, with several outputs and frozen parts."""
    kinds = st.sampled_from(["plain", "residual", "nested", "shared", "ops"])
    blocks = [(kind, draw(conv_block(filters=4))) for kind in draw(st.lists(kinds, min_size=1, max_size=3))]
    tail, dict_input, two_outputs = draw(head()), draw(st.booleans()), draw(st.booleans())
    loss, optimizer, frozen = draw(LOSSES), draw(OPTIMIZERS), draw(st.sampled_from([None, None, 1, 2, 3]))

    def build():
        image = keras.Input((6, 6, 2), name="image")
        x = layers.Conv2D(4, 3, padding="same")(image)
        for kind, block in blocks:
            x = _BLOCKS[kind](x, block)
        features = layers.GlobalAveragePooling2D()(x)
        outputs = _through(features, tail)
        if two_outputs:
            outputs = {"main": outputs, "auxiliary": layers.Dense(1, name="auxiliary")(features)}
        model = keras.Model({"image": image} if dict_input else image, outputs)
        if frozen is not None:
            model.layers[frozen].trainable = False
        return model if two_outputs else _compiled(model, loss, optimizer)

    return build


@st.composite
def sequence_models(draw):
    """Functions that build recurrent stacks over token embeddings, padding masked or not."""
    stack = [partial(layers.Embedding, 11, 4, mask_zero=draw(st.booleans()))]
    for _ in range(draw(st.integers(0, 2))):
        stack += draw(st.sampled_from(_SEQUENCE_BLOCKS))
    stack += [partial(layers.LSTM, 4), *draw(head())]
    loss, optimizer = draw(LOSSES), draw(OPTIMIZERS)

    def build():
        model = keras.Sequential([keras.Input((7,), dtype="int32"), *(make() for make in stack)])
        return _compiled(model, loss, optimizer)

    return build


_SEQUENCE_BLOCKS = [
    [partial(layers.GRU, 4, return_sequences=True), layers.BatchNormalization],
    [lambda: layers.Bidirectional(layers.LSTM(3, return_sequences=True)), partial(layers.Dropout, 0.2)],
    [lambda: layers.TimeDistributed(layers.Dense(4)), lambda: layers.TimeDistributed(layers.BatchNormalization())],
    [layers.LayerNormalization, layers.BatchNormalization],
]

_POOL = [layers.GlobalAveragePooling2D]


def _through(x, stack):
    for make in stack:
        x = make()(x)
    return x


def _residual(x, block):
    return layers.Add()([x, _through(x, block)])


def _nested(x, block):
    inner = keras.Input((6, 6, 4))
    return keras.Model(inner, _through(inner, block))(x)


def _shared(x, block):
    twin = keras.Sequential([keras.Input((6, 6, 4)), *(make() for make in block)])
    return layers.Conv2D(4, 1)(layers.Concatenate()([twin(x), twin(keras.ops.tanh(x))]))


def _ops(x, block):
    return keras.ops.relu(x) * 2.0 + 1.0


_BLOCKS = {"plain": _through, "residual": _residual, "nested": _nested, "shared": _shared, "ops": _ops}


def _compiled(model, loss, optimizer):
    if loss == "logits":
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    if loss is not None:
        model.compile(optimizer=optimizer, loss=loss, metrics=["accuracy"])
    return model
