"""A rule of your own: found, explained, mended and tested like those of the package.

Convolutions of 1×1 with stride 2, as the first ResNet has them, never look at three pixels of four. The rule here finds
them and makes their kernel as wide as their step. `@rule` makes it known, `check_rule` holds it to its own cases and to
the laws, and from then on `advise` runs it with the others. You will see that it conforms, its findings, and the
accuracy on scikit-learn's digits with and without its fix.

    python examples/14_a_rule_of_your_own.py [--epochs 10] [--seeds 3]

To have it run wherever your package is installed, name the module in setup.cfg:

    [options.entry_points]
    keras_advisor.rules =
        pixels = my_package.pixels_never_seen
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
from _data import digits
from _table import print_means
from keras import layers

from advisor import advise
from advisor.graph import Configure
from advisor.rules import Case, Fix, Rule, Severity, rule
from advisor.testing import check_rule

BATCH_SIZE = 32


def small(*downwards: keras.Layer) -> keras.Model:
    return keras.Sequential([keras.Input((8, 8, 3)), *downwards, layers.Flatten(), layers.Dense(2)])


@rule
class PixelsNeverSeen(Rule):
    """A convolution whose steps are longer than its kernel never looks at some of the pixels.

    What it does:
        Finds `Conv2D` layers with a stride above the size of their kernel, along either axis.

    Why it matters:
        What lies between two steps is thrown away before anything has looked at it, and what computed it was wasted.

    Example:
        ```python
        layers.Conv2D(64, 1, strides=2)
        ```

    Fix:
        Makes the kernel as wide as the step, with new weights. Safety: retrain.
    """

    code, name, severity = "X101", "pixels-never-seen", Severity.WARNING
    references = ("he-2019",)  # a key of advisor/references.toml; `Reference(…)` for a source that is not in it

    VALID = (
        Case("a kernel as wide as its step", lambda: small(layers.Conv2D(4, 2, strides=2))),
        Case("steps of one", lambda: small(layers.Conv2D(4, 1))),
    )
    INVALID = (
        Case(
            "1×1 in steps of two",
            lambda: small(layers.Conv2D(4, 1, strides=2)),
            expected=lambda: small(layers.Conv2D(4, 2, strides=2)),
        ),
    )

    def check(self, facts):
        for layer in facts.of_kind("conv"):
            if layer.cls is not layers.Conv2D or not facts.graph.is_first_call(layer.path):
                continue
            kernel, steps = layer.config["kernel_size"], layer.config["strides"]
            wide = tuple(map(max, kernel, steps))
            if wide == tuple(kernel):
                continue
            yield self.finding(
                layer,
                message=f"`{layer.path}` looks at {kernel[0]}×{kernel[1]} pixels in steps of {steps[0]}×{steps[1]}",
                why="The pixels between are thrown away before anything has looked at them.",
                fix=Fix(
                    f"widen the kernel of `{layer.path}`", (Configure(layer.path, {"kernel_size": wide}),), "retrain"
                ),
            )


def build() -> keras.Model:
    """Goes from 8×8 to 2×2 by 1×1 convolutions in steps of two."""
    model = keras.Sequential([keras.Input((8, 8, 1))])
    for filters in (16, 32):
        model.add(layers.Conv2D(filters, 3, padding="same", activation="relu"))
        model.add(layers.Conv2D(filters, 1, strides=2, activation="relu"))
    model.add(layers.Flatten())
    model.add(layers.Dense(10, activation="softmax"))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    check_rule("X101")
    print("X101 conforms: it speaks where it must, is silent where it must be, and its fix keeps the laws\n")

    train, _, test = digits()
    print(advise(build(), select="X"))
    accuracies: dict[str, list[float]] = {"as written": [], "with the fix of X101": []}
    for seed in range(arguments.seeds):
        keras.utils.set_random_seed(seed)
        written = build()
        for name, model in zip(accuracies, (written, advise(written, select="X101").apply()), strict=True):
            keras.utils.set_random_seed(seed)
            model.fit(*train, batch_size=BATCH_SIZE, epochs=arguments.epochs, verbose=0)
            accuracies[name].append(model.evaluate(*test, verbose=0, return_dict=True)["accuracy"])
    print_means("Test accuracy", accuracies)


if __name__ == "__main__":
    main()
