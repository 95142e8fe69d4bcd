"""From a trained model to integers on a microcontroller, and what that costs.

A small CNN for scikit-learn's digits goes to LiteRT in float32, with weights in int8, and wholly in int8, inputs and
outputs too. Each file is checked against Keras, and the export reports size, time and accuracy before and after, and
which layer loses most. You will see a table of the three files, and the whole report of the smallest.

    python examples/12_tflite_in_int8.py [--epochs 12] [--output FOLDER]
"""

import argparse
import os
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
from _data import digits
from keras import layers

from advisor import advise

BATCH_SIZE = 32


def build() -> keras.Model:
    model = keras.Sequential([keras.Input((8, 8, 1))])
    for filters in (32, 64):
        model.add(layers.Conv2D(filters, 3, padding="same", use_bias=False))
        model.add(layers.BatchNormalization(momentum=0.9))
        model.add(layers.ReLU())
    model.add(layers.GlobalAveragePooling2D())
    model.add(layers.Dropout(0.2))
    model.add(layers.Dense(10, activation="softmax"))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--output", type=Path, default=Path(tempfile.gettempdir()))
    arguments = parser.parse_args()
    keras.utils.set_random_seed(0)
    train, _, test = digits()
    model = build()
    model.fit(*train, batch_size=BATCH_SIZE, epochs=arguments.epochs, verbose=0)

    # The ranges of the integers are read off on training data, which `advise` has; the test digits check the files.
    advice = advise(model, target="mobile", data=train)
    reports = {
        quantize or "float32": advice.export(
            arguments.output / f"digits_{quantize or 'float32'}.tflite", quantize=quantize, verify_data=test
        )
        for quantize in (None, "dynamic", "int8")
    }
    print(f"{'precision':<10}{'bytes':>8}{'of float32':>12}{'ms':>8}{'accuracy':>10}   same answer as Keras")
    for name, report in reports.items():
        (metric,) = report.task_metrics
        share = report.size_bytes / reports["float32"].size_bytes
        print(
            f"{name:<10}{report.size_bytes:>8}{share:>12.0%}{report.latency_ms[1]:>8.3f}{metric.exported:>10.1%}"
            f"   {report.top1_agreement:.1%}"
        )
    print(f"\n{reports['int8']}")


if __name__ == "__main__":
    main()
