"""From TensorFlow Addons, which has ended, to Keras 3: layers, weights saved there, and weight averaging.

The same constructors, as docs/migration.md lists them. Weights come over by `set_weights`; where their order or shape
differs, it takes a line, which is checked here against the formula. `tfa.optimizers.SWA` is a callback now. You will
see that the layers compute what they computed there, and the accuracy on scikit-learn's digits of the weights that
training ends with and of their average.

    python examples/15_from_tensorflow_addons.py [--epochs 12] [--seeds 3]
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
from _data import digits
from _table import print_means
from keras import layers

from keras_normpack import GroupNormalization, WeightNormalization
from keras_normpack.callbacks import StochasticWeightAveraging

BATCH_SIZE, RATE = 32, 0.05


def build() -> keras.Model:
    # tfa.layers.WeightNormalization(tf.keras.layers.Conv2D(…)), tfa.layers.GroupNormalization(8): only imports change.
    model = keras.Sequential([keras.Input((8, 8, 1))])
    for filters in (16, 32):
        model.add(WeightNormalization(layers.Conv2D(filters, 3, padding="same")))
        model.add(GroupNormalization(8))
        model.add(layers.ReLU())
    model.add(layers.GlobalAveragePooling2D())
    model.add(layers.Dense(10, activation="softmax"))
    # tfa.optimizers.SWA(tf.keras.optimizers.SGD(…)): the optimizer stays, averaging is a callback of `fit`.
    optimizer = keras.optimizers.SGD(RATE, momentum=0.9)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def carry_over(x: np.ndarray) -> None:
    """Weights as TensorFlow Addons kept them, put into layers of here."""
    random = np.random.default_rng(0)
    g, v, bias = random.uniform(0.5, 2.0, 16), random.normal(size=(3, 3, 1, 16)), random.normal(size=16)
    # What tfa.layers.WeightNormalization(Conv2D(16, 3)).get_weights() gave: g, v, bias, initialized.
    saved = [g, v, bias, np.array(True)]
    wrapped = WeightNormalization(layers.Conv2D(16, 3))
    wrapped.build((None, 8, 8, 1))
    wrapped.set_weights([saved[0], saved[3], saved[1], saved[2]])
    plain = layers.Conv2D(16, 3)
    plain.build((None, 8, 8, 1))
    plain.set_weights([g * v / np.linalg.norm(v.reshape(-1, 16), axis=0), bias])
    y = np.asarray(plain(x))
    difference = np.abs(np.asarray(wrapped(x)) - y).max()
    print(f"weight normalization: differs from g · v / ‖v‖ by at most {difference:.0e}")

    # tfa.layers.GroupNormalization(8).get_weights(): gamma, beta, as here.
    gamma, beta = random.uniform(0.5, 2.0, 16), random.normal(size=16)
    normalization = GroupNormalization(8)
    normalization.build(y.shape)
    normalization.set_weights([gamma, beta])
    groups = y.reshape(len(y), -1, 8, 2)
    mean, variance = groups.mean(axis=(1, 3), keepdims=True), groups.var(axis=(1, 3), keepdims=True)
    expected = ((groups - mean) / np.sqrt(variance + 1e-3)).reshape(y.shape) * gamma + beta
    difference = np.abs(np.asarray(normalization(y)) - expected).max()
    print(f"group normalization: differs from its formula by at most {difference:.0e}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    train, _, test = digits()
    carry_over(test[0][:32])

    accuracies: dict[str, list[float]] = {"last weights": [], "average of the last quarter": []}
    for seed in range(arguments.seeds):
        keras.utils.set_random_seed(seed)
        model = build()
        # Validation during training is of the optimizer's own weights; the average comes in when training ends.
        run = {"batch_size": BATCH_SIZE, "epochs": arguments.epochs, "validation_data": test, "verbose": 0}
        history = model.fit(*train, callbacks=[StochasticWeightAveraging()], **run)
        accuracies["last weights"].append(history.history["val_accuracy"][-1])
        averaged = model.evaluate(*test, verbose=0, return_dict=True)
        accuracies["average of the last quarter"].append(averaged["accuracy"])
    print_means("Test accuracy", accuracies)


if __name__ == "__main__":
    main()
