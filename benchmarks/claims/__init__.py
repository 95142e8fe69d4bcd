"""What the folklore on normalization and overfitting says, each claim measured on real data.

    python -m benchmarks.claims [--only C04,C05] [--seeds 5] [--quick] [--again] [--render]

A file per claim. What is found stands in `benchmarks/results/claims/`, and `--render` writes `docs/claims.md` of it.
A claim that fails is published as failing.
"""

import os

# Before the first claim brings TensorFlow.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import importlib
import pkgutil

from benchmarks.claims.claim import Claim

CLAIMS: tuple[Claim, ...] = tuple(
    importlib.import_module(f"{__name__}.{module.name}").CLAIM
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda module: module.name)
    if module.name[0] == "c" and module.name[1:3].isdigit()
)
