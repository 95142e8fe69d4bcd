"""What is to be drawn of a model before and after its rewrite: plain data, with nothing said of where it stands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from advisor.graph.node_description import NodeDescription


class Side(StrEnum):
    """One of the two models."""

    BEFORE = "before"
    AFTER = "after"


class Status(StrEnum):
    """What the rewrite did to a layer."""

    KEPT = "kept"
    CHANGED = "changed"
    NEW = "new"
    REMOVED = "removed"


@dataclass(frozen=True)
class Box:
    """One call of a layer.

    Attributes:
        key: What edges name it by; unique in the drawing.
        path: Path of the node.
        status: What became of it.
        faces: What is to be told of it in each model that has it.
        findings: Numbers of the findings that name it, with their codes.
        note: What else to say, such as that it moved.
    """

    key: str
    path: str
    status: Status
    faces: Mapping[Side, NodeDescription]
    findings: tuple[tuple[int, str], ...] = ()
    note: str = ""

    @property
    def sides(self) -> frozenset[Side]:
        """The models that have it."""
        return frozenset(self.faces)

    @property
    def name(self) -> str:
        """Name of its layer."""
        return next(iter(self.faces.values())).name

    @property
    def is_input(self) -> bool:
        """Whether it is an input, and so no layer that anybody counts."""
        return next(iter(self.faces.values())).kind == "InputLayer"

    def boxes(self) -> Iterator[Box]:
        """Itself, as a group has those in it."""
        yield self


@dataclass(frozen=True)
class Edge:
    """What one item hands to another.

    Attributes:
        source: Key of the item that hands on.
        target: Key of the item that takes.
        sides: The models in which it does.
        known: Whether it is known that it does; else the two only stand one below the other.
    """

    source: str
    target: str
    sides: frozenset[Side]
    known: bool = True


@dataclass(frozen=True)
class Group:
    """Items that fold into one: a nested model, a hand-written layer with layers in it, or a block.

    Attributes:
        key: What edges name it by; unique in the drawing.
        title: What it is called.
        items: What is in it, each after what it depends on.
        edges: What those hand to each other, read from `INPUT` and hand to `OUTPUT`.
        kind: Class of the nested model or layer; empty for a block, whose items stand in the model itself.
        sides: The models that have it.
        own: The box of the nested model or layer itself; None for a block.
    """

    key: str
    title: str
    items: tuple[Box | Group, ...]
    edges: tuple[Edge, ...]
    kind: str = ""
    sides: frozenset[Side] = frozenset(Side)
    own: Box | None = None

    def boxes(self) -> Iterator[Box]:
        """All boxes in it, those of its groups included."""
        for item in self.items:
            yield from item.boxes()

    def layers(self, side: Side) -> int:
        """How many layers one of the models has in it; inputs are none."""
        return sum(side in box.faces and not box.is_input for box in self.boxes())

    def counts(self) -> Counter[Status]:
        """How many of its boxes the rewrite did what to."""
        return Counter(box.status for box in self.boxes() if not box.is_input)

    @property
    def status(self) -> Status:
        """What became of it as a whole."""
        own = Status.KEPT if self.own is None else self.own.status
        if own in (Status.NEW, Status.REMOVED):
            return own
        return Status.KEPT if own is Status.KEPT and set(self.counts()) <= {Status.KEPT} else Status.CHANGED

    def findings(self) -> tuple[tuple[int, str], ...]:
        """The findings at anything in it, the group itself included."""
        at = [*(self.own.findings if self.own else ()), *(one for box in self.boxes() for one in box.findings)]
        return tuple(dict.fromkeys(at))


Item = Box | Group

INPUT, OUTPUT = "\0in", "\0out"
"""What edges of a group name by these comes into it and goes out of it."""


@dataclass(frozen=True)
class ModelDrawing:
    """A model, beside its rewrite where there is one.

    Attributes:
        name: Name of the model.
        root: The model itself.
        sides: Which models are there.
        remarks: What to know about the drawing, a sentence each.
    """

    name: str
    root: Group
    sides: tuple[Side, ...]
    remarks: tuple[str, ...] = field(default=())
