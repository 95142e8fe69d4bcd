"""The result of a race for people: a sentence, and a table that fits 80 columns."""

from __future__ import annotations

import io
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from advisor.race.schedule import ORIGINAL
from advisor.race.statistics import FEWEST_SAMPLES

if TYPE_CHECKING:
    from advisor.race.result import RaceResult, Standing

WIDTH = 80

_STYLES = {"better": "green", "worse": "red", "did not train": "red"}


def sentence_of(result: RaceResult) -> str:
    """What a person would say of a race; it claims no difference that its interval does not support."""
    by_name = {standing.name: standing for standing in result.standings}
    original = by_name.get(ORIGINAL)
    compared = [one for one in result.standings if one.difference is not None]
    if original is None:
        return "Nothing was trained to its end."
    if original.failure:
        return _without_reference(result, original)
    if not compared:
        others = [one for one in result.standings if one.name != ORIGINAL]
        if others and all(one.failure for one in others):
            return f"Only the original trained: {_listed([one.title for one in others])} did not."
        return "No other candidate was trained over all epochs, so nothing can be said."
    if all(one.difference is not None and math.isinf(one.difference.half_width) for one in compared):
        return _by_luck(result, original, compared)
    return _capitalized("; ".join(_clauses(result, compared))) + "."


def _clauses(result: RaceResult, compared: Sequence[Standing]) -> Iterator[str]:
    better = [one for one in compared if one.verdict == "better"]
    equal = [one for one in compared if one.verdict == "no measurable difference"]
    if better:
        first, *others = better
        yield f"{first.title} beats the original by {_amount(result, first)}"
        yield from (f"{one.title} by {_amount(result, one)}" for one in others)
        if equal:
            yield f"{_listed([one.title for one in equal])} {_makes(equal)} no measurable difference"
    elif equal:
        yield (
            f"the original is as good as any: {_listed([one.title for one in equal])} {_makes(equal)} no measurable "
            f"difference ({_all_amounts(result, equal)})"
        )
    else:
        yield "the original is the best"
    for one in compared:
        if one.verdict == "worse":
            yield f"{one.title} is worse by {_amount(result, one)}"


def _without_reference(result: RaceResult, original: Standing) -> str:
    trained = [one for one in result.standings if not one.failure]
    said = f"The original did not train ({original.failure})"
    if not trained:
        return f"{said}, and neither did any other candidate."
    return f"{said}; {trained[0].title} does, with {_level(result, trained[0])}."


def _by_luck(result: RaceResult, original: Standing, compared: Sequence[Standing]) -> str:
    """Where no interval is finite: what is ahead, and what would tell."""
    best, *_ = sorted([*compared, original], key=lambda one: result.standings.index(one))
    other = compared[0] if best is original else original
    pair = f"{best.title} ({_level(result, best)}) and {other.title} ({_level(result, other)})"
    if result.samples < FEWEST_SAMPLES:
        few, more = f"Judged on {_count(result.samples, 'sample')} only", "more validation data"
    else:
        few, more = "Trained with a single seed", "more seeds or a larger budget"
    return f"{few}, {pair} cannot be told apart from luck; give {more}."


def _amount(result: RaceResult, standing: Standing) -> str:
    """The size of a difference with its interval, as in `3.1 ± 0.8 points of accuracy`."""
    assert standing.difference is not None
    mean, half_width = abs(standing.difference.mean), standing.difference.half_width
    return f"{mean:.1f} ± {half_width:.1f} {_unit(result)}"


def _all_amounts(result: RaceResult, standings: Sequence[Standing]) -> str:
    amounts = [_difference(standing) for standing in standings]
    return f"{', '.join(amounts)} {_unit(result)}"


def _unit(result: RaceResult) -> str:
    return f"points of {result.metric}" if result.counts_right_answers else "% of its loss"


def _level(result: RaceResult, standing: Standing) -> str:
    value = _value(result, standing.mean)
    return f"{value} {result.metric}" if result.counts_right_answers else f"a loss of {value}"


def _value(result: RaceResult, value: float) -> str:
    return f"{value:.1f}%" if result.counts_right_answers else f"{value:.4g}"


def _listed(texts: Sequence[str]) -> str:
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"


def _makes(standings: Sequence[Standing]) -> str:
    return "makes" if len(standings) == 1 else "make"


def _capitalized(text: str) -> str:
    return text[:1].upper() + text[1:]


def to_text(result: RaceResult) -> str:
    """A result as plain text, 80 columns wide.

    Args:
        result: The result.

    Returns:
        The text, without a newline at its end.
    """
    stream = io.StringIO()
    print_race(result, Console(file=stream, width=WIDTH, force_terminal=False, force_jupyter=False, color_system=None))
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines())


def print_race(result: RaceResult, console: Console | None = None) -> None:
    """Print a result: the sentence, the ranking, what took no part and why, and notes.

    Args:
        result: The result.
        console: Where to print; standard output when None.
    """
    console = console or Console()
    console.print(Text(result.sentence, "bold"))
    console.print(Text(_circumstances(result)))
    if result.standings:
        console.print(_table(result))
    for text in _remarks(result):
        console.print(Text(text))


def _circumstances(result: RaceResult) -> str:
    what = result.metric if result.counts_right_answers else "loss per sample"
    ended = "interrupted after" if result.interrupted else "took"
    return (
        f"{what} on {result.samples:,} validation samples · {_count(result.epochs, 'epoch')} · "
        f"{_count(result.seeds, 'seed')} · budget {result.budget}, {ended} {duration(result.seconds)}"
    )


def _table(result: RaceResult) -> Table:
    table = Table(box=box.HORIZONTALS, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("candidate", overflow="fold")
    for heading in ("accuracy" if result.counts_right_answers else "loss", "to original"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("verdict")
    for heading in ("epochs", "time"):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in result.standings:
        verdict = Text(_verdict(one), _STYLES.get(one.verdict or "", ""))
        name = Text(one.name, "bold" if one.name == result.winner else "")
        figures = ("" if one.failure else _with_spread(result, one), _difference(one))
        table.add_row(name, *figures, verdict, str(one.epochs), _clock(one.seconds))
    return table


def _with_spread(result: RaceResult, standing: Standing) -> str:
    level = _value(result, standing.mean)
    if len(standing.values) < 2:
        return level
    return f"{level} (sd {standing.spread:.2g})"


def _difference(standing: Standing) -> str:
    difference = standing.difference
    if difference is None:
        return ""
    half_width = "?" if math.isinf(difference.half_width) else f"{difference.half_width:.1f}"
    return f"{difference.mean:+.1f} ± {half_width}"


def _verdict(standing: Standing) -> str:
    if standing.failure:
        return f"did not train: {standing.failure}"
    if standing.verdict == "not in the final":
        return f"out in the {standing.rung}"
    return "not measurable" if standing.verdict == "no measurable difference" else standing.verdict or ""


def _remarks(result: RaceResult) -> Iterator[str]:
    reasons: defaultdict[str, list[str]] = defaultdict(list)
    for one in result.left_out:
        reasons[one.reason].append(one.name)
    for reason, names in reasons.items():
        yield f"Not raced, as {reason}: {', '.join(names)}"
    yield from result.notes


def notes_on_figures(standings: Sequence[Standing], samples: int) -> list[str]:
    """What to know of the intervals of a result, a sentence each.

    Args:
        standings: The standings.
        samples: Validation samples that they rest on.

    Returns:
        The sentences.
    """
    compared = [one for one in standings if one.difference is not None and one.difference.count > 1]
    notes = []
    if samples < FEWEST_SAMPLES:
        notes.append(f"No difference is claimed on fewer than {FEWEST_SAMPLES} validation samples for judging.")
    if len(compared) > 1:
        notes.append(
            f"Each interval holds by itself with 95 %, not the {len(compared)} of them together: a difference near the "
            "end of its interval deserves another race with more seeds."
        )
    return notes


def duration(seconds: float) -> str:
    """A time for people.

    Example:
    >>> duration(7.4), duration(312)
    ('7 s', '5 min 12 s')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
