"""Advise on a model of your own, train what comes out, and ship it.

A small CNN for scikit-learn's handwritten digits, trained at batch size 4 as on a device with little memory. The rule
of thumb says that batch normalization fails there. Given data, the advice measures instead: on these images the
statistics of four are good enough and stay, while the moving averages would lag behind the weights, and are mended.

    python examples/01_advise_a_small_cnn.py [--epochs 6] [--output digits.tflite]
"""

import argparse
import os
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
from keras import layers
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from advisor import advise

BATCH_SIZE = 4


def build() -> keras.Model:
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(16, 3, padding="same", name="conv1"),
            layers.BatchNormalization(name="norm1"),
            layers.ReLU(),
            layers.Conv2D(32, 3, padding="same", name="conv2"),
            layers.BatchNormalization(name="norm2"),
            layers.ReLU(),
            layers.GlobalAveragePooling2D(),
            layers.Dense(10, activation="softmax", name="head"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--output", type=Path, default=Path(tempfile.gettempdir()) / "digits.tflite")
    arguments = parser.parse_args()
    keras.utils.set_random_seed(0)

    digits = load_digits()
    images = (digits.images[..., None] / 16.0).astype("float32")
    x, x_test, y, y_test = train_test_split(images, digits.target, test_size=0.2, random_state=0)
    x, x_val, y, y_val = train_test_split(x, y, test_size=0.1, random_state=0)

    model = build()
    advice = advise(model, batch_size=BATCH_SIZE, data=(x, y), validation_data=(x_val, y_val), epochs=arguments.epochs)
    print(advice)

    rewrite = advice.rewrite()
    for applied in rewrite.applied:
        print(f"applied {applied.finding.code}: {applied.finding.fix.title}")
    for skipped in rewrite.skipped:
        print(f"skipped {skipped.finding.code}: {skipped.reason}")
    print(rewrite.diff)

    advised = rewrite.model
    print(advice.plan)
    advice.plan.compile(advised)
    advice.plan.fit(
        advised, (x, y), validation_data=(x_val, y_val), epochs=arguments.epochs, batch_size=BATCH_SIZE, verbose=2
    )
    model.fit(x, y, epochs=arguments.epochs, batch_size=BATCH_SIZE, verbose=2)
    for name, candidate in (("as written", model), ("as advised", advised)):
        accuracy = candidate.evaluate(x_test, y_test, verbose=0, return_dict=True)["accuracy"]
        print(f"{name}: {accuracy:.2%} of the test digits")

    print(advise(advised, target="mobile").export(arguments.output, verify_data=x_test[:32]))


if __name__ == "__main__":
    main()
