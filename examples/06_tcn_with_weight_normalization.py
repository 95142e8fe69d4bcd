"""Weight normalization in a temporal convolutional network, and how it is taken out before shipping.

A TCN reads scikit-learn's digits pixel by pixel, as a series of 64 steps, with the blocks of Bai et al. 2018: dilated
causal convolutions under `WeightNormalization`, whose lengths the first batch sets. You will see the test accuracy with
and without it, at a cautious and at a bolder learning rate, and that the model with the wrappers removed computes the
same with fewer values.

    python examples/06_tcn_with_weight_normalization.py [--epochs 8] [--seeds 2]
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
from _data import digits
from _table import print_means
from keras import layers

from advisor.rewrite import remove_weight_normalization
from keras_normpack import WeightNormalization

STEPS, CHANNELS, BATCH_SIZE = 64, 24, 32
DILATIONS = (1, 4, 16)
RATES = (0.01, 0.03)


def plain(layer: keras.Layer) -> keras.Layer:
    return layer


def build(wrapped) -> keras.Model:
    inputs = x = keras.Input((STEPS, 1))
    for dilation in DILATIONS:
        y = x
        for _ in range(2):
            y = wrapped(layers.Conv1D(CHANNELS, 4, padding="causal", dilation_rate=dilation))(y)
            y = layers.ReLU()(y)
        if x.shape[-1] != CHANNELS:
            x = layers.Conv1D(CHANNELS, 1)(x)
        x = layers.ReLU()(layers.Add()([x, y]))
    pooled = layers.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(pooled))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=2)
    arguments = parser.parse_args()
    train, _, test = ((x.reshape(-1, STEPS, 1), y) for x, y in digits())

    accuracies: dict[str, list[float]] = {}
    for rate in RATES:
        for name, wrapped in (("plain", plain), ("weight normalization", WeightNormalization)):
            values = accuracies.setdefault(f"{name}, rate {rate:g}", [])
            for seed in range(arguments.seeds):
                keras.utils.set_random_seed(seed)
                model = build(wrapped)
                optimizer = keras.optimizers.SGD(rate, momentum=0.9)
                model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
                model.fit(*train, batch_size=BATCH_SIZE, epochs=arguments.epochs, verbose=0)
                values.append(model.evaluate(*test, verbose=0, return_dict=True)["accuracy"])
    print_means("Test accuracy", accuracies)

    shipped = remove_weight_normalization(model)
    difference = np.abs(shipped.predict(test[0], verbose=0) - model.predict(test[0], verbose=0)).max()
    sizes = f"{shipped.count_params()} values instead of {model.count_params()}"
    print(f"\nWithout the wrappers: {sizes}, outputs differ by at most {difference:.0e}")


if __name__ == "__main__":
    main()
