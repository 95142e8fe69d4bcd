"""`docs/claims.md` and its pictures, made of the records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from advisor.output_files import complete_file, write_text
from benchmarks.claims.claim import Claim, Judgement
from benchmarks.claims.records import FOLDER, Record, record_of
from benchmarks.claims.style import picture

DOCS = Path(__file__).parents[2] / "docs"
INTRODUCTION = """\
# What of the folklore holds

What is said of normalization and of ways against overfitting, measured on real data. The verdicts are made by code
from the figures: a difference counts when its 95 % interval, paired over the seeds, excludes zero. Small networks,
a few thousand samples: what is found here holds at this size, and a claim that fails is shown as failing.

Measure again: `python -m benchmarks.claims --again --render`.
"""


def page(claims: Sequence[Claim], records: Mapping[str, Record]) -> str:
    """The page on the claims that have a record."""
    judged = {claim.code: claim.judge(records[claim.code]["figures"]) for claim in claims if claim.code in records}
    shown = [claim for claim in claims if claim.code in judged]
    rows = [f"| [{claim.code}](#{_anchor(claim)}) | {claim.statement} | {judged[claim.code]} |" for claim in shown]
    table = "\n".join(["| | claim | verdict |", "|---|---|---|", *rows])
    sections = [_section(claim, judged[claim.code], records[claim.code]) for claim in shown]
    return "\n".join([INTRODUCTION, table, "", *sections])


def render(claims: Sequence[Claim], docs: Path = DOCS, folder: Path = FOLDER) -> None:
    """Write the page and a picture per claim.

    Args:
        claims: The claims.
        docs: Where the page goes; the pictures go into `claims/` beside it.
        folder: Where the records are.
    """
    found = {claim.code: record_of(claim, folder) for claim in claims}
    records = {code: record for code, record in found.items() if record is not None}
    pictures = docs / "claims"
    pictures.mkdir(parents=True, exist_ok=True)
    for claim in claims:
        if claim.code in records:
            with complete_file(pictures / f"{claim.code}.svg") as temporary, picture(temporary) as figure:
                claim.draw(records[claim.code]["figures"], figure)
    write_text(docs / "claims.md", page(claims, records))


def _section(claim: Claim, judgement: Judgement, record: Record) -> str:
    return f"""\
## {claim.code}

{claim.statement}

**{str(judgement)[0].upper()}{str(judgement)[1:]}.** {judgement.result}

![{claim.code}: {claim.statement}](claims/{claim.code}.svg)

How it is measured: {claim.how}

{_measured_with(record)} [Figures](../benchmarks/results/claims/{claim.code}.json).
"""


def _anchor(claim: Claim) -> str:
    return claim.code.lower()


def _measured_with(record: Mapping[str, Any]) -> str:
    packages = record["machine"]["packages"]
    seeds = f"{len(record['seeds'])} seeds, " if record["seeds"] else ""
    return f"{seeds}Keras {packages['keras']}, TensorFlow {packages['tensorflow']}."
