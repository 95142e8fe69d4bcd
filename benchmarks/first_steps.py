"""What the first steps show of healthy and of broken networks (T506), and learning rates at their limits (T503).

    python -m benchmarks.first_steps [--parts signals learning rates] [--seeds 3]

- `signals`: gradients of the layers before training and after 5 steps, relative to their weights and the loss, dead and
  saturated units, and how far the spread of the outputs grows; dense layers of 64 on the digits, convolutions of 32 on
  smooth random images of 32 x 32.
- `learning`: test accuracy of the dense ones after 300 steps of Adam at 0.001.
- `rates`: test accuracy after 300 steps on the digits with rates of either side of the limits, and what the probe says
  of the loss after 5.

Parts that are not run keep the rows that the result file holds. Takes some minutes on two cores.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import keras
import numpy as np
from keras import layers

from advisor.facts import LINEAR_KINDS, Facts, gather_facts
from advisor.facts.probes import Probe, make_probes
from advisor.facts.read_data import read_data
from advisor.graph import ModelGraph, read_graph
from benchmarks.short_runs import Samples, accuracy, compiled, digits, report, train, update
from benchmarks.timing import RESULTS

CLASSES = 10
STEPS = 300
Network = Callable[[], keras.Model]


def pixels() -> Samples:
    images, labels = digits()
    return images.reshape(len(images), -1), labels


def smooth_images(side: int, count: int = 64) -> Samples:
    """Noise in patches of 8 by 8 with some finer on top, from 0 to 1; labels drawn at random."""
    generator = np.random.default_rng(0)
    patches = generator.normal(size=(count, side // 8, side // 8, 3)).repeat(8, axis=1).repeat(8, axis=2)
    noisy = patches + 0.3 * generator.normal(size=patches.shape)
    images = (noisy - noisy.min()) / np.ptp(noisy)
    return images.astype("float32"), generator.integers(0, CLASSES, count)


def normal(deviation: float) -> Callable[[], keras.initializers.Initializer]:
    return lambda: keras.initializers.RandomNormal(stddev=deviation)


def dense(depth: int, activation: str, initializer: Callable[[], keras.initializers.Initializer]) -> Network:
    def network() -> keras.Model:
        model = keras.Sequential([keras.Input((64,))])
        for _ in range(depth):
            model.add(layers.Dense(64, kernel_initializer=initializer()))
            model.add(layers.Activation(activation))
        model.add(layers.Dense(CLASSES, activation="softmax"))
        return model

    return network


def convolutions(depth: int, activation: str, *, normalized: bool = False) -> Network:
    def network() -> keras.Model:
        model = keras.Sequential([keras.Input((32, 32, 3))])
        for number in range(depth):
            model.add(layers.Conv2D(32, 3, padding="same", strides=2 if number in (2, 5) else 1))
            if normalized:
                model.add(layers.BatchNormalization())
            model.add(layers.Activation(activation))
        model.add(layers.GlobalAveragePooling2D())
        model.add(layers.Dense(CLASSES, activation="softmax"))
        return model

    return network


def behind_zeros() -> keras.Model:
    head = layers.Dense(CLASSES, activation="softmax", kernel_initializer="zeros")
    return keras.Sequential([keras.Input((64,)), layers.Dense(32, activation="relu"), head])


glorot, he = keras.initializers.GlorotUniform, keras.initializers.HeNormal
NETWORKS: dict[str, tuple[Network, Callable[[], Samples]]] = {
    "5 dense, ReLU, Glorot": (dense(5, "relu", glorot), pixels),
    "10 dense, ReLU, Glorot": (dense(10, "relu", glorot), pixels),
    "20 dense, ReLU, Glorot": (dense(20, "relu", glorot), pixels),
    "20 dense, ReLU, He": (dense(20, "relu", he), pixels),
    "5 dense, tanh, Glorot": (dense(5, "tanh", glorot), pixels),
    "20 dense, tanh, Glorot": (dense(20, "tanh", glorot), pixels),
    "3 dense, sigmoid, Glorot": (dense(3, "sigmoid", glorot), pixels),
    "5 dense, sigmoid, Glorot": (dense(5, "sigmoid", glorot), pixels),
    "10 dense, sigmoid, Glorot": (dense(10, "sigmoid", glorot), pixels),
    "10 dense, ReLU, normal 0.01": (dense(10, "relu", normal(0.01)), pixels),
    "5 dense, ReLU, normal 0.5": (dense(5, "relu", normal(0.5)), pixels),
    "10 dense, ReLU, normal 0.5": (dense(10, "relu", normal(0.5)), pixels),
    "5 dense, tanh, normal 1": (dense(5, "tanh", normal(1.0)), pixels),
    "1 dense, ReLU, head of zeros": (behind_zeros, pixels),
    "12 convolutions, ReLU, Glorot": (convolutions(12, "relu"), lambda: smooth_images(32)),
    "12 convolutions, ReLU, BN": (convolutions(12, "relu", normalized=True), lambda: smooth_images(32)),
    "12 convolutions, sigmoid, Glorot": (convolutions(12, "sigmoid"), lambda: smooth_images(32)),
}


def learning_rows(seeds: range) -> Iterator[dict]:
    x, y = pixels()
    for name, (network, make_data) in NETWORKS.items():
        if make_data is not pixels:
            continue
        accuracies = []
        for seed in seeds:
            keras.utils.set_random_seed(seed)
            model = compiled(network(), keras.losses.SparseCategoricalCrossentropy())
            train(model, (x[:1000], y[:1000]), steps=STEPS, seed=seed)
            accuracies.append(accuracy(model, (x[1000:], y[1000:])))
        keras.backend.clear_session()
        yield report({"network": name}, {"accuracy": accuracies})


RATES = {
    keras.optimizers.Adam: (1e-8, 1e-7, 1e-3, 3e-2, 0.1, 0.3),
    keras.optimizers.Lion: (1e-9, 1e-8, 1e-4, 3e-3, 1e-2, 3e-2),
    keras.optimizers.SGD: (1e-7, 1e-6, 1e-2, 1.0, 50.0, 100.0),
}
"""Below and at the lowest rate that T503 lets pass, the usual one, and from the highest on; SGD without momentum."""


def probed(model: keras.Model, data: Samples) -> tuple[ModelGraph, dict[str, Probe]]:
    graph = read_graph(model)
    return graph, make_probes(graph, read_data(data, graph, batch_size=32), batch_size=32, probe_seconds=60)


def signals(network: Network, data: Samples, seed: int) -> dict[str, float | None]:
    """Extremes over the layers, each None where nothing was measured."""
    keras.utils.set_random_seed(seed)
    model = network()
    model.compile("adam", "sparse_categorical_crossentropy")
    graph, probes = probed(model, data)
    facts: Facts = gather_facts(graph)
    linear = [layer.path for layer in facts.layers.values() if layer.kind in LINEAR_KINDS]

    def measured(probe: str, paths: list[str]) -> list[float]:
        return [found.value for path in paths if (found := probes[probe](path)) is not None]

    # The head's outputs are small by themselves.
    spreads = measured("activation_deviation", linear[:-1])
    return {
        "least gradient, first": min(measured("gradient_norm", linear), default=None),
        "after 5 steps": min(measured("gradient_norm_later", linear), default=None),
        "largest share dead": max(measured("dead_share", list(facts.layers)), default=None),
        "largest share saturated": max(measured("saturated_share", list(facts.layers)), default=None),
        "largest spread to first": max(spreads) / spreads[0] if spreads and spreads[0] > 0 else None,
    }


def signal_rows(seeds: range) -> Iterator[dict]:
    for name, (network, make_data) in NETWORKS.items():
        data = make_data()
        found = [signals(network, data, seed) for seed in seeds]
        keras.backend.clear_session()
        row = {figure: [one[figure] for one in found] for figure in found[0]}
        print(name, *(f"{figure} {_span(values)}" for figure, values in row.items()), sep="  ", flush=True)
        yield {"network": name, "seeds": row}


def _span(values: list[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{min(known):.1e} to {max(known):.1e}" if known else "-"


def at_rate(optimizer: type[keras.optimizers.Optimizer], rate: float, seed: int) -> tuple[float, float]:
    """Loss after 5 steps to that before, and test accuracy in percent after 300."""
    x, y = pixels()
    keras.utils.set_random_seed(seed)
    hidden = [layers.Dense(64, activation="relu") for _ in range(2)]
    model = keras.Sequential([keras.Input((64,)), *hidden, layers.Dense(CLASSES)])
    compiled(model, keras.losses.SparseCategoricalCrossentropy(from_logits=True), optimizer(learning_rate=rate))
    _, probes = probed(model, (x[:1000], y[:1000]))
    after = probes["loss_after_steps"]("")
    train(model, (x[:1000], y[:1000]), steps=STEPS, seed=seed)
    return after.value, accuracy(model, (x[1000:], y[1000:]))


def rate_rows(seeds: range) -> Iterator[dict]:
    for optimizer, rates in RATES.items():
        for rate in rates:
            after, right = zip(*(at_rate(optimizer, rate, seed) for seed in seeds), strict=True)
            found = {"loss after 5 steps to before": after, "accuracy": right}
            yield report({"optimizer": optimizer.__name__, "learning rate": rate}, found)
        keras.backend.clear_session()


PARTS = {
    "signals": signal_rows,
    "learning": learning_rows,
    "rates": rate_rows,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=RESULTS / "first_steps.json")
    options = parser.parse_args()
    for part in options.parts:
        update(options.output, {part: list(PARTS[part](range(options.seeds)))})


if __name__ == "__main__":
    main()
