"""The drawing of a model as a file of its own, with the arguments of `keras.utils.plot_model`."""

from __future__ import annotations

import os
from pathlib import Path

from advisor.output_files import checked_target, complete_file
from advisor.report.html.blocks import folded
from advisor.report.html.drawing_text import Shown
from advisor.report.html.figures import SUFFIXES, figure_of, own_style, write_figure
from advisor.report.html.layout import scenes_of_group
from advisor.report.html.model_drawing import ModelDrawing, Side
from advisor.report.html.scene import Scene, beside, mirrored, titled
from advisor.report.html.theme import LIGHT

WHAT = ("both", "before", "after")
DIRECTIONS = ("TB", "BT", "LR", "RL")
_GAP = 48.0
_HEAD = 28.0


def checked_picture(to_file: str | os.PathLike[str], *, what: str, rankdir: str, dpi: float) -> Path:
    """The file of a picture, once it and the choices are found usable.

    Args:
        to_file: Where to write it.
        what: `"both"`, `"before"` or `"after"`.
        rankdir: `"TB"`, `"BT"`, `"LR"` or `"RL"`.
        dpi: Dots per inch, above 0.

    Returns:
        The path.

    Raises:
        ValueError: If one of them is none of these, or the name ends in no known format.
        OSError: If nothing can be written there.
    """
    if what not in WHAT:
        raise ValueError(f"`what` must be one of {', '.join(map(repr, WHAT))}. Received: what={what!r}")
    if rankdir not in DIRECTIONS:
        raise ValueError(f"`rankdir` must be one of {', '.join(map(repr, DIRECTIONS))}. Received: rankdir={rankdir!r}")
    if not (isinstance(dpi, (int, float)) and dpi > 0):
        raise ValueError(f"`dpi` must be a number above 0. Received: dpi={dpi!r}")
    if Path(to_file).suffix not in SUFFIXES:
        raise ValueError(
            f"the name of the picture must end in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}, which says its format. "
            f"Received: to_file={str(to_file)!r}"
        )
    return checked_target(to_file)


def draw_picture(
    drawing: ModelDrawing,
    target: Path,
    *,
    what: str,
    shown: Shown,
    rankdir: str,
    expand_nested: bool,
    expand_blocks: bool,
    dpi: float,
) -> None:
    """Write the drawing of a model to a file.

    Args:
        drawing: The drawing.
        target: The file, as `checked_picture` gives it.
        what: Which of the models to draw.
        shown: What boxes tell.
        rankdir: In which direction the model runs.
        expand_nested: Whether nested models are drawn with what is in them.
        expand_blocks: Whether the blocks of a long model are.
        dpi: Dots per inch.

    Raises:
        OSError: If the file cannot be written.
    """
    sideways = rankdir in ("LR", "RL")
    scenes = scenes_of_group(
        folded(drawing).root,
        drawing.sides,
        shown,
        expand_nested=expand_nested,
        expand_blocks=expand_blocks,
        sideways=sideways,
    )
    wanted = [side for side in drawing.sides if what in ("both", side)] or [Side.BEFORE]
    drawn = [_directed(scenes[side], rankdir) for side in wanted]
    if len(drawn) > 1:
        drawn = [titled(scene, side, head=_HEAD) for scene, side in zip(drawn, wanted, strict=True)]
    with own_style(), complete_file(target) as temporary:
        write_figure(figure_of(beside(drawn, _GAP), LIGHT), temporary, LIGHT, dpi)


def _directed(scene: Scene, rankdir: str) -> Scene:
    return mirrored(scene) if rankdir in ("BT", "RL") else scene
