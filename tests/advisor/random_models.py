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


@st.composite
def volume_models(draw):
    """Functions that build convolutional stacks over series and volumes, and over images in the layout of others."""
    rank = draw(st.sampled_from([1, 3, "first"]))
    block, tail = draw(st.lists(_unit(), min_size=1, max_size=3)), draw(head())
    loss, optimizer = draw(LOSSES), draw(OPTIMIZERS)

    def build():
        if rank == "first":
            x = inputs = keras.Input((4, 6, 6))
            for make_norm, activation, rate in block:
                x = layers.Activation(activation or "linear")(x)
                x = x if make_norm is None else layers.BatchNormalization(axis=1)(x)
                x = layers.SpatialDropout2D(rate, data_format="channels_first")(x)
            x = layers.GlobalAveragePooling2D(data_format="channels_first")(x)
        else:
            convolution = {1: layers.Conv1D, 3: layers.Conv3D}[rank]
            pool = {1: layers.GlobalAveragePooling1D, 3: layers.GlobalAveragePooling3D}[rank]
            x = inputs = keras.Input((5,) * rank + (2,))
            for make_norm, activation, rate in block:
                x = convolution(4, 3, padding="same", activation=activation)(x)
                x = x if make_norm is None else make_norm()(x)
                x = layers.Dropout(rate)(x)
            x = pool()(x)
        return _compiled(keras.Model(inputs, _through(x, tail)), loss, optimizer)

    return build


@st.composite
def _unit(draw):
    norm = draw(st.sampled_from([None, layers.BatchNormalization, layers.LayerNormalization]))
    return norm, draw(ACTIVATIONS), draw(RATES)


@st.composite
def structured_models(draw):
    """Functions that build models of several inputs and outputs in any structure.

    With a shared model over the inputs, a U-shape behind it, masks of the user, Lambdas, mixed precision and frozen
    parts.
    """
    block, inner = draw(conv_block(filters=4)), draw(conv_block(filters=4))
    way_in, way_out = draw(st.sampled_from(list(_STRUCTURES))), draw(st.sampled_from(list(_STRUCTURES)))
    policy = draw(st.sampled_from(["float32", "float32", "mixed_bfloat16", "mixed_float16"]))
    middle = draw(st.sampled_from(["u", "lambda", "gate"]))
    frozen = draw(st.booleans())

    def build():
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(policy)
        try:
            a, b = keras.Input((6, 6, 4), name="a"), keras.Input((6, 6, 4), name="b")
            shared = keras.Sequential([keras.Input((6, 6, 4)), *(make() for make in block)], name="shared")
            shared.trainable = not frozen
            x = _MIDDLES[middle](shared(a), shared(b), inner)
            features = layers.GlobalAveragePooling2D()(x)
            first = layers.Dense(3, dtype="float32", name="first")(features)
            second = layers.Dense(2, dtype="float32", name="second")(layers.Dropout(0.0)(features))
            return keras.Model(
                _STRUCTURES[way_in]("a", a, "b", b), _STRUCTURES[way_out]("first", first, "second", second)
            )
        finally:
            keras.config.set_dtype_policy(before)

    return build


_STRUCTURES = {
    "list": lambda name, x, other, y: [x, y],
    "tuple": lambda name, x, other, y: (x, y),
    "dict": lambda name, x, other, y: {name: x, other: y},
    "nested": lambda name, x, other, y: [x, {other: y}],
}


def _u_shape(a, b, block):
    down = layers.MaxPooling2D()(layers.Add()([a, b]))
    up = layers.UpSampling2D()(_through(down, block))
    return layers.Conv2D(4, 3, padding="same")(layers.Concatenate()([up, a]))


def _lambda(a, b, block):
    return _through(layers.Lambda(_difference)([a, b]), block)


@keras.saving.register_keras_serializable("random_models")
def _difference(pair):
    return keras.ops.abs(pair[0] - pair[1])


def _gate(a, b, block):
    return layers.Multiply()([_through(a, block), keras.ops.sigmoid(b)])


_MIDDLES = {"u": _u_shape, "lambda": _lambda, "gate": _gate}

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
