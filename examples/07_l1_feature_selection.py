"""Which columns of a table matter: a penalty that takes what says nothing out of the model.

scikit-learn's breast cancer table has 30 columns; beside them stand 60 shuffled copies, which say nothing and look
alike. `advise` finds a wide table on few rows (R306) and asks for a group lasso, which is L1 for a dense layer: all
weights of a column go together. You will see how many real and shuffled columns keep weights with either, the test
accuracy, and the names of the columns that the strongest penalty leaves.

    python examples/07_l1_feature_selection.py [--epochs 60] [--seeds 3]
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
from _data import in_three
from _table import print_means
from keras import layers
from sklearn.datasets import load_breast_cancer

from advisor import advise
from advisor.rewrite import add_regularizer
from keras_normpack.regularizers import GroupLasso

BATCH_SIZE, KEPT = 32, 0.05
"""Samples per step, and the share of the heaviest column's weight above which a column counts."""


def table(seed: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Columns of mean 0 and deviation 1, the shuffled ones behind the real ones."""
    bunch = load_breast_cancer()
    generator = np.random.default_rng(seed)
    copies = [generator.permutation(column) for _ in range(2) for column in bunch.data.T]
    x = np.column_stack([bunch.data, *copies])
    scaled = (x - x.mean(axis=0)) / x.std(axis=0)
    names = [*bunch.feature_names, *(f"shuffled {name}" for name in [*bunch.feature_names] * 2)]
    return scaled.astype("float32"), bunch.target, names


def build(columns: int) -> keras.Model:
    model = keras.Sequential(
        [
            keras.Input((columns,)),
            layers.Dense(16, activation="relu", name="first"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.003), "binary_crossentropy", metrics=["accuracy"])
    return model


def weights(model: keras.Model) -> np.ndarray:
    """Length of what each column is multiplied by, the heaviest as 1."""
    lengths = np.linalg.norm(model.get_layer("first").get_weights()[0], axis=1)
    return lengths / lengths.max()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()

    accuracies: dict[str, list[float]] = {}
    real: dict[str, list[float]] = {}
    useless: dict[str, list[float]] = {}
    for seed in range(arguments.seeds):
        x, y, names = table(seed)
        train, _, test = in_three(x, y, seed)
        keras.utils.set_random_seed(seed)
        model = build(x.shape[1])
        advice = advise(model, batch_size=BATCH_SIZE, epochs=arguments.epochs, data=train, select="R306")
        if seed == 0:
            print(advice)
        ways = {
            "no penalty": model,
            "as advised": advice.apply(),
            "L1 of 0.005": add_regularizer(model, keras.regularizers.L1(0.005), layers="first"),
            "group lasso of 0.02": add_regularizer(model, GroupLasso(0.02), layers="first"),
        }
        for name, way in ways.items():
            keras.utils.set_random_seed(seed)
            way.fit(*train, batch_size=BATCH_SIZE, epochs=arguments.epochs, verbose=0)
            kept = weights(way) > KEPT
            accuracies.setdefault(name, []).append(way.evaluate(*test, verbose=0, return_dict=True)["accuracy"])
            real.setdefault(name, []).append(kept[:30].sum())
            useless.setdefault(name, []).append(kept[30:].sum())
    print_means("Test accuracy", accuracies)
    print_means("Kept of the 30 real columns", real, "{:.0f}")
    print_means("Kept of the 60 shuffled columns", useless, "{:.0f}")
    print(f"\nLeft by the group lasso of 0.02: {', '.join(names[column] for column in np.flatnonzero(kept))}")


if __name__ == "__main__":
    main()
