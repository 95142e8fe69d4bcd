"""N118: the discriminator of a GAN, its weights without bound."""

from __future__ import annotations

from collections.abc import Iterator

import keras
from keras import layers

import keras_normpack
from advisor.facts import LINEAR_KINDS, Facts, LayerFacts
from advisor.rules.base import Case, Rule
from advisor.rules.finding import Finding, Severity
from advisor.rules.normalization.discriminators import is_discriminator
from advisor.rules.registry import rule


def _discriminator(wrapper: type[keras.Layer] | None = None, *, patches: bool = False, **arguments: str) -> keras.Model:
    images = x = keras.Input((16, 16, 3))
    for filters in (4, 8):
        conv = layers.Conv2D(filters, 4, strides=2, padding="same", **arguments)
        x = layers.LeakyReLU(0.2)((wrapper(conv) if wrapper else conv)(x))
    if patches:
        return keras.Model(images, layers.Conv2D(1, 3, padding="same")(x))
    return keras.Model(images, layers.Dense(1)(layers.Dropout(0.3)(layers.Flatten()(x))))


def _classifier(*, pooled: bool, activation: str = "leaky_relu") -> keras.Model:
    images = x = keras.Input((16, 16, 3))
    for filters in (4, 8):
        x = layers.Conv2D(filters, 3, strides=2, padding="same", activation=activation)(x)
    x = layers.GlobalAveragePooling2D()(x) if pooled else layers.Flatten()(x)
    return keras.Model(images, layers.Dense(1, activation="sigmoid")(x))


@rule
class UnconstrainedDiscriminator(Rule):
    """The discriminator of a GAN, its weights without bound.

    What it does:
        Takes a network for a discriminator by its form: images in, one number out, or one per patch; two or more
        convolutions with stride 2, a leaky ReLU behind every one, and no pooling. It speaks where none of its layers
        has spectral or weight normalization, or a constraint on the kernel. With a `task` given other than
        `"generation"` it says nothing.

    Why it matters:
        The generator learns from the discriminator's gradient alone. A discriminator that grows steep tells real from
        generated images perfectly and gives a gradient of no use, or one that throws the generator off. Spectral
        normalization holds the largest singular value of every kernel at 1, at little cost; with it GANs train at
        learning rates and momenta at which weight clipping and gradient penalties fail.

    Example:
        ```python
        layers.Conv2D(64, 4, strides=2), layers.LeakyReLU(0.2), layers.Conv2D(128, 4, strides=2), layers.LeakyReLU(0.2)
        ```

    Fix:
        None is made: what bounds a discriminator may also be in its loss, such as a gradient penalty. Wrap each layer:
        `keras.layers.SpectralNormalization(layers.Conv2D(64, 4, strides=2))`, or `keras_normpack.WeightNormalization`.
    """

    code = "N118"
    name = "unconstrained-discriminator"
    severity = Severity.INFO
    references = ("miyato-2018", "salimans-2016", "radford-2016")

    VALID = (
        Case("spectral normalization", lambda: _discriminator(layers.SpectralNormalization)),
        Case("weight normalization", lambda: _discriminator(keras_normpack.WeightNormalization)),
        Case("a constraint", lambda: _discriminator(kernel_constraint="max_norm")),
        Case("a classifier with pooling", lambda: _classifier(pooled=True)),
        Case("a classifier with ReLU", lambda: _classifier(pooled=False, activation="relu")),
        Case("another task", _discriminator, {"task": "classification"}),
    )
    INVALID = (
        Case("one number per image", _discriminator),
        Case("one number per patch", lambda: _discriminator(patches=True), {"task": "generation"}),
    )

    def check(self, facts: Facts) -> Iterator[Finding]:
        if not is_discriminator(facts):
            return
        weighted = list(facts.of_kind(*LINEAR_KINDS))
        if any(_is_bounded(layer) for layer in weighted) or not all(layer.trainable for layer in weighted):
            return
        yield self.finding(
            *weighted,
            message=f"none of the {len(weighted)} layers of what looks like a discriminator bounds its weights",
            why=(
                "A steep discriminator gives the generator a gradient of no use. Unless the loss has a gradient "
                "penalty, wrap each layer: `keras.layers.SpectralNormalization(conv)`, or "
                "`keras_normpack.WeightNormalization(conv)`."
            ),
        )


def _is_bounded(layer: LayerFacts) -> bool:
    wrapped = layer.wrapper not in (None, layers.TimeDistributed)
    return not layer.is_of_keras or wrapped or layer.config.get("kernel_constraint") is not None
