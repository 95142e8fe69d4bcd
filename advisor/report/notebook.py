"""The short form of the report, for notebooks: a table of the findings that needs no library."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING

from advisor.report.wording import alike, counted, known_of_run, shape_of_model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from advisor.rules import Finding
    from advisor.rules.examination import Examination

_STYLE = """\
.normpack-advice { color-scheme: light dark; --text: #1d232b; --muted: #5b6675; --line: #dde2e8; --page: #ffffff;
  --error: #b3261e; --warning: #8a5300; --info: #0b62ba; max-width: 60rem; padding: 1rem 1.25rem; border: 1px solid
  var(--line); border-radius: 10px; background: var(--page); color: var(--text); font: 14px/1.5 system-ui,
  -apple-system, "Segoe UI", Roboto, sans-serif; }
@media (prefers-color-scheme: dark) { .normpack-advice { --text: #e4e8ee; --muted: #98a4b3; --line: #333b46;
  --page: #161a20; --error: #ff9389; --warning: #f0b557; --info: #72b5f7; } }
.normpack-advice p { margin: .2rem 0; color: var(--muted); }
.normpack-advice table { width: 100%; margin: .6rem 0; border-collapse: collapse; color: inherit; }
.normpack-advice th, .normpack-advice td { padding: .3rem .8rem .3rem 0; border: 0; border-top: 1px solid var(--line);
  background: none; color: inherit; text-align: left; vertical-align: top; font-weight: 400; }
.normpack-advice thead th { border-top: 0; color: var(--muted); }
.normpack-advice code { font: .92em ui-monospace, SFMono-Regular, Menlo, monospace; background: none; color: inherit; }
.normpack-advice b.error { color: var(--error); } .normpack-advice b.warning { color: var(--warning); }
.normpack-advice b.info { color: var(--info); }"""


def to_short_html(examination: Examination) -> str:
    """The findings as one `<section>` with a table, for light and dark notebooks.

    Args:
        examination: What the rules said.

    Returns:
        The section; findings of the same rule and reason share a row.
    """
    facts = examination.facts
    known = " · ".join([*shape_of_model(facts), *known_of_run(facts)])
    parts = [
        f'<section class="normpack-advice"><style>{_STYLE}</style>',
        f"<b>{escape(str(facts.graph.model.name))}</b><p>{escape(known)}</p>",
        *(_table(examination.findings) if examination.findings else ["<p>Nothing found.</p>"]),
        f"<p>{escape(_last_line(examination))}</p></section>",
    ]
    return "\n".join(parts)


def _table(findings: Sequence[Finding]) -> Iterator[str]:
    headings = "".join(f'<th scope="col">{heading}</th>' for heading in ("code", "severity", "where", "what", "fix"))
    yield f"<table><thead><tr>{headings}</tr></thead><tbody>"
    for group in alike(findings):
        first, others = group[0], len(group) - 1
        place = f"<code>{escape(first.layer)}</code>" if first.layer else "the run"
        more = f" and {others} more" if others else ""
        cells = (
            escape(first.code),
            f'<b class="{first.severity}">{first.severity}</b>',
            f"{place}{more}",
            _coded(first.message),
            escape(first.fix.safety) if first.fix else "",
        )
        yield f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"
    yield "</tbody></table>"


def _last_line(examination: Examination) -> str:
    left = f"{counted(len(examination.not_run), 'rule')} did not run. " if examination.not_run else ""
    return f"{left}save_html(path) writes the whole report, apply() a model with the fixes in it."


def _coded(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))
