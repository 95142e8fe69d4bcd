"""A small residual network for small images, with any normalization."""

from __future__ import annotations

from collections.abc import Callable

import keras
from keras import layers

STAGES = ((8, 1), (16, 2), (32, 2))
"""Channels and stride of each block."""


def residual_network(norm: Callable[[], keras.Layer], image_shape: tuple[int, int, int], classes: int) -> keras.Model:
    """A stem that takes images to a quarter of their size, and three blocks, after He et al. 2016; ends in logits."""
    inputs = keras.Input(image_shape)
    x = layers.Conv2D(STAGES[0][0], 3, 2, "same", use_bias=False)(inputs)
    x = layers.MaxPooling2D(2)(layers.ReLU()(norm()(x)))
    for filters, stride in STAGES:
        x = _block(x, filters, stride, norm)
    return keras.Model(inputs, layers.Dense(classes)(layers.GlobalAveragePooling2D()(x)))


def _block(x: keras.KerasTensor, filters: int, stride: int, norm: Callable[[], keras.Layer]) -> keras.KerasTensor:
    shortcut = x
    if stride > 1:
        shortcut = norm()(layers.Conv2D(filters, 1, stride, use_bias=False)(x))
    x = layers.ReLU()(norm()(layers.Conv2D(filters, 3, stride, "same", use_bias=False)(x)))
    x = norm()(layers.Conv2D(filters, 3, 1, "same", use_bias=False)(x))
    return layers.ReLU()(layers.Add()([x, shortcut]))
