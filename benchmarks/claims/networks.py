"""Small networks that several claims train."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
from keras import layers

Norm = Callable[[], keras.Layer]


def fast_batch_norm() -> keras.Layer:
    """Batch normalization whose averages forget fast enough for a few hundred steps, in claims not about them."""
    return layers.BatchNormalization(momentum=0.9)


def plain_convolutions(
    norm: Norm | None,
    per_stage: int,
    filters: Sequence[int] = (16, 32, 64),
    image_shape: tuple[int, int, int] = (28, 28, 1),
) -> keras.Model:
    """Stages of convolutions, each begun by one of stride 2, without shortcuts; a normalization after each or none.

    Weights by He et al. 2015, as the units are rectified.
    """
    model = keras.Sequential([keras.Input(image_shape)])
    for width in filters:
        for position in range(per_stage):
            convolution = layers.Conv2D(
                width,
                3,
                strides=1 if position else 2,
                padding="same",
                use_bias=norm is None,
                kernel_initializer="he_normal",
            )
            model.add(convolution)
            if norm is not None:
                model.add(norm())
            model.add(layers.ReLU())
    model.add(layers.GlobalAveragePooling2D())
    model.add(layers.Dense(10))
    return model


def pooled_convolutions(shape: tuple[int, ...], *before_head: keras.Layer) -> keras.Model:
    """Three blocks of convolution, batch normalization and pooling, and a head of ten classes.

    Args:
        shape: Shape of a sample, `(height, width, channels)`.
        *before_head: Layers between the blocks and the head, such as dropout.

    Returns:
        The network, which ends in logits.
    """
    model = keras.Sequential([keras.Input(shape)])
    for filters in (16, 32, 64):
        model.add(layers.Conv2D(filters, 3, padding="same", use_bias=False))
        model.add(fast_batch_norm())
        model.add(layers.ReLU())
        model.add(layers.MaxPooling2D())
    for layer in (layers.GlobalAveragePooling2D(), *before_head, layers.Dense(10)):
        model.add(layer)
    return model
