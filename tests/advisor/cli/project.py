"""The folder of a user: models in files and in code, data, and the command line run in it."""

import glob
import shlex

import keras
import numpy as np
from keras import layers
from typer.testing import CliRunner

from advisor.cli import app

NETS = """
import keras
import numpy as np
from keras import layers

print("imported")


def small():
    print("called")
    stack = [layers.Conv2D(4, 3), layers.BatchNormalization(), layers.ReLU(), layers.GlobalAveragePooling2D()]
    return keras.Sequential([keras.Input((8, 8, 1)), *stack, layers.Dense(2, activation="softmax")])


def trained():
    model = small()
    model.compile("adam", "sparse_categorical_crossentropy")
    x = np.random.default_rng(0).normal(size=(64, 8, 8, 1)).astype("float32")
    y = (x.mean((1, 2, 3)) > 0).astype(int)
    return model, {"data": (x, y), "validation_data": (x[:32] + 1, y[:32]), "batch_size": 8, "epochs": 1}


model = keras.Sequential([keras.Input((3,)), layers.Dropout(0.0, name="none"), layers.Dense(2)], name="ready")
number = 3


def with_arguments(size, *, depth, width=3): ...


def with_defaults(size=4, *more, **others):
    return keras.Sequential([keras.Input((size,)), layers.Dense(2)])


def raising():
    return {}["no such key"]


def leaving():
    raise SystemExit("done")


def returning():
    return 3, {}


def misspelled():
    return model, {"batchsize": 3}
"""


def flawed_model(name="flawed"):
    stack = [layers.Conv2D(4, 3, name="conv"), layers.BatchNormalization(name="norm"), layers.ReLU(name="relu")]
    head = [layers.GlobalAveragePooling2D(name="pool"), layers.Dense(2, activation="softmax", name="head")]
    model = keras.Sequential([keras.Input((8, 8, 1)), *stack, *head], name=name)
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def write_project(folder):
    """Models, data and code under the names that the examples and the pages use."""
    flawed_model().save(folder / "model.keras")
    (folder / "models").mkdir()
    flawed_model("small").save(folder / "models" / "small.keras")
    flawed_model("large").save(folder / "models" / "large.keras")
    random = np.random.default_rng(0)
    for name, count in (("train", 64), ("val", 32)):
        x = random.normal(size=(count, 8, 8, 1)).astype("float32")
        np.savez(folder / f"{name}.npz", x=x, y=(x.mean((1, 2, 3)) > 0).astype(int))
    (folder / "log.csv").write_text("epoch,loss,val_loss\n0,0.7,0.7\n1,0.5,0.6\n")
    (folder / "nets.py").write_text(NETS)


def run(*arguments):
    """The command line in this process; an error that it does not explain is raised."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def words_of(command):
    """The words behind `keras-advisor` as the shell would give them to it in the current folder."""
    _, *rest = shlex.split(command)
    return [word for part in rest for word in (sorted(glob.glob(part)) if "*" in part else [part])]
