"""Models as people write them, some with a typical mistake."""

from __future__ import annotations

import keras
from keras import layers, losses

# Tracing with XLA takes longer than these trainings on TensorFlow; JAX is slow without it.
JIT = False if keras.backend.backend() == "tensorflow" else "auto"
# Steps that are run in one call, which changes nothing but the time it takes.
STEPS = 8


def _compiled(model: keras.Model, loss: object, optimizer: object = "adam") -> keras.Model:
    metrics = [] if loss in ("mse",) else ["accuracy"]
    model.compile(optimizer, loss, metrics=metrics, jit_compile=JIT, steps_per_execution=STEPS)
    return model


CLASSES = "sparse_categorical_crossentropy"


def plain_cnn() -> keras.Model:
    """Four convolutions without normalization."""
    return _compiled(
        keras.Sequential(
            [
                keras.Input((28, 28, 1)),
                layers.Conv2D(16, 3, strides=2, padding="same", activation="relu"),
                layers.Conv2D(32, 3, padding="same", activation="relu"),
                layers.Conv2D(32, 3, strides=2, padding="same", activation="relu"),
                layers.Conv2D(64, 3, padding="same", activation="relu"),
                layers.GlobalAveragePooling2D(),
                layers.Dense(10, activation="softmax"),
            ]
        ),
        CLASSES,
    )


def batch_norm_cnn() -> keras.Model:
    """Batch normalization with its default momentum, in a run of few steps."""
    blocks = []
    for filters, strides in ((16, 2), (32, 1), (32, 2), (64, 1)):
        blocks += [
            layers.Conv2D(filters, 3, strides=strides, padding="same"),
            layers.BatchNormalization(),
            layers.ReLU(),
        ]
    return _compiled(
        keras.Sequential(
            [
                keras.Input((28, 28, 1)),
                *blocks,
                layers.GlobalAveragePooling2D(),
                layers.Dense(10, activation="softmax"),
            ]
        ),
        CLASSES,
    )


def residual_cnn() -> keras.Model:
    """A small residual network, as ResNet does it."""

    def conv(maps: keras.KerasTensor, filters: int, strides: int = 1) -> keras.KerasTensor:
        maps = layers.Conv2D(filters, 3, strides=strides, padding="same", use_bias=False)(maps)
        return layers.BatchNormalization()(maps)

    images = keras.Input((32, 32, 3))
    maps = layers.ReLU()(conv(images, 16, 2))
    for filters, strides in ((16, 1), (32, 2)):
        short = maps if strides == 1 else conv(maps, filters, strides)
        branch = conv(layers.ReLU()(conv(maps, filters, strides)), filters)
        maps = layers.ReLU()(layers.Add()([branch, short]))
    outputs = layers.Dense(10, activation="softmax")(layers.GlobalAveragePooling2D()(maps))
    return _compiled(keras.Model(images, outputs), CLASSES)


def dropout_before_norm_cnn() -> keras.Model:
    """Dropout before batch normalization, and a dense head on flattened maps."""
    return _compiled(
        keras.Sequential(
            [
                keras.Input((8, 8, 1)),
                layers.Conv2D(32, 3, padding="same", activation="relu"),
                layers.Dropout(0.3),
                layers.BatchNormalization(),
                layers.Conv2D(32, 3, padding="same", activation="relu"),
                layers.Dropout(0.3),
                layers.BatchNormalization(),
                layers.Flatten(),
                layers.Dense(128, activation="relu"),
                layers.Dense(10, activation="softmax"),
            ]
        ),
        CLASSES,
    )


def from_logits_mlp() -> keras.Model:
    """Unscaled columns, and a softmax under a loss that expects logits."""
    return _compiled(
        keras.Sequential(
            [
                keras.Input((13,)),
                layers.Dense(32, activation="relu"),
                layers.Dense(32, activation="relu"),
                layers.Dense(3, activation="softmax"),
            ]
        ),
        losses.SparseCategoricalCrossentropy(from_logits=True),
    )


def deep_mlp() -> keras.Model:
    """Unscaled columns into five dense layers."""
    hidden = [layers.Dense(64, activation="relu") for _ in range(5)]
    return _compiled(
        keras.Sequential([keras.Input((30,)), *hidden, layers.Dense(1, activation="sigmoid")]), "binary_crossentropy"
    )


def wide_regression() -> keras.Model:
    """Far more weights than samples, and nothing against learning them by heart."""
    return _compiled(
        keras.Sequential(
            [
                keras.Input((10,)),
                layers.Dense(256, activation="relu"),
                layers.Dense(256, activation="relu"),
                layers.Dense(1),
            ]
        ),
        "mse",
    )


def bytes_mlp() -> keras.Model:
    """Grey values of 0 to 255 as they come, into dense layers."""
    return _compiled(
        keras.Sequential(
            [
                keras.Input((28, 28, 1)),
                layers.Flatten(),
                layers.Dense(128, activation="relu"),
                layers.Dense(64, activation="relu"),
                layers.Dense(10, activation="softmax"),
            ]
        ),
        CLASSES,
    )


def batch_norm_lstm() -> keras.Model:
    """Batch normalization between recurrent layers."""
    return _compiled(
        keras.Sequential(
            [
                keras.Input((46, 1)),
                layers.AveragePooling1D(2),
                layers.LSTM(32, return_sequences=True),
                layers.BatchNormalization(),
                layers.LSTM(32),
                layers.BatchNormalization(),
                layers.Dense(24, activation="softmax"),
            ]
        ),
        CLASSES,
    )


def gru_stack() -> keras.Model:
    """Three recurrent layers without normalization."""
    return _compiled(
        keras.Sequential(
            [
                keras.Input((140, 1)),
                layers.AveragePooling1D(5),
                layers.GRU(24, return_sequences=True),
                layers.GRU(24, return_sequences=True),
                layers.GRU(24),
                layers.Dense(5, activation="softmax"),
            ]
        ),
        CLASSES,
    )


def convolutions_1d() -> keras.Model:
    """A 1-D network that ends in a dense head on flattened maps."""
    return _compiled(
        keras.Sequential(
            [
                keras.Input((96, 1)),
                layers.Conv1D(32, 7, strides=2, padding="same", activation="relu"),
                layers.Conv1D(32, 5, strides=2, padding="same", activation="relu"),
                layers.Conv1D(64, 3, padding="same", activation="relu"),
                layers.Flatten(),
                layers.Dense(64, activation="relu"),
                layers.Dense(7, activation="softmax"),
            ]
        ),
        CLASSES,
    )


def transformer() -> keras.Model:
    """Two attention blocks without normalization."""
    words = keras.Input((64,), dtype="int32")
    x = layers.Embedding(4000, 32)(words)
    x = x + layers.Embedding(64, 32)(keras.ops.expand_dims(keras.ops.arange(64), 0))
    for _ in range(2):
        x = layers.Add()([x, layers.MultiHeadAttention(2, 16)(x, x)])
        x = layers.Add()([x, layers.Dense(32)(layers.Dense(64, activation="relu")(x))])
    outputs = layers.Dense(1, activation="sigmoid")(layers.GlobalAveragePooling1D()(x))
    return _compiled(keras.Model(words, outputs), "binary_crossentropy")


def bag_of_words() -> keras.Model:
    """A wide embedding with a dense head, which learns small sets by heart."""
    return _compiled(
        keras.Sequential(
            [
                keras.Input((128,), dtype="int32"),
                layers.Embedding(4000, 64),
                layers.GlobalAveragePooling1D(),
                layers.Dense(128, activation="relu"),
                layers.Dense(1, activation="sigmoid"),
            ]
        ),
        "binary_crossentropy",
        keras.optimizers.Adam(3e-3),
    )


def spectrogram_cnn() -> keras.Model:
    """Batch normalization after the activations, on a small set of audio."""
    blocks = []
    for filters in (16, 32, 32):
        blocks += [
            layers.Conv2D(filters, 3, strides=2, padding="same", activation="relu"),
            layers.BatchNormalization(),
        ]
    return _compiled(
        keras.Sequential(
            [
                keras.Input((49, 32)),
                layers.Reshape((49, 32, 1)),
                *blocks,
                layers.GlobalAveragePooling2D(),
                layers.Dense(10, activation="softmax"),
            ]
        ),
        CLASSES,
    )


def autoencoder() -> keras.Model:
    """Images through a narrow code and back, with batch normalization throughout."""
    blocks = []
    for filters in (16, 8):
        blocks += [layers.Conv2D(filters, 3, strides=2, padding="same"), layers.BatchNormalization(), layers.ReLU()]
    for filters in (8, 16):
        blocks += [
            layers.Conv2DTranspose(filters, 3, strides=2, padding="same"),
            layers.BatchNormalization(),
            layers.ReLU(),
        ]
    return _compiled(
        keras.Sequential(
            [keras.Input((28, 28, 1)), *blocks, layers.Conv2D(1, 3, padding="same", activation="sigmoid")]
        ),
        "mse",
    )
