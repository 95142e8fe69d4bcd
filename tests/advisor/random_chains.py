"""Random models that mix maps per channel, linear layers and what may stand between them, for property tests."""

from __future__ import annotations

from functools import partial

import keras
from hypothesis import strategies as st
from keras import layers

from keras_normpack import InstanceNormalization, LayerScale, WeightNormalization, WeightStandardization

SIDE = 6
MAPS = st.sampled_from(
    [
        layers.BatchNormalization,
        layers.BatchNormalization,
        partial(layers.BatchNormalization, center=False),
        partial(layers.BatchNormalization, scale=False),
        LayerScale,
        partial(layers.Rescaling, [0.5, -1.5, 2.0, 0.7], [0.1, 0.0, -0.3, 0.2]),
        partial(layers.Rescaling, 0.3, 0.4),
        partial(layers.Normalization, mean=[0.1, 0.2, 0.3, 0.4], variance=[0.5, 1.0, 2.0, 3.0]),
        layers.LayerNormalization,
        partial(layers.GroupNormalization, 2),
        InstanceNormalization,
    ]
)
BETWEEN = st.sampled_from(
    [
        partial(layers.AveragePooling2D, 2, strides=1, padding="same"),
        partial(layers.MaxPooling2D, 2, strides=1, padding="same"),
        partial(layers.ZeroPadding2D, 1),
        partial(layers.Cropping2D, ((1, 0), (0, 0))),
        partial(layers.UpSampling2D, 2),
        partial(layers.UpSampling2D, 2, interpolation="bilinear"),
        partial(layers.Dropout, 0.5),
        partial(layers.Activation, "linear"),
        layers.Identity,
        layers.ReLU,
        partial(layers.Activation, "tanh"),
        partial(layers.Permute, (2, 1, 3)),
    ]
)


@st.composite
def linear(draw):
    """A linear layer of four channels, perhaps with an activation, perhaps with a kernel that is computed."""
    arguments = {"use_bias": draw(st.booleans()), "activation": draw(st.sampled_from([None, None, None, "relu"]))}
    padding = draw(st.sampled_from(["valid", "same"]))
    size = draw(st.sampled_from([1, 2]))
    make = draw(
        st.sampled_from(
            [
                partial(layers.Dense, 4),
                partial(layers.Conv2D, 4, size, padding=padding),
                partial(layers.Conv2D, 4, size, padding=padding, groups=2),
                partial(layers.DepthwiseConv2D, size, padding=padding),
                partial(layers.SeparableConv2D, 4, size, padding=padding, depth_multiplier=2),
                partial(layers.Conv2DTranspose, 4, size, padding=padding),
            ]
        )
    )
    wrap = draw(st.sampled_from([None, None, None, WeightNormalization, WeightStandardization]))
    if wrap is None:
        return partial(make, **arguments)
    return lambda: wrap(make(**arguments))


STEPS = st.one_of(linear(), linear(), MAPS, MAPS, BETWEEN)


@st.composite
def chains(draw):
    """Functions that build models of chains that split, meet, share layers, nest, and have several outputs."""
    first, left, right, last = (draw(st.lists(STEPS, min_size=low, max_size=4)) for low in (1, 0, 0, 1))
    meeting = draw(st.sampled_from(["none", "concatenate", "add", "zero", "shared", "nested", "outputs"]))
    ending = draw(
        st.sampled_from(
            [
                [layers.GlobalAveragePooling2D],
                [layers.GlobalMaxPooling2D],
                [layers.Flatten],
                [partial(layers.Reshape, (-1, 4))],
                [],
            ]
        )
    )
    ending = [
        *ending,
        *draw(st.lists(st.sampled_from([layers.BatchNormalization, partial(layers.Dense, 3)]), max_size=3)),
    ]

    def build():
        image = keras.Input((SIDE, SIDE, 4))
        x = _through(image, first)
        outputs = []
        if meeting == "shared":
            twin = [make() for make in left]
            x = layers.Average()([_called(x, twin), _called(keras.ops.tanh(x), twin)])
        elif meeting == "nested":
            inner = keras.Input(x.shape[1:])
            x, side = keras.Model(inner, [_through(inner, left), _through(inner, right)])(x)
            outputs = [side]
        elif meeting == "outputs":
            outputs = [x]
        elif meeting != "none":
            a, b = _through(x, left), _through(x, right)
            a, b = (
                layers.Resizing(SIDE, SIDE, interpolation="nearest")(y) if a.shape != b.shape else y for y in (a, b)
            )
            if meeting == "concatenate":
                x = layers.Conv2D(4, 1)(layers.BatchNormalization()(layers.Concatenate()([a, b])))
            else:
                b = LayerScale()(b) if meeting == "zero" else b
                x = layers.Add()([a, b]) if meeting == "zero" else a + b
        return keras.Model(
            image, [_through(_through(x, last), ending), *outputs] if outputs else _through(_through(x, last), ending)
        )

    return build


def _through(x, steps):
    return _called(x, [make() for make in steps])


def _called(x, steps):
    for step in steps:
        x = step(x)
    return x
