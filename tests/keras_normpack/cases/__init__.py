"""Every layer of the pack in the variants that are exported, distributed and run on all backends; a file per family."""

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np


@dataclass(frozen=True)
class Case:
    """One variant of a layer.

    Args:
        name: What to call it, unique.
        make: Makes a new layer.
        shapes: Shape of each input, without the batch; one entry for a layer of one input.
        dtype: Dtype of the inputs; integers are drawn from 0 to 3.
    """

    name: str
    make: Callable[[], keras.layers.Layer]
    shapes: tuple[tuple[int, ...], ...]
    dtype: str = "float32"

    def model(self, batch_size: int | None = None) -> keras.Model:
        """Makes a functional model of nothing but the layer."""
        inputs = [keras.Input(shape, batch_size=batch_size, dtype=self.dtype) for shape in self.shapes]
        layer = self.make()
        single_or_all = inputs if len(inputs) > 1 else inputs[0]
        return keras.Model(single_or_all, layer(single_or_all))

    def inputs(self, batch: int, seed: int = 0) -> list[np.ndarray]:
        """Draws a batch for each input."""
        generator = np.random.default_rng(seed)
        if "float" in self.dtype:
            return [generator.normal(1.0, 2.0, (batch, *shape)).astype(self.dtype) for shape in self.shapes]
        return [generator.integers(0, 4, (batch, *shape)).astype(self.dtype) for shape in self.shapes]


def all_cases() -> list[Case]:
    """Collects the `CASES` of every file in this folder."""
    cases = [case for module in _modules() for case in module.CASES]
    assert len({case.name for case in cases}) == len(cases), "two cases have the same name"
    return cases


def _modules() -> list[Any]:
    return [importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)]
