"""What quantization costs: a real MobileNetV2 on photographs, small trained networks, and activations in int8.

    pip install scikit-image
    python -m benchmarks.quantization --weights mobilenet_v2_imagenet.weights.h5 [--seeds 3]

Three tables. MobileNetV2 with its ImageNet weights in every precision, calibrated on 128 random crops of photographs
and held against Keras on others. The relative root mean square difference ‖y - k‖ / ‖k‖ of small networks trained on
Fashion-MNIST, which the limits of `advisor.export.verify` come from. And what rule E705 claims: the accuracy that a
small separable CNN loses in int8 by its activation, on all 10,000 test images.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow_datasets as tfds
from keras import layers
from rich.console import Console
from rich.table import Table

from advisor.export import ExportReport, export_tflite
from advisor.litert.interpreter import LiteRTModel
from advisor.litert.quantization import CALIBRATED, PRECISIONS
from benchmarks.timing import machine, write_json

ACTIVATIONS = ("relu6", "hard_silu", "silu", "gelu")
PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket", "camera", "coins")
CALIBRATION_CROPS = 128
TRAINING_IMAGES = 20_000
EVALUATED_BATCH = 100
NO_LIMIT = 10.0


def photographs() -> dict[str, np.ndarray]:
    """The photographs that scikit-learn and scikit-image bring along."""
    from skimage import color, data
    from sklearn.datasets import load_sample_images

    samples = load_sample_images()
    found = dict(zip((Path(name).stem for name in samples.filenames), samples.images, strict=True))
    images = {name: getattr(data, name)() for name in PHOTOGRAPHS}
    images["motorcycle"] = data.stereo_motorcycle()[0]
    return found | {name: color.gray2rgb(image) if image.ndim == 2 else image for name, image in images.items()}


def crop(image: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """A square of the image, a share of its shorter side wide, at a random place, as MobileNetV2 takes it."""
    size = int(min(image.shape[:2]) * share)
    top, left = (int(rng.integers(0, side - size + 1)) for side in image.shape[:2])
    square = image[top : top + size, left : left + size].astype("float32")
    resized = keras.ops.image.resize(square, (224, 224), antialias=True)
    return keras.applications.mobilenet_v2.preprocess_input(keras.ops.convert_to_numpy(resized))


def exported(model: keras.Model, precision: str | None, data: Any, **arguments: Any) -> ExportReport:
    """The report of an export that no limit refuses."""
    if precision in CALIBRATED:
        arguments["representative_data"] = data
    with tempfile.TemporaryDirectory() as folder:
        return export_tflite(model, Path(folder) / "model.tflite", quantize=precision, tolerance=NO_LIMIT, **arguments)


def mobilenet(weights: Path) -> Iterator[dict[str, Any]]:
    """MobileNetV2 in every precision, on the photographs as a whole."""
    model = keras.applications.MobileNetV2(weights=str(weights))
    images = photographs()
    rng = np.random.default_rng(0)
    whole = np.stack([crop(image, 1.0, rng) for image in images.values()])
    parts = np.stack(
        [crop(list(images.values())[i % len(images)], rng.uniform(0.4, 0.9), rng) for i in range(CALIBRATION_CROPS)]
    )
    for precision in (None, *PRECISIONS):
        report = exported(model, precision, parts, verify_data=whole)
        yield {
            "precision": report.precision,
            "photographs": list(images),
            "size_bytes": report.size_bytes,
            "latency_to_float32": report.latency_ratio[1],
            "relative_rms": report.relative_rms_difference,
            "max_relative": report.max_relative_difference,
            "top1_agreement": report.top1_agreement,
            "worst_layers": [
                {"layer": error.layer, "added": error.added, "relative_rms": error.relative_rms}
                for error in sorted(report.layer_errors, key=lambda error: -(error.added or 0.0))[:5]
            ],
        }


def separable_cnn(activation: str) -> keras.Model:
    x = inputs = keras.Input((28, 28, 1))
    for filters, stride in ((16, 2), (32, 1), (64, 2), (64, 1)):
        if x is not inputs:
            x = layers.DepthwiseConv2D(3, padding="same", strides=stride, use_bias=False)(x)
            x = layers.Activation(activation)(layers.BatchNormalization(momentum=0.9)(x))
        size, step = (3, stride) if x is inputs else (1, 1)
        x = layers.Conv2D(filters, size, strides=step, padding="same", use_bias=False)(x)
        x = layers.Activation(activation)(layers.BatchNormalization(momentum=0.9)(x))
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(layers.GlobalAveragePooling2D()(x)))


def lstm() -> keras.Model:
    # Ranges cannot be read inside a loop.
    rows = [keras.Input((28, 28, 1)), layers.Reshape((28, 28)), layers.LSTM(32, unroll=True)]
    return keras.Sequential([*rows, layers.Dense(10, activation="softmax")])


def transformer() -> keras.Model:
    inputs = keras.Input((28, 28, 1))
    x = layers.Dense(32)(layers.Reshape((28, 28))(inputs))
    for _ in range(2):
        x = layers.LayerNormalization()(x + layers.MultiHeadAttention(2, 16)(x, x))
        x = layers.LayerNormalization()(x + layers.Dense(32)(layers.Dense(64, activation="gelu")(x)))
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(layers.GlobalAveragePooling1D()(x)))


NETWORKS: dict[str, Callable[[], keras.Model]] = {
    "separable CNN": lambda: separable_cnn("relu"),
    "LSTM, unrolled": lstm,
    "transformer": transformer,
}


def trained(build: Callable[[], keras.Model], seed: int, epochs: int, train: tuple) -> keras.Model:
    keras.utils.set_random_seed(seed)
    model = build()
    model.compile(keras.optimizers.Adam(2e-3), "sparse_categorical_crossentropy", jit_compile=False)
    model.fit(*train, epochs=epochs, batch_size=128, verbose=0)
    return model


def networks(epochs: int, train: tuple, test: tuple) -> Iterator[dict[str, Any]]:
    for name, build in NETWORKS.items():
        model = trained(build, 0, epochs, train)
        for precision in PRECISIONS:
            if (name, precision) == ("transformer", "int8"):
                continue  # the normalization of Keras holds an operator without an int8 kernel
            report = exported(model, precision, train, verify_data=(test[0][:1000], test[1][:1000]))
            (metric,) = report.task_metrics
            yield {
                "network": name,
                "precision": precision,
                "relative_rms": report.relative_rms_difference,
                "top1_agreement": report.top1_agreement,
                "accuracy_keras": metric.keras,
                "accuracy_exported": metric.exported,
            }


def accuracy_in_int8(model: keras.Model, train: tuple, test: tuple) -> float:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        report = export_tflite(
            model,
            path,
            quantize="int8",
            representative_data=train,
            verify_data=test[0][:EVALUATED_BATCH],
            batch_size=EVALUATED_BATCH,
            tolerance=NO_LIMIT,
        )
        runner = LiteRTModel.from_file(path)
        (name,), (output,) = tuple(report.inputs), report.outputs
        batches = np.split(test[0], len(test[0]) // EVALUATED_BATCH)
        classes = np.concatenate([runner({name: batch})[output].argmax(-1) for batch in batches])
    return float((classes == test[1]).mean())


def activations(seeds: int, epochs: int, train: tuple, test: tuple) -> Iterator[dict[str, Any]]:
    for activation in ACTIVATIONS:
        accuracies = []
        for seed in range(seeds):
            model = trained(lambda activation=activation: separable_cnn(activation), seed, epochs, train)
            in_keras = float((model.predict(test[0], batch_size=500, verbose=0).argmax(-1) == test[1]).mean())
            accuracies.append((in_keras, accuracy_in_int8(model, train, test)))
        yield {
            "activation": activation,
            "keras": [before for before, _ in accuracies],
            "int8": [after for _, after in accuracies],
            "loss": [before - after for before, after in accuracies],
        }


def fashion_mnist() -> tuple[tuple, tuple]:
    def arrays(split: str) -> tuple[np.ndarray, np.ndarray]:
        images, labels = tfds.as_numpy(tfds.load("fashion_mnist", split=split, batch_size=-1, as_supervised=True))
        return images.astype("float32") / 255.0, labels.astype("int64")

    return arrays(f"train[:{TRAINING_IMAGES}]"), arrays("test")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, help="ImageNet weights of MobileNetV2; left out without")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/quantization.json"))
    arguments = parser.parse_args()
    console = Console()
    results: dict[str, Any] = {"machine": machine(), "epochs": arguments.epochs}
    train, test = fashion_mnist()

    results["mobilenet_v2"] = list(mobilenet(arguments.weights)) if arguments.weights else []
    table = Table("precision", "MB", "latency to float32", "relative rms", "top-1 agreement", title="MobileNetV2")
    for row in results["mobilenet_v2"]:
        size, latency = f"{row['size_bytes'] / 1e6:.1f}", f"{row['latency_to_float32']:.2f}"
        table.add_row(row["precision"], size, latency, f"{row['relative_rms']:.2g}", f"{row['top1_agreement']:.0%}")
    console.print(table)

    results["networks"] = list(networks(arguments.epochs, train, test))
    table = Table("network", "precision", "relative rms", "top-1 agreement", "in Keras", "exported", title="Networks")
    for row in results["networks"]:
        shares = (f"{row[key]:.1%}" for key in ("top1_agreement", "accuracy_keras", "accuracy_exported"))
        table.add_row(row["network"], row["precision"], f"{row['relative_rms']:.2g}", *shares)
    console.print(table)

    results["activations"] = list(activations(arguments.seeds, arguments.epochs, train, test))
    table = Table("activation", "in Keras", "int8", "points lost", title="Activations in int8")
    for row in results["activations"]:
        shares = (", ".join(f"{value:.2%}" for value in row[key]) for key in ("keras", "int8"))
        table.add_row(row["activation"], *shares, ", ".join(f"{100 * value:+.2f}" for value in row["loss"]))
    console.print(table)
    write_json(arguments.output, results)


if __name__ == "__main__":
    main()
