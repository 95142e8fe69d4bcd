"""How far the moving averages of batch normalization lag behind in short runs, and which momentum keeps up.

A small convolutional network is trained on a part of Fashion-MNIST. The momentum has no part in training, only in the
averages used at inference, so one run serves all momenta: the batch statistics of every step are averaged with each of
them, and at some steps the test accuracy is taken with each set of averages. The reference is the accuracy with the
statistics of the training set, recomputed for the weights of that step. Takes some 20 minutes on two cores, most of it
for the last condition.

    python -m benchmarks.moving_average_lag --data-dir ~/tensorflow_datasets
"""

import argparse
import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import keras
import numpy as np

from advisor.rules.normalization.batch_statistics import settled_momentum
from benchmarks.timing import RESULTS, machine, write_json

MOMENTA = (0.99, 0.98, 0.95, 0.9, 0.8, 0.7, 0.5)
TEST_SAMPLES = 4000
REFERENCE = "recomputed"

Arrays = tuple[np.ndarray, np.ndarray]
Statistics = list[np.ndarray]


class Condition(NamedTuple):
    """How the network is trained, and at which steps it is tested."""

    optimizer: Callable[[], keras.optimizers.Optimizer]
    steps: tuple[int, ...]
    batch_size: int = 64
    samples: int = 4000
    seeds: int = 3


CONDITIONS = {
    "Adam": Condition(lambda: keras.optimizers.Adam(1e-3), (125, 250, 500, 1000, 2000)),
    "Adam, large learning rate": Condition(lambda: keras.optimizers.Adam(1e-2), (125, 250, 500, 1000)),
    "SGD": Condition(lambda: keras.optimizers.SGD(0.05, momentum=0.9), (125, 250, 500, 1000)),
    "Adam, batch 8": Condition(lambda: keras.optimizers.Adam(1e-3), (250, 500, 1000), batch_size=8),
    "Adam, cosine decay to zero": Condition(
        lambda: keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(1e-3, 1000)), (500, 1000)
    ),
    "Adam, long": Condition(lambda: keras.optimizers.Adam(1e-3), (1000, 2000, 4000, 8000), samples=40_000, seeds=2),
}


def load(split: str, samples: int, data_dir: str | None) -> Arrays:
    """Images in 0 to 1 of shape `(samples, 28, 28, 1)` with their classes."""
    import tensorflow_datasets as tfds

    part = f"{split}[:{samples}]"
    dataset = tfds.load("fashion_mnist", split=part, data_dir=data_dir, batch_size=-1, as_supervised=True)
    images, labels = tfds.as_numpy(dataset)
    return images.astype("float32") / 255, labels


def network(image_shape: tuple[int, int, int]) -> keras.Model:
    """Four convolutions, each with batch normalization that keeps the statistics of the last batch only."""
    layers: list[keras.Layer] = [keras.Input(image_shape)]
    for filters, strides in ((16, 1), (32, 2), (32, 1), (64, 2)):
        layers += [
            keras.layers.Conv2D(filters, 3, strides=strides, padding="same", use_bias=False),
            keras.layers.BatchNormalization(momentum=0.0),
            keras.layers.ReLU(),
        ]
    return keras.Sequential([*layers, keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(10)])


class Averages(keras.callbacks.Callback):
    """Averages the batch statistics with every momentum and takes the test accuracy with each at the given steps.

    Args:
        test: Images and classes of the test set.
        steps: When to take the accuracy.
        momenta: What to average with.
        recompute: Gives the layers of a model the statistics of the training set.
    """

    def __init__(
        self,
        test: Arrays,
        steps: Iterable[int],
        momenta: Iterable[float],
        recompute: Callable[[keras.Model], object],
    ) -> None:
        super().__init__()
        self._test, self._steps, self._momenta, self._recompute = test, set(steps), tuple(momenta), recompute
        self._taken = 0
        self._averages: dict[float, Statistics] = {}
        self.accuracies: dict[int, dict[str, float]] = {}

    def on_train_begin(self, logs: object = None) -> None:
        initial = self._statistics()
        self._averages = {momentum: [value.copy() for value in initial] for momentum in self._momenta}

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:
        self._taken += 1
        current = self._statistics()
        for momentum, averages in self._averages.items():
            for average, value in zip(averages, current, strict=True):
                average *= momentum
                average += (1 - momentum) * value
        if self._taken in self._steps:
            self.accuracies[self._taken] = {
                **{str(momentum): self._accuracy(averages) for momentum, averages in self._averages.items()},
                REFERENCE: self._accuracy(self._recomputed()),
            }

    def _variables(self) -> list[keras.Variable]:
        norms = [layer for layer in self.model.layers if isinstance(layer, keras.layers.BatchNormalization)]
        return [variable for norm in norms for variable in (norm.moving_mean, norm.moving_variance)]

    def _statistics(self) -> Statistics:
        return [np.array(keras.ops.convert_to_numpy(variable)) for variable in self._variables()]

    def _recomputed(self) -> Statistics:
        self._recompute(self.model)
        return self._statistics()

    def _accuracy(self, averages: Statistics) -> float:
        for variable, value in zip(self._variables(), averages, strict=True):
            variable.assign(value)
        images, labels = self._test
        logits = np.concatenate([self.model(part, training=False) for part in np.array_split(images, 4)])
        return float(np.mean(np.argmax(logits, axis=-1) == labels))


def run(condition: Condition, training: Arrays, test: Arrays, seed: int) -> dict[int, dict[str, float]]:
    """Test accuracies of one run: by number of steps, then by momentum."""
    keras.utils.set_random_seed(seed)
    model = network((28, 28, 1))
    model.compile(condition.optimizer(), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    averages = Averages(test, condition.steps, MOMENTA, lambda model: model(training[0][:2000], training=True))
    epochs = math.ceil(max(condition.steps) / math.ceil(len(training[0]) / condition.batch_size))
    model.fit(*training, batch_size=condition.batch_size, epochs=epochs, callbacks=[averages], verbose=0)
    return averages.accuracies


def summarized(runs: Sequence[Mapping[int, Mapping[str, float]]]) -> dict[int, dict[str, dict[str, float]]]:
    """Mean over the seeds of the accuracy, in percent, and of what is lost against the recomputed statistics."""
    return {
        steps: {
            momentum: {
                "accuracy": 100 * statistics.fmean(one[steps][momentum] for one in runs),
                "lost": 100 * statistics.fmean(one[steps][REFERENCE] - one[steps][momentum] for one in runs),
            }
            for momentum in runs[0][steps]
        }
        for steps in runs[0]
    }


def table(summary: Mapping[int, Mapping[str, Mapping[str, float]]]) -> str:
    """Points of test accuracy lost by each momentum; starred where the rule N112 accepts it."""
    lines = ["steps " + "".join(f"{momentum:>8}" for momentum in MOMENTA) + f"{REFERENCE:>12}"]
    for steps, results in summary.items():
        settled = settled_momentum(steps)
        cells = [f"{results[str(momentum)]['lost']:.1f}{'*' if momentum <= settled else ' '}" for momentum in MOMENTA]
        lines.append(
            f"{steps:<6}" + "".join(f"{cell:>8}" for cell in cells) + f"{results[REFERENCE]['accuracy']:>10.1f} %"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", help="folder of TensorFlow Datasets (default: TFDS's own)")
    parser.add_argument("--conditions", nargs="+", choices=CONDITIONS, default=list(CONDITIONS))
    arguments = parser.parse_args()
    test = load("test", TEST_SAMPLES, arguments.data_dir)
    results = {}
    for name in arguments.conditions:
        condition = CONDITIONS[name]
        training = load("train", condition.samples, arguments.data_dir)
        results[name] = summarized([run(condition, training, test, seed) for seed in range(condition.seeds)])
        print(f"{name}: points of accuracy lost to the lag (* as N112 advises)\n{table(results[name])}\n", flush=True)
    write_json(RESULTS / "moving_average_lag.json", {"machine": machine(), "results": results})


if __name__ == "__main__":
    main()
