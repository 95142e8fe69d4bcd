"""A convolutional network as people write it by hand, with the habits that tutorials teach."""

from __future__ import annotations

import keras
from keras import layers


def handwritten_cnn(image_shape: tuple[int, int, int], classes: int) -> keras.Model:
    """The network that countless notebooks classify small images with.

    Args:
        image_shape: `(height, width, channels)`, at least 4 by 4.
        classes: Number of classes.

    Returns:
        A compiled model; images of shape `(batch, height, width, channels)` in, probabilities of shape
        `(batch, classes)` out.

    Example:
    >>> handwritten_cnn((8, 8, 1), 10).output_shape
    (None, 10)
    """
    model = keras.Sequential(
        [
            keras.Input(image_shape),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.BatchNormalization(),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(),
            layers.Dropout(0.25),
            layers.Conv2D(64, 3, padding="same", activation="relu"),
            layers.BatchNormalization(),
            layers.Conv2D(64, 3, padding="same", activation="relu"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(),
            layers.Dropout(0.25),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.5),
            layers.Dense(classes, activation="softmax"),
        ],
        name="handwritten_cnn",
    )
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model
