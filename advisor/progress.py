"""What says on the terminal that work is under way, how far it is, and how long it will take."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.console import Console

BAR_WIDTH = 20


class Say(Protocol):
    """Tells whoever watches what is being done, and, where that is known, how far it is."""

    def __call__(self, doing: str, share: float | None = None) -> object:
        """Tell it.

        Args:
            doing: What is being done, such as `"Looking at the data"`.
            share: How much of the whole is done, 0 to 1; None where that is as it was.
        """


@contextmanager
def working(doing: str, verbose: int | str) -> Iterator[Say]:
    """Shows that work is under way, while it is.

    Args:
        doing: What is being done, such as `"Looking at the data"`.
        verbose: 0 for silence, 1 for a line that moves and vanishes at the end, 2 for a line per step that stays, as a
            log needs it, `"auto"` for 1 on a terminal and 0 elsewhere. 1 is taken as 2 where there is no terminal.

    Yields:
        What to tell of the work.
    """
    is_seen = sys.stderr.isatty()
    if verbose == 0 or (verbose == "auto" and not is_seen):
        yield silence
    elif verbose == 2 or not is_seen:
        log = Log(doing)
        yield log
        log.end()
    else:
        from rich.console import Console

        with moving_line(doing, Console(stderr=True)) as say:
            yield say


def silence(doing: str, share: float | None = None) -> None:
    """Says nothing."""


class Log:
    """A line on standard error for every step, with the seconds it took, once it is done.

    Args:
        doing: The first step.
    """

    def __init__(self, doing: str) -> None:
        self._doing, self._began = doing, time.monotonic()

    def __call__(self, doing: str, share: float | None = None) -> None:
        """End a step and begin the next; how far one step is makes no line of its own."""
        if share is None:
            self.end()
            self._doing, self._began = doing, time.monotonic()

    def end(self) -> None:
        """End the last step."""
        print(f"{self._doing}: {time.monotonic() - self._began:.1f} s", file=sys.stderr)


@contextmanager
def moving_line(doing: str, console: Console) -> Iterator[Say]:
    """One line that says what is being done: with a bar and the time left once that is known, else with the time spent.

    Args:
        doing: What is being done.
        console: Where to show it; the line vanishes at the end.

    Yields:
        What to tell of the work.
    """
    from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
    from rich.table import Column
    from rich.text import Text

    class Bar(BarColumn):
        def render(self, task: Task) -> object:  # type: ignore[override]
            return Text() if task.total is None else super().render(task)

    class Time(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(told_time(task.elapsed or 0.0, None if task.total is None else task.completed))

    what = Column(ratio=1, no_wrap=True, overflow="ellipsis")
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description} …", markup=False, table_column=what),
        Bar(BAR_WIDTH),
        Time(),
    )
    with Progress(*columns, console=console, transient=True, expand=True) as progress:
        line = progress.add_task(doing, total=None)

        def say(doing: str, share: float | None = None) -> None:
            progress.update(line, description=doing)
            if share is not None:
                progress.update(line, total=1.0, completed=share)

        yield say


def told_time(spent: float, share: float | None) -> str:
    """The time that a piece of work will still take, or where that cannot be told, has taken.

    Args:
        spent: Seconds since it began.
        share: How much of it is done, 0 to 1, or None.

    Returns:
        The time in words.

    Example:
    >>> told_time(30, 0.25), told_time(100, None)
    ('1:30 left', '1:40')
    """
    if not share:
        return _clock(spent)
    return f"{_clock(spent / share - spent)} left"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}"
