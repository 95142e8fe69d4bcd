"""Is the advice right? A race on Ray, with every worker training a candidate.

The model as written, as advised, and what the findings suggest instead are trained on scikit-learn's digits side by
side: on the cores of this machine, or on the Ray cluster that `RAY_ADDRESS` names, without a change of this script.
Weak ones are stopped early; the best and the original run with all seeds. You will see the ranking, differences with
their 95 % intervals, and one sentence that claims no more than they support.

    pip install 'keras-normpack[ray]'
    python examples/13_race_on_ray.py [--epochs 6] [--budget "12 trials"] [--seeds 3]
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
from _data import digits
from keras import layers

from advisor import advise

BATCH_SIZE = 8


def build() -> keras.Model:
    model = keras.Sequential([keras.Input((8, 8, 1))])
    for filters in (16, 32):
        model.add(layers.Conv2D(filters, 3, padding="same", activation="relu"))
        model.add(layers.BatchNormalization())
    model.add(layers.GlobalAveragePooling2D())
    model.add(layers.Dense(10, activation="softmax"))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--budget", default="12 trials")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    keras.utils.set_random_seed(0)
    train, *held = digits()
    # What is held out chooses and judges: the race keeps the two apart itself.
    held_out = tuple(np.concatenate(parts) for parts in zip(*held, strict=True))

    advice = advise(build(), batch_size=BATCH_SIZE, epochs=arguments.epochs, data=train, validation_data=held_out)
    for finding in advice.findings:
        print(f"{finding.code} {finding.message}")
    result = advice.race(train, held_out, engine="ray", budget=arguments.budget, seeds=arguments.seeds)
    print(f"\n{result}")


if __name__ == "__main__":
    main()
