"""Layers of a model computed in the forms that cost LiteRT least, while the model is traced."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from advisor.graph import keras_internals
from advisor.litert.calls import Call, LayerCall, calls_replaced, read_call
from advisor.litert.choice import Choice, choose_form
from advisor.litert.forms import forms_of


@dataclass(frozen=True)
class Lowering:
    """The forms chosen for the calls of a model's layers.

    Attributes:
        choices: By the call's key, with the call.
    """

    choices: Mapping[tuple[Any, ...], tuple[LayerCall, Choice]]

    @property
    def lowered(self) -> tuple[tuple[LayerCall, Choice], ...]:
        """Those calls that are computed in another form than their layer's own."""
        return tuple(pair for pair in self.choices.values() if pair[1].form is not None)

    @property
    def descriptions(self) -> tuple[str, ...]:
        """What is computed in which form: `3 GroupNormalization as x · a + b`."""
        counts = Counter(
            (type(call.layer).__name__, choice.form.name) for call, choice in self.lowered if choice.form is not None
        )
        return tuple(f"{count} {cls} as {form}" for (cls, form), count in counts.items())


def choose_forms(model: keras.Model, run: Callable[[], object]) -> Lowering:
    """Finds the cheapest form of every layer that has several.

    Calls of equal layers, by class, configuration, shapes and which weights are all 0 or 1, are measured once.

    Args:
        model: The model.
        run: Traces the model once, with static shapes.

    Returns:
        The forms to compute its calls in.
    """
    seen: dict[tuple[Any, ...], LayerCall] = {}

    def watch(layer: Any, original: Call) -> Call:
        def watched(*args: Any, **kwargs: Any) -> Any:
            call = read_call(layer, original, args, kwargs)
            if call is not None:
                seen.setdefault(call.key, call.described())
            return original(*args, **kwargs)

        return watched

    with calls_replaced(_with_forms(model), watch):
        run()
    measured: dict[str, Choice | None] = {}
    choices = {}
    for key, call in seen.items():
        alike = _alike(call)
        if alike not in measured:
            measured[alike] = choose_form(call)
        choice = measured[alike]
        if choice is not None:
            choices[key] = (call, choice)
    return Lowering(choices)


@contextmanager
def lowered(model: keras.Model, lowering: Lowering) -> Iterator[None]:
    """Lets the layers of a model compute in the forms chosen, for the time of the block.

    Args:
        model: The model the forms were chosen for.
        lowering: The forms.
    """

    def replace(layer: Any, original: Call) -> Call:
        def replaced(*args: Any, **kwargs: Any) -> Any:
            call = read_call(layer, original, args, kwargs)
            _, choice = lowering.choices.get(call.key, (None, None)) if call is not None else (None, None)
            if call is None or choice is None or choice.form is None:
                return original(*args, **kwargs)
            return choice.form.compute(layer, call.inputs, call.mask)

        return replaced

    with calls_replaced(_with_forms(model), replace):
        yield


def _with_forms(model: keras.Model) -> list[Any]:
    return [layer for layer in keras_internals.layer_tree(model) if forms_of(layer)]


def _alike(call: LayerCall) -> str:
    weights = [_folded_value(weight) for weight in call.layer.weights]
    return repr((type(call.layer), call.key[1:], _nameless(call.layer.get_config()), weights))


def _folded_value(weight: Any) -> float | None:
    """The value of a weight that is 0 or 1 throughout, with which the converter leaves operators out; else None."""
    values = np.asarray(weight)
    first = float(values.flat[0]) if values.size and values.dtype.kind == "f" else None
    return first if first in (0.0, 1.0) and bool((values == first).all()) else None


def _nameless(config: Any) -> Any:
    """A configuration without the names of the layer and of those it holds."""
    if isinstance(config, dict):
        is_of_a_layer = "trainable" in config
        return {key: _nameless(value) for key, value in config.items() if not (is_of_a_layer and key == "name")}
    if isinstance(config, list | tuple):
        return [_nameless(value) for value in config]
    return config
