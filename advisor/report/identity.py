"""What makes a finding the same one in the next run: its rule, its place and its model, and none of its figures."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from advisor.report.wording import name_by_keras

if TYPE_CHECKING:
    from advisor.graph import ModelGraph
    from advisor.model_source import Source
    from advisor.rules import Finding

_COUNTED = re.compile(r"(?P<stem>.+?)(_(?P<number>\d+))?(?P<call>#\d+)?")

GIVEN_BY_KERAS = frozenset({"model", "sequential", "functional"})


@dataclass(frozen=True, order=True)
class Identity:
    """A finding, as it is known again.

    Attributes:
        model: Name of the model, or of its file or function where nobody named it.
        code: The rule's code.
        layer: Path of the first layer it is about, with the numbers in names that Keras gave counted from the first
            one; empty where it is about the whole run.
    """

    model: str
    code: str
    layer: str

    def __str__(self) -> str:
        return f"{self.code} {self.layer or 'the run'} of {self.model}"


@dataclass(frozen=True)
class Names:
    """How models and layers are called, whatever was made before them in the same session.

    Keras counts the names it gives over a whole session: the first convolution is `conv2d` after a restart and
    `conv2d_7` in a notebook that made others before.

    Attributes:
        model: Name of the model.
        first: The number that Keras gave first, by the name it counts.
    """

    model: str
    first: Mapping[str, int]

    def identity(self, finding: Finding) -> Identity:
        """What a finding is known again by."""
        return Identity(self.model, finding.code, self.path(finding.layer or ""))

    def path(self, path: str) -> str:
        """The path of a layer, with the numbers that Keras gave counted from the first one."""
        return "/".join(map(self._counted_anew, path.split("/")))

    def _counted_anew(self, name: str) -> str:
        match = _COUNTED.fullmatch(name)
        if match is None or match["stem"] not in self.first:
            return name
        number = int(match["number"] or 0) - self.first[match["stem"]]
        return match["stem"] + (f"_{number}" if number else "") + (match["call"] or "")


def names_in(graph: ModelGraph, source: Source) -> Names:
    """The names in a model.

    Args:
        graph: The model's graph.
        source: Where it comes from.

    Returns:
        The names.

    Example:
    >>> import keras
    >>> from pathlib import Path
    >>> from advisor.graph import read_graph
    >>> from advisor.model_source import Source
    >>> stack = [keras.layers.Dense(2, name="dense_7"), keras.layers.Dense(2, name="head")]
    >>> model = keras.Sequential([keras.Input((3,)), *stack], name="sequential_3")
    >>> names = names_in(read_graph(model), Source("models/net.keras", Path("models/net.keras")))
    >>> names.model, names.path("dense_7"), names.path("head")
    ('net', 'dense', 'head')
    """
    classes = {name_by_keras(type(node.operation).__name__) for node in graph.nodes.values()} | GIVEN_BY_KERAS
    first: dict[str, int] = {}
    for name in {name for path in graph.nodes for name in path.split("/")}:
        match = _COUNTED.fullmatch(name)
        if match is not None and match["stem"] in classes:
            number = int(match["number"] or 0)
            first[match["stem"]] = min(number, first.get(match["stem"], number))
    return Names(_name_of_model(graph.model, source), first)


def fingerprints(identities: Iterable[Identity]) -> Iterator[str]:
    """A short text for each finding, the same in every run; findings that are known by the same get different ones."""
    seen: dict[Identity, int] = {}
    for identity in identities:
        seen[identity] = seen.get(identity, 0) + 1
        words = (identity.model, identity.code, identity.layer, str(seen[identity]))
        yield hashlib.sha256("\0".join(words).encode()).hexdigest()[:32]


def _name_of_model(model: object, source: Source) -> str:
    name = str(getattr(model, "name", ""))
    match = _COUNTED.fullmatch(name)
    is_given = match is not None and match["stem"] in GIVEN_BY_KERAS | {name_by_keras(type(model).__name__)}
    return source.stem if is_given or not name else name
