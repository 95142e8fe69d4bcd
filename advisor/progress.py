"""A line on the terminal that says what is going on."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Say = Callable[[str], object]


@contextmanager
def working(doing: str, verbose: int | str) -> Iterator[Say]:
    """Shows that work is under way, while it is.

    Args:
        doing: What is being done, such as `"Looking at the data"`.
        verbose: 0 for silence, 1 or 2 for the line, `"auto"` for the line on a terminal only.

    Yields:
        A function that changes the line to another text.
    """
    if verbose == 0 or (verbose == "auto" and not sys.stderr.isatty()):
        yield silence
        return
    from rich.console import Console

    with Console(stderr=True).status(f"{doing} …") as status:
        yield lambda now: status.update(f"{now} …")


def silence(doing: str) -> None:
    """Says nothing."""
