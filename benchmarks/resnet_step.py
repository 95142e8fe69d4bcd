"""A training step of ResNet-20 with our batch normalization against Keras's: `python -m benchmarks.resnet_step`.

Images of 28 × 28 × 1 in batches of 64, `train_on_batch` interleaved in one process, with `jit_compile` off, on, and as
`compile` sets it. Peak memory is that of a process of its own that trains ten steps (Linux).
"""

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

import keras_normpack
from benchmarks.memory import own_peak, peak_in_own_process
from benchmarks.timing import RESULTS, interleaved, machine, median, median_ratio, write_json

BATCH = 64
GOAL = 1.25
NORMALIZATIONS: dict[str, Callable[[], Any]] = {
    "keras": keras.layers.BatchNormalization,
    "ours": keras_normpack.BatchNormalization,
}


def resnet20(normalization: Callable[[], Any]) -> Any:
    """He et al. 2016, arXiv:1512.03385, section 4.2, with n = 3."""

    def block(x: Any, filters: int, strides: int) -> Any:
        shortcut = x
        if strides > 1:
            shortcut = normalization()(keras.layers.Conv2D(filters, 1, strides, use_bias=False)(x))
        x = keras.layers.Conv2D(filters, 3, strides, padding="same", use_bias=False)(x)
        x = keras.layers.ReLU()(normalization()(x))
        x = normalization()(keras.layers.Conv2D(filters, 3, padding="same", use_bias=False)(x))
        return keras.layers.ReLU()(x + shortcut)

    inputs = keras.Input((28, 28, 1))
    x = keras.layers.Conv2D(16, 3, padding="same", use_bias=False)(inputs)
    x = keras.layers.ReLU()(normalization()(x))
    for filters in (16, 32, 64):
        for position in range(3):
            x = block(x, filters, strides=2 if filters > 16 and position == 0 else 1)
    outputs = keras.layers.Dense(10)(keras.layers.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, outputs)


def main() -> None:
    options = _options()
    if options.peak_of:
        print(_peak_memory(options.peak_of))
        return
    modes = {"off": False, "on": True, "auto": "auto"}
    steps = {name: _measure(jit_compile, options.repeats) for name, jit_compile in modes.items()}
    default_to_best = median_ratio(steps["auto"]["seconds"]["keras"], steps["off"]["seconds"]["ours"])
    peaks = {name: peak_in_own_process("benchmarks.resnet_step", "--peak-of", name) for name in NORMALIZATIONS}
    payload = {
        "benchmark": "resnet_step",
        "model": "ResNet-20, 28 × 28 × 1, batch 64, SGD",
        "repeats": options.repeats,
        "machine": machine(),
        "goal": {"jit_compile": "off", "ratio": GOAL, "reached": steps["off"]["ratio"] >= GOAL},
        "jit_compile": {
            name: {key: round(step[key], 3) for key in ("keras_ms", "ours_ms", "ratio")} for name, step in steps.items()
        },
        "keras_as_compiled_by_default_over_ours_with_jit_compile_off": round(default_to_best, 3),
        "peak_memory_mib": peaks,
    }
    for key in ("jit_compile", "keras_as_compiled_by_default_over_ours_with_jit_compile_off", "peak_memory_mib"):
        print(key, payload[key])
    write_json(options.output, payload)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.resnet_step", description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=31, help="timed steps per layer (default: 31)")
    parser.add_argument("--peak-of", choices=list(NORMALIZATIONS), help="only print the peak memory of this layer, MiB")
    parser.add_argument("--output", type=Path, default=RESULTS / "resnet_step.json", help="where figures are written")
    return parser.parse_args()


def _trainer(normalization: Callable[[], Any], jit_compile: bool | str) -> Callable[[], Any]:
    keras.utils.set_random_seed(0)
    model = resnet20(normalization)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), loss, jit_compile=jit_compile)
    generator = np.random.default_rng(0)
    images, labels = generator.normal(size=(BATCH, 28, 28, 1)).astype("float32"), generator.integers(0, 10, BATCH)
    return lambda: model.train_on_batch(images, labels)


def _measure(jit_compile: bool | str, repeats: int) -> dict[str, Any]:
    trainers = {name: _trainer(make, jit_compile) for name, make in NORMALIZATIONS.items()}
    seconds = interleaved(trainers, repeats, warmup=3)
    return {
        "seconds": seconds,
        "keras_ms": 1e3 * median(seconds["keras"]),
        "ours_ms": 1e3 * median(seconds["ours"]),
        "ratio": median_ratio(seconds["keras"], seconds["ours"]),
    }


def _peak_memory(name: str) -> float:
    train = _trainer(NORMALIZATIONS[name], jit_compile=False)
    for _ in range(10):
        train()
    return own_peak()


if __name__ == "__main__":
    main()
