"""Carrying weights and other state from the old layers to the new ones."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import keras
import numpy as np

from advisor.graph import ModelGraph, ReadVariable, WeightRule
from advisor.graph import keras_internals as internals
from advisor.graph.stored_model import holds_values
from advisor.rewrite.errors import RewriteError, UncopyableError

Origin = Literal["kept", "mapped", "new"]


@dataclass(frozen=True)
class WeightOrigin:
    """Where a variable of the rewritten model got its value.

    Attributes:
        origin: `kept` from the variable `source`, `mapped` by a computation, or `new` from its initializer.
        source: Path of the old variable, or None.
    """

    origin: Origin
    source: str | None = None


@dataclass(frozen=True, eq=False)
class Succession:
    """An old layer and the layer that stands in its place.

    Attributes:
        path: Path of the old node.
        old: The old layer, or its substitute.
        new: The new one.
        weights: Compute values of new variables, in order.
        same_class: Whether variables of equal name and shape mean the same in both.
        changed: Arguments that differ between the two; None where the layer is a plain copy.
        apart: Old and new layers inside that have a succession of their own.
    """

    path: str
    old: Any
    new: Any
    weights: tuple[WeightRule, ...]
    same_class: bool
    changed: frozenset[str] | None
    apart: tuple[tuple[Any, Any], ...] = ()

    @property
    def old_layers(self) -> list[Any]:
        """The old layer and those inside it, without what is apart."""
        return _without([old for old, _ in self.apart], internals.layer_tree(self.old))

    @property
    def new_layers(self) -> list[Any]:
        """The new layer and those inside it, without what is apart."""
        return _without([new for _, new in self.apart], internals.layer_tree(self.new))


def _without(apart: list[Any], layers: list[Any]) -> list[Any]:
    left_out = {id(layer) for whole in apart for layer in internals.layer_tree(whole)}
    return [layer for layer in layers if id(layer) not in left_out]


def carry_weights(
    graph: ModelGraph, successions: Iterable[Succession], new_model: Any
) -> tuple[dict[str, WeightOrigin], dict[int, Any]]:
    """Give every variable of the new model its value, or, where the old model's are still in a file, a way to get it.

    Args:
        graph: Graph of the old model.
        successions: Which new layer stands for which old one.
        new_model: The rebuilt model, its variables perhaps deferred.

    Returns:
        Where each variable got its value, by variable path, and the old variable of each kept one by `id` of the new.

    Raises:
        UncopyableError: If a plain copy does not have the variables of its original.
    """
    read = _reader(graph)
    in_memory = holds_values(graph.model)
    old_paths = internals.variable_paths(graph.model)
    origins: dict[int, WeightOrigin] = {}
    old_of: dict[int, Any] = {}
    for succession in successions:
        for new, old in _paired(succession):
            internals.initialize(new, old)
            # A model that is copied as a whole has no path.
            if not succession.path or succession.old is graph.nodes[succession.path].operation:
                origins[id(new)] = WeightOrigin("kept", old_paths.get(id(old), old.path))
            else:
                # The weights of a substitute were computed before the rebuild.
                origins[id(new)] = WeightOrigin("mapped", succession.path)
            old_of[id(new)] = old
            _carry_attributes(new, old, succession)
        for rule in succession.weights:
            for name, (new, value) in _computed(succession, rule(read)).items():
                if in_memory or not internals.is_deferred(new):
                    internals.initialize(new, value)
                else:
                    internals.defer_to(new, partial(_one_computed, rule, read, name))
                origins[id(new)] = WeightOrigin("mapped", succession.path)
        if succession.changed is None:
            _carry_other_state(succession)
    if in_memory:
        for variable in new_model.variables:
            internals.initialize_fresh(variable)
    new_paths = internals.variable_paths(new_model)
    weight_map = {path: origins.get(key, WeightOrigin("new")) for key, path in new_paths.items()}
    return weight_map, old_of


def carry_identity(pairs: Iterable[tuple[Any, Any]]) -> None:
    """Freeze in the new model what is frozen in the old one, and name what Keras named when it was built.

    Args:
        pairs: Old and new layers of equal structure, models before the layers inside them, since freezing a model
            freezes everything in it.
    """
    for old, new in pairs:
        if new.trainable != old.trainable:
            new.trainable = old.trainable
        if new.name != old.name and type(new) is type(old):
            internals.rename(new, old.name)


def _reader(graph: ModelGraph) -> ReadVariable:
    def read(path: str, name: str) -> np.ndarray | None:
        for variable in graph.nodes[path].operation.variables:
            if variable.name == name:
                return np.asarray(keras.ops.convert_to_numpy(variable.value))
        return None

    return read


def _paired(succession: Succession) -> list[tuple[Any, Any]]:
    if not isinstance(succession.old, keras.Layer) or not succession.same_class:
        return []
    old, new = succession.old.variables, succession.new.variables
    if succession.apart:
        settled = {id(variable) for pair in succession.apart for layer in pair for variable in layer.variables}
        old, new = ([v for v in variables if id(v) not in settled] for variables in (old, new))
    if succession.changed is not None:
        return _by_name(old, new)
    if [tuple(v.shape) for v in old] != [tuple(v.shape) for v in new]:
        raise UncopyableError(
            f"the copy of `{succession.path}` ({type(succession.old).__name__}) has other variables than the original: "
            f"{[tuple(v.shape) for v in new]} instead of {[tuple(v.shape) for v in old]}. "
            "Its `get_config` must return everything that shapes its weights."
        )
    return list(zip(new, old, strict=True))


def _by_name(old: list[Any], new: list[Any]) -> list[tuple[Any, Any]]:
    """Pairs of variables with the same name and shape; of several with one name, the first with the first."""
    waiting: dict[tuple[str, tuple[int, ...]], list[Any]] = defaultdict(list)
    for variable in old:
        waiting[variable.name, tuple(variable.shape)].append(variable)
    pairs = []
    for variable in new:
        candidates = waiting[variable.name, tuple(variable.shape)]
        if candidates:
            pairs.append((variable, candidates.pop(0)))
    return pairs


def _computed(succession: Succession, values: Mapping[str, np.ndarray]) -> dict[str, tuple[Any, np.ndarray]]:
    by_name = {variable.name: variable for variable in reversed(succession.new.variables)}
    missing = set(values) - set(by_name)
    if missing:
        raise RewriteError(
            f"the new `{succession.path}` ({type(succession.new).__name__}) has no variable named "
            f"{', '.join(sorted(missing))}"
        )
    return {name: (by_name[name], value) for name, value in values.items()}


def _one_computed(rule: WeightRule, read: ReadVariable, name: str) -> np.ndarray:
    return rule(read)[name]


def _carry_attributes(new: Any, old: Any, succession: Succession) -> None:
    """Regularizer and constraint as they are bound now, which may differ from what the layer's arguments say."""
    changed = succession.changed
    if changed is not None and not changed and not succession.weights:
        # Made anew from its own arguments on purpose: what they say is to be bound now.
        return
    for attribute in ("regularizer", "constraint"):
        # Layers do not name these arguments after their variables alike: `depthwise_regularizer` binds to `kernel`.
        is_changed = any(argument.endswith(attribute) for argument in changed or ())
        if not is_changed and getattr(new, attribute) is not getattr(old, attribute):
            setattr(new, attribute, getattr(old, attribute))


def _carry_other_state(succession: Succession) -> None:
    """State that is no variable: statistics of `Normalization`, vocabularies, bins, what a layer stores by itself."""
    if not isinstance(succession.old, keras.Layer):
        return
    parts = list(zip(succession.old_layers, succession.new_layers, strict=True))
    for old_part, new_part in parts:
        if hasattr(old_part, "finalize_state") or _stores_by_itself(old_part):
            store: dict[str, Any] = {}
            old_part.save_own_variables(store)
            # The variables have been seen to, and may be deferred.
            with keras.StatelessScope():
                new_part.load_own_variables({key: keras.ops.convert_to_numpy(value) for key, value in store.items()})
    for old_part, new_part in parts:
        if hasattr(old_part, "save_assets"):
            with tempfile.TemporaryDirectory() as folder:
                old_part.save_assets(folder)
                new_part.load_assets(folder)


def _stores_by_itself(layer: Any) -> bool:
    return type(layer).save_own_variables.__module__.split(".")[0] != "keras"
