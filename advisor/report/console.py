"""Findings and rewrites for people: tables that fit 80 columns, details below them, no colour where nobody sees it."""

from __future__ import annotations

import io
import re
import textwrap
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from rich import box
from rich.console import Console
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from advisor.figures import as_figure
from advisor.report import wording
from advisor.report.wording import counted

if TYPE_CHECKING:
    from advisor.facts import Facts, Measurement
    from advisor.facts.probes import ProbeFailure
    from advisor.report.checked import Checked
    from advisor.rewrite import Rewrite
    from advisor.rules import Finding, Fix
    from advisor.rules.examination import Examination, NotRun

Item = TypeVar("Item")

WIDTH = 80
MOST_ALIKE = 6
"""So many findings of one rule are shown one by one; the rest are counted, and stand in the JSON report."""

_LABEL_WIDTH = 10
_MOST_OF_ERROR = 300
_WHERE_WIDTH = 24
_LINE_WIDTH = 100
_WRAPPED = frozenset({"where", "what", "fix", "why"})
_STYLES = {"error": "bold red", "warning": "yellow", "info": "blue"}
_SIGNS = {"-": "red", "+": "green"}
_NAMED_IN_TEXT = r"`[^`]+`"


def to_text(examination: Examination) -> str:
    """An examination as plain text, 80 columns wide.

    Args:
        examination: What the rules said.

    Returns:
        The text, without a newline at its end.
    """
    return as_text(lambda console: print_examination(examination, console))


def as_text(show: Callable[[Console], None]) -> str:
    """What something prints, as plain text, 80 columns wide.

    Args:
        show: Prints it.

    Returns:
        The text, without a newline at its end.
    """
    stream = io.StringIO()
    # In a notebook Rich would show each line as an output of its own and leave the stream empty.
    show(Console(file=stream, width=WIDTH, force_terminal=False, force_jupyter=False, color_system=None))
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines())


def print_check(checked: Sequence[Checked], console: Console) -> None:
    """Print what was found in models, one after the other.

    Args:
        checked: Models that were examined.
        console: Where to print.
    """
    for number, one in enumerate(checked):
        if number:
            console.print()
        if len(checked) > 1:
            console.print(Rule(Text(one.source.name), align="left", characters="─"))
        print_examination(one.examination, console)
        _print_baseline(one, console)
        if one.rewrite is not None:
            console.print()
            print_diff(one.rewrite, console)
            print_rewrite(one.rewrite, console)


def print_examination(examination: Examination, console: Console | None = None) -> None:
    """Print what the rules said: the findings as a table, then the details of each, then what did not run.

    Args:
        examination: What the rules said.
        console: Where to print; standard output when None.
    """
    console = console or Console()
    _print_subject(examination.facts, console)
    if examination.findings:
        console.print(_findings_table(examination.findings))
        for alike in wording.alike(examination.findings):
            _print_details(alike, console)
    _print_not_run(examination.not_run, console)
    for failure in examination.failures:
        _print_labelled(failure.code, f"failed, please report it: {failure.error}", console, style="bold red")
    _print_not_measured(examination.not_measured, console)
    console.print()
    console.print(_summary(examination.findings, ignored=len(examination.ignored)))


def print_rewrite(rewrite: Rewrite, console: Console | None = None) -> None:
    """Print what a rewrite did: the fixes in it, those that are not and why, and where the weights come from.

    Args:
        rewrite: The rewrite.
        console: Where to print; standard output when None.
    """
    console = console or Console()
    if rewrite.applied:
        table = _table("applied", "where", "fix", "round", "parity")
        for alike in _same_but_for_names(rewrite.applied, lambda fix: f"{fix.round} {_cure(fix.finding).title}"):
            finding, cure = alike[0].finding, _cure(alike[0].finding)
            where = _places(finding, more=len(alike) - 1)
            parity = _parity(alike[0].difference, cure.safety)
            table.add_row(finding.code, where, _prose(cure.title), str(alike[0].round), parity)
        console.print(table)
    if rewrite.skipped:
        table = _table("skipped", "where", "why")
        for left in _same_but_for_names(rewrite.skipped, lambda fix: f"{fix.finding.code} {fix.reason}"):
            table.add_row(left[0].finding.code, _places(left[0].finding, more=len(left) - 1), _prose(left[0].reason))
        console.print(table)
    for note in rewrite.notes:
        console.print(_prose(note))
    console.print(Text(f"{wording.account_of(rewrite)}.", "bold"))


def print_diff(rewrite: Rewrite, console: Console) -> None:
    """Print the layers before and after a rewrite as a diff; what goes on in the next line has the sign of its line.

    Args:
        rewrite: The rewrite.
        console: Where to print.
    """
    for line in rewrite.diff.splitlines():
        sign, style = line[:1], _SIGNS.get(line[:1], "")
        wrapped = textwrap.wrap(line, console.width, subsequent_indent=f"{sign}    ", break_on_hyphens=False)
        for part in wrapped:
            console.print(Text(part, style), soft_wrap=True)


def _print_baseline(checked: Checked, console: Console) -> None:
    if checked.known:
        console.print(f"{counted(checked.known, 'finding')} more in the baseline.")
    if checked.gone:
        console.print(f"{counted(len(checked.gone), 'finding')} of the baseline no longer found; write it anew.")
        for label, text in _listed("gone", map(str, checked.gone)):
            _print_labelled(label, text, console)


def _print_subject(facts: Facts, console: Console) -> None:
    console.print(Text(facts.graph.model.name, "bold") + Text(" · " + " · ".join(wording.shape_of_model(facts))))
    known = wording.known_of_run(facts)
    if known:
        console.print(_prose(" · ".join(known)))


def _findings_table(findings: Sequence[Finding]) -> Table:
    table = _table("code", "severity", "where", "what")
    shown: Counter[str] = Counter()
    totals = Counter(finding.code for finding in findings)
    for finding in findings:
        shown[finding.code] += 1
        if shown[finding.code] <= MOST_ALIKE:
            severity = Text(finding.severity, _STYLES[finding.severity])
            table.add_row(finding.code, severity, _places(finding), _prose(finding.message))
        elif shown[finding.code] == totals[finding.code]:
            table.add_row(finding.code, "", "", f"and {_more(totals[finding.code])}")
    return table


def _table(*headings: str) -> Table:
    table = Table(box=box.HORIZONTALS, padding=(0, 1, 0, 0), header_style="bold")
    for heading in headings:
        table.add_column(
            heading,
            overflow="fold",
            no_wrap=heading not in _WRAPPED,
            max_width=_WHERE_WIDTH if heading == "where" else None,
        )
    return table


def _print_details(alike: Sequence[Finding], console: Console) -> None:
    first = alike[0]
    console.print()
    console.print(Text(f"{first.code} {first.name}", "bold") + Text(f" · {first.confidence}", "dim"))
    for label, text in _details(alike):
        _print_labelled(label, text, console)


def _details(alike: Sequence[Finding]) -> Iterator[tuple[str, str]]:
    first = alike[0]
    yield "why", first.why
    yield from _listed("measured", [_figure(finding, m) for finding in alike for m in finding.measurements])
    fixable = [finding for finding in alike if finding.fix]
    yield from _listed("fix", map(_cures, _same_but_for_names(fixable, lambda finding: _cure(finding).title)))
    yield from _listed("training", [change.title for finding in alike for change in finding.plan])
    for finding in alike:
        if finding.refusal is not None:
            yield "no fix", f"{_places(finding)}: {finding.refusal}"
    yield from _listed("see", [f"{reference.authors} {reference.url}" for reference in first.references])


def _figure(finding: Finding, measurement: Measurement) -> str:
    place = f"`{finding.layer}` " if finding.layer else ""
    limit = "" if measurement.threshold is None else f"; the limit is {as_figure(measurement.threshold)}"
    return f"{place}{measurement}{limit}"


def _listed(label: str, texts: Iterable[str]) -> Iterator[tuple[str, str]]:
    distinct = list(dict.fromkeys(texts))
    for text in distinct[:MOST_ALIKE]:
        yield label, text
        label = ""
    if len(distinct) > MOST_ALIKE:
        yield "", f"and {_more(len(distinct))}"


def _print_labelled(label: str, text: str, console: Console, style: str = "dim") -> None:
    """A label and its text, wrapped under itself; links are never broken."""
    # Rich would cut links that are longer than a line.
    width = max(min(console.width, _LINE_WIDTH) - _LABEL_WIDTH - 2, 20)
    lines = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
    indented = ("\n" + " " * (_LABEL_WIDTH + 2)).join(lines)
    console.print(Text("  ") + Text(f"{label:{_LABEL_WIDTH}}", style) + _prose(indented), soft_wrap=True)


def _print_not_run(not_run: Sequence[NotRun], console: Console) -> None:
    if not not_run:
        return
    console.print()
    console.print(Text(f"{counted(len(not_run), 'rule')} did not run", "bold"))
    for what, codes in wording.missing(not_run):
        _print_labelled("missing", f"{what}: {', '.join(codes)}", console)


def _print_not_measured(failures: Sequence[ProbeFailure], console: Console) -> None:
    if not failures:
        return
    console.print()
    console.print(Text(f"{counted(len(failures), 'figure')} could not be measured on the data", "bold"))
    for error, names in wording.unmeasured(failures):
        _print_labelled("failed", f"{', '.join(names)}: {_shortened(error)}", console)


def _summary(findings: Sequence[Finding], *, ignored: int) -> Text:
    unsaid = f" {counted(ignored, 'more finding')} ignored at their layers." if ignored else ""
    if not findings:
        return Text(f"Nothing found.{unsaid}", "bold green")
    severities = Counter(finding.severity for finding in findings)
    counts = ", ".join(counted(number, severity) for severity, number in severities.items())
    safeties = Counter(finding.fix.safety for finding in findings if finding.fix)
    fixable = ", ".join(f"{number} {safety}" for safety, number in sorted(safeties.items())) or "none"
    return Text(f"{counted(len(findings), 'finding')}: {counts}. Fixable: {fixable}.{unsaid}", "bold")


def _same_but_for_names(items: Iterable[Item], words: Callable[[Item], str]) -> Iterable[Sequence[Item]]:
    """Items whose words differ in nothing but the names in backticks, together."""
    groups: defaultdict[str, list[Item]] = defaultdict(list)
    for item in items:
        groups[re.sub(_NAMED_IN_TEXT, "``", words(item))].append(item)
    return groups.values()


def _cures(findings: Sequence[Finding]) -> str:
    first, others = _cure(findings[0]), len(findings) - 1
    return f"{first.title} ({first.safety})" + (f", and {others} more likewise" if others else "")


def _cure(finding: Finding) -> Fix:
    assert finding.fix is not None
    return finding.fix


def _parity(difference: float | None, safety: str) -> str:
    """How far the outputs moved; they were not compared where the fix changes the function anyway."""
    if difference is not None:
        return f"{difference:.0e}" if difference else "0"
    return "unverified" if safety == "exact" else safety


def _places(finding: Finding, more: int = 0) -> str:
    """The first place of a finding, the number of its others, and that of further findings that read alike."""
    others = f" +{len(finding.layers) - 1}" if len(finding.layers) > 1 else ""
    return f"{finding.layer or 'the run'}{others}" + (f"\nand {more} more" if more else "")


def _prose(text: str) -> Text:
    """Text with the names in backticks set off; square brackets are no markup."""
    prose = Text(text)
    prose.highlight_regex(_NAMED_IN_TEXT, "cyan")
    return prose


def _shortened(error: str) -> str:
    """An error without what backends quote behind it; the JSON report has it whole."""
    return textwrap.shorten(error, _MOST_OF_ERROR, placeholder=" …")


def _more(total: int) -> str:
    return f"{total - MOST_ALIKE} more like these; the JSON report has them all"
