"""Which nodes a recipe works on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from advisor.facts import Facts, LayerFacts, gather_facts
from advisor.graph import read_graph
from advisor.rewrite.errors import RewriteError


def facts_of(model: Any) -> Facts:
    """Facts of a model that is to be rewritten.

    Raises:
        RewriteError: If the model cannot be rewritten.
    """
    graph = read_graph(model)
    if graph.root.refusal and not graph.root.held:
        raise RewriteError(f"`{model.name}` cannot be rewritten: {graph.root.refusal}.")
    return gather_facts(graph)


def chosen(
    facts: Facts, paths: str | Iterable[str] | None, default: Callable[[LayerFacts], bool], argument: str
) -> list[LayerFacts]:
    """The leaves a user named, or all that the default fits; of a shared layer the first call.

    Args:
        facts: Facts of the model.
        paths: Paths given by the user, or None.
        default: Which leaves are meant when none are given.
        argument: Name of the user's argument, for the message.

    Raises:
        ValueError: If a path names no layer of the model.
        RewriteError: If it names a layer that cannot be rewritten.
    """
    if paths is None:
        candidates = [layer for layer in facts.layers.values() if default(layer)]
    else:
        wanted = [paths] if isinstance(paths, str) else list(paths)
        missing = [path for path in wanted if path not in facts.layers]
        if missing:
            known = ", ".join(path for path, layer in facts.layers.items() if layer.kind != "input")
            raise ValueError(f"`{argument}` names no layer of the model: {missing}. Its layers: {known}")
        refused = [path for path in wanted if facts.graph.refusal(path)]
        if refused:
            raise RewriteError(f"`{refused[0]}` cannot be rewritten: {facts.graph.refusal(refused[0])}.")
        candidates = [facts.layers[path] for path in wanted]
    return [layer for layer in candidates if not facts.graph.refusal(layer.path)]


def named(facts: Facts, paths: str | Iterable[str], argument: str) -> list[str]:
    """The paths a user named, of leaves or of nested models.

    Args:
        facts: Facts of the model.
        paths: Paths given by the user.
        argument: Name of the user's argument, for the message.

    Raises:
        ValueError: If a path names nothing in the model.
    """
    wanted = [paths] if isinstance(paths, str) else list(paths)
    missing = [path for path in wanted if path not in facts.graph.nodes]
    if missing:
        known = ", ".join(path for path, node in facts.graph.nodes.items() if not node.is_input)
        raise ValueError(f"`{argument}` names no layer of the model: {missing}. Its layers: {known}")
    return wanted


def first_calls(facts: Facts, layers: Iterable[LayerFacts]) -> list[LayerFacts]:
    """Each layer once, by its first call, for edits that change the layer at all its calls."""
    return [layer for layer in layers if facts.graph.is_first_call(layer.path)]
