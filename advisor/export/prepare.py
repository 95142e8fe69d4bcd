"""The copy of a model that is shipped: without what only training needs, what can be folded into weights folded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import keras

from advisor.export.centering import centering_folds
from advisor.facts import Facts
from advisor.facts.affine_maps import norm_affine_map
from advisor.facts.folding import BAKEABLE
from advisor.graph import Edit, keras_internals
from advisor.rewrite import RewriteError, rebuild
from advisor.rewrite.recipes.drop_zero_branches import zero_branches
from advisor.rewrite.recipes.fold_batch_norm import batch_norm_folds
from advisor.rewrite.recipes.fold_layer_scale import layer_scale_folds
from advisor.rewrite.recipes.fold_norm_weights import norm_weight_folds
from advisor.rewrite.recipes.fold_rescaling import rescaling_folds
from advisor.rewrite.recipes.remove_weight_normalization import substitutes
from advisor.rewrite.recipes.settling import Step, at_once
from advisor.rewrite.recipes.strip_training_layers import removals
from advisor.rewrite.recipes.targets import facts_of


@dataclass(frozen=True)
class Prepared:
    """A model ready for conversion.

    Attributes:
        model: Computes the same at inference as the model it was made from; that model itself when nothing was done.
        done: What was done to it.
        refused: Why something could not be done.
    """

    model: keras.Model
    done: tuple[str, ...]
    refused: tuple[str, ...]


@dataclass(frozen=True)
class _Stage:
    """One kind of preparation.

    Attributes:
        verb: What it does to layers, for the report.
        step: The edits that can be made at once.
        counted: The names of what it makes fewer of.
    """

    verb: str
    step: Step
    counted: Callable[[Facts], Iterator[str]]


def prepare(model: keras.Model) -> Prepared:
    """Takes out of a copy what inference can do without, and folds into weights what linear layers can take up.

    In this order, since each makes room for the next: layers that only train go; computed kernels become plain ones;
    branches of zeros go; then batch normalization, layer scale, rescaling, the weights of other normalizations, and the
    mean that layer normalization takes off go into the linear layers around them.

    Args:
        model: A built model; it is not changed.

    Returns:
        The prepared model.

    Example:
    >>> from keras import Sequential, layers
    >>> net = Sequential([keras.Input((4,)), layers.Dense(3), layers.BatchNormalization(), layers.Dropout(0.5)])
    >>> prepare(net).done
    ('removed 1 Dropout', 'folded 1 BatchNormalization')
    """
    current = model
    done: list[str] = []
    refused: list[str] = []
    for stage in _STAGES:
        try:
            after, fewer = _after(current, stage)
        except RewriteError as error:
            refused.append(str(error))
            continue
        done.extend(f"{stage.verb} {count} {name}" for name, count in fewer.items())
        current = after
    return Prepared(current, tuple(done), tuple(dict.fromkeys(refused)))


def _after(model: keras.Model, stage: _Stage) -> tuple[keras.Model, Counter[str]]:
    """The model after a stage, and how much less there is of what it is counted by."""
    facts = facts_of(model)
    before = Counter(stage.counted(facts))
    while edits := stage.step(facts):
        facts = facts_of(rebuild(facts.graph, edits).model)
    return facts.graph.model, before - Counter(stage.counted(facts))


def _folds(facts: Facts) -> Sequence[Edit]:
    return at_once(facts, chain(batch_norm_folds(facts), layer_scale_folds(facts), rescaling_folds(facts)))


def _layers(facts: Facts) -> Iterator[str]:
    first_calls = (layer for path, layer in facts.layers.items() if facts.graph.is_first_call(path))
    return (layer.cls.__name__ for layer in first_calls)


def _wrappers(facts: Facts) -> Iterator[str]:
    inside = keras_internals.layer_tree(facts.graph.model)
    return (type(layer).__name__ for layer in inside if isinstance(layer, BAKEABLE))


def _sums(facts: Facts) -> Iterator[str]:
    return (layer.cls.__name__ for layer in facts.layers.values() if layer.cls.__name__ == "Add")


def _normalizations_with_weights(facts: Facts) -> Iterator[str]:
    first_calls = (layer for path, layer in facts.layers.items() if facts.graph.is_first_call(path))
    return (layer.cls.__name__ for layer in first_calls if norm_affine_map(facts.graph, layer) is not None)


_STAGES = (
    _Stage("removed", removals, _layers),
    _Stage("baked", substitutes, _wrappers),
    _Stage("dropped the zeros in", lambda facts: at_once(facts, zero_branches(facts)), _sums),
    _Stage("folded", _folds, _layers),
    _Stage(
        "folded the weights of",
        lambda facts: at_once(facts, norm_weight_folds(facts)),
        _normalizations_with_weights,
    ),
    _Stage(
        "took off in the layer before the mean of",
        lambda facts: at_once(facts, centering_folds(facts)),
        _layers,
    ),
)
