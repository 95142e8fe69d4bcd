"""N105: a deep network without normalization."""

from __future__ import annotations

from collections.abc import Iterator

import keras
from keras import layers

from advisor.facts import Facts, LayerFacts
from advisor.graph import Configure, Edit, InsertAfter
from advisor.rules.base import Case, Rule
from advisor.rules.finding import Finding, Fix, Severity
from advisor.rules.normalization.activations import fused_activation
from advisor.rules.normalization.choice import recommended_norm
from advisor.rules.normalization.discriminators import is_discriminator
from advisor.rules.normalization.linear_runs import CONVOLUTIONS, DENSE_LAYERS, Run, unnormalized_runs
from advisor.rules.registry import rule

# Shorter ones train well without.
SHORTEST_RUNS = ((CONVOLUTIONS, 3, "convolutions"), (DENSE_LAYERS, 4, "dense layers"))
# Image restoration loses quality by batch normalization (Lim et al. 2017, arXiv:1707.02921), and what suits a generator
# or its critic depends on their losses.
_LEFT_ALONE = frozenset({"generation", "image_to_image"})


def _network(*inner: keras.Layer) -> keras.Model:
    return keras.Sequential([keras.Input((8, 8, 3)), *inner, layers.GlobalAveragePooling2D(), layers.Dense(2)])


def _fused(convolutions: int, activation: str = "relu") -> keras.Model:
    return _network(*(layers.Conv2D(6, 3, padding="same", activation=activation) for _ in range(convolutions)))


def _blocks(norm: type[keras.Layer], convolutions: int = 3, **arguments: int) -> keras.Model:
    inner = []
    for _ in range(convolutions):
        inner += [layers.Conv2D(6, 3, padding="same"), norm(**arguments), layers.Activation("relu")]
    return _network(*inner)


def _pre_activation() -> keras.Model:
    inputs = maps = keras.Input((8, 8, 4))
    for _ in range(4):
        branch = layers.ReLU()(layers.BatchNormalization()(maps))
        maps = layers.Add()([maps, layers.Conv2D(4, 3, padding="same")(branch)])
    return keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(maps)))


def _one_norm_per_block() -> keras.Model:
    inputs = maps = keras.Input((8, 8, 4))
    for _ in range(2):
        branch = layers.LayerNormalization()(layers.DepthwiseConv2D(3, padding="same")(maps))
        branch = layers.Conv2D(4, 1)(layers.Conv2D(8, 1, activation="gelu")(branch))
        maps = layers.Add()([maps, branch])
    return keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(maps)))


def _wrapped() -> keras.Model:
    return _network(*(layers.SpectralNormalization(layers.Conv2D(4, 3, padding="same")) for _ in range(4)))


def _perceptron(hidden: int, norm: type[keras.Layer] | None = None) -> keras.Model:
    inner: list[keras.Layer] = []
    for _ in range(hidden):
        inner += [layers.Dense(8), norm(), layers.ReLU()] if norm else [layers.Dense(8), layers.ReLU()]
    return keras.Sequential([keras.Input((6,)), *inner, layers.Dense(2, activation="softmax")])


def _residual(norm: type[keras.Layer] | None) -> keras.Model:
    inputs = keras.Input((8, 8, 3))

    def conv(maps: keras.KerasTensor) -> keras.KerasTensor:
        maps = layers.Conv2D(4, 3, padding="same")(maps)
        return norm()(maps) if norm else maps

    maps = layers.ReLU()(conv(inputs))
    maps = layers.ReLU()(layers.Add()([maps, conv(layers.ReLU()(conv(maps)))]))
    return keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(maps)))


def _nested(norm: type[keras.Layer] | None) -> keras.Model:
    inner: list[keras.Layer] = []
    for _ in range(3):
        inner += [layers.Conv2D(4, 3, padding="same"), *([norm()] if norm else []), layers.ReLU()]
    inputs = keras.Input((8, 8, 3))
    maps = keras.Sequential([keras.Input((8, 8, 3)), *inner])(inputs)
    return keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(maps)))


def _called_twice() -> keras.Model:
    convolutions = [layers.Conv2D(4, 3, padding="same", activation="relu") for _ in range(3)]
    inputs, outputs = [keras.Input((8, 8, 3)), keras.Input((8, 8, 3))], []
    for maps in inputs:
        for conv in convolutions:
            maps = conv(maps)
        outputs.append(layers.GlobalAveragePooling2D()(maps))
    return keras.Model(inputs, layers.Dense(2)(layers.Concatenate()(outputs)))


@rule
class NoNormalization(Rule):
    """A run of layers without normalization.

    What it does:
        Finds 3 or more convolutions, or 4 or more dense layers, that follow each other with no normalization between. A
        layer counts as normalized by what follows it or, in pre-activation networks, precedes it; so do layers with
        weight or spectral normalization and self-normalizing ones (SELU, alpha dropout). Attention blocks (N111),
        generators and discriminators, image to image networks, and runs with frozen layers are left alone.

    Why it matters:
        Normalization makes the loss smoother: gradients stay of one size through the layers and predict what a step
        does, so that larger learning rates work and the initial values matter less.

    Example:
        ```python
        layers.Conv2D(32, 3, activation="relu"),
        layers.Conv2D(64, 3, activation="relu"),
        layers.Conv2D(64, 3, activation="relu"),
        ```

    Fix:
        Puts a normalization between each of the layers, the head excepted, and its activation, which is split off where
        it is fused. Which one: batch normalization; where N102 would object to it, group or layer normalization; on
        sequences of recurrent layers, layer normalization. Layers that are called several times are left as they are.
        Safety: retrain.
    """

    code = "N105"
    name = "no-normalization"
    severity = Severity.WARNING
    references = ("santurkar-2018", "ioffe-2015")

    VALID = (
        Case("two convolutions", lambda: _fused(2)),
        Case("a normalization after each", lambda: _blocks(layers.BatchNormalization)),
        Case("pre-activation", _pre_activation),
        Case("one normalization per block", _one_norm_per_block),
        Case("self-normalizing", lambda: _fused(4, activation="selu")),
        Case("spectral normalization", _wrapped),
        Case("three dense layers", lambda: _perceptron(2)),
    )
    INVALID = (
        Case(
            "fused activations",
            lambda: _fused(3),
            expected=lambda: _blocks(layers.BatchNormalization),
        ),
        Case(
            "small batches",
            lambda: _fused(3),
            {"batch_size": 4},
            lambda: _blocks(layers.GroupNormalization, groups=2),
        ),
        Case(
            "dense layers",
            lambda: _perceptron(3),
            expected=lambda: _perceptron(3, layers.BatchNormalization),
        ),
        Case(
            "dense layers, small batches",
            lambda: _perceptron(3),
            {"batch_size": 8},
            lambda: _perceptron(3, layers.LayerNormalization),
        ),
        Case(
            "residual",
            lambda: _residual(None),
            expected=lambda: _residual(layers.BatchNormalization),
        ),
        Case(
            "nested",
            lambda: _nested(None),
            expected=lambda: _nested(layers.BatchNormalization),
        ),
        Case("layers called twice", _called_twice),
    )

    def check(self, facts: Facts) -> Iterator[Finding]:
        if facts.model.task in _LEFT_ALONE or is_discriminator(facts):
            return
        for family, shortest, plural in SHORTEST_RUNS:
            for run in unnormalized_runs(facts, family):
                if run.length >= shortest and all(layer.trainable for layer in run.layers):
                    yield from self._bare(facts, run, plural)

    def _bare(self, facts: Facts, run: Run, plural: str) -> Iterator[Finding]:
        edits = {layer.path: _edits(facts, layer) for layer in run.hidden if recommended_norm(facts, layer)}
        if not edits:
            return
        first, last = run.layers[0].path, run.layers[-1].path
        possible = all(edits.values()) and not any(facts.graph.is_shared(path) for path in edits)
        yield self.finding(
            *edits,
            message=f"{run.length} {plural} follow each other without normalization, from `{first}` to `{last}`",
            why="Without it, gradients grow or fade from layer to layer and only small learning rates train stably.",
            fix=Fix(
                f"normalize after {len(edits)} {plural}, before their activations",
                tuple(edit for group in edits.values() for edit in group),
                "retrain",
            )
            if possible
            else None,
        )


def _edits(facts: Facts, layer: LayerFacts) -> tuple[Edit, ...]:
    """What normalizes one layer before its activation; nothing where the activation cannot be split off."""
    choice = recommended_norm(facts, layer)
    assert choice is not None
    if layer.is_linear:
        return (InsertAfter(layer.path, (choice.spec,)),)
    activation = fused_activation(layer)
    if activation is None:
        return ()
    return Configure(layer.path, {"activation": None}), InsertAfter(layer.path, (choice.spec, activation))
