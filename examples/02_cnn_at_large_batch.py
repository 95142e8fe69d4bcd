"""A CNN at a large batch: few steps, and moving averages that cannot keep up with them.

At batch 256 an epoch of scikit-learn's digits has five steps. Batch normalization trains well on such batches, yet its
moving averages, with which the model is tested, move by a hundredth a step and lag behind the weights. `advise` finds
that (N112). You will see the test accuracy as written, as advised, and with ghost batches of 32, which add the noise
of small batches to large ones.

    python examples/02_cnn_at_large_batch.py [--epochs 15] [--seeds 3]
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
from _data import digits
from _table import print_means
from keras import layers

from advisor import advise
from advisor.rewrite import replace_norm
from keras_normpack import BatchNormalization

BATCH_SIZE = 256
GHOST_BATCH = 32


def build() -> keras.Model:
    model = keras.Sequential([keras.Input((8, 8, 1))])
    for filters in (32, 64):
        model.add(layers.Conv2D(filters, 3, padding="same", use_bias=False))
        model.add(layers.BatchNormalization())
        model.add(layers.ReLU())
    model.add(layers.GlobalAveragePooling2D())
    model.add(layers.Dense(10, activation="softmax"))
    model.compile(keras.optimizers.Adam(0.005), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    train, choose, test = digits()
    run = {"epochs": arguments.epochs, "batch_size": BATCH_SIZE, "verbose": 0}

    accuracies: dict[str, list[float]] = {"as written": [], "as advised": [], f"ghost batches of {GHOST_BATCH}": []}
    for seed in range(arguments.seeds):
        keras.utils.set_random_seed(seed)
        written = build()
        advice = advise(written, batch_size=BATCH_SIZE, epochs=arguments.epochs, data=train, validation_data=choose)
        if seed == 0:
            print(advice)
        ghost = replace_norm(advice.apply(), BatchNormalization, virtual_batch_size=GHOST_BATCH, momentum=0.9)
        keras.utils.set_random_seed(seed)
        advised, _ = advice.fit(train, validation_data=choose, **run)
        for model in (written, ghost):
            keras.utils.set_random_seed(seed)
            model.fit(*train, **run)
        for values, model in zip(accuracies.values(), (written, advised, ghost), strict=True):
            values.append(model.evaluate(*test, verbose=0, return_dict=True)["accuracy"])
    print_means("Test accuracy", accuracies)


if __name__ == "__main__":
    main()
