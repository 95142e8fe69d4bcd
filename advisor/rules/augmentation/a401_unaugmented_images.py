"""A401: few images, and no augmentation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import layers

from advisor.facts import DataFacts, Facts
from advisor.graph import LayerSpec
from advisor.rules.augmentation.small_sets import samples_per_class, small_unaugmented_set
from advisor.rules.base import Case, Requirement, Rule
from advisor.rules.finding import Finding, PlanChange, Severity
from advisor.rules.registry import rule

SMALLEST_SIDE = 16
"""Pixels. Turning and shifting by parts of a pixel blurs, which did harm to images of 8 x 8 pixels and none to those of
28 x 28: docs/adr/0013."""

SHIFT = 0.1
ROTATION = 0.03
"""Of a full turn: 11 degrees. Digits and letters stay what they are; a 6 is no 9 yet."""

ZOOM = 0.1
CONTRAST = 0.2


def _model(*before: Any, units: int = 2, loss: str = "sparse_categorical_crossentropy") -> keras.Model:
    head = [layers.Conv2D(4, 3), layers.ReLU(), layers.GlobalAveragePooling2D(), layers.Dense(units)]
    activation = [layers.Softmax()] if loss != "mse" else []
    model = keras.Sequential([keras.Input((16, 16, 1)), *before, *head, *activation])
    model.compile("sgd", loss)
    return model


def _of_eight_pixels() -> keras.Model:
    model = keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(2, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def _eight_pixels() -> tuple[np.ndarray, np.ndarray]:
    return np.ones((60, 8, 8, 1)), np.arange(60) % 2


def _photographs(count: int = 60) -> tuple[np.ndarray, np.ndarray]:
    return np.random.default_rng(0).uniform(size=(count, 16, 16, 1)), np.arange(count) % 2


def _drawings(count: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """White paper with a black stroke."""
    images = np.ones((count, 16, 16, 1))
    for index, column in enumerate(np.random.default_rng(0).integers(2, 12, count)):
        images[index, 3:13, column : column + 2] = 0.0
    return images, np.arange(count) % 2


def _lengths(count: int = 60) -> tuple[np.ndarray, np.ndarray]:
    images, _ = _photographs(count)
    return images, images.mean(axis=(1, 2, 3))


@rule
class UnaugmentedImages(Rule):
    """There are few images of each class, and the network always sees the same ones.

    What it does:
        Speaks for image classification with fewer than 5,000 images of each class, of at least 16 pixels in height and
        width, and no augmentation layer in the model. Looks at the pixels: ink on paper (digits, letters, line
        drawings) must not be mirrored. Silent in runs of fewer than 20 epochs, in which augmentation costs more than it
        brings, or 200 steps. What a data set augments by itself cannot be seen.

    Why it matters:
        A network that sees the same images in every epoch learns them by heart, noise and all. Shifted, turned and
        mirrored ones are new to it and cost nothing to collect. A small network on 500 images of MNIST goes from 86.2 %
        of new digits to 90.0 % with what this rule plans, and to 82.1 % when they are mirrored (means of 3 seeds). On
        digits of 8 × 8 pixels it goes from 94.8 to 93.6 %: so small an image is only blurred, and the rule is silent.

    Example:
        ```python
        model.fit(images, labels, epochs=50)  # 300 images of 10 classes, none ever changed
        ```

    Fix:
        No change to the model. The training plan shifts by up to a tenth; ink on paper is turned by up to 11 degrees
        and zoomed by up to a tenth, other images are mirrored left to right and change their contrast by up to a fifth.
        Validation data is left as it is. Take the mirror out where left and right mean something, as in X-rays.
    """

    code = "A401"
    name = "unaugmented-images"
    severity = Severity.INFO
    requires = frozenset({Requirement.GRAPH, Requirement.SAMPLES})
    references = ("shorten-2019", "cubuk-2020")

    VALID = (
        Case("augmented in the model", lambda: _model(layers.RandomTranslation(0.1, 0.1)), {"data": _photographs}),
        Case("a regression on images", lambda: _model(units=1, loss="mse"), {"data": _lengths}),
        Case("images of 8 by 8 pixels", _of_eight_pixels, {"data": _eight_pixels}),
        Case(
            "features, not images",
            lambda: keras.Sequential([keras.Input((4,)), layers.Dense(2, activation="softmax")]),
            {"data": lambda: (np.ones((40, 4)), np.arange(40) % 2)},
        ),
    )
    INVALID = (
        Case("thirty images of each class", _model, {"data": _photographs}),
        Case("thirty drawings of each class", _model, {"data": _drawings}),
    )

    def check(self, facts: Facts) -> Iterator[Finding]:
        data = small_unaugmented_set(facts, "image")
        changes = () if data is None else suitable_augmentation(data)
        if data is None or not changes:
            return
        drawn = bool(data.document_like)
        kind = "ink on paper, not to be mirrored" if drawn else "images"
        yield self.finding(
            message=f"{data.samples_per_class:,.0f} training images of each class ({kind}), and no augmentation in the "
            "model",
            why="The network sees the same images in every epoch and learns them by heart. (If your data set changes "
            "them already, leave this out.)",
            plan=(
                PlanChange(
                    "augmentation",
                    {"layers": changes},
                    "shift, turn and zoom the training images"
                    if drawn
                    else "mirror, shift and recolour the training images",
                ),
            ),
            measurements=(samples_per_class(data),),
        )


def suitable_augmentation(data: DataFacts) -> tuple[LayerSpec, ...]:
    """Changes of images that leave what they show, for photographs or for drawings.

    Args:
        data: Facts of the training data.

    Returns:
        The layers, in order; none for anything but images, or for images too small to be shifted.
    """
    # The layers go by the axis order that Keras is set to.
    if data.modality != "image" or keras.config.image_data_format() != "channels_last" or not _are_large_enough(data):
        return ()
    return _for_drawings() if data.document_like else _for_photographs(data)


def _are_large_enough(data: DataFacts) -> bool:
    height_and_width = data.inputs[0].shape[:-1]
    return len(height_and_width) == 2 and all(side is None or side >= SMALLEST_SIDE for side in height_and_width)


def _for_drawings() -> tuple[LayerSpec, ...]:
    # What comes in at the border is more paper.
    return (
        _shift("nearest"),
        LayerSpec(layers.RandomRotation, {"factor": ROTATION, "fill_mode": "nearest"}),
        LayerSpec(layers.RandomZoom, {"height_factor": ZOOM, "fill_mode": "nearest"}),
    )


def _for_photographs(data: DataFacts) -> tuple[LayerSpec, ...]:
    (images,) = data.inputs
    return (
        LayerSpec(layers.RandomFlip, {"mode": "horizontal"}),
        _shift("reflect"),
        LayerSpec(layers.RandomContrast, {"factor": CONTRAST, "value_range": [images.minimum, images.maximum]}),
    )


def _shift(fill_mode: str) -> LayerSpec:
    settings = {"height_factor": SHIFT, "width_factor": SHIFT, "fill_mode": fill_mode}
    return LayerSpec(layers.RandomTranslation, settings)
