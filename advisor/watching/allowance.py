"""The time that looks may take from a run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

FREE_SECONDS = 5.0


class Allowance:
    """A few seconds, and a share of the time that training takes.

    Args:
        share: The share, at least 0.
        now: The clock, in seconds.

    Attributes:
        spent: Seconds that looks have taken.

    Example:
    >>> times = iter([0.0, 0.0, 4.0, 5.0, 100.0])
    >>> allowance = Allowance(0.05, now=lambda: next(times))
    >>> with allowance.spending():
    ...     pass  # 4 of 5 seconds
    >>> allowance.suffices, round(allowance.seconds, 2)
    (False, 5.8)
    """

    def __init__(self, share: float, now: Callable[[], float] = time.monotonic) -> None:
        self._share, self._now = share, now
        self._began = now()
        self.spent = self._last = 0.0

    @property
    def seconds(self) -> float:
        """What is left for the next look."""
        trained = self._now() - self._began - self.spent
        return FREE_SECONDS + self._share * trained - self.spent

    @property
    def suffices(self) -> bool:
        """Whether what is left is enough for a look like the last one."""
        return self.seconds > self._last

    @contextmanager
    def spending(self) -> Iterator[None]:
        """Takes the time of the block from what is left."""
        begin = self._now()
        try:
            yield
        finally:
            self._last = self._now() - begin
            self.spent += self._last
