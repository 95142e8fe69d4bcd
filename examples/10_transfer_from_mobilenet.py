"""Transfer learning: MobileNetV2, trained on ImageNet, with a new head for twenty images of each class.

`advise` on a small CNN for CIFAR-10 says that it learns all it knows from few images (A404). `pretrained_backbone` puts
MobileNetV2 under the head of the same model, enlarging and scaling the images inside it; `TransferPlan` trains the head
first and then the top of the backbone, batch normalization frozen. You will see the test accuracy of both.

Images and weights are downloaded the first time, the images by
python -c "import tensorflow_datasets as tfds; tfds.load('cifar10')"

    python examples/10_transfer_from_mobilenet.py [--per-class 20] [--epochs 20]
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
from _data import FOLDER, cifar10
from keras import layers

from advisor import advise
from advisor.rewrite import pretrained_backbone
from advisor.training import TransferPlan

BATCH_SIZE = 16
KEPT_WEIGHTS = FOLDER / "weights" / "mobilenet_v2_imagenet.weights.h5"
"""Used instead of a download where it is there; these weights take images on the scale of torchvision."""


def build() -> keras.Model:
    model = keras.Sequential([keras.Input((32, 32, 3)), layers.Rescaling(1 / 127.5, offset=-1.0)])
    for filters in (32, 64, 128):
        model.add(layers.Conv2D(filters, 3, padding="same", use_bias=False))
        model.add(layers.BatchNormalization(momentum=0.9))
        model.add(layers.ReLU())
        model.add(layers.MaxPooling2D())
    model.add(layers.GlobalAveragePooling2D())
    model.add(layers.Dropout(0.2))
    model.add(layers.Dense(10, activation="softmax"))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--per-class", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=20)
    arguments = parser.parse_args()
    keras.utils.set_random_seed(0)
    train, choose, test = cifar10(arguments.per_class)

    small = build()
    advice = advise(small, batch_size=BATCH_SIZE, epochs=arguments.epochs, data=train, select="A404")
    print(advice)
    if KEPT_WEIGHTS.exists():
        transfer = pretrained_backbone(small, "MobileNetV2", weights=KEPT_WEIGHTS, preprocess="torch")
    else:
        transfer = pretrained_backbone(small, "MobileNetV2")

    stop = keras.callbacks.EarlyStopping(patience=10, restore_best_weights=True)
    run = {"batch_size": BATCH_SIZE, "validation_data": choose, "verbose": 0}
    small.fit(*train, epochs=3 * arguments.epochs, callbacks=[stop], **run)
    plan = TransferPlan(head_epochs=arguments.epochs, top_epochs=arguments.epochs // 4)
    history = plan.fit(transfer, *train, **run)

    print(f"\nTest accuracy with {arguments.per_class} images of each class")
    for name, model in (("from scratch", small), ("MobileNetV2 under the same head", transfer)):
        print(f"  {name:<32} {model.evaluate(*test, verbose=0, return_dict=True)['accuracy']:.1%}")
    print(f"  kept: the weights of phase {history.kept} of 2")


if __name__ == "__main__":
    main()
