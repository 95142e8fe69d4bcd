"""Interleaved timing, shared by the benchmarks.

The rivals take turns in one process, so a busy moment of the machine falls on all of them, and the figure that is
reported is the median of the ratios of runs made side by side.
"""

import importlib.metadata
import json
import math
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def interleaved(callables: Mapping[str, Callable[[], object]], repeats: int, warmup: int = 1) -> dict[str, list[float]]:
    """Times the callables in turn, in an order that is rotated every round.

    Args:
        callables: What to time, by name. Each returns only when its result is there.
        repeats: Timed rounds, at least 1.
        warmup: Rounds that are run first and not timed (tracing, compilation, caches).

    Returns:
        Seconds of every round, by name; the n-th entries of all lists were measured side by side.

    Raises:
        ValueError: If `repeats` is below 1 or there is nothing to time.
    """
    if repeats < 1 or not callables:
        raise ValueError(
            "interleaved expects at least one callable and repeats >= 1. "
            f"Received: callables={list(callables)}, repeats={repeats}"
        )
    names = list(callables)
    for _ in range(warmup):
        for name in names:
            callables[name]()
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for round_number in range(repeats):
        start = round_number % len(names)
        for name in names[start:] + names[:start]:
            begin = time.perf_counter()
            callables[name]()
            seconds[name].append(time.perf_counter() - begin)
    return seconds


def median(seconds: Sequence[float]) -> float:
    """Median of the measured seconds."""
    return statistics.median(seconds)


def median_ratio(numerator: Sequence[float], denominator: Sequence[float]) -> float:
    """Median of the ratios of runs made side by side.

    Args:
        numerator: Seconds of one callable, from `interleaved`.
        denominator: Seconds of the other, of the same length.

    Returns:
        How many times longer the numerator takes.
    """
    return statistics.median(a / b for a, b in zip(numerator, denominator, strict=True))


def geometric_mean(ratios: Sequence[float]) -> float:
    """Geometric mean of ratios."""
    return math.exp(statistics.fmean(math.log(ratio) for ratio in ratios))


def machine() -> dict[str, object]:
    """What the figures were measured on: processor, cores, load, Python and library versions."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load_average": [round(load, 2) for load in os.getloadavg()] if hasattr(os, "getloadavg") else None,
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in ("keras", "tensorflow", "ai-edge-litert", "numpy")},
    }


def write_json(path: Path, payload: Mapping[str, object]) -> None:
    """Writes the payload as JSON, whole or not at all.

    Args:
        path: File to write; missing folders are made.
        payload: What to write; anything `json` can serialize.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(json.dumps(payload, indent=2, sort_keys=False) + "\n", encoding="utf-8")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
