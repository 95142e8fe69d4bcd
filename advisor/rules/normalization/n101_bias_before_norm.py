"""N101: a bias that batch normalization cancels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import keras
import numpy as np
from keras import layers

from advisor.facts import Facts, LayerFacts
from advisor.facts.folding import linear_layers_before
from advisor.graph import Configure, ReadVariable, WeightRule
from advisor.rules.base import Case, Rule
from advisor.rules.finding import Finding, Fix, Severity
from advisor.rules.registry import rule

# The second is the mean that batch renormalization trains with.
_MEANS = ("moving_mean", "renorm_mean")


def _images(*inner: keras.Layer) -> keras.Model:
    return keras.Sequential([keras.Input((8, 8, 3)), *inner])


def _plain(use_bias: bool) -> keras.Model:
    return _images(layers.Conv2D(4, 3, use_bias=use_bias), layers.BatchNormalization(), layers.ReLU())


def _all_sorts(use_bias: bool) -> keras.Model:
    return _images(
        layers.DepthwiseConv2D(3, use_bias=use_bias),
        layers.BatchNormalization(center=False),
        layers.SeparableConv2D(4, 3, use_bias=use_bias),
        layers.BatchNormalization(scale=False),
        layers.Conv2DTranspose(4, 3, use_bias=use_bias),
        layers.BatchNormalization(renorm=True),
        layers.Flatten(),
        layers.Dense(4, use_bias=use_bias),
        layers.BatchNormalization(),
    )


def _per_frame(use_bias: bool) -> keras.Model:
    inputs = keras.Input((2, 8, 8, 3))
    frames = layers.TimeDistributed(layers.Conv2D(4, 3, use_bias=use_bias))(inputs)
    return keras.Model(inputs, layers.BatchNormalization()(frames))


def _shared(use_bias: bool) -> keras.Model:
    conv, norm = layers.Conv2D(4, 3, use_bias=use_bias), layers.BatchNormalization()
    inputs = [keras.Input((8, 8, 3)), keras.Input((8, 8, 3))]
    return keras.Model(inputs, [norm(conv(image)) for image in inputs])


def _read_twice() -> keras.Model:
    inputs = keras.Input((8, 8, 3))
    maps = layers.Conv2D(4, 3)(inputs)
    return keras.Model(inputs, layers.Add()([maps, layers.BatchNormalization()(maps)]))


def _padded() -> keras.Model:
    return _images(layers.Conv2D(4, 3), layers.ZeroPadding2D(1), layers.BatchNormalization())


def _frozen_norm() -> keras.Model:
    return _images(layers.Conv2D(4, 3), layers.BatchNormalization(trainable=False))


@rule
class BiasBeforeNorm(Rule):
    """A bias right before batch normalization has no effect.

    What it does:
        Finds convolutions and dense layers with a bias whose output goes straight, and only, into batch normalization
        along their channels. Where the normalization is frozen, only such layers that are frozen too.

    Why it matters:
        Batch normalization subtracts the mean of every channel, and with it the bias: `(x + b) − mean(x + b) =
        x − mean(x)`. The bias learns nothing, yet costs memory, state of the optimizer and an addition per output.
        Its part is played by `beta`.

    Example:
        ```python
        layers.Conv2D(64, 3), layers.BatchNormalization()  # write layers.Conv2D(64, 3, use_bias=False)
        ```

    Fix:
        Sets `use_bias=False` and takes the bias off the moving mean, so that the model computes the same at inference.
        Safety: exact.
    """

    code = "N101"
    name = "bias-before-norm"
    severity = Severity.INFO
    references = ("ioffe-2015",)

    VALID = (
        Case("no bias", lambda: _plain(use_bias=False)),
        Case(
            "an activation between",
            lambda: _images(layers.Conv2D(4, 3, activation="relu"), layers.BatchNormalization()),
        ),
        Case("padding between, to whose zeros no bias was added", _padded),
        Case("normalization along the height", lambda: _images(layers.Conv2D(4, 3), layers.BatchNormalization(axis=1))),
        Case("an output that others read too", _read_twice),
        Case("a frozen normalization after a layer that learns", _frozen_norm),
        Case(
            "layer normalization, which a bias does change",
            lambda: _images(layers.Conv2D(4, 3), layers.LayerNormalization()),
        ),
    )
    INVALID = (
        Case("convolution", lambda: _plain(use_bias=True), expected=lambda: _plain(use_bias=False)),
        Case("all sorts of layers", lambda: _all_sorts(use_bias=True), expected=lambda: _all_sorts(use_bias=False)),
        Case("convolution of frames", lambda: _per_frame(use_bias=True), expected=lambda: _per_frame(use_bias=False)),
        Case("a pair called twice", lambda: _shared(use_bias=True), expected=lambda: _shared(use_bias=False)),
    )

    def check(self, facts: Facts) -> Iterator[Finding]:
        for norm in facts.batch_norms():
            folding = linear_layers_before(facts, norm.path)
            # A bias before padding is no shift of what the normalization reads.
            if folding.is_direct and len(folding.takers) == 1 and folding.takers[0].is_baked:
                linear = facts[folding.takers[0].path]
                if _is_idle(facts, linear, norm):
                    yield self._cancelled(linear, norm)

    def _cancelled(self, linear: LayerFacts, norm: LayerFacts) -> Finding:
        return self.finding(
            linear,
            norm,
            message=f"`{linear.path}` has a bias of {linear.channels} weights that the following `{norm.path}` cancels",
            why="Batch normalization subtracts the mean of each channel, and the bias with it.",
            fix=Fix(
                f"drop the bias of `{linear.path}` and take it off the moving mean of `{norm.path}`",
                (
                    Configure(linear.path, {"use_bias": False}),
                    Configure(norm.path, {}, weights=_means_without_bias(linear.path, norm.path)),
                ),
                "exact",
            ),
        )


def _is_idle(facts: Facts, linear: LayerFacts, norm: LayerFacts) -> bool:
    if not linear.has_bias or linear.config.get("activity_regularizer") is not None:
        return False
    # Beside a frozen normalization, the bias takes the part of its `beta`.
    return norm.trainable or not linear.trainable


def _means_without_bias(linear: str, norm: str) -> WeightRule:
    def means(read: ReadVariable) -> Mapping[str, np.ndarray]:
        bias = read(linear, "bias")
        found = {name: read(norm, name) for name in _MEANS}
        return {name: mean - bias for name, mean in found.items() if mean is not None and bias is not None}

    return means
