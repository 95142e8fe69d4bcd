"""How many independent values a feature map counts for in batch statistics, on real data.

Plain convolutional networks, with and without batch normalization, are looked at as initialized and after a short
training. For every place where a batch normalization stands or would stand, it is measured how many independent values
one sample counts for, as `advisor.facts.probes` defines them. For one network the figure is held against its definition
by drawing batches of several sizes and normalizing with their statistics.

    python -m benchmarks.effective_samples [--data-dir ~/tensorflow_datasets]

Without `--data-dir`, scikit-learn's digits; with it also those of Fashion-MNIST and CIFAR-10 that TFDS finds there.
"""

import argparse
import time
from collections.abc import Iterator

import keras
import numpy as np

from advisor.facts.probes import independent_values
from advisor.graph import read_graph
from advisor.graph.forward import forward
from benchmarks.timing import RESULTS, geometric_mean, machine, write_json

DEPTHS = (4, 8, 16)
BATCH_SIZES = (2, 4, 8, 32)
TFDS_NAMES = ("fashion_mnist", "cifar10")
TRAINING_SAMPLES, LOOKED_AT = 4000, 512
EPOCHS = {"digits": 8, "fashion_mnist": 4, "cifar10": 4}
DRAWN_BATCHES = 400
SMALLEST_MAP = 4
EVERYTHING = "all"
LEARNED = 0.2  # accuracy on ten classes; a deep network without normalization may learn nothing

Arrays = tuple[np.ndarray, np.ndarray]


def load(name: str, data_dir: str | None) -> Arrays:
    """Images in 0 to 1 of shape `(samples, height, width, channels)` with their classes."""
    if name == "digits":
        from sklearn.datasets import load_digits

        digits = load_digits()
        return (digits.images[..., None] / 16).astype("float32"), digits.target
    import tensorflow_datasets as tfds

    dataset = tfds.load(
        name, split=f"train[:{TRAINING_SAMPLES}]", data_dir=data_dir, download=False, batch_size=-1, as_supervised=True
    )
    images, labels = tfds.as_numpy(dataset)
    return images.astype("float32") / 255, labels


def network(shape: tuple[int, ...], depth: int, normalized: bool) -> keras.Model:
    """Convolutions 3×3 in four stages, as many filters again where the map is halved; the place is named `place_…`."""
    model = keras.Sequential([keras.Input(shape)])
    filters = 16
    for index in range(depth):
        model.add(keras.layers.Conv2D(filters, 3, padding="same", use_bias=not normalized))
        name = f"place_{index}"
        model.add(keras.layers.BatchNormalization(name=name) if normalized else keras.layers.Identity(name=name))
        model.add(keras.layers.ReLU())
        if (index + 1) % (depth // 4) == 0 and model.output_shape[1] > 2:
            model.add(keras.layers.MaxPooling2D())
            filters = min(2 * filters, 64)
    model.add(keras.layers.GlobalAveragePooling2D())
    model.add(keras.layers.Dense(10))
    return model


def feature_maps(model: keras.Model, images: np.ndarray) -> dict[str, np.ndarray]:
    """What every place reads, by name."""
    graph = read_graph(model)
    places = [path for path in graph.nodes if path.startswith("place_")]
    return {path: runs[0] for path, runs in forward(graph, images, places).items()}


def values_per_sample(maps: np.ndarray) -> np.ndarray:
    """Independent values that one sample counts for, by channel."""
    flat = maps.reshape(len(maps), -1, maps.shape[-1])
    return independent_values(flat.mean(axis=1, dtype="float64"), flat.var(axis=1, dtype="float64"))


def drawn_effective_samples(maps: np.ndarray, batch_size: int, generator: np.random.Generator) -> float:
    """Effective samples by definition: 1.5 ÷ the mean squared change of the activations, median over channels."""
    flat = maps.reshape(len(maps), -1, maps.shape[-1]).astype("float64")
    flat = flat[..., flat.std(axis=(0, 1)) > 0]
    mean, deviation = flat.mean(axis=(0, 1)), flat.std(axis=(0, 1))
    change = np.zeros((DRAWN_BATCHES, flat.shape[-1]))
    for index in range(DRAWN_BATCHES):
        batch = flat[generator.choice(len(flat), batch_size, replace=False)]
        shift, scale = batch.mean(axis=(0, 1)) - mean, batch.std(axis=(0, 1)) - deviation
        change[index] = (np.square(shift) + np.square(scale)) / np.square(deviation)
    return float(np.median(1.5 / change.mean(axis=0)))


def rows(name: str, data: Arrays) -> Iterator[dict[str, object]]:
    """Measures every network on one data set, before and after training."""
    images, labels = data
    looked_at = images[np.random.default_rng(0).permutation(len(images))[:LOOKED_AT]]
    for depth in DEPTHS:
        for normalized in (True, False):
            keras.utils.set_random_seed(0)
            model = network(images.shape[1:], depth, normalized)
            for stage in ("initialized", "trained"):
                if stage == "trained":
                    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
                    model.compile(keras.optimizers.Adam(1e-3), loss, metrics=["accuracy"])
                    fitted = model.fit(images, labels, batch_size=32, epochs=EPOCHS[name], verbose=0)
                    if fitted.history["accuracy"][-1] < LEARNED:
                        print(f"{name}: depth {depth} without normalization learned nothing and is left out")
                        continue
                for place, maps in feature_maps(model, looked_at).items():
                    by_channel = values_per_sample(maps)
                    yield {
                        "data": name,
                        "depth": depth,
                        "normalized": normalized,
                        "stage": stage,
                        "place": place,
                        "positions": int(np.prod(maps.shape[1:-1])),
                        "values_per_sample": float(np.median(by_channel)),
                        "lowest_decile": float(np.percentile(by_channel, 10)),
                    }


def definition_check(data: Arrays) -> list[dict[str, float]]:
    """The figure by the formula against the one by drawing batches, per batch size."""
    images, _ = data
    keras.utils.set_random_seed(0)
    maps = list(feature_maps(network(images.shape[1:], 8, normalized=True), images[:LOOKED_AT]).values())[-1]
    generator = np.random.default_rng(0)
    formula = float(np.median(values_per_sample(maps)))
    return [
        {
            "batch_size": batch_size,
            "formula": batch_size * formula,
            "drawn": drawn_effective_samples(maps, batch_size, generator),
        }
        for batch_size in BATCH_SIZES
    ]


def summary(measured: list[dict[str, object]]) -> list[dict[str, object]]:
    """Values per sample by data set and stage: in all maps of at least four positions, and in each network's last."""
    found = []
    for name in [*dict.fromkeys(row["data"] for row in measured), EVERYTHING]:
        for stage in ("initialized", "trained"):
            maps = [
                row
                for row in measured
                if name in (row["data"], EVERYTHING) and row["stage"] == stage and int(row["positions"]) >= SMALLEST_MAP
            ]
            # Places come in order, so the last one of a network stays.
            last = {(row["data"], row["depth"], row["normalized"]): float(row["values_per_sample"]) for row in maps}
            values = [float(row["values_per_sample"]) for row in maps]
            found.append(
                {
                    "data": name,
                    "stage": stage,
                    "networks": len(last),
                    "maps": len(values),
                    "least": min(values),
                    "geometric_mean": geometric_mean(values),
                    "geometric_mean_of_last": geometric_mean(list(last.values())),
                }
            )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", help="where TFDS finds fashion_mnist or cifar10")
    arguments = parser.parse_args()
    begin = time.perf_counter()
    names = ["digits", *(available(arguments.data_dir) if arguments.data_dir else [])]
    measured: list[dict[str, object]] = []
    for name in names:
        print(f"{name} …", flush=True)
        data = load(name, arguments.data_dir)
        measured += rows(name, data)
    checked = definition_check(data)
    summarized = summary(measured)
    print("\nindependent values one sample counts for, in maps of at least four positions")
    print(f"{'data':<14} {'stage':<12} {'networks':>8} {'maps':>5} {'least':>6} {'mean':>6} {'mean of last maps':>18}")
    for row in summarized:
        print(
            f"{row['data']:<14} {row['stage']:<12} {row['networks']:>8} {row['maps']:>5} {row['least']:>6.1f} "
            f"{row['geometric_mean']:>6.1f} {row['geometric_mean_of_last']:>18.1f}"
        )
    print(f"\neffective samples of a batch, deepest map of {names[-1]}")
    print(f"{'batch':>6} {'formula':>9} {'drawn':>9}")
    for check in checked:
        print(f"{check['batch_size']:>6} {check['formula']:>9.1f} {check['drawn']:>9.1f}")
    path = RESULTS / "effective_samples.json"
    write_json(
        path,
        {
            "machine": machine(),
            "seconds": round(time.perf_counter() - begin, 1),
            "summary": summarized,
            "definition_check": checked,
            "places": measured,
        },
    )
    print(f"\n{path}")


def available(data_dir: str) -> list[str]:
    """Names of the data sets that are prepared in the folder."""
    import tensorflow_datasets as tfds

    return [name for name in TFDS_NAMES if tfds.builder(name, data_dir=data_dir).is_prepared()]


if __name__ == "__main__":
    main()
