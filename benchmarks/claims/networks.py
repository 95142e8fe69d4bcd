"""Small networks that several claims train."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers


def plain_convolutions(batch_norm: bool, per_stage: int, filters: Sequence[int] = (16, 32, 64)) -> keras.Model:
    """Stages of convolutions, each begun by one of stride 2, without shortcuts; batch normalization between or none.

    Weights by He et al. 2015, as the units are rectified. The moving averages forget fast enough (momentum 0.9) for
    the few hundred steps of these claims, which are not about them.
    """
    model = keras.Sequential([keras.Input((28, 28, 1))])
    for width in filters:
        for position in range(per_stage):
            convolution = layers.Conv2D(
                width,
                3,
                strides=1 if position else 2,
                padding="same",
                use_bias=not batch_norm,
                kernel_initializer="he_normal",
            )
            model.add(convolution)
            if batch_norm:
                model.add(layers.BatchNormalization(momentum=0.9))
            model.add(layers.ReLU())
    model.add(layers.GlobalAveragePooling2D())
    model.add(layers.Dense(10))
    return model
