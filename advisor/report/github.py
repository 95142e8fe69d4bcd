"""Findings as annotations of GitHub Actions: commands on standard output that the runner shows at the file.

Source: https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands; the escaping is that of
`@actions/core`, https://github.com/actions/toolkit/blob/main/packages/core/src/command.ts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from advisor.report.checked import Checked, Unread
from advisor.report.wording import counted, missing, remedy

if TYPE_CHECKING:
    from advisor.rules import Finding

_COMMANDS = {"error": "error", "warning": "warning", "info": "notice"}


def to_github(checked: Sequence[Checked], unread: Sequence[Unread]) -> str:
    """The annotations of a run.

    Args:
        checked: Models that were examined.
        unread: Models that could not be.

    Returns:
        One command per line, without a newline at the end; empty where there is nothing to say.
    """
    lines = [line for one in checked for line in _of_model(one)]
    lines += [_command("error", {"title": f"{one.name} was not examined"}, one.error) for one in unread]
    return "\n".join(lines)


def _of_model(checked: Checked) -> Iterator[str]:
    examination = checked.examination
    place = {"file": checked.source.place, "line": str(checked.source.line)}
    for finding in examination.findings:
        title = f"{finding.code} {finding.name}"
        yield _command(_COMMANDS[finding.severity], {**place, "title": title}, _told(finding))
    for failure in examination.failures:
        yield _command("error", {**place, "title": f"{failure.code} failed, please report it"}, failure.error)
    for probe in examination.not_measured:
        yield _command("warning", {**place, "title": f"{probe.probe} could not be measured"}, probe.error)
    if examination.not_run:
        title = f"{counted(len(examination.not_run), 'rule')} did not run"
        said = "\n".join(f"{', '.join(codes)}: missing {needs}" for needs, codes in missing(examination.not_run))
        yield _command("notice", {**place, "title": title}, said)
    if checked.gone:
        title = f"{counted(len(checked.gone), 'finding')} of the baseline no longer found"
        yield _command("notice", {**place, "title": title}, "\n".join(map(str, checked.gone)))


def _told(finding: Finding) -> str:
    place = ", ".join(finding.layers) or "the run"
    return "\n".join([f"{place}: {finding.message}", finding.why, *remedy(finding)])


def _command(name: str, properties: Mapping[str, str], message: str) -> str:
    told = ",".join(f"{key}={_escaped_property(value)}" for key, value in properties.items())
    return f"::{name} {told}::{_escaped(message)}"


def _escaped(text: str) -> str:
    """The percent sign first, for the others are written with it."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escaped_property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")
