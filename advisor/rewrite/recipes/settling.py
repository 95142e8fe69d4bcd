"""Exact rewrites of which one makes room for the next, done until there is nothing left to do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import chain

import keras

from advisor.facts import Facts
from advisor.facts.affine_maps import AffineMap
from advisor.facts.folding import linear_layers_after, linear_layers_before, unmet
from advisor.graph import Edit
from advisor.rewrite.rebuild import rebuild
from advisor.rewrite.recipes.absorbing import with_mapped_input, with_mapped_output
from advisor.rewrite.recipes.targets import facts_of

Step = Callable[[Facts], Sequence[Edit]]
"""What can be done to a model at once; nothing when it is done with."""


def settled(model: keras.Model, step: Step) -> keras.Model:
    """A new model on which a step has nothing left to do.

    Args:
        model: Stays as it is.
        step: What to do, again and again.

    Returns:
        The new model; a copy where there was nothing to do.

    Raises:
        RewriteError: If the model cannot be rewritten.
    """
    facts = facts_of(model)
    edits = step(facts)
    while True:
        current = rebuild(facts.graph, edits).model
        if not edits:
            return current
        facts = facts_of(current)
        edits = step(facts)
        if not edits:
            return current


def at_once(facts: Facts, changes: Iterable[Sequence[Edit]]) -> list[Edit]:
    """Of changes that belong to different layers, those that can be made in one rebuild, the first ones first.

    Args:
        facts: What is known of the model.
        changes: Edits that are made together or not at all.

    Returns:
        The edits.
    """
    taken: set[int] = set()
    chosen = []
    for edits in changes:
        touched = {id(facts.graph.nodes[edit.path].operation) for edit in edits}
        if not touched & taken and not any(facts.graph.refusal(edit.path) for edit in edits):
            taken |= touched
            chosen.append(edits)
    return list(chain.from_iterable(chosen))


def taken_up_before(facts: Facts, path: str, values: AffineMap) -> list[Edit]:
    """The linear layers before a map per channel, with the map in them; nothing where they cannot take it up."""
    folding = linear_layers_before(facts, path)
    if unmet(folding.conditions, values) or not all(taker.is_baked for taker in folding.takers):
        return []
    return [with_mapped_output(facts, taker, values) for taker in folding.takers]


def taken_up_after(facts: Facts, path: str, values: AffineMap) -> list[Edit]:
    """The linear layers that read a map per channel, with the map in them; nothing where they cannot take it up."""
    folding = linear_layers_after(facts, path)
    if unmet(folding.conditions, values) or not all(taker.is_baked for taker in folding.takers):
        return []
    return [with_mapped_input(facts, taker, values) for taker in folding.takers]
