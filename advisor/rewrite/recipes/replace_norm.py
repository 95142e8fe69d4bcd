"""Other normalizations in the place of those a model has."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np

from advisor.facts import Kind, LayerFacts
from advisor.graph import LayerSpec, ReadVariable, Replace, WeightRule
from advisor.rewrite.rebuild import rebuild
from advisor.rewrite.recipes.targets import chosen, facts_of, first_calls


def replace_norm(
    model: keras.Model, norm: type[keras.Layer], *, layers: str | Iterable[str] | None = None, **arguments: Any
) -> keras.Model:
    """Replace normalization layers by another kind, scale and shift kept where they fit.

    The function the model computes changes, as no two normalizations average over the same values: train again.

    Args:
        model: Sequential or Functional model; stays as it is.
        norm: Class of the new layers, such as `keras.layers.GroupNormalization`.
        layers: Paths of the layers to replace; None replaces every `BatchNormalization`.
        **arguments: Constructor arguments of the new layers. `axis` follows the old layer unless given;
            `groups` is lowered to its greatest common divisor with the number of channels.

    Returns:
        A new model, all other weights as before.

    Raises:
        TypeError: If `norm` is no layer class.
        ValueError: If `layers` names a layer that is not there or no normalization.
        RewriteError: If the model cannot be rewritten.

    Example:
    >>> import keras
    >>> model = keras.Sequential(
    ...     [keras.Input((8, 8, 3)), keras.layers.Conv2D(48, 3), keras.layers.BatchNormalization(name="norm")]
    ... )
    >>> replace_norm(model, keras.layers.GroupNormalization, groups=32).get_layer("norm").groups
    16
    """
    if not (isinstance(norm, type) and issubclass(norm, keras.Layer)):
        raise TypeError(f"`norm` must be a layer class, such as keras.layers.GroupNormalization. Received: {norm!r}")
    facts = facts_of(model)
    targets = chosen(facts, layers, lambda layer: layer.is_batch_norm, "layers")
    for target in targets:
        if target.kind is not Kind.NORM:
            raise ValueError(f"`layers` must name normalization layers. Received: `{target.path}`, a {target.kind}")
    edits = [Replace(t.path, norm_spec(norm, t, arguments), scale_and_shift(t)) for t in first_calls(facts, targets)]
    return rebuild(facts.graph, edits).model


def norm_spec(norm: type[keras.Layer], old: LayerFacts, arguments: dict[str, Any]) -> LayerSpec:
    """The new layer for one old one: its channel axis, its rate of rounding, and a number of groups that fits."""
    config = dict(arguments)
    if issubclass(norm, keras.layers.GroupNormalization):
        config["groups"] = math.gcd(config.get("groups", 32), old.channels or 1)
    config.setdefault("axis", _axis(old))
    return LayerSpec(norm, config)


def _axis(old: LayerFacts) -> int:
    """The axis of the channels, of which a built `LayerNormalization` makes a list."""
    axis = old.config.get("axis", -1)
    if isinstance(axis, int):
        return axis
    # Over several axes at once there is no telling which of them is the channels', so that the last one is.
    return axis[0] if len(axis) == 1 else -1


def scale_and_shift(old: LayerFacts) -> WeightRule:
    """Carries gamma and beta where there is one pair per channel, as these mean the same in every normalization."""

    def values(read: ReadVariable) -> dict[str, np.ndarray]:
        kept = {name: read(old.path, name) for name in ("gamma", "beta")}
        return {name: value for name, value in kept.items() if value is not None and value.ndim == 1}

    return values
