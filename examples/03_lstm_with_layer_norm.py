"""Stacked LSTM layers on a series, with layer normalization between them and inside their steps.

scikit-learn's digits are read row by row, as series of eight steps of eight values. `advise` finds recurrent layers
that follow each other without normalization (N108) and puts layer normalization between them; `LayerNormLSTM`
normalizes inside each step instead, which does more and runs slower. You will see the test accuracy of all three after
a few epochs.

    python examples/03_lstm_with_layer_norm.py [--epochs 5] [--seeds 3]
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
from _data import digits
from _table import print_means
from keras import layers

from advisor import advise
from keras_normpack import LayerNormLSTM

BATCH_SIZE, UNITS = 32, 32


def build(recurrent: type[keras.Layer] = layers.LSTM) -> keras.Model:
    model = keras.Sequential(
        [
            keras.Input((8, 8)),
            recurrent(UNITS, return_sequences=True),
            recurrent(UNITS),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    train, choose, test = ((x[..., 0], y) for x, y in digits())
    run = {"batch_size": BATCH_SIZE, "epochs": arguments.epochs, "validation_data": choose, "verbose": 0}

    accuracies: dict[str, list[float]] = {"as written": [], "as advised": [], "LayerNormLSTM": []}
    for seed in range(arguments.seeds):
        keras.utils.set_random_seed(seed)
        written, inside = build(), build(LayerNormLSTM)
        known = {"batch_size": BATCH_SIZE, "epochs": arguments.epochs, "data": train, "validation_data": choose}
        advice = advise(written, **known)
        if seed == 0:
            print(advice)
        keras.utils.set_random_seed(seed)
        advised, _ = advice.fit(train, **run)
        for model in (written, inside):
            keras.utils.set_random_seed(seed)
            model.fit(*train, **run)
        for values, model in zip(accuracies.values(), (written, advised, inside), strict=True):
            values.append(model.evaluate(*test, verbose=0, return_dict=True)["accuracy"])
    print_means("Test accuracy", accuracies)


if __name__ == "__main__":
    main()
