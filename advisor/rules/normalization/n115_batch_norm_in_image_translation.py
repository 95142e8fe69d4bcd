"""N115: batch normalization in a network that translates images."""

from __future__ import annotations

from collections.abc import Iterator

import keras
from keras import layers

import keras_normpack
from advisor.facts import Facts, LayerFacts
from advisor.rules.base import Case, Rule
from advisor.rules.finding import Finding, Severity
from advisor.rules.normalization.choice import has_instance_statistics, instance_norm
from advisor.rules.normalization.image_translation import translates_images
from advisor.rules.normalization.replacement import replacement
from advisor.rules.normalization.surroundings import reads_data
from advisor.rules.registry import rule


def _translator(norm: type[keras.Layer], activation: str = "tanh", **arguments: bool) -> keras.Model:
    images = keras.Input((16, 16, 3))
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(images)
    x = layers.ReLU()(norm(**arguments)(x))
    branch = norm(**arguments)(layers.Conv2D(8, 3, padding="same", use_bias=False)(x))
    x = layers.Conv2DTranspose(4, 4, strides=2, padding="same", use_bias=False)(layers.Add()([x, branch]))
    x = layers.ReLU()(norm(**arguments)(x))
    return keras.Model(images, layers.Conv2D(3, 7, padding="same", activation=activation)(x))


def _denoiser() -> keras.Model:
    images = keras.Input((16, 16, 1))
    x = layers.Conv2D(4, 3, padding="same", activation="relu")(images)
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same", use_bias=False)(x)))
    return keras.Model(images, layers.Subtract()([images, layers.Conv2D(1, 3, padding="same")(x)]))


def _from_noise() -> keras.Model:
    noise = keras.Input((8,))
    x = layers.Reshape((4, 4, 4))(layers.Dense(64)(noise))
    x = layers.Conv2DTranspose(4, 4, strides=2, padding="same", use_bias=False)(x)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    return keras.Model(noise, layers.Conv2DTranspose(3, 4, strides=2, padding="same", activation="tanh")(x))


def _regression() -> keras.Model:
    model = _translator(layers.BatchNormalization)
    model.compile("adam", "mae")
    return model


def _small_maps(norm: type[keras.Layer]) -> keras.Model:
    images = keras.Input((8, 8, 3))
    x = layers.LeakyReLU()(norm()(layers.Conv2D(4, 4, strides=2, padding="same", use_bias=False)(images)))
    small = layers.BatchNormalization()(layers.Conv2D(4, 4, strides=2, padding="same", use_bias=False)(x))
    up = layers.Conv2DTranspose(4, 4, strides=2, padding="same", use_bias=False)(layers.ReLU()(small))
    x = layers.Concatenate()([x, layers.ReLU()(norm()(up))])
    return keras.Model(images, layers.Conv2DTranspose(3, 4, strides=2, padding="same", activation="tanh")(x))


@rule
class BatchNormInImageTranslation(Rule):
    """Batch normalization in a network that translates images.

    What it does:
        Finds batch normalization on the maps of a network that turns images into other images of the same size: the
        generator of an image translation or a style transfer. It goes by the form: tanh at the output, maps made
        smaller on the way, residual blocks or skips, no pixel-wise loss. With `task="image_to_image"` or `"generation"`
        given, the loss may be any and the output a sigmoid. Generators that start from noise, denoising,
        super-resolution, segmentation and autoencoders are left alone: batch normalization, or none, is what their
        authors measured.

    Why it matters:
        The contrast of the result is to be that of the style, not that of the image that comes in. Instance
        normalization takes it away, for each image and channel, in training and at inference alike; batch normalization
        mixes the contrasts of a batch, and the network has to learn to undo it. Fast stylization reached the quality of
        slow, iterative stylization by that one change, and image translation has kept it.

    Example:
        ```python
        x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(128, 3, strides=2)(x)))
        ...
        layers.Conv2D(3, 7, activation="tanh")
        ```

    Fix:
        Puts `keras_normpack.InstanceNormalization` in its place; `gamma` and `beta` are kept. Maps of fewer than 16
        positions keep what they have: statistics of so few values are noise. Safety: retrain.
    """

    code = "N115"
    name = "batch-norm-in-image-translation"
    severity = Severity.WARNING
    references = ("ulyanov-2016", "zhu-2017", "radford-2016", "zhang-2017")

    VALID = (
        Case("instance normalization", lambda: _translator(keras_normpack.InstanceNormalization)),
        Case("denoising", _denoiser),
        Case("a generator that starts from noise", _from_noise),
        Case("a pixel-wise loss", _regression),
        Case("segmentation", lambda: _translator(layers.BatchNormalization, activation="sigmoid")),
        Case("frozen", lambda: _translator(layers.BatchNormalization, trainable=False)),
    )
    INVALID = (
        Case(
            "a residual generator",
            lambda: _translator(layers.BatchNormalization, scale=False),
            expected=lambda: _translator(keras_normpack.InstanceNormalization, scale=False),
        ),
        Case(
            "the task given",
            lambda: _translator(layers.BatchNormalization, activation="sigmoid"),
            {"task": "image_to_image"},
            lambda: _translator(keras_normpack.InstanceNormalization, activation="sigmoid"),
        ),
        Case(
            "skips past small maps",
            lambda: _small_maps(layers.BatchNormalization),
            expected=lambda: _small_maps(keras_normpack.InstanceNormalization),
        ),
    )

    def check(self, facts: Facts) -> Iterator[Finding]:
        if not translates_images(facts):
            return
        for norm in facts.batch_norms():
            if norm.trainable and has_instance_statistics(norm) and not reads_data(facts, norm):
                yield self._of_the_batch(norm)

    def _of_the_batch(self, norm: LayerFacts) -> Finding:
        choice = instance_norm(norm)
        return self.finding(
            norm,
            message=f"`{norm.path}` mixes the contrasts of a batch, in a network that translates images",
            why="The contrast of the result is that of the style; that of the images that come in is in the way.",
            fix=replacement(norm, choice),
        )
