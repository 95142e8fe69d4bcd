"""Lowered momentum against statistics recomputed after training, in runs too short for the moving averages.

A small convolutional network is trained on the digits. The momentum has no part in training, so one run serves all
momenta, as in `benchmarks.moving_average_lag`; at some steps the test accuracy is taken with the averages of Keras's
momentum, with those of the momentum that N112 sets, and with statistics that
`keras_normpack.recompute_batch_statistics` takes from the training set. Takes some minutes on two cores.

    python -m benchmarks.precise_batch_norm
"""

import math
import statistics

import keras
import numpy as np
from sklearn.datasets import load_digits

import keras_normpack
from advisor.rules.normalization.batch_statistics import settled_momentum
from benchmarks.timing import RESULTS, machine, write_json

MOMENTA = (0.99, 0.95, 0.9, 0.8, 0.7, 0.5)
STEPS = (10, 20, 50, 100, 200, 400, 800, 1600)
SEEDS = range(3)
CONDITIONS = {
    "Adam 0.001, batch 32": (lambda: keras.optimizers.Adam(1e-3), 32),
    "Adam 0.01, batch 32": (lambda: keras.optimizers.Adam(1e-2), 32),
    "SGD 0.05 with momentum, batch 32": (lambda: keras.optimizers.SGD(0.05, momentum=0.9), 32),
    "Adam 0.001, batch 8": (lambda: keras.optimizers.Adam(1e-3), 8),
}
TRAINING_SAMPLES = 1200

Statistics = list[np.ndarray]


def network() -> keras.Model:
    """Four convolutions, each with batch normalization that keeps the statistics of the last batch only."""
    layers: list[keras.Layer] = [keras.Input((8, 8, 1))]
    for filters, strides in ((16, 1), (32, 2), (32, 1), (64, 2)):
        layers += [
            keras.layers.Conv2D(filters, 3, strides=strides, padding="same", use_bias=False),
            keras.layers.BatchNormalization(momentum=0.0),
            keras.layers.ReLU(),
        ]
    return keras.Sequential([*layers, keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(10)])


class Accuracies(keras.callbacks.Callback):
    """Takes the test accuracy with every kind of statistics at the given steps."""

    def __init__(self, images: np.ndarray, labels: np.ndarray, batch_size: int) -> None:
        super().__init__()
        self._images, self._labels, self._batch_size = images, labels, batch_size
        self._taken = 0
        self._averages: dict[float, Statistics] = {}
        self.found: dict[int, dict[str, float]] = {}

    def on_train_begin(self, logs: object = None) -> None:
        self._averages = {momentum: self._statistics() for momentum in MOMENTA}

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:
        self._taken += 1
        current = self._statistics()
        for momentum, averages in self._averages.items():
            for average, value in zip(averages, current, strict=True):
                average *= momentum
                average += (1 - momentum) * value
        if self._taken in STEPS:
            self.found[self._taken] = {
                **{str(momentum): self._accuracy(averages) for momentum, averages in self._averages.items()},
                "recomputed": self._accuracy(self._recomputed()),
            }

    def _variables(self) -> list[keras.Variable]:
        norms = [layer for layer in self.model.layers if isinstance(layer, keras.layers.BatchNormalization)]
        return [variable for norm in norms for variable in (norm.moving_mean, norm.moving_variance)]

    def _statistics(self) -> Statistics:
        return [np.array(keras.ops.convert_to_numpy(variable)) for variable in self._variables()]

    def _recomputed(self) -> Statistics:
        training = self._images[:TRAINING_SAMPLES]
        keras_normpack.recompute_batch_statistics(self.model, training, batch_size=self._batch_size)
        return self._statistics()

    def _accuracy(self, averages: Statistics) -> float:
        for variable, value in zip(self._variables(), averages, strict=True):
            variable.assign(value)
        logits = keras.ops.convert_to_numpy(self.model(self._images[TRAINING_SAMPLES:], training=False))
        return 100 * float(np.mean(np.argmax(logits, axis=-1) == self._labels[TRAINING_SAMPLES:]))


def run(condition: str, images: np.ndarray, labels: np.ndarray, seed: int) -> dict[int, dict[str, float]]:
    """Test accuracies of one run in percent: by number of steps, then by kind of statistics."""
    make_optimizer, batch_size = CONDITIONS[condition]
    keras.utils.set_random_seed(seed)
    model = network()
    model.compile(make_optimizer(), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    accuracies = Accuracies(images, labels, batch_size)
    epochs = math.ceil(max(STEPS) * batch_size / TRAINING_SAMPLES)
    training = images[:TRAINING_SAMPLES], labels[:TRAINING_SAMPLES]
    model.fit(*training, batch_size=batch_size, epochs=epochs, callbacks=[accuracies], verbose=0)
    return accuracies.found


def main() -> None:
    pixels, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(pixels))
    images, labels = (pixels.reshape(-1, 8, 8, 1) / 16).astype("float32")[order], labels[order]
    results = {}
    for condition in CONDITIONS:
        runs = [run(condition, images, labels, seed) for seed in SEEDS]
        means = {
            steps: {kind: statistics.fmean(one[steps][kind] for one in runs) for kind in runs[0][steps]}
            for steps in STEPS
        }
        results[condition] = means
        print(f"{condition}: test accuracy in percent\nsteps {'0.99':>8}{'0.9':>8}{'N112':>8}{'recomputed':>12}")
        for steps, found in means.items():
            cells = (found["0.99"], found["0.9"], found[str(settled_momentum(steps))])
            print(
                f"{steps:<6}" + "".join(f"{cell:>8.1f}" for cell in cells) + f"{found['recomputed']:>12.1f}", flush=True
            )
    write_json(RESULTS / "precise_batch_norm.json", {"machine": machine(), "results": results})


if __name__ == "__main__":
    main()
