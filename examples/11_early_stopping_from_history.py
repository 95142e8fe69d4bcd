"""Early stopping, learnt from an earlier run.

A network for scikit-learn's diabetes table runs for 120 epochs and writes its curves with Keras's `CSVLogger`. `advise`
reads that file (T505), says since which epoch the network only learnt by heart, and plans the next run: it stops early
and keeps the best weights. `GeneralizationEarlyStopping` stops by Prechelt's criterion instead. You will see the
verdict, and for each run its epochs and the error on test patients.

    python examples/11_early_stopping_from_history.py [--epochs 120] [--seeds 3]
"""

import argparse
import os
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
from _table import print_means
from keras import layers
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split

from advisor import advise
from keras_normpack.callbacks import GeneralizationEarlyStopping

BATCH_SIZE = 16


def patients(seed: int):
    """Ten measurements each, and how far the illness has come after a year, as deviations from the mean."""
    x, y = load_diabetes(return_X_y=True)
    x, y = (x / x.std()).astype("float32"), y.astype("float32")
    x, x_test, y, y_test = train_test_split(x, y, test_size=0.3, random_state=seed)
    x, x_choose, y, y_choose = train_test_split(x, y, test_size=0.25, random_state=seed)
    mean, deviation = y.mean(), y.std()
    return (x, (y - mean) / deviation), (x_choose, (y_choose - mean) / deviation), (x_test, y_test), mean, deviation


def build() -> keras.Model:
    model = keras.Sequential([keras.Input((10,))])
    for _ in range(2):
        model.add(layers.Dense(64, activation="relu"))
    model.add(layers.Dense(1))
    model.compile("adam", "mse")
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=120)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()

    errors: dict[str, list[float]] = {"first run": [], "as advised": [], "by Prechelt's PQ": []}
    epochs: dict[str, list[float]] = {name: [] for name in errors}
    for seed in range(arguments.seeds):
        train, choose, (x_test, y_test), mean, deviation = patients(seed)
        run = {"batch_size": BATCH_SIZE, "epochs": arguments.epochs, "validation_data": choose, "verbose": 0}
        with tempfile.TemporaryDirectory() as folder:
            curves = Path(folder) / "first_run.csv"
            keras.utils.set_random_seed(seed)
            first = build()
            first_history = first.fit(*train, callbacks=[keras.callbacks.CSVLogger(curves)], **run)
            advice = advise(
                build(), history=curves, batch_size=BATCH_SIZE, epochs=arguments.epochs, data=train, select="T5"
            )
        if seed == 0:
            print(advice)
            print(advice.plan)
        keras.utils.set_random_seed(seed)
        advised, history = advice.fit(train, **run)
        keras.utils.set_random_seed(seed)
        by_criterion = build()
        stopping = GeneralizationEarlyStopping("PQ", restore_best_weights=True)
        criterion_history = by_criterion.fit(*train, callbacks=[stopping], **run)
        models = (first, advised, by_criterion)
        for name, model, ran in zip(errors, models, (first_history, history, criterion_history), strict=True):
            predicted = mean + deviation * np.asarray(model(x_test))[:, 0]
            errors[name].append(float(np.mean(np.abs(predicted - y_test))))
            epochs[name].append(len(ran.epoch))
    print_means("Epochs", epochs, "{:.0f}")
    print_means("Mean error on test patients (of a score from 25 to 346)", errors, "{:.1f}")


if __name__ == "__main__":
    main()
