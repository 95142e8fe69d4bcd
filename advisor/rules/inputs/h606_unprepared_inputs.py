"""H606: inputs that are not scaled, and values that are no numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import layers

from advisor.facts import ERROR_LOSSES, ArrayFacts, DataFacts, Facts, Head, Measurement
from advisor.graph import InsertAfter, LayerSpec
from advisor.rules.base import Case, Requirement, Rule
from advisor.rules.finding import Confidence, Finding, Fix, Severity
from advisor.rules.inputs.scaling import (
    has_features,
    is_normalized_next,
    off_scale,
    scaling_layer,
)
from advisor.rules.penalties.r302_l2_with_adam import ADAPTIVE
from advisor.rules.registry import rule

LARGEST_TARGET = 10.0

_SCALING = (layers.Rescaling, layers.Normalization)

OTHER_SCALE = 4.0
OTHER_PLACE = 2.0
"""Validation data is prepared otherwise than training data when its deviation is 4 times as large or small, or its mean
2 deviations away: 255 and 1, or a shift that no split at random makes."""


def _table(scale: float = 1.0, *, constant: bool = False, count: int = 64) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(count, 3)) * [1.0, scale, 1.0]
    if constant:
        x[:, 2] = 7.0
    return x.round(3), generator.integers(0, 2, count)


def _images(brightest: float, count: int = 32) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    x = (generator.uniform(size=(count, 8, 8, 3)) * brightest).round(4)
    x[0, 0, 0] = brightest
    return x, np.arange(count) % 2


def _spoilt() -> tuple[np.ndarray, np.ndarray]:
    x, y = _table()
    x[3, 1], x[9, 0] = np.nan, np.inf
    return x, y


def _of_features(*before: Any) -> keras.Model:
    return keras.Sequential(
        [keras.Input((3,)), *before, layers.Dense(8, activation="relu"), layers.Dense(2, activation="softmax")]
    )


def _of_images(*before: Any, normalized: bool = False) -> keras.Model:
    conv = layers.Conv2D(4, 3, use_bias=not normalized)
    norm = [layers.BatchNormalization()] if normalized else []
    head = [layers.ReLU(), layers.GlobalAveragePooling2D(), layers.Dense(2)]
    return keras.Sequential([keras.Input((8, 8, 3)), *before, conv, *norm, *head])


def _normalization(scale: float, *, constant: bool = False) -> keras.layers.Layer:
    x = _table(scale, constant=constant)[0]
    variance = x.var(axis=0)
    if constant:
        variance[2] = 1.0
    return layers.Normalization(mean=x.mean(axis=0).tolist(), variance=(np.sqrt(variance) ** 2).tolist())


def _regression(optimizer: str, *behind: keras.layers.Layer) -> keras.Model:
    model = keras.Sequential([keras.Input((3,)), layers.Dense(8, activation="relu"), layers.Dense(1), *behind])
    model.compile(optimizer, "mse")
    return model


def _to_prices() -> keras.layers.Layer:
    prices = _prices()[1]
    return layers.Rescaling(float(prices.std()), float(prices.mean()))


def _to_dict(*behind: keras.layers.Layer) -> keras.Model:
    inputs = keras.Input((3,))
    price = layers.Dense(1)(layers.Dense(8, activation="relu")(inputs))
    for layer in behind:
        price = layer(price)
    model = keras.Model(inputs, {"price": price})
    model.compile("adam", {"price": "mse"})
    return model


def _by_layer(*behind: keras.layers.Layer) -> keras.Model:
    inputs = keras.Input((3,))
    price = layers.Dense(1)(layers.Dense(8, activation="relu")(inputs))
    for layer in behind:
        price = layer(price)
    model = keras.Model(inputs, price)
    model.compile("adam", {model.output_names[0]: "mse"}, metrics={model.output_names[0]: ["mae"]})
    return model


def _named_prices() -> tuple[np.ndarray, dict[str, np.ndarray]]:
    x, prices = _prices()
    return x, {"price": prices}


def _prices() -> tuple[np.ndarray, np.ndarray]:
    x, _ = _table()
    return x, 300.5 + 40 * x[:, 0]


@rule
class UnpreparedInputs(Rule):
    """Inputs are not scaled, or hold values that are no numbers.

    What it does:
        Counts NaN and infinite values in inputs and labels: in all rows of arrays, and in as much of a stream as comes
        in two seconds. Measures mean and deviation of what the first layer with weights reads; a root mean square
        above 10 or below 0.03, of one feature or of the whole, is off scale, and so is a mean of more than 5
        deviations. Looks past reshapes and augmentation, and
        stays silent where a layer of the model scales, normalizes or looks up what it reads. Also says where
        validation inputs are on another scale than training inputs, and where the labels of a regression are far from
        unit scale. Says nothing about the scale of inputs to a model that is trained.

    Why it matters:
        One NaN makes the loss NaN, and every weight after the first step. Large inputs make large outputs, gradients
        and steps: the learning rate that suits the largest feature is far too small for all others. A mean far from
        0 moves all weights of a unit the same way. A small network trained on half of scikit-learn's wine data
        (deviations of 0.1 to 314) is right for 53 % of the other half, and for 91 % with standardized features; 5
        seeds. Batch normalization right behind the first layer undoes a scale that
        is common to the whole input; the finding is an offer then.

    Example:
        ```python
        model = keras.Sequential([keras.Input((28, 28, 1)), layers.Conv2D(16, 3)])
        model.fit(images, labels)  # pixels from 0 to 255
        ```

    Fix:
        Inserts `Rescaling(1 / 255)` behind the input for pixels, else `Normalization` with the mean and variance
        measured, by feature for tables and series. Features that do not vary are only shifted. For labels, inserts a
        last `Rescaling` by their mean and deviation, where the only output is linear and the optimizer is Adam or one
        of its kin. Safety: retrain. NaN and infinite values, and sequences padded with zeros are left to you.
    """

    code = "H606"
    name = "unprepared-inputs"
    severity = Severity.WARNING
    requires = frozenset({Requirement.GRAPH, Requirement.DATA})
    references = ("lecun-1998",)
    confidence = Confidence.MEASURED

    VALID = (
        Case("features of unit scale", _of_features, {"data": _table}),
        Case("pixels from 0 to 1", _of_images, {"data": lambda: _images(1.0)}),
        Case(
            "pixels scaled in the model", lambda: _of_images(layers.Rescaling(1 / 255)), {"data": lambda: _images(255)}
        ),
        Case(
            "normalized before anything is learned",
            lambda: _of_features(layers.BatchNormalization()),
            {"data": lambda: _table(300)},
        ),
        Case("an output on the labels' scale", lambda: _regression("adam", _to_prices()), {"data": _prices}),
        Case("a trained model", _of_features, {"data": lambda: _table(300), "trained": True}),
    )
    INVALID = (
        Case(
            "one large feature",
            _of_features,
            {"data": lambda: _table(300)},
            lambda: _of_features(_normalization(300)),
        ),
        Case(
            "a large feature beside one that does not vary",
            _of_features,
            {"data": lambda: _table(300, constant=True)},
            lambda: _of_features(_normalization(300, constant=True)),
        ),
        Case(
            "pixels from 0 to 255",
            _of_images,
            {"data": lambda: _images(255)},
            lambda: _of_images(layers.Rescaling(1 / 255)),
        ),
        Case(
            "features near 1,000",
            _of_features,
            {"data": lambda: (_table()[0] / 10 + 1000, _table()[1])},
            lambda: _of_features(
                layers.Normalization(
                    mean=(_table()[0] / 10 + 1000).mean(axis=0).tolist(),
                    variance=((_table()[0] / 10 + 1000).std(axis=0) ** 2).tolist(),
                )
            ),
        ),
        Case("NaN and infinity among the inputs", _of_features, {"data": _spoilt}),
        Case(
            "labels of a regression around 300",
            lambda: _regression("adam"),
            {"data": _prices},
            lambda: _regression("adam", _to_prices()),
        ),
        Case(
            "labels around 300 of an output that its loss calls by its layer",
            _by_layer,
            {"data": _prices},
            lambda: _by_layer(_to_prices()),
        ),
        Case("labels around 300 of a named output", _to_dict, {"data": _named_prices}, lambda: _to_dict(_to_prices())),
        Case("labels around 300 under plain SGD", lambda: _regression("sgd"), {"data": _prices}),
        Case(
            "validation images that were not divided by 255",
            _of_images,
            {"data": lambda: _images(1.0), "validation_data": lambda: _images(255)},
        ),
    )

    def check(self, facts: Facts) -> Iterator[Finding]:
        if facts.data is None:
            return
        yield from self._no_numbers(facts, facts.data, "")
        if facts.validation is not None:
            yield from self._no_numbers(facts, facts.validation, " of the validation data")
        if facts.data.target is not None:
            yield from self._large_labels(facts, facts.data.target)
        for position in range(len(facts.graph.inputs)):
            yield from self._scale(facts, position)
            yield from self._other_scale(facts, position)

    def _no_numbers(self, facts: Facts, data: DataFacts, of_which: str) -> Iterator[Finding]:
        arrays = [
            (f"{_name(facts, position)}{of_which} holds", _paths(facts, position), seen)
            for position, seen in enumerate(data.inputs)
        ]
        if data.target is not None:
            arrays.append((f"the labels{of_which} hold", (), data.target))
        for what, paths, seen in arrays:
            count = seen.missing + seen.infinite
            if not count:
                continue
            numbers = ((seen.missing, "NaN"), (seen.infinite, "infinite"))
            kinds = [f"{number:,} {kind}" for number, kind in numbers if number]
            yield self.finding(
                *paths,
                message=f"{what} {' and '.join(kinds)} values among {seen.values:,} ({data.counted:,} samples counted)",
                why="One of them makes the loss NaN, and after one step every weight. Drop the samples, or fill in "
                "what is missing (the mean, and a further input that says where).",
                severity=Severity.ERROR,
                measurements=(_measured("NaN and infinite values", count, data.counted, 0.0),),
            )

    def _scale(self, facts: Facts, position: int) -> Iterator[Finding]:
        assert facts.data is not None
        off = None if facts.model.trained is not None else off_scale(facts, position)
        if off is None:
            return
        node, seen, spec = facts.graph.inputs[position], facts.data.inputs[position], scaling_layer(facts, position)
        common = not has_features(facts, position)
        undone = common and is_normalized_next(facts, position)
        fix = (
            Fix(f"scale `{node.path}` with {_named(spec)}", (InsertAfter(node.path, (spec,)),), "retrain")
            if spec
            else None
        )
        yield self.finding(
            node.path,
            message=_scale_message(node.path, seen, off.feature),
            why=_scale_reason(undone)
            + ("" if spec else " Scale the data before it is padded or made sparse: here zeros must stay zeros."),
            severity=Severity.INFO if undone else Severity.WARNING,
            fix=fix,
            measurements=(_measured(off.figure, off.value, facts.data.looked_at, off.limit),),
        )

    def _large_labels(self, facts: Facts, target: ArrayFacts) -> Iterator[Finding]:
        assert facts.data is not None
        head = facts.model.heads[0] if facts.model.heads else None
        if head is None or facts.model.task != "regression" or facts.data.classes is not None:
            return
        if facts.model.trained is not None or (head.loss and head.loss.name not in ERROR_LOSSES):
            return
        magnitude = math.hypot(target.mean, target.deviation)
        if not magnitude > LARGEST_TARGET or facts[head.path].cls in _SCALING:
            return
        rescaling = _rescaled(facts, head, target)
        yield self.finding(
            head.path,
            message=f"the labels have mean {target.mean:.3g} and deviation {target.deviation:.3g}; a new network's "
            "outputs are near 0 with deviation 1",
            why="The first thousands of steps go into moving the output there, and a squared error is in square units "
            f"of the labels.{'' if rescaling else _unscaled_by_hand(target)}",
            fix=rescaling,
            measurements=(
                _measured("root mean square of the labels", magnitude, facts.data.looked_at, LARGEST_TARGET),
            ),
        )

    def _other_scale(self, facts: Facts, position: int) -> Iterator[Finding]:
        assert facts.data is not None
        if facts.validation is None or facts.data.modality == "tokens":
            return
        train, other = facts.data.inputs[position], facts.validation.inputs[position]
        if not (train.deviation > 0 and other.deviation > 0):
            return
        ratio = other.deviation / train.deviation
        shift = abs(other.mean - train.mean) / train.deviation
        if 1 / OTHER_SCALE < ratio < OTHER_SCALE and shift < OTHER_PLACE:
            return
        yield self.finding(
            *_paths(facts, position),
            message=f"the validation data of {_name(facts, position)} has mean {other.mean:.3g} and deviation "
            f"{other.deviation:.3g}, the training data {train.mean:.3g} and {train.deviation:.3g}",
            why="They were not prepared in the same way, so validation says nothing of training. Put the preparation "
            "into the model, or map both data sets through one function.",
            severity=Severity.ERROR,
            measurements=(
                _measured("deviation, validation to training", ratio, facts.validation.looked_at, OTHER_SCALE),
            ),
        )


def _unscaled_by_hand(target: ArrayFacts) -> str:
    return (
        f" Train on `(y - {target.mean:.6g}) / {target.deviation:.6g}`, and undo it on predictions, as with a last "
        "`Rescaling` layer in the model that is shipped."
    )


def _rescaled(facts: Facts, head: Head, target: ArrayFacts) -> Fix | None:
    """A last layer that brings the output to the scale of the labels.

    None where there are several outputs, an activation bounds it, or the steps are not of one size whatever the
    gradient: a squared error's gradient grows with the scale, and plain SGD would leap.
    """
    optimizer = facts.model.optimizer
    suits = optimizer is None or optimizer in ADAPTIVE
    if len(facts.model.heads) > 1 or head.activation not in (None, "linear") or not suits or not target.deviation > 0:
        return None
    spec = LayerSpec(layers.Rescaling, {"scale": target.deviation, "offset": target.mean})
    return Fix(f"bring the output of `{head.path}` to the labels' scale", (InsertAfter(head.path, (spec,)),), "retrain")


def _measured(name: str, value: float, samples: int, threshold: float) -> Measurement:
    unit = "values" if name.startswith("NaN") else "1"
    return Measurement(name, value, unit, samples, 0, threshold)


def _name(facts: Facts, position: int) -> str:
    return f"input `{facts.graph.inputs[position].name}`" if facts.graph.inputs else f"input {position}"


def _paths(facts: Facts, position: int) -> tuple[str, ...]:
    return (facts.graph.inputs[position].path,) if facts.graph.inputs else ()


def _named(spec: Any) -> str:
    return "Rescaling(1 / 255)" if spec.cls is keras.layers.Rescaling else "Normalization"


def _scale_message(path: str, seen: ArrayFacts, feature: int | None) -> str:
    span = f"from {seen.minimum:.4g} to {seen.maximum:.4g}"
    if feature is None:
        return f"`{path}` is not scaled: values {span}, mean {seen.mean:.3g}, deviation {seen.deviation:.3g}"
    mean, deviation = seen.feature_means[feature], seen.feature_deviations[feature]
    return (
        f"the features of `{path}` are not scaled: values {span}; feature {feature} has mean {mean:.3g} and "
        f"deviation {deviation:.3g}"
    )


def _scale_reason(undone: bool) -> str:
    if undone:
        return (
            "Batch normalization behind the first layer undoes the scale, but its kernel learns at a rate that is out "
            "of step with the others."
        )
    return "The gradient of a weight grows with what it reads, so no learning rate suits weights on different scales."
