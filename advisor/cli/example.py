"""What the help of a command shows of its use."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Example:
    """One use of a command.

    Attributes:
        what: What a user wants.
        command: The command line for it; at most 78 characters, so that the help fits 80 columns.
    """

    what: str
    command: str
