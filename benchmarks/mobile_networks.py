"""Networks whose export is measured: one network with every kind of normalization, and ten that people ship."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
from keras import layers

NORMS: dict[str, Callable[[], keras.Layer] | None] = {
    "none": None,
    "batch": layers.BatchNormalization,
    "group": lambda: layers.GroupNormalization(8),
    "instance": lambda: layers.GroupNormalization(-1),
    "layer": layers.LayerNormalization,
}


def wide(norm: Callable[[], keras.Layer] | None) -> keras.Model:
    """Eight convolutions of 3 × 3 with 32 to 256 channels: the convolutions take nearly all of the time."""
    return _plain(norm, ((32, 1), (32, 1), (64, 2), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1)))


def narrow(norm: Callable[[], keras.Layer] | None) -> keras.Model:
    """Six convolutions of 3 × 3 with 16 to 64 channels, as small networks for phones have."""
    return _plain(norm, ((16, 1), (16, 1), (32, 2), (32, 1), (64, 2), (64, 1)))


def _plain(norm: Callable[[], keras.Layer] | None, stages: Sequence[tuple[int, int]]) -> keras.Model:
    x = inputs = keras.Input((64, 64, 3))
    for filters, stride in stages:
        x = _normalized(layers.Conv2D(filters, 3, stride, "same", use_bias=norm is None)(x), norm)
        x = layers.ReLU()(x)
    return keras.Model(inputs, _head(x))


def residual(norm: Callable[[], keras.Layer] | None) -> keras.Model:
    """A residual network of three stages of two blocks."""
    inputs = keras.Input((64, 64, 3))
    x = layers.ReLU()(_normalized(layers.Conv2D(32, 3, 1, "same", use_bias=norm is None)(inputs), norm))
    for filters, stride in ((32, 1), (32, 1), (64, 2), (64, 1), (128, 2), (128, 1)):
        shortcut = x
        if stride > 1:
            shortcut = _normalized(layers.Conv2D(filters, 1, stride, use_bias=norm is None)(x), norm)
        x = layers.ReLU()(_normalized(layers.Conv2D(filters, 3, stride, "same", use_bias=norm is None)(x), norm))
        x = _normalized(layers.Conv2D(filters, 3, 1, "same", use_bias=norm is None)(x), norm)
        x = layers.ReLU()(layers.Add()([x, shortcut]))
    return keras.Model(inputs, _head(x))


def separable(norm: Callable[[], keras.Layer] | None) -> keras.Model:
    """Depthwise and pointwise convolutions, as in MobileNet: little arithmetic for each value that is normalized."""
    inputs = keras.Input((64, 64, 3))
    x = layers.ReLU()(_normalized(layers.Conv2D(32, 3, 2, "same", use_bias=norm is None)(inputs), norm))
    for filters, stride in ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)):
        x = _normalized(layers.DepthwiseConv2D(3, stride, "same", use_bias=norm is None)(x), norm)
        x = _normalized(layers.Conv2D(filters, 1, use_bias=norm is None)(layers.ReLU()(x)), norm)
        x = layers.ReLU()(x)
    return keras.Model(inputs, _head(x))


SHAPES = {"wide": wide, "narrow": narrow, "residual": residual, "separable": separable}


def lstm() -> keras.Model:
    """Two LSTM layers over 100 steps."""
    return keras.Sequential(
        [keras.Input((100, 16)), layers.LSTM(64, return_sequences=True), layers.LSTM(64), layers.Dense(10)]
    )


def gru() -> keras.Model:
    """Two GRU layers over 100 steps."""
    return keras.Sequential(
        [keras.Input((100, 16)), layers.GRU(64, return_sequences=True), layers.GRU(64), layers.Dense(10)]
    )


def transformer() -> keras.Model:
    """Four pre-norm encoder blocks over 128 tokens."""
    inputs = keras.Input((128,), dtype="int32")
    x = layers.Embedding(1000, 128)(inputs)
    for _ in range(4):
        y = layers.LayerNormalization(epsilon=1e-6)(x)
        x = layers.Add()([x, layers.Dropout(0.1)(layers.MultiHeadAttention(4, 32)(y, y))])
        y = layers.Dense(512, activation="gelu")(layers.LayerNormalization(epsilon=1e-6)(x))
        x = layers.Add()([x, layers.Dropout(0.1)(layers.Dense(128)(y))])
    x = layers.GlobalAveragePooling1D()(layers.LayerNormalization(epsilon=1e-6)(x))
    return keras.Model(inputs, layers.Dense(10)(x))


def u_net() -> keras.Model:
    """Ronneberger et al. 2015, arXiv:1505.04597, with batch normalization, 16 to 128 channels."""
    x = inputs = keras.Input((128, 128, 3))
    skips = []
    for filters in (16, 32, 64):
        x = _twice(x, filters)
        skips.append(x)
        x = layers.MaxPooling2D()(x)
    x = _twice(x, 128)
    for filters in (64, 32, 16):
        x = _twice(layers.Concatenate()([layers.Conv2DTranspose(filters, 2, 2)(x), skips.pop()]), filters)
    return keras.Model(inputs, layers.Conv2D(4, 1, activation="softmax")(x))


def application(name: str) -> Callable[[], keras.Model]:
    """A network of `keras.applications` for images of 224 × 224, with random weights."""
    return lambda: getattr(keras.applications, name)(
        weights=None, input_shape=(224, 224, 3), classifier_activation=None
    )


SHIPPED: dict[str, Callable[[], keras.Model]] = {
    "MobileNetV2": application("MobileNetV2"),
    "MobileNetV3Small": application("MobileNetV3Small"),
    "EfficientNetB0": application("EfficientNetB0"),
    "ResNet50": application("ResNet50"),
    "DenseNet121": application("DenseNet121"),
    "ConvNeXtTiny": application("ConvNeXtTiny"),
    "LSTM": lstm,
    "GRU": gru,
    "Transformer": transformer,
    "U-Net": u_net,
}


def _twice(x: keras.KerasTensor, filters: int) -> keras.KerasTensor:
    for _ in range(2):
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    return x


def _normalized(x: keras.KerasTensor, norm: Callable[[], keras.Layer] | None) -> keras.KerasTensor:
    return x if norm is None else norm()(x)


def _head(x: keras.KerasTensor) -> keras.KerasTensor:
    return layers.Dense(10)(layers.GlobalAveragePooling2D()(x))
