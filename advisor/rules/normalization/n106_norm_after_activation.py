"""N106: batch normalization after the activation."""

from __future__ import annotations

from collections.abc import Iterator

import keras
from keras import layers

from advisor.facts import LINEAR_KINDS, Facts, Kind, LayerFacts
from advisor.graph import Configure, Edit, InsertAfter, Remove
from advisor.rules.base import Case, Rule
from advisor.rules.finding import Finding, Fix, Severity
from advisor.rules.normalization.activations import fused_activation, moved_activation
from advisor.rules.normalization.self_normalizing import batch_norms_of_selu
from advisor.rules.normalization.surroundings import on_recurrent_sequence
from advisor.rules.registry import rule


def _fused(conv: keras.Layer, *after: keras.Layer) -> keras.Model:
    return keras.Sequential([keras.Input((8, 8, 3)), conv, *after, layers.Flatten(), layers.Dense(2)])


def _separate(*after: keras.Layer) -> keras.Model:
    return _fused(layers.Conv2D(4, 3), *after)


def _dense(activation: str | None, *after: keras.Layer) -> keras.Model:
    return keras.Sequential([keras.Input((6,)), layers.Dense(4, activation=activation), *after, layers.Dense(2)])


def _residual() -> keras.Model:
    inputs = keras.Input((8, 8, 3))
    trunk = layers.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    branch = layers.Conv2D(4, 3, padding="same")(layers.BatchNormalization()(trunk))
    return keras.Model(inputs, layers.Add()([trunk, branch]))


def _after_addition() -> keras.Model:
    inputs = keras.Input((8, 8, 4))
    added = layers.Add()([inputs, layers.Conv2D(4, 3, padding="same")(inputs)])
    return keras.Model(inputs, layers.Conv2D(2, 3)(layers.BatchNormalization()(layers.ReLU()(added))))


def _operation(normalized_first: bool) -> keras.Model:
    inputs = keras.Input((8, 8, 3))
    maps, norm = layers.Conv2D(4, 3)(inputs), layers.BatchNormalization()
    maps = layers.Activation("relu")(norm(maps)) if normalized_first else norm(keras.ops.relu(maps))
    return keras.Model(inputs, layers.Flatten()(maps))


def _siamese() -> keras.Model:
    conv, norm = layers.Conv2D(4, 3, activation="relu"), layers.BatchNormalization()
    inputs = [keras.Input((8, 8, 3)), keras.Input((8, 8, 3))]
    return keras.Model(inputs, layers.Add()([norm(conv(image)) for image in inputs]))


@rule
class NormAfterActivation(Rule):
    """Batch normalization after the activation instead of before it.

    What it does:
        Finds a convolution or dense layer whose activation, fused or a layer of its own, goes straight and only into
        batch normalization. Softmax is left alone, and so are frozen layers
        and self-normalizing networks (N116).

    Why it matters:
        For inference, batch normalization is folded into the convolution before it and costs nothing. With an
        activation between, it cannot be: a multiplication and an addition per output stay.

    Example:
        ```python
        layers.Conv2D(32, 3, activation="relu"), layers.BatchNormalization()
        ```

    Fix:
        Moves the activation behind the normalization, whose weights are kept. Layers that are called several times are
        left as they are. Safety: retrain.
    """

    code = "N106"
    name = "norm-after-activation"
    severity = Severity.INFO
    references = ("tflite-micro-1651", "jacob-2018")

    VALID = (
        Case("before the activation", lambda: _separate(layers.BatchNormalization(), layers.ReLU())),
        Case("others read the activation too", _residual),
        Case("nothing to fold into before the activation", _after_addition),
        Case(
            "pooling between",
            lambda: _fused(layers.Conv2D(4, 3, activation="relu"), layers.MaxPooling2D(), layers.BatchNormalization()),
        ),
        Case(
            "layer normalization, which never folds",
            lambda: _fused(layers.Conv2D(4, 3, activation="relu"), layers.LayerNormalization()),
        ),
        Case("frozen", lambda: _separate(layers.ReLU(), layers.BatchNormalization(trainable=False))),
    )
    INVALID = (
        Case(
            "fused activation",
            lambda: _fused(layers.Conv2D(4, 3, activation="relu"), layers.BatchNormalization()),
            expected=lambda: _separate(layers.BatchNormalization(), layers.Activation("relu")),
        ),
        Case(
            "activation layer",
            lambda: _separate(layers.LeakyReLU(0.1), layers.BatchNormalization(momentum=0.9)),
            expected=lambda: _separate(layers.BatchNormalization(momentum=0.9), layers.LeakyReLU(0.1)),
        ),
        Case(
            "dense layer on a phone",
            lambda: _dense("tanh", layers.BatchNormalization()),
            {"target": "mobile"},
            lambda: _dense(None, layers.BatchNormalization(), layers.Activation("tanh")),
        ),
        Case(
            "operation",
            lambda: _operation(normalized_first=False),
            expected=lambda: _operation(normalized_first=True),
        ),
        Case("layers called twice", _siamese),
    )

    def check(self, facts: Facts) -> Iterator[Finding]:
        superfluous = set(batch_norms_of_selu(facts))
        for norm in facts.batch_norms():
            if norm in superfluous:
                continue
            activation = facts.sole_producer(norm.path)
            if activation is None or activation.activation in (None, "linear", "softmax"):
                continue
            linear = activation if activation.kind in LINEAR_KINDS else facts.sole_producer(activation.path)
            if linear is not None and _could_fold(facts, linear, activation, norm):
                yield self._misplaced(facts, linear, activation, norm)

    def _misplaced(self, facts: Facts, linear: LayerFacts, activation: LayerFacts, norm: LayerFacts) -> Finding:
        edits = _edits(facts, linear, activation, norm)
        return self.finding(
            norm,
            *dict.fromkeys((activation.path, linear.path)),
            message=f"`{norm.path}` normalizes after the activation {activation.activation} of `{linear.path}`",
            why="It cannot be folded into the layer before it, and costs a pass over the outputs at inference.",
            severity=Severity.WARNING if facts.target == "mobile" else None,
            fix=Fix(f"move {activation.activation} behind `{norm.path}`", edits, "retrain") if edits else None,
        )


def _could_fold(facts: Facts, linear: LayerFacts, activation: LayerFacts, norm: LayerFacts) -> bool:
    """Whether the normalization would fold into the linear layer if the activation were not between."""
    return (
        linear.kind in LINEAR_KINDS
        and activation.kind in LINEAR_KINDS | {Kind.ACTIVATION}
        and linear.trainable
        and norm.trainable
        and facts.sole_consumer(activation.path) is norm
        and (linear is activation or (linear.is_linear and facts.sole_consumer(linear.path) is activation))
        and linear.channel_axis == norm.channel_axis
        and not on_recurrent_sequence(facts, norm)
    )


def _edits(facts: Facts, linear: LayerFacts, activation: LayerFacts, norm: LayerFacts) -> tuple[Edit, ...]:
    """What moves the activation; nothing where it cannot be moved for this call alone."""
    if facts.graph.is_shared(linear.path) or facts.graph.is_shared(norm.path):
        return ()
    if linear is activation:
        spec = fused_activation(linear)
        taken: Edit = Configure(linear.path, {"activation": None})
    else:
        spec = moved_activation(facts, activation)
        taken = Remove(activation.path)
    return (taken, InsertAfter(norm.path, (spec,))) if spec is not None else ()
