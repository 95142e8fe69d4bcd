"""What is written into the boxes of a drawing, and how wide that is."""

from __future__ import annotations

import unicodedata
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from advisor.graph.node_description import NodeDescription
from advisor.report.html.model_drawing import Box, Group, Side, Status
from advisor.report.wording import counted

_NEED_NO_NAME = frozenset({"filters", "units", "kernel_size", "pool_size", "padding", "activation", "rate"})

NAME_SIZE = 13.0
LINE_SIZE = 11.5
TAG_SIZE = 11.0
LINE_HEIGHT = 17.0
PADDING = 10.0


@dataclass(frozen=True)
class Shown:
    """What is written into a box besides the class and its arguments. Named as in `keras.utils.plot_model`."""

    shapes: bool = False
    dtype: bool = False
    names: bool = True
    activations: bool = False
    trainable: bool = False


@dataclass(frozen=True)
class Label:
    """The text of one box.

    Attributes:
        name: The first line.
        lines: Those below it.
        tag: What became of the layer; empty where it was kept.
        codes: Codes of the findings at it, with their numbers.
    """

    name: str
    lines: tuple[str, ...]
    tag: str = ""
    codes: tuple[tuple[int, str], ...] = ()


def label_of_box(box: Box, side: Side, shown: Shown) -> Label:
    """The text of the box of a layer.

    Args:
        box: The box.
        side: Which of the models.
        shown: What to tell.

    Returns:
        The label.
    """
    face = box.faces[side]
    summary = _summary(box, side)
    lines = [summary] if shown.names else []
    lines += _more_lines(face, shown)
    name = plain_text(face.name) if shown.names else summary
    return Label(name, tuple(map(plain_text, lines)), _tag(box), _codes(box.findings, side))


def label_of_group(group: Group, side: Side) -> Label:
    """The text of a box that stands for all that is in a group.

    Args:
        group: The group.
        side: Which of the models.

    Returns:
        The label.
    """
    kind = f"{group.kind}, " if group.kind else ""
    lines = [f"{kind}{counted(group.layers(side), 'layer')}"]
    changes = changes_in(group, side)
    return Label(plain_text(group.title), (*lines, *([changes] if changes else [])), "", _codes(group.findings(), side))


def changes_in(group: Group, side: Side) -> str:
    """What the rewrite did to the layers of a group, as far as one of the models shows it.

    Example:
    >>> changes_in(Group("", "empty", (), ()), Side.AFTER)
    ''
    """
    counts = group.counts()
    shown = (Status.CHANGED, Status.REMOVED if side is Side.BEFORE else Status.NEW)
    return ", ".join(f"{counts[status]} {status}" for status in shown if counts[status])


def plain_text(text: str) -> str:
    """Text that can stand in any file: characters that control something, and halves of characters, are replaced.

    Example:
    >>> plain_text("a" + chr(0) + "b") == "a" + chr(0xFFFD) + "b"
    True
    """
    return "".join("\ufffd" if unicodedata.category(char) in ("Cc", "Cs", "Co", "Cn") else char for char in text)


@lru_cache(maxsize=20_000)
def width_of(text: str, size: float, *, bold: bool = False) -> float:
    """Width of a line of text in pixels, in the font that comes with matplotlib; few others are wider."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(family="DejaVu Sans", size=size, weight="bold" if bold else "normal")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a character that the font lacks
        width, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    return float(width)


def elided(text: str, size: float, room: float, *, bold: bool = False) -> str:
    """Text without its middle where it is wider than the room, in pixels."""
    if width_of(text, size, bold=bold) <= room:
        return text
    kept = len(text)
    while kept > 4 and width_of(_without_middle(text, kept), size, bold=bold) > room:
        kept = min(kept - 1, int(kept * 0.95))
    return _without_middle(text, kept)


def _without_middle(text: str, kept: int) -> str:
    head = (kept + 1) // 2
    return f"{text[:head]}…{text[len(text) - (kept - head) :]}"


def full_text(box: Box, side: Side) -> str:
    """All that is known of a layer, for the text that pops up."""
    face = box.faces[side]
    lines = [plain_text(box.path), f"{face.kind}({', '.join(f'{k}={v!r}' for k, v in face.arguments.items())})"]
    lines += _more_lines(face, Shown(shapes=True, dtype=True, trainable=True))
    lines.append(f"{box.status}, {box.note}" if box.note else str(box.status))
    return "\n".join(map(plain_text, lines))


def _summary(box: Box, side: Side) -> str:
    """Class and arguments; of a changed layer only the arguments that differ."""
    face = box.faces[side]
    if face.kind == "InputLayer":
        return f"InputLayer · {_shapes(face.output_shapes)}"
    notes = _differences(box, side) if box.status is Status.CHANGED else _arguments(face)
    return f"{face.kind} · {', '.join(notes)}" if notes else face.kind


def _arguments(face: NodeDescription) -> list[str]:
    return [
        _value(value) if name in _NEED_NO_NAME else f"{name}={_value(value)}" for name, value in face.arguments.items()
    ]


def _differences(box: Box, side: Side) -> list[str]:
    """What a layer does not have in common with what it was, or became; all arguments of one of another class."""
    face, other = box.faces[side], box.faces[Side.AFTER if side is Side.BEFORE else Side.BEFORE]
    if face.kind != other.kind:
        return _arguments(face)
    missing = object()
    own = [f"{name}={_value(value)}" for name, value in face.values.items() if other.values.get(name, missing) != value]
    trainable = [f"trainable={face.trainable}"] if face.trainable != other.trainable else []
    dtype = [f"dtype={face.dtype}"] if face.dtype != other.dtype else []
    return [*own, *trainable, *dtype]


def _more_lines(face: NodeDescription, shown: Shown) -> list[str]:
    lines = []
    if shown.activations and face.activation:
        lines.append(f"activation: {face.activation}")
    if shown.shapes and face.output_shapes and face.kind != "InputLayer":
        lines.append(f"{_shapes(face.input_shapes)} → {_shapes(face.output_shapes)}")
    if shown.dtype and face.dtype:
        lines.append(f"dtype: {face.dtype}")
    if shown.trainable and face.trainable is not None:
        lines.append("trainable" if face.trainable else "not trainable")
    return lines


def _shapes(shapes: Sequence[tuple[int | None, ...]]) -> str:
    return ", ".join(f"({', '.join(map(str, shape))})" for shape in shapes) or "()"


def _value(value: Any) -> str:
    if isinstance(value, (tuple, list)) and value and all(isinstance(part, int) for part in value):
        return "×".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _tag(box: Box) -> str:
    """What became of a layer; nothing is said of one that was kept."""
    if "moved" in box.note:
        return box.note
    parts = [*([] if box.status is Status.KEPT else [str(box.status)]), *([box.note] if box.note else [])]
    return ", ".join(parts)


def _codes(findings: Sequence[tuple[int, str]], side: Side) -> tuple[tuple[int, str], ...]:
    """The first finding of each code; in the rewritten model they are mended."""
    if side is Side.AFTER:
        return ()
    first: dict[str, int] = {}
    for number, code in findings:
        first.setdefault(code, number)
    return tuple((number, code) for code, number in first.items())
