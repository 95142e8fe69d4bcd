"""What a measured lag of moving averages costs: `python -m benchmarks.statistics_lag`.

The networks, data and momenta of `benchmarks.moving_average_lag`. At some steps the lag that the probe `statistics_lag`
measures on 256 other samples, its largest over the layers, is set beside the points of test accuracy that the same
averages lose against statistics recomputed for the weights of that step. The rule N112 warns above a limit: the table
says what is lost below and above it. Takes some 10 minutes on two cores.
"""

import argparse
import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

import keras

from advisor.facts.probes import make_probes
from advisor.facts.read_data import read_data
from advisor.graph import read_graph
from benchmarks.moving_average_lag import CONDITIONS, MOMENTA, TEST_SAMPLES, Averages, Condition, load, network
from benchmarks.timing import RESULTS, machine, write_json

LEFT_OUT = "Adam, long"
HELD = 256
LIMITS = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1.0)
CLEAR_LOSS = 2.0
"""Points of accuracy that are no accident on 4,000 images."""


class Point(NamedTuple):
    """One set of averages at one step: its lag, and the points of accuracy it loses."""

    condition: str
    steps: int
    momentum: str
    lag: float
    lost: float


class Lags(Averages):
    """Notes the lag of every set of averages whose accuracy is taken."""

    def __init__(self, held: object, *arguments: object) -> None:
        super().__init__(*arguments)
        self._held = held
        self.lags: list[float] = []

    def _accuracy(self, averages: Sequence[object]) -> float:
        accuracy = super()._accuracy(averages)
        graph = read_graph(self.model)
        lag = make_probes(graph, read_data(self._held, graph), batch_size=None, probe_seconds=60)["statistics_lag"]
        norms = [layer for layer in self.model.layers if isinstance(layer, keras.layers.BatchNormalization)]
        self.lags.append(max(lag(layer.name).value for layer in norms))
        return accuracy


def points(name: str, condition: Condition, data_dir: str | None, seed: int) -> list[Point]:
    """The points of one run."""
    images, labels = load("test", TEST_SAMPLES + HELD, data_dir)
    training = load("train", condition.samples, data_dir)
    test = images[:TEST_SAMPLES], labels[:TEST_SAMPLES]
    keras.utils.set_random_seed(seed)
    model = network((28, 28, 1))
    model.compile(condition.optimizer(), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    watch = Lags(
        images[TEST_SAMPLES:], test, condition.steps, MOMENTA, lambda model: model(training[0][:2000], training=True)
    )
    epochs = math.ceil(max(condition.steps) / math.ceil(len(training[0]) / condition.batch_size))
    model.fit(*training, batch_size=condition.batch_size, epochs=epochs, callbacks=[watch], verbose=0)
    lags = iter(watch.lags)
    return [
        Point(name, steps, momentum, next(lags), 100 * (accuracies["recomputed"] - accuracy))
        for steps, accuracies in watch.accuracies.items()
        for momentum, accuracy in accuracies.items()
    ]


def judged(found: Sequence[Point], limit: float) -> dict[str, float | int]:
    """What a limit would say: of the averages it warns of, how many lose clearly, and what those it passes lose."""
    warned = [point.lost for point in found if point.lag > limit]
    passed = [point.lost for point in found if point.lag <= limit]
    return {
        "limit": limit,
        "warned": len(warned),
        "of_these_lose_clearly": sum(lost > CLEAR_LOSS for lost in warned),
        "median_lost_of_warned": round(statistics.median(warned), 2) if warned else 0.0,
        "passed": len(passed),
        "of_these_lose_clearly_too": sum(lost > CLEAR_LOSS for lost in passed),
        "most_lost_of_passed": round(max(passed, default=0.0), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", help="folder of TensorFlow Datasets (default: TFDS's own)")
    parser.add_argument("--seeds", type=int, default=1)
    arguments = parser.parse_args()
    found = [
        point
        for name, condition in CONDITIONS.items()
        if name != LEFT_OUT
        for seed in range(arguments.seeds)
        for point in points(name, condition, arguments.data_dir, seed)
    ]
    measured = [point for point in found if point.momentum != "recomputed"]
    limits = [judged(measured, limit) for limit in LIMITS]
    for line in limits:
        print(line)
    of_recomputed = [point.lag for point in found if point.momentum == "recomputed"]
    print(f"lag of recomputed statistics: {min(of_recomputed):.3f} to {max(of_recomputed):.3f}")
    write_json(
        RESULTS / "statistics_lag.json",
        {
            "machine": machine(),
            "clear_loss_points": CLEAR_LOSS,
            "limits": limits,
            "points": [point._asdict() for point in found],
        },
    )


if __name__ == "__main__":
    main()
