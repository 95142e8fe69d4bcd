"""How the examples print what they measured."""

from collections.abc import Mapping, Sequence

import numpy as np


def print_means(title: str, scores: Mapping[str, Sequence[float]], form: str = "{:.1%}") -> None:
    """A line per way with the mean over the seeds, and the value of each seed behind it."""
    print(f"\n{title}")
    for name, values in scores.items():
        print(f"  {name:<32} {form.format(np.mean(values))}   by seed: {', '.join(map(form.format, values))}")
