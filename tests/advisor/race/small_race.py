"""A race that takes seconds, run by tests in this process and in another: `python small_race.py FOLDER`.

With a number behind the folder, the process kills itself in that training, after its first epoch.
"""

import os
import signal
import sys

import keras
import numpy as np
from keras import layers

from advisor import advise

GENERATOR = np.random.default_rng(0)


def samples(count):
    x = GENERATOR.normal(size=(count, 6)).astype("float32")
    return x, (x[:, 0] * x[:, 1] > 0).astype("int64")


TRAINING, VALIDATION = samples(120), samples(120)


def network(width=8, rate=0.5):
    model = keras.Sequential(
        [keras.Input((6,)), layers.Dense(width, activation="relu"), layers.Dense(2, activation="softmax")], name="small"
    )
    # Eagerly, as tracing would cost more than such trainings.
    model.compile(keras.optimizers.SGD(rate), "sparse_categorical_crossentropy", run_eagerly=True)
    return model


def candidates():
    return {"wide": network(32), "narrow": network(2)}


def small_advice(epochs=2):
    return advise(network(), batch_size=40, epochs=epochs, select="T501", verbose=0)


def small_race(**settings):
    settings = {"budget": "6 trials", "seeds": 2, "candidates": candidates(), "verbose": 0, **settings}
    return small_advice().race(TRAINING, VALIDATION, **settings)


def known(result):
    """What two races of the same kind must agree on."""
    return [(one.name, one.values, one.difference, one.verdict, one.rung, one.epochs) for one in result.standings]


class Killer:
    """Kills the process by a signal that nothing can catch, in the middle of a training."""

    def __init__(self, training):
        self.left = training

    def __call__(self, epoch, score):
        self.left -= epoch == 1
        if not self.left:
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        from advisor.race import local

        kill, train = Killer(int(sys.argv[2])), local.train

        def killing(candidate, data, scorer, seed, epochs, on_epoch, **settings):
            def on_epoch_and_kill(epoch, score):
                on_epoch(epoch, score)
                kill(epoch, score)

            return train(candidate, data, scorer, seed, epochs, on_epoch_and_kill, **settings)

        local.train = killing
    small_race(directory=sys.argv[1])
