"""The page: `docs/benchmarks.md` and its pictures, from the committed results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl

from benchmarks.advice import arms as arm
from benchmarks.advice.cells import CELLS, FOLDER, Record
from benchmarks.advice.pictures import draw
from benchmarks.advice.summary import counted, difference, goals, has, median_with_interval, points
from benchmarks.advice.tasks import BATCH_SIZES, TASKS, Task

PAGE = Path("docs/benchmarks.md")
PICTURES = Path("docs/benchmarks")
TUNED = Path(__file__).with_name("tuned.md")

INTRODUCTION = """\
# Does the advice help?

Real tasks, models as people write them, some with a typical mistake, trained at batch sizes of 2, 8 and 64: as they are
written, as the advisor advises, and as its rivals do. This page is made by `python -m benchmarks.advice --render` from
`benchmarks/results/advice/`, which `python -m benchmarks.advice` measures; `--quick` measures a part in 20 minutes, and
`KERAS_BACKEND=jax` trains on a GPU where JAX has one.

- **as written**: the model and its `compile`, as they are.
- **static advice**: `advise(model, batch_size=…, epochs=…, steps_per_epoch=…)`, applied, with its plan.
- **measured advice**: `advise` with the training and validation data as well.
- **race**: `advice.race`, with a budget of 10 trainings; the winner is trained.
- **BN everywhere**: batch normalization behind every hidden layer, and in the place of every other normalization.
- **random fixes**: as many changes as the measured advice makes, drawn from the menu, other ones for every seed. Tools
  that repair networks are known to lose to this control (arXiv:2301.11568).
- **search**: Optuna (TPE) over the same menu for ten times the compute of the measured advice, its training included,
  chosen by validation points, the model as written among the choices.

The menu holds normalizations, dropout and its rates, L2 penalties, decoupled decay, learning rates, clipping, scaled
inputs, label smoothing, augmentation, early stopping, recomputed batch statistics and rates reduced on plateaus. All
arms get the same samples, epochs and seeds; the test part is used once per training, for the figures below. Points are
hundredths of accuracy, or of R² in regressions and reconstructions (at least -100). An interval is the 95 % interval of
the paired difference over seeds and over test samples together; **+** and **−** mark differences beyond it.
"""


def render(folder: Path = FOLDER, page: Path = PAGE, pictures: Path = PICTURES) -> None:
    """Write the page and its pictures.

    Args:
        folder: Where the records are.
        page: The page.
        pictures: Where its pictures go.
    """
    records = [cell.record(folder) for cell in CELLS]
    with mpl.rc_context():
        # Whatever style was set before.
        mpl.rcdefaults()
        mpl.rcParams["svg.hashsalt"] = "benchmarks"
        for task in TASKS:
            cells = _cells_of(task, records)
            if cells:
                draw(task, cells, pictures / f"{_slug(task)}.svg")
    page.write_text(text(records), "utf-8")


def text(records: Sequence[Record]) -> str:
    """The page as Markdown."""
    known = [record for record in records if has(record)]
    parts = [INTRODUCTION, _goals(known), _arms(known), TUNED.read_text("utf-8")]
    parts += [_task(task, _cells_of(task, known)) for task in TASKS if _cells_of(task, known)]
    return "\n".join(parts)


def _goals(records: Sequence[Record]) -> str:
    rows = [
        f"| {goal.name} | {goal.aim} | {goal.reached} | {'met' if goal.is_met else '**missed**'} |"
        for goal in goals(records)
    ]
    head = ["| | goal | reached | |", "|---|---|---|---|"]
    return "\n".join(
        ["## Goals", "", f"{len(records)} of {len(CELLS)} cells (task × batch size).", "", *head, *rows, ""]
    )


def _arms(records: Sequence[Record]) -> str:
    rows = []
    for name in arm.ARMS[1:]:
        measured = [record for record in records if has(record, name)]
        if measured:
            gain = median_with_interval([difference(record, name).mean for record in measured])
            better, cells = counted(measured, lambda record, name=name: difference(record, name).low > 0)
            worse, _ = counted(measured, lambda record, name=name: difference(record, name).high < 0)
            rows.append(f"| {name} | {gain.mean:+.1f} ± {gain.half_width:.1f} | {better} | {worse} | {cells} |")
    head = ["| arm | median gain, points | better in | worse in | cells |", "|---|---|---|---|---|"]
    return "\n".join(["## Arms", "", "Better and worse than as written, beyond the interval.", "", *head, *rows, ""])


def _task(task: Task, records: Sequence[Record]) -> str:
    names = [name for name in arm.ARMS if any(has(record, name) for record in records)]
    head = f"| batch | {' | '.join(names)} |\n|{'---|' * (len(names) + 1)}"
    rows = [f"| {record['batch size']} | {' | '.join(_shown(record, name) for name in names)} |" for record in records]
    about = (
        f"{(task.model.__doc__ or '').strip()} {task.sizes[0]:,} samples of {task.data}, {task.epochs} epochs (half as "
    )
    about += f"many at batch 2). {f'Mistake: {task.mistake}. ' if task.mistake else ''}Points of {task.unit}."
    advice = [_advice(record) for record in records if has(record, arm.MEASURED)]
    picture = f"![Gains of every arm]({PICTURES.name}/{_slug(task)}.svg)"
    return "\n".join([f"## {task.name}", "", about, "", picture, "", head, *rows, "", *advice, ""])


def _advice(record: Record) -> str:
    said = record["arms"][arm.MEASURED]["said"]
    codes = sorted({fix.split(":")[0] for fix in [*said["fixes"], *said["plan"]]})
    return f"- Advice at batch {record['batch size']}: {', '.join(codes) or 'none'}"


def _shown(record: Record, name: str) -> str:
    if not has(record, name):
        return ""
    mean = f"{points(record, name).mean():.1f}"
    if name == arm.AS_WRITTEN:
        return mean
    gain = difference(record, name)
    return f"{mean} **{'+' if gain.low > 0 else '−'}**" if gain.excludes_zero else mean


def _cells_of(task: Task, records: Sequence[Record]) -> list[Record]:
    found = [record for record in records if record["task"] == task.name and has(record)]
    return sorted(found, key=lambda record: BATCH_SIZES.index(record["batch size"]))


def _slug(task: Task) -> str:
    return task.name.lower().replace(" ", "-")
