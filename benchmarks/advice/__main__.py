"""Measure the advice against its rivals.

    python -m benchmarks.advice [--quick] [--workers 2] [--tasks "plain CNN,wine MLP"] [--arms "as written,…"]
        [--again "measured advice"] [--render]

It needs `pip install -e '.[race]'` and the data of `benchmarks/datasets.py`.
Every training is kept when it is done, and a second call goes on from there. `KERAS_BACKEND=jax python -m
benchmarks.advice` trains on a GPU where JAX has one.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Each worker has one processor.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")

import argparse
import multiprocessing
from pathlib import Path

from rich.progress import Progress, TimeElapsedColumn, TimeRemainingColumn

from benchmarks.advice.arms import ARMS
from benchmarks.advice.cells import CELLS, FOLDER, Cell, mark_outdated, measured, quieten

SEEDS = (0, 1, 2)
QUICK_TASKS = ("dropout before BN", "wine MLP", "diabetes MLP", "MLP on bytes")
QUICK_BATCH_SIZES = (8, 64)


def main() -> None:
    options = _options()
    if options.render:
        from benchmarks.advice.page import render

        render(options.folder)
        return
    cells = [cell for cell in CELLS if _is_wanted(cell, options)]
    arms = [name for name in ARMS if options.arms is None or name in options.arms.split(",")]
    for cell in cells:
        mark_outdated(cell, options.again.split(",") if options.again else (), options.folder)
    work = [(cell, arms, SEEDS, options.folder) for cell in cells]
    with (
        multiprocessing.get_context("spawn").Pool(options.workers, initializer=quieten, maxtasksperchild=4) as pool,
        Progress(*Progress.get_default_columns()[:2], TimeElapsedColumn(), TimeRemainingColumn()) as progress,
    ):
        shown = progress.add_task("cells", total=len(work))
        for lines in pool.imap_unordered(measured, work):
            for line in lines:
                progress.console.print(line, highlight=False)
            progress.advance(shown)


def _is_wanted(cell: Cell, options: argparse.Namespace) -> bool:
    if options.quick:
        return cell.task in QUICK_TASKS and cell.batch_size in QUICK_BATCH_SIZES
    named = options.tasks is None or cell.task in options.tasks.split(",")
    return named and (options.batch_sizes is None or str(cell.batch_size) in options.batch_sizes.split(","))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few tasks, in about 20 minutes")
    parser.add_argument("--tasks", help="names of tasks, with commas between")
    parser.add_argument("--batch-sizes", help="batch sizes, with commas between")
    parser.add_argument("--arms", help="names of arms, with commas between")
    parser.add_argument("--again", help="arms that are to decide anew, with commas between")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--render", action="store_true", help="write docs/benchmarks.md from what is measured")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    return parser.parse_args()


if __name__ == "__main__":
    main()
