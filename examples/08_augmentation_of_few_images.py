"""Augmentation where there are ten images of each class.

Faces and pieces of background, 25×25 pixels, out of photographs of the press (a part of Labeled Faces in the Wild that
comes with scikit-image). `advise` sees few images of each class and a long run (A401), and plans mirroring, shifts and
changes of contrast that run in the input pipeline. You will see the plan, and the test accuracy with and without it
over several draws of the twenty, with as many steps of training for both.

    pip install scikit-image            # brings the images
    python examples/08_augmentation_of_few_images.py [--epochs 60] [--seeds 5]
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
from _data import Part
from _table import print_means
from keras import layers
from skimage.data import lfw_subset
from sklearn.model_selection import train_test_split

from advisor import advise

PER_CLASS, BATCH_SIZE = 10, 5


def faces(seed: int) -> tuple[Part, Part]:
    """Ten images of each class to train on, ninety to test on; label 1 is a face."""
    images, labels = lfw_subset()[..., None].astype("float32"), np.repeat([1, 0], 100)
    x, x_test, y, y_test = train_test_split(
        images, labels, train_size=2 * PER_CLASS, random_state=seed, stratify=labels
    )
    return (x, y), (x_test, y_test)


def build() -> keras.Model:
    model = keras.Sequential([keras.Input((25, 25, 1))])
    for filters in (16, 32):
        model.add(layers.Conv2D(filters, 3, padding="same", activation="relu"))
        model.add(layers.MaxPooling2D())
    model.add(layers.Flatten())
    model.add(layers.Dense(2, activation="softmax"))
    model.compile(keras.optimizers.Adam(0.001), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    run = {"epochs": arguments.epochs, "verbose": 0}

    accuracies: dict[str, list[float]] = {"as they are": [], "augmented": []}
    for seed in range(arguments.seeds):
        train, test = faces(seed)
        keras.utils.set_random_seed(seed)
        plain = build()
        advice = advise(plain, batch_size=BATCH_SIZE, epochs=arguments.epochs, data=train, select="A401", seed=seed)
        if seed == 0:
            print(advice)
            print(advice.plan)
        keras.utils.set_random_seed(seed)
        augmented, _ = advice.fit(train, **run)
        keras.utils.set_random_seed(seed)
        plain.fit(*train, batch_size=BATCH_SIZE, **run)
        for values, model in zip(accuracies.values(), (plain, augmented), strict=True):
            values.append(model.evaluate(*test, verbose=0, return_dict=True)["accuracy"])
    print_means(f"Test accuracy with {PER_CLASS} images of each class", accuracies)


if __name__ == "__main__":
    main()
