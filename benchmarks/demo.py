"""The figures of `keras-advisor demo`, for the README, and what rule N112 alone contributes to them.

    python -m benchmarks.demo [--output benchmarks/results/demo.json]

Goals: the advised model's mean test accuracy is at least that of the model as written, TFLite differs from Keras by at
most 1e-4, and the whole takes less than three minutes on two cores.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import time
from pathlib import Path

import keras

from advisor import advise
from advisor.demo import ImageData, run_demo
from advisor.demo.model import handwritten_cnn
from advisor.demo.run import BATCH_SIZE, DIGITS_EPOCHS
from benchmarks.timing import machine, write_json


def momentum_alone(images: ImageData, seed: int) -> float:
    """Test accuracy with nothing mended but the momentum of the moving averages."""
    keras.utils.set_random_seed(seed)
    model = handwritten_cnn(images.image_shape, images.classes)
    advice = advise(model, batch_size=BATCH_SIZE, data=images.train, epochs=DIGITS_EPOCHS, select="N112", verbose=0)
    mended = advice.apply()
    keras.utils.set_random_seed(seed)
    mended.fit(images.train, epochs=DIGITS_EPOCHS, shuffle=False, verbose=0)
    return float(mended.evaluate(images.test, verbose=0, return_dict=True)["accuracy"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/demo.json"))
    arguments = parser.parse_args()
    start = time.perf_counter()
    result = run_demo()
    seconds = time.perf_counter() - start
    comparison, export = result.comparison, result.export
    n112 = [momentum_alone(result.data, seed) for seed in range(len(comparison.as_written))]
    met = comparison.gain >= 0 and export.max_abs_difference <= 1e-4 and seconds < 180
    figures = {
        "seconds": seconds,
        "as_written": comparison.as_written,
        "as_advised": comparison.advised,
        "gain_in_points": 100 * comparison.gain,
        "n112_alone": n112,
        "findings": [finding.code for finding in result.advice.findings],
        "tflite": export.to_dict() | {"path": None},
    }
    write_json(arguments.output, {"machine": machine(), "goals_met": met, "figures": figures})


if __name__ == "__main__":
    main()
