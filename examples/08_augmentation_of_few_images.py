"""Augmentation where there are ten images of each class.

A hundred of scikit-learn's digits. `advise` sees few images of each class (A401), sees ink on paper, on which no image
may be mirrored, and plans small shifts, turns and zooms that run in the input pipeline. You will see the plan, and the
test accuracy with and without it over several draws of the hundred, with as many steps of training for both.

    python examples/08_augmentation_of_few_images.py [--epochs 60] [--seeds 4]
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
from _data import digits
from _table import print_means
from keras import layers

from advisor import advise

PER_CLASS, BATCH_SIZE = 10, 10


def build() -> keras.Model:
    model = keras.Sequential([keras.Input((8, 8, 1))])
    for filters in (32, 64):
        model.add(layers.Conv2D(filters, 3, padding="same", activation="relu"))
    model.add(layers.GlobalMaxPooling2D())
    model.add(layers.Dense(10, activation="softmax"))
    model.compile(keras.optimizers.Adam(0.002), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=4)
    arguments = parser.parse_args()
    run = {"epochs": arguments.epochs, "verbose": 0}

    accuracies: dict[str, list[float]] = {"as they are": [], "augmented": []}
    for seed in range(arguments.seeds):
        (x, y), _, test = digits(seed)
        few = np.concatenate([np.flatnonzero(y == label)[:PER_CLASS] for label in range(10)])
        train = x[few], y[few]
        keras.utils.set_random_seed(seed)
        plain = build()
        advice = advise(plain, batch_size=BATCH_SIZE, epochs=arguments.epochs, data=train, select="A401", seed=seed)
        if seed == 0:
            print(advice)
            print(advice.plan)
        augmented, _ = advice.fit(train, **run)
        keras.utils.set_random_seed(seed)
        plain.fit(*train, batch_size=BATCH_SIZE, **run)
        for values, model in zip(accuracies.values(), (plain, augmented), strict=True):
            values.append(model.evaluate(*test, verbose=0, return_dict=True)["accuracy"])
    print_means(f"Test accuracy with {PER_CLASS} images of each digit", accuracies)


if __name__ == "__main__":
    main()
