"""The form of a layer that costs least, found by converting each and timing them side by side."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from advisor.litert.calls import LayerCall
from advisor.litert.conversion import convert_function
from advisor.litert.forms import Form, forms_of
from advisor.litert.interpreter import LiteRTModel
from advisor.litert.latency import interleaved_seconds, median_milliseconds
from advisor.litert.operators import operator_table

OWN = "as the layer is written"
TOLERANCE = 1e-5
FASTER_BY = 0.03
"""A form that is preferred gives way to one that takes so much less time."""
LARGER_BY_BYTES = 2048
"""Forms that make the file larger by more than this, for each layer, are left out: small files are the other goal."""
BUDGET_SECONDS = 0.1


@dataclass(frozen=True)
class Cost:
    """What a layer alone costs in LiteRT, on one thread.

    Attributes:
        milliseconds: Median time of a call.
        operators: Number of operators.
        size_bytes: Size of the file that holds this layer alone.
    """

    milliseconds: float
    operators: int
    size_bytes: int


@dataclass(frozen=True)
class Choice:
    """The form chosen for a call of a layer.

    Attributes:
        form: The form; None where the layer stays as it is written.
        costs: Of every way that was measured, by the form's name; `OWN` is the layer's own.
    """

    form: Form | None
    costs: Mapping[str, Cost]

    @property
    def own(self) -> Cost:
        """What the layer costs as it is written."""
        return self.costs[OWN]

    @property
    def cost(self) -> Cost:
        """What it costs in the form chosen."""
        return self.costs[self.form.name if self.form is not None else OWN]


def choose_form(call: LayerCall, seed: int = 0) -> Choice | None:
    """Measures the forms of a layer and chooses one.

    A form must agree with the layer to a relative difference of 1e-5 on random inputs, and may not make the file larger
    by more than 2 KiB. The fastest wins, but the first listed among those that take about the same time.

    Args:
        call: The call; its inputs have static shapes.
        seed: Seed of the random inputs.

    Returns:
        The choice; None where the layer has no form that fits, or cannot be converted alone.
    """
    forms = [form for form in forms_of(call.layer) if form.fits(call)]
    if not forms:
        return None
    with _quick_garbage_collection():
        own = _converted(call, lambda layer, inputs, mask: _own_call(layer, inputs, mask))
        if own is None:
            return None
        converted = [(form, _converted(call, form.compute)) for form in forms]
    feeds = _random_feeds(call, np.random.default_rng(seed))
    candidates: dict[str, tuple[Form | None, bytes]] = {}
    expected = _outputs(own, feeds)
    for form, flatbuffer in converted:
        if (
            flatbuffer is not None
            and len(flatbuffer) <= len(own) + LARGER_BY_BYTES
            and _agree(expected, _outputs(flatbuffer, feeds))
        ):
            candidates[form.name] = (form, flatbuffer)
    candidates[OWN] = (None, own)
    models = {name: LiteRTModel(flatbuffer) for name, (_, flatbuffer) in candidates.items()}
    seconds = interleaved_seconds(models, feeds, budget_seconds=BUDGET_SECONDS * len(models))
    times = {name: median_milliseconds(values) for name, values in seconds.items()}
    costs = {
        name: Cost(times[name], sum(operator_table(flatbuffer).values()), len(flatbuffer))
        for name, (_, flatbuffer) in candidates.items()
    }
    return Choice(candidates[_cheapest(times)][0], costs)


def _cheapest(times: Mapping[str, float]) -> str:
    best, *others = times
    for name in others:
        if times[name] < (1 - FASTER_BY) * times[best]:
            best = name
    return best


@contextmanager
def _quick_garbage_collection() -> Iterator[None]:
    """Leaves out what is alive now: TensorFlow's converter collects at each call, over half of the time it takes."""
    if gc.get_freeze_count():
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _own_call(layer: Any, inputs: Any, mask: Any) -> Any:
    return layer.call(inputs) if mask is None else layer.call(inputs, mask=mask)


def _converted(call: LayerCall, compute: Callable[[Any, Any, Any], Any]) -> bytes | None:
    import tensorflow as tf

    tensors, count = _tensors(call), len(keras.tree.flatten(call.inputs))

    def serve(**flat: Any) -> dict[str, Any]:
        values = [flat[name] for name in _names(len(tensors))]
        inputs = keras.tree.pack_sequence_as(call.inputs, values[:count])
        mask = None if call.mask is None else keras.tree.pack_sequence_as(call.mask, values[count:])
        outputs = keras.tree.flatten(compute(call.layer, inputs, mask))
        return {f"output_{index}": tf.identity(y) for index, y in enumerate(outputs)}

    specs = {
        name: tf.TensorSpec(tensor.shape, keras.backend.standardize_dtype(tensor.dtype), name)
        for name, tensor in zip(_names(len(tensors)), tensors, strict=True)
    }
    try:
        with tf.init_scope():
            return convert_function(tf.function(serve, autograph=False).get_concrete_function(**specs))
    except Exception:
        # The layer may still convert within its model; a form that cannot is not a candidate.
        return None


def _tensors(call: LayerCall) -> list[Any]:
    return [*keras.tree.flatten(call.inputs), *([] if call.mask is None else keras.tree.flatten(call.mask))]


def _names(count: int) -> list[str]:
    return [f"input_{index}" for index in range(count)]


def _random_feeds(call: LayerCall, rng: np.random.Generator) -> dict[str, np.ndarray]:
    feeds = {}
    tensors = _tensors(call)
    for name, tensor in zip(_names(len(tensors)), tensors, strict=True):
        dtype = np.dtype(keras.backend.standardize_dtype(tensor.dtype))
        feeds[name] = (
            np.ones(tensor.shape, dtype) if dtype.kind != "f" else rng.normal(0.5, 1.5, tensor.shape).astype(dtype)
        )
    return feeds


def _outputs(flatbuffer: bytes, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    outputs = LiteRTModel(flatbuffer)(feeds)
    return [outputs[name] for name in sorted(outputs)]


def _agree(expected: Sequence[np.ndarray], received: Sequence[np.ndarray]) -> bool:
    return all(
        a.shape == b.shape and np.abs(a - b).max(initial=0.0) <= TOLERANCE * np.abs(a).max(initial=0.0)
        for a, b in zip(expected, received, strict=True)
    )
