"""Putting another normalization in the place of a batch normalization, with what both have in common."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import keras
import numpy as np

from advisor.facts import LayerFacts
from advisor.graph import LayerSpec, ReadVariable, Replace
from advisor.rules.normalization.choice import Choice

_AFFINE = ("gamma", "beta")
_COMMON = (
    "epsilon",
    "center",
    "scale",
    *(f"{name}_{part}" for name in _AFFINE for part in ("initializer", "regularizer", "constraint")),
)


def replacing(norm: LayerFacts, choice: Choice) -> Replace:
    """The edit that puts the chosen normalization in the place of a batch normalization.

    Args:
        norm: The batch normalization.
        choice: What takes its place.

    Returns:
        The edit; arguments the two share are kept where they are not the default, and so are `gamma` and `beta`.
    """
    kept = {name: norm.config[name] for name in _COMMON if norm.config[name] != _defaults()[name]}
    return Replace(norm.path, LayerSpec(choice.spec.cls, {**kept, **choice.spec.config}), _affine_of(norm.path))


@cache
def _defaults() -> Mapping[str, Any]:
    return keras.layers.BatchNormalization().get_config()


def _affine_of(path: str) -> Any:
    def weights(read: ReadVariable) -> Mapping[str, np.ndarray]:
        return {name: value for name in _AFFINE if (value := read(path, name)) is not None}

    return weights
