"""Random models that mix maps per channel, linear layers and what may stand between them, for property tests."""

from __future__ import annotations

from functools import partial

import keras
from hypothesis import strategies as st
from keras import layers

from keras_normpack import InstanceNormalization, LayerScale, WeightNormalization, WeightStandardization

SIDE = 10
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
        partial(layers.UpSampling2D, (1, 2)),
        partial(layers.UpSampling2D, (2, 1), interpolation="bilinear"),
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
                partial(layers.DepthwiseConv2D, (2, size), padding=padding),
                partial(layers.SeparableConv2D, 4, (2, size), padding=padding, depth_multiplier=2),
                partial(layers.Conv2DTranspose, 4, size, padding=padding),
            ]
        )
    )
    wrap = draw(st.sampled_from([None, None, None, WeightNormalization, WeightStandardization]))
    return partial(make, **arguments) if wrap is None else partial(_wrapped, wrap, partial(make, **arguments))


def _wrapped(wrap, make):
    return wrap(make())


STEPS = st.one_of(linear(), linear(), MAPS, MAPS, BETWEEN)


@st.composite
def chains(draw):
    """Functions that build models of chains that split, meet, share layers, nest, and have several outputs."""
    first, left, right, last = (draw(st.lists(STEPS, min_size=low, max_size=3)) for low in (1, 0, 0, 1))
    meeting = draw(st.sampled_from(list(_MEETINGS)))
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
        x, *sides = _MEETINGS[meeting](_through(image, first), left, right)
        outputs = _through(x, [*last, *ending])
        return keras.Model(image, [outputs, *sides] if sides else outputs)

    return build


def _plain(x, left, right):
    return (_through(x, left),)


def _shared(x, left, right):
    """The same layers called twice."""
    twin = [make() for make in left]
    return (layers.Average()([_called(x, twin), _called(keras.ops.tanh(x), twin)]),)


def _nested(x, left, right):
    """A model of two outputs, both of which are used."""
    inner = keras.Input(x.shape[1:])
    return keras.Model(inner, [_through(inner, left), _through(inner, right)])(x)


def _side_output(x, left, right):
    return _through(x, left), x


def _concatenated(x, left, right):
    joined = layers.Concatenate()(_alike(_through(x, left), _through(x, right)))
    return (layers.Conv2D(4, 1)(layers.BatchNormalization()(joined)),)


def _summed(x, left, right):
    first, second = _alike(_through(x, left), _through(x, right))
    return (first + second,)


def _sum_with_zeros(x, left, right):
    first, second = _alike(_through(x, left), _through(x, right))
    return (layers.Add()([first, layers.Rescaling(0.0)(second)]),)


def _alike(first, second):
    """Both of one size."""
    if first.shape == second.shape:
        return [first, second]
    return [layers.Resizing(SIDE, SIDE, interpolation="nearest")(x) for x in (first, second)]


_MEETINGS = {
    "none": _plain,
    "shared": _shared,
    "nested": _nested,
    "side output": _side_output,
    "concatenate": _concatenated,
    "sum": _summed,
    "sum with zeros": _sum_with_zeros,
}


def _through(x, steps):
    return _called(x, [make() for make in steps])


def _called(x, steps):
    for step in steps:
        x = step(x)
    return x
