"""The drawing of a model as rows of a page: pictures of both models side by side, and groups that fold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from advisor.report.html.drawing_text import Shown, changes_in, full_text, plain_text
from advisor.report.html.figures import figure_of, svg_of
from advisor.report.html.layout import scenes_of_run
from advisor.report.html.model_drawing import Group, ModelDrawing, Side, Status
from advisor.report.html.pieces import Run, pieces_of
from advisor.report.html.theme import OF_PAGE, themed
from advisor.report.wording import counted

MOST_OPEN = 40
"""A model of no more layers is shown with all groups open."""


@dataclass(frozen=True)
class Picture:
    """One picture of a row.

    Attributes:
        side: Which of the models it shows.
        svg: The picture.
        is_both: Whether it stands for both models, which are alike there.
    """

    side: Side
    svg: str
    is_both: bool = False


@dataclass(frozen=True)
class Face:
    """A folded group in one model: its title, what is in it, and what changed."""

    side: Side
    title: str
    contents: str
    changes: str


@dataclass(frozen=True)
class Fold:
    """A group that opens.

    Attributes:
        id: Id of its inside, to which links lead.
        faces: What it shows while it is folded, by side; None where a model lacks it.
        status: What became of most of what changed in it, by which it is coloured.
        codes: Codes of the findings inside, each with the number of its first.
        is_open: Whether it is open from the start.
        is_alike: Whether both models are alike in it.
        is_attached: Whether a line comes in from above.
        rows: What is inside.
    """

    id: str
    faces: tuple[Face | None, ...]
    status: Status
    codes: tuple[tuple[int, str], ...]
    is_open: bool
    is_alike: bool
    is_attached: bool
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Row:
    """Pictures side by side, or a group that opens, perhaps with a note above."""

    pictures: tuple[Picture, ...] = ()
    fold: Fold | None = None
    note: str = ""


@dataclass(frozen=True)
class ModelRows:
    """The drawing of a model.

    Attributes:
        rows: The rows, from the inputs down.
        ids: Ids of what shows a layer in the first model, by path.
    """

    rows: tuple[Row, ...]
    ids: Mapping[str, str]

    @property
    def fold(self) -> bool:
        """Whether anything in it folds."""
        return any(row.fold for row in self.rows)

    @property
    def is_alike(self) -> bool:
        """Whether one drawing stands for both models."""
        return any(picture.is_both for row in self.rows for picture in row.pictures)


def rows_of(drawing: ModelDrawing) -> ModelRows:
    """Draw a model for a page.

    Args:
        drawing: The drawing, folded.

    Returns:
        Its rows.
    """
    return _Rows(drawing).all()


class _Rows:
    def __init__(self, drawing: ModelDrawing) -> None:
        self._drawing = drawing
        self._numbers = {box.key: number for number, box in enumerate(drawing.root.boxes())}
        self._blocks: dict[str, str] = {}
        self._are_open = len(self._numbers) <= MOST_OPEN
        self._pictures = 0
        self._ids: dict[str, str] = {}

    def all(self) -> ModelRows:
        sides = self._drawing.sides
        is_alike = len(sides) > 1 and self._drawing.root.status is Status.KEPT
        return ModelRows(tuple(self._rows(self._drawing.root, sides[:1] if is_alike else sides, is_alike)), self._ids)

    def _rows(self, group: Group, sides: Sequence[Side], is_both: bool) -> Iterator[Row]:
        apart: list[Group] = []
        for place, piece in enumerate(pieces_of(group, lambda inner: bool(inner.items))):
            if isinstance(piece, Group):
                yield Row(fold=self._fold(piece, sides, is_both, is_attached=place > 0))
                continue
            yield Row(pictures=tuple(self._draw(piece, sides, is_both)))
            apart += [inner for inner in piece.groups if inner.items]
        # Between the pieces it would look like one of them.
        for number, inner in enumerate(apart):
            note = "Drawn above as one box each:" if number == 0 else ""
            yield Row(fold=self._fold(inner, sides, is_both, is_attached=False), note=note)

    def _draw(self, run: Run, sides: Sequence[Side], is_both: bool) -> Iterator[Picture]:
        blocks = {group.key: self._block_id(group) for group in run.groups if group.items}
        boxes = {item.key: item for item in run.items}
        for side, scene in scenes_of_run(run, sides, Shown()).items():
            ids, titles = {}, {}
            for placed in scene.boxes:
                item = boxes[placed.key]
                if isinstance(item, Group):
                    continue
                name = f"layer-{self._numbers[item.key]}-{side}"
                ids[item.key], titles[name] = name, full_text(item, side)
                if side is Side.BEFORE:
                    self._ids[item.path] = name
            links = {key: f"#{block}" for key, block in blocks.items()}
            svg = svg_of(figure_of(scene, OF_PAGE, ids=ids, links=links))
            self._pictures += 1
            names = ", ".join(box.label.name for box in scene.boxes[:4])
            label = f"{'Before and after' if is_both else side.capitalize()}: {names or 'nothing'}"
            yield Picture(side, themed(svg, label=label, number=self._pictures, titles=titles), is_both)

    def _fold(self, group: Group, sides: Sequence[Side], is_both: bool, *, is_attached: bool) -> Fold:
        name = self._block_id(group)
        if group.own is not None and Side.BEFORE in group.sides:
            self._ids[group.own.path] = name
        is_alike = is_both or (len(sides) > 1 and group.status is Status.KEPT)
        inner = sides[:1] if is_alike else sides
        return Fold(
            id=name,
            faces=tuple(self._face(group, side) if side in group.sides else None for side in sides),
            status=group.status,
            codes=_codes(group),
            is_open=self._are_open,
            is_alike=is_alike,
            is_attached=is_attached,
            rows=tuple(self._rows(group, inner, is_alike)),
        )

    def _face(self, group: Group, side: Side) -> Face:
        kind = f"{group.kind}, " if group.kind else ""
        title = plain_text(group.title)
        return Face(side, title, f"{kind}{counted(group.layers(side), 'layer')}", changes_in(group, side))

    def _block_id(self, group: Group) -> str:
        return self._blocks.setdefault(group.key, f"block-{len(self._blocks)}")


def _codes(group: Group) -> tuple[tuple[int, str], ...]:
    first: dict[str, int] = {}
    for number, code in group.findings():
        first.setdefault(code, number)
    return tuple((number, code) for code, number in first.items())
