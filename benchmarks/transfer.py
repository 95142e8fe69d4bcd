"""Transfer in two phases against training from scratch, on few samples of CIFAR-10.

    python -m benchmarks.transfer --data-dir DIR --weights FILE [--per-class 20 100] [--seeds 3]

`FILE` holds ImageNet weights of MobileNetV2 that take images scaled as torchvision does, by mean and deviation of
ImageNet. A network from scratch sees the images at 32×32, the pretrained one enlarged to 96×96 inside the model. All
stop early on the same 10 validation images per class and are tested on the same 1,000 test images. `live batch norm` is
the two-phase plan with the batch normalization of the frozen part left trainable, as A405 finds it. Rows are
written as they come, beside those that the result file holds.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from advisor.graph.keras_internals import layer_tree
from advisor.rewrite import pretrained_backbone
from advisor.training import TransferPlan
from benchmarks.timing import RESULTS, machine, write_json

CLASSES, VALIDATION_PER_CLASS, TESTED = 10, 10, 1000
BATCH, EPOCHS_FROM_SCRATCH, PATIENCE = 16, 60, 10

Split = tuple[np.ndarray, np.ndarray]


class LiveBatchNorm(TransferPlan):
    """The plan without its care for batch normalization."""

    def freeze_backbone(self, model: Any) -> None:
        super().freeze_backbone(model)
        self._free_batch_norm(model)

    def unfreeze_top(self, model: Any) -> None:
        super().unfreeze_top(model)
        self._free_batch_norm(model)

    def _free_batch_norm(self, model: Any) -> None:
        for layer in layer_tree(self._backbone_of(model)):
            if isinstance(layer, layers.BatchNormalization):
                layer.trainable = True


def small_network() -> keras.Model:
    """Three blocks of convolution, batch normalization and pooling."""
    model = keras.Sequential([keras.Input((32, 32, 3)), layers.Rescaling(1 / 127.5, offset=-1.0)])
    for filters in (32, 64, 128):
        model.add(layers.Conv2D(filters, 3, padding="same", use_bias=False))
        model.add(layers.BatchNormalization(momentum=0.9))
        model.add(layers.ReLU())
        model.add(layers.MaxPooling2D())
    model.add(layers.GlobalAveragePooling2D())
    model.add(layers.Dropout(0.2))
    model.add(layers.Dense(CLASSES, activation="softmax", name="head"))
    return model


def compiled(model: keras.Model) -> keras.Model:
    """With Adam and its usual rate."""
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def from_scratch(train: Split, validation: Split, weights: str) -> keras.Model:
    """Trained from random weights, the best weights restored."""
    model = compiled(small_network())
    stopping = keras.callbacks.EarlyStopping("val_loss", patience=PATIENCE, restore_best_weights=True)
    model.fit(
        *train,
        validation_data=validation,
        batch_size=BATCH,
        epochs=EPOCHS_FROM_SCRATCH,
        callbacks=[stopping],
        verbose=0,
    )
    return model


def transferred(plan: TransferPlan) -> Callable[[Split, Split, str], keras.Model]:
    """Trained by the plan from pretrained weights."""

    def train_model(train: Split, validation: Split, weights: str) -> keras.Model:
        model = compiled(pretrained_backbone(small_network(), "MobileNetV2", weights=weights, preprocess="torch"))
        plan.fit(model, *train, validation_data=validation, batch_size=BATCH, verbose=0)
        return model

    return train_model


ARMS = {
    "from scratch": from_scratch,
    "head only": transferred(TransferPlan(head_epochs=10, top_epochs=0)),
    "two phases": transferred(TransferPlan(head_epochs=10, top_epochs=8)),
    "two phases, live batch norm": transferred(LiveBatchNorm(head_epochs=10, top_epochs=8)),
}


def few(images: np.ndarray, labels: np.ndarray, per_class: int, skip: int, seed: int) -> Split:
    """So many samples of each class, by a seed, after skipping others."""
    generator = np.random.default_rng(seed)
    orders = [generator.permutation(np.flatnonzero(labels == label)) for label in range(CLASSES)]
    chosen = np.concatenate([order[skip : skip + per_class] for order in orders])
    return images[chosen].astype("float32"), labels[chosen]


def load(data_dir: str) -> tuple[Split, Split]:
    """Training and test images, 0 to 255."""
    import tensorflow_datasets as tfds

    splits = tfds.load(
        "cifar10", split=["train", f"test[:{TESTED}]"], data_dir=data_dir, batch_size=-1, as_supervised=True
    )
    (x, y), (x_test, y_test) = tfds.as_numpy(splits)
    return (x, y), (x_test.astype("float32"), y_test)


def with_row(path: Path, row: dict) -> list[dict]:
    """The rows of a result file with one more, which takes the place of an older one of the same arm and size."""
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.exists() else []

    def trial(one: dict) -> tuple:
        return one["per_class"], list(ARMS).index(one["arm"])

    return sorted([one for one in rows if trial(one) != trial(row)] + [row], key=trial)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", required=True)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--per-class", type=int, nargs="+", default=[20, 100])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=list(ARMS))
    parser.add_argument("--output", type=Path, default=RESULTS / "transfer.json")
    options = parser.parse_args()
    (images, labels), test = load(options.data_dir)
    for per_class in options.per_class:
        for arm in options.arms:
            accuracies, began = [], time.perf_counter()
            for seed in range(options.seeds):
                keras.utils.set_random_seed(seed)
                train = few(images, labels, per_class, VALIDATION_PER_CLASS, seed)
                validation = few(images, labels, VALIDATION_PER_CLASS, 0, seed)
                model = ARMS[arm](train, validation, options.weights)
                accuracies.append(round(float(model.evaluate(*test, batch_size=250, verbose=0)[1]), 4))
                keras.backend.clear_session()
            seconds = round((time.perf_counter() - began) / options.seeds)
            row = {"per_class": per_class, "arm": arm, "accuracies": accuracies, "seconds": seconds}
            write_json(options.output, {"machine": machine(), "rows": with_row(options.output, row)})
            print(
                f"{per_class:>5} per class  {arm:<28} {np.mean(accuracies):.3f}  {accuracies}  {seconds} s", flush=True
            )


if __name__ == "__main__":
    main()
