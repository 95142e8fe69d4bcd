"""Layers of a model computed in the forms that cost LiteRT least, while the model is traced."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras

from advisor.graph import keras_internals
from advisor.litert.calls import Call, LayerCall, calls_replaced, read_call
from advisor.litert.choice import Allowed, Choice, anything, choose_form
from advisor.litert.forms import forms_of
from advisor.litert.garbage import quick_garbage_collection


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


def choose_forms(model: keras.Model, run: Callable[[], object], *, allowed: Allowed = anything) -> Lowering:
    """Finds the cheapest form of every layer that has several.

    Args:
        model: The model.
        run: Traces the model once, with static shapes.
        allowed: Whether the file of a layer in some form may be, as `takes_int8` says.

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
    choices = {}
    with quick_garbage_collection():
        for key, call in seen.items():
            choice = choose_form(call, allowed=allowed)
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
