"""What the shell offers where a user presses tab; it is known without Keras, which takes seconds to import."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

_RULES = Path(__file__).parents[1] / "rules"
_RULE_FILE = re.compile(r"([a-z]+\d{3})_(\w+)")

BUDGETS = (("90s", "seconds"), ("5m", "minutes"), ("1h", "hours"))


def models(incomplete: str) -> list[str]:
    """Model files in the folder that is being written, and one level below it."""
    files = [*_matching(incomplete, "*.keras"), *_matching(incomplete, "*/*.keras")]
    return sorted({str(file) for file in files})


def arrays(incomplete: str) -> list[str]:
    """Files of arrays, likewise."""
    suffixes = (".npz", ".npy")
    files = [file for suffix in suffixes for depth in ("*", "*/*") for file in _matching(incomplete, depth + suffix)]
    return sorted({str(file) for file in files})


def codes(incomplete: str) -> list[tuple[str, str]]:
    """Codes of the advisor's own rules with their names, after a comma as well."""
    before, comma, begun = incomplete.rpartition(",")
    found = [(code, name) for code, name in _rules() if code.startswith(begun.upper())]
    # The shell offers only what begins as it was typed.
    return [(f"{before}{comma}{begun}{code[len(begun) :]}", name) for code, name in found]


def budgets(incomplete: str) -> list[tuple[str, str]]:
    """Budgets of a race in each of their units."""
    return [(budget, unit) for budget, unit in BUDGETS if budget.startswith(incomplete)]


def _matching(incomplete: str, pattern: str) -> Iterator[Path]:
    folder, slash, begun = incomplete.rpartition("/")
    place = Path(folder or slash or ".")
    escaped = re.sub(r"([\[*?])", r"[\1]", begun)
    return place.glob(f"{escaped}{pattern}")


def _rules() -> list[tuple[str, str]]:
    """Codes and names by the files of the rules."""
    found = (_RULE_FILE.fullmatch(file.stem) for file in _RULES.glob("*/*.py"))
    return sorted((match[1].upper(), match[2].replace("_", "-")) for match in found if match)
