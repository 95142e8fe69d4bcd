"""Edits of a batch normalization: another in its place, with what both have in common, or one over all replicas."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import keras
import numpy as np

import keras_normpack
from advisor.facts import LayerFacts
from advisor.graph import Configure, Edit, LayerSpec, ReadVariable, Replace, WeightRule
from advisor.rules.finding import Fix
from advisor.rules.normalization.choice import Choice

_AFFINE = ("gamma", "beta")
_AVERAGES = ("moving_mean", "moving_variance", "moving_stddev", "renorm_mean", "renorm_stddev")
_COMMON = (
    "epsilon",
    "center",
    "scale",
    *(f"{name}_{part}" for name in _AFFINE for part in ("initializer", "regularizer", "constraint")),
)


def replacement(norm: LayerFacts, choice: Choice | None) -> Fix | None:
    """The fix that puts the chosen normalization in the place of a batch normalization.

    Args:
        norm: The batch normalization.
        choice: What takes its place, or None where nothing suits.

    Returns:
        The fix, whose title tells the reason of the choice; None without one.
    """
    if choice is None:
        return None
    title = f"replace `{norm.path}` by {choice.spec.code()}: {choice.reason}"
    return Fix(title, (replacing(norm, choice),), "retrain")


def replacing(norm: LayerFacts, choice: Choice) -> Edit:
    """The edit that puts the chosen normalization in the place of a batch normalization.

    Args:
        norm: The batch normalization.
        choice: What takes its place.

    Returns:
        The edit; arguments the two share are kept where they are not the default, and so are `gamma` and `beta`. Batch
        renormalization keeps all, and starts from the moving averages.
    """
    if choice.spec.config.get("renorm"):
        return _renormalizing(norm)
    kept = {name: norm.config[name] for name in _COMMON if norm.config[name] != _defaults()[name]}
    return Replace(
        norm.path, LayerSpec(choice.spec.cls, {**kept, **choice.spec.config}), _values_of(norm.path, _AFFINE)
    )


def _renormalizing(norm: LayerFacts) -> Configure:
    # What it is trained on and what it infers with must lag alike: docs/adr/0003-moving-average-lag.md.
    changes = {"renorm": True, "renorm_momentum": norm.config["momentum"]}
    return Configure(norm.path, changes, _averages_of(norm))


def synchronizing(norm: LayerFacts) -> Edit:
    """The edit that makes a batch normalization average over all replicas.

    Args:
        norm: The batch normalization.

    Returns:
        The edit; weights are kept. Keras's layer does not synchronize where it has a mask, the one of `keras_normpack`
        does and takes its place there.
    """
    if norm.masked and norm.wrapper is None and norm.cls is keras.layers.BatchNormalization:
        kept = {name: value for name, value in norm.config.items() if value != _defaults().get(name, value)}
        spec = LayerSpec(keras_normpack.BatchNormalization, {**kept, "synchronized": True})
        return Replace(norm.path, spec, _values_of(norm.path, (*_AFFINE, *_AVERAGES)))
    return Configure(norm.path, {"synchronized": True})


@cache
def _defaults() -> Mapping[str, Any]:
    return keras.layers.BatchNormalization().get_config()


def _averages_of(norm: LayerFacts) -> WeightRule:
    epsilon = norm.config["epsilon"]

    def weights(read: ReadVariable) -> Mapping[str, np.ndarray]:
        mean, variance = read(norm.path, "moving_mean"), read(norm.path, "moving_variance")
        if mean is None or variance is None:
            return {}
        stddev = np.sqrt(variance + epsilon)
        return {"renorm_mean": mean, "renorm_stddev": stddev, "moving_stddev": stddev}

    return weights


def _values_of(path: str, names: Iterable[str]) -> WeightRule:
    def weights(read: ReadVariable) -> Mapping[str, np.ndarray]:
        return {name: value for name in names if (value := read(path, name)) is not None}

    return weights
