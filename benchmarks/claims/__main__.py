"""`python -m benchmarks.claims`: measure claims, tell the verdicts, and write the page on them."""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks import claims
from benchmarks.claims.claim import Claim
from benchmarks.claims.page import render
from benchmarks.claims.records import FOLDER, measure


def chosen(only: str | None) -> Sequence[Claim]:
    """The claims of a list of codes such as `C04,C05`; all for None."""
    if only is None:
        return claims.CLAIMS
    codes = [code.strip().upper() for code in only.split(",")]
    known = {claim.code: claim for claim in claims.CLAIMS}
    if unknown := [code for code in codes if code not in known]:
        raise SystemExit(f"--only expects codes out of {', '.join(known)}. Received: {', '.join(unknown)}")
    return [known[code] for code in codes]


def main() -> None:
    parser = argparse.ArgumentParser(description=claims.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="codes, such as C04,C05")
    parser.add_argument("--seeds", type=int, help="trainings per arm (default: 5, and 2 with --quick)")
    parser.add_argument("--quick", action="store_true", help="little data and few steps, to see that everything runs")
    parser.add_argument("--again", action="store_true", help="measure again what is there")
    parser.add_argument("--render", action="store_true", help="only write docs/claims.md; with --again, measure first")
    parser.add_argument("--folder", type=Path, help="where the figures go (default: benchmarks/results/claims)")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    # Quick figures never take the place of real ones.
    folder = arguments.folder or (FOLDER / "quick" if arguments.quick else FOLDER)
    seeds = tuple(range(arguments.seeds or (2 if arguments.quick else 5)))
    if arguments.again or not arguments.render:
        for claim in chosen(arguments.only):
            begin = time.perf_counter()
            print(f"{claim.code} {claim.statement}", flush=True)
            tell = partial(print, f"  {claim.code}", flush=True)
            record = measure(claim, seeds, arguments.quick, folder, arguments.again, tell)
            judgement = claim.judge(record["figures"])
            print(f"  {judgement}. {judgement.result} [{time.perf_counter() - begin:.0f} s]", flush=True)
    if arguments.render:
        render(claims.CLAIMS, folder=folder)


if __name__ == "__main__":
    main()
