"""Short training runs, shared by the benchmarks that train many small networks."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import keras
import numpy as np
from sklearn.datasets import load_digits

from benchmarks.timing import machine, write_json

STEPS_AT_ONCE = 25

Samples = tuple[np.ndarray, np.ndarray]


def digits() -> Samples:
    """scikit-learn's digits as images from 0 to 1, in an order that is the same each time."""
    pixels, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(pixels))
    return (pixels.reshape(-1, 8, 8, 1) / 16).astype("float32")[order], labels[order]


def compiled(
    model: keras.Model, loss: keras.losses.Loss, optimizer: keras.optimizers.Optimizer | None = None
) -> keras.Model:
    """With Adam at 0.001 unless told otherwise, several steps to a call, as the steps are shorter than the call."""
    model.compile(optimizer or keras.optimizers.Adam(1e-3), loss, steps_per_execution=STEPS_AT_ONCE)
    return model


def train(
    model: keras.Model,
    samples: Samples,
    *,
    steps: int,
    seed: int,
    batch_size: int = 32,
    augment: Callable[[np.ndarray, np.ndarray], Samples] | None = None,
) -> None:
    """Trains for so many steps, epoch after epoch in another order, each augmented anew.

    All epochs are laid end to end and fitted as one, so that Keras's work between epochs is not done a hundred times.
    """
    generator = np.random.default_rng(seed)
    inputs, targets = samples
    epochs = [
        (augment or _as_they_are)(inputs[order], targets[order])
        for order in (generator.permutation(len(inputs)) for _ in range(math.ceil(steps * batch_size / len(inputs))))
    ]
    x, y = (np.concatenate(parts)[: steps * batch_size] for parts in zip(*epochs, strict=True))
    model.fit(x, y, batch_size=batch_size, epochs=1, shuffle=False, verbose=0)


def outputs(model: keras.Model, inputs: np.ndarray) -> np.ndarray:
    """What the model puts out for the inputs."""
    return model.predict(inputs, batch_size=500, verbose=0)


def accuracy(model: keras.Model, samples: Samples) -> float:
    """Share of samples whose class has the largest output, in percent."""
    inputs, labels = samples
    return round(100 * float(np.mean(np.argmax(outputs(model, inputs), axis=-1) == labels)), 2)


def report(row: Mapping[str, object], seeds: Mapping[str, Sequence[float]]) -> dict[str, object]:
    """Prints a row and the means of what was measured with each seed, and gives both, seeds and all, for the JSON."""
    means = {name: round(float(np.mean(values)), 4) for name, values in seeds.items()}
    print(*row.values(), *(f"{name} {mean:.4g}" for name, mean in means.items()), sep="  ", flush=True)
    return {**row, "mean": means, "seeds": dict(seeds)}


def update(path: Path, results: Mapping[str, object]) -> None:
    """Writes results and the machine they are from, beside other results that the file holds."""
    before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    write_json(path, {**before, "machine": machine(), **results})


def _as_they_are(inputs: np.ndarray, targets: np.ndarray) -> Samples:
    return inputs, targets
