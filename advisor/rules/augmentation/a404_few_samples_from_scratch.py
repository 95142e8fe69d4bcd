"""A404: few samples per class, and a network that starts from random weights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import layers

from advisor.facts import Facts
from advisor.rules.base import Case, Requirement, Rule
from advisor.rules.finding import Finding, PlanChange, Severity
from advisor.rules.registry import rule

SAMPLES_PER_CLASS = 100
"""With more training samples per class than this, nothing is said. Measured: docs/adr/0015-transfer.md."""

SMALLEST_IMAGE = 24
"""Smaller images, such as digits of 8×8 pixels, show nothing of what photographs teach."""

IMAGE_BACKBONE = "MobileNetV2"
TEXT_BACKBONE = "bert_tiny_en_uncased"


def _images(count: int, side: int = 24, channels: int = 3) -> dict[str, Any]:
    def data() -> tuple[np.ndarray, np.ndarray]:
        generator = np.random.default_rng(0)
        return generator.uniform(size=(count, side, side, channels)).astype("float32"), np.arange(count) % 2

    return {"data": data}


def _texts(count: int) -> dict[str, Any]:
    return {"data": lambda: (np.random.default_rng(0).integers(1, 50, (count, 6)), np.arange(count) % 2)}


def _network(side: int = 24, channels: int = 3, *, trainable: bool = True) -> keras.Model:
    stack = [layers.Conv2D(8, 3, trainable=trainable), layers.ReLU(), layers.GlobalAveragePooling2D()]
    return keras.Sequential([keras.Input((side, side, channels)), *stack, layers.Dense(2, activation="softmax")])


def _regression() -> keras.Model:
    stack = [layers.Conv2D(8, 3), layers.GlobalAveragePooling2D(), layers.Dense(1)]
    model = keras.Sequential([keras.Input((24, 24, 3)), *stack])
    model.compile("adam", "mse")
    return model


def _text_network() -> keras.Model:
    stack = [layers.Embedding(50, 8), layers.LSTM(8), layers.Dense(2, activation="softmax")]
    return keras.Sequential([keras.Input((6,), dtype="int32"), *stack])


@rule
class FewSamplesFromScratch(Rule):
    """There are few samples per class, and the network learns all it knows from them.

    What it does:
        For a classifier of images or texts that starts from random weights, counts training samples per class. With at
        most 100 of them, and fewer samples than weights, it recommends a pretrained backbone. Images must have 1 or 3
        channels and at least 24 pixels each way.

    Why it matters:
        The lower layers of networks for photographs learn much the same whatever the classes are (Yosinski et al.), and
        few samples do not suffice to learn it. Measured on CIFAR-10 with 20 images per class, 3 seeds: 60 % of the test
        images right with a pretrained MobileNetV2, 34 % with a small network from scratch. On images of quite another
        kind, and on some fine-grained classes, the gain is small (Kornblith et al.).

    Example:
        ```python
        model.fit(images, labels)  # 20 photographs per class, weights drawn at random
        ```

    Fix:
        Advice, and a recipe: `advisor.rewrite.pretrained_backbone(model, "MobileNetV2")` puts the backbone under the
        model's head with the preprocessing it needs, and `advisor.training.TransferPlan().fit(…)` trains it in two
        phases. Texts take a preset of KerasHub and the tokens of its own preprocessor.
    """

    code = "A404"
    name = "few-samples-from-scratch"
    severity = Severity.INFO
    requires = frozenset({Requirement.GRAPH, Requirement.SAMPLES})
    references = ("kornblith-2019", "yosinski-2014", "keras-transfer-guide")

    VALID = (
        Case("enough samples", lambda: _network(), _images(2 * SAMPLES_PER_CLASS + 2)),
        Case("images too small to show anything", lambda: _network(8), _images(20, side=8)),
        Case("other channels than colours", lambda: _network(channels=6), _images(20, channels=6)),
        Case("a part that is frozen", lambda: _network(trainable=False), _images(20)),
        Case("trained already", lambda: _network(), {**_images(20), "trained": True}),
        Case("no classes", _regression, _images(20)),
    )
    INVALID = (
        Case("10 images per class", lambda: _network(), _images(20)),
        Case("grey images", lambda: _network(channels=1), _images(20, channels=1)),
        Case("10 texts per class", _text_network, _texts(20)),
    )

    def check(self, facts: Facts) -> Iterator[Finding]:
        data, model = facts.data, facts.model
        if data is None or data.samples is None or data.classes is None or data.classes < 2:
            return
        per_class = data.samples / data.classes
        if model.task != "classification" or per_class > SAMPLES_PER_CLASS or data.samples >= model.params:
            return
        if model.trained is not None or any(layer.params and not layer.trainable for layer in facts.layers.values()):
            return
        backbone = _backbone_for(facts)
        if backbone is None:
            return
        what = "images" if backbone == IMAGE_BACKBONE else "texts"
        yield self.finding(
            message=f"{per_class:.0f} {what} per class for {model.params:,} weights that start at random; "
            f"start from a pretrained backbone, such as {backbone}",
            why="Its lower layers know already what so few samples cannot teach.",
            plan=(
                PlanChange(
                    "transfer",
                    {"backbone": backbone},
                    f'start from `pretrained_backbone(model, "{backbone}")` and train it with `TransferPlan().fit(…)`',
                ),
            ),
        )


def _backbone_for(facts: Facts) -> str | None:
    """A small network pretrained on data of the kind; None where there is none."""
    if facts.data is None:
        return None
    if facts.data.modality == "tokens":
        return TEXT_BACKBONE
    shape = facts.data.inputs[0].shape
    if facts.data.modality != "image" or len(facts.data.inputs) != 1 or len(shape) != 3:
        return None
    sides, channels = shape[:2], shape[2]
    # Images of many sizes are photographs.
    large_enough = all(side is None or side >= SMALLEST_IMAGE for side in sides)
    return IMAGE_BACKBONE if large_enough and channels in (1, 3) else None
