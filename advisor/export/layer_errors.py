"""How far every layer of an exported model is from the same layer in Keras."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import keras
import numpy as np

from advisor.export.errors import ExportError
from advisor.export.samples import Samples
from advisor.export.signature import Signature
from advisor.export.taps import Key, Tapped, trace_apart, trace_taps
from advisor.litert.conversion import convert_function
from advisor.litert.interpreter import LiteRTModel
from advisor.litert.lowering import Lowering, lowered
from advisor.litert.quantization import Quantization

LAYER_SAMPLES = 16
"""Samples the layers are compared on: each has all its values, so few samples make a sound figure."""


@dataclass(frozen=True)
class LayerError:
    """The error of one output of a layer.

    Attributes:
        layer: The layer's path in the model; `output 'name'` for what is computed behind the last layer. An activation
            that LiteRT computes together with the layer before it stands for both.
        cls: Its class.
        relative_rms: `‖y - k‖ / ‖k‖` over the samples, `k` from Keras and `y` from the exported model.
        max_relative: `max|y - k| / max|k|`.
        added: `‖y - f(x)‖ / ‖k‖`: what the layer `f` itself added, `x` being what it reads in the exported model. The
            rest is error that it was handed, which it may amplify. None where that was not measured.
    """

    layer: str
    cls: str
    relative_rms: float
    max_relative: float
    added: float | None = None


def layer_errors(
    model: keras.Model,
    signature: Signature,
    samples: Samples,
    outputs: tuple[str, ...],
    *,
    lowering: Lowering,
    quantization: Quantization | None = None,
    allow_flex: bool = False,
) -> tuple[LayerError, ...]:
    """Converts a model once more so that it returns what every layer does, and compares that with Keras.

    What is computed inside loops cannot be returned; the layer around the loop is compared.

    Args:
        model: The prepared model.
        signature: Its inputs.
        samples: Inputs to compare on; `LAYER_SAMPLES` of them are used.
        outputs: Names of its outputs.
        lowering: The forms it was converted in.
        quantization: The precision it was converted in.
        allow_flex: As it was converted.

    Returns:
        The errors, in the order in which the layers are computed.

    Raises:
        ExportError: If the model cannot be converted so.
    """
    own = trace_taps(model, signature, outputs)
    with lowered(model, lowering):
        shipped = trace_taps(model, signature, outputs)
    try:
        runner = LiteRTModel(convert_function(shipped.function, allow_flex=allow_flex, quantization=quantization))
    except Exception as error:
        raise ExportError(
            f"Model '{model.name}' cannot be converted so that all its layers can be compared. Received: {error}"
        ) from error
    both = {key: tap for key, tap in own.taps.items() if key in shipped.taps and tap.shape == shipped.taps[key].shape}
    apart = trace_apart(model, signature, outputs, both)
    gaps = {key: _Gap() for key in both}
    gaps_apart = {key: _Gap() for key in apart.taps}
    for batch in samples.first(LAYER_SAMPLES).batches(signature.batch_size):
        expected, received = own.run(batch), shipped.by_key(runner(batch))
        from_received = apart.run({**batch, **{tap.name: received[key] for key, tap in both.items()}})
        for key, gap in gaps.items():
            gap.add(expected[key], received[key])
        for key, gap in gaps_apart.items():
            gap.add(from_received[key], received[key])
    return _errors(own, gaps, {key: gap.rms_relative_to(gaps[key]) for key, gap in gaps_apart.items()})


def preparation_errors(
    given: keras.Model, prepared: keras.Model, signature: Signature, samples: Samples, outputs: tuple[str, ...]
) -> tuple[LayerError, ...]:
    """Compares the layers of a model and of its prepared copy, both in Keras.

    A layer that something was folded into computes what the layers did together, so that it is held against those, too.

    Args:
        given: The model as it was given.
        prepared: Its prepared copy.
        signature: The inputs of both.
        samples: Inputs to compare on; `LAYER_SAMPLES` of them are used.
        outputs: Names of their outputs.

    Returns:
        The errors of the prepared model's layers, in the order in which they are computed.
    """
    before, after = trace_taps(given, signature, outputs), trace_taps(prepared, signature, outputs)
    candidates = {key: _with_removed(key, before, after) for key in after.taps if key in before.taps}
    gaps = {(old, key): _Gap() for key, chain in candidates.items() for old in chain}
    for batch in samples.first(LAYER_SAMPLES).batches(signature.batch_size):
        expected, received = before.run(batch), after.run(batch)
        for (old, key), gap in gaps.items():
            gap.add(expected[old], received[key])
    nearest = {
        key: min((gaps[old, key] for old in chain), key=lambda gap: gap.relative_rms)
        for key, chain in candidates.items()
        if chain
    }
    return _errors(after, nearest, {})


def _with_removed(key: Key, before: Tapped, after: Tapped) -> list[Key]:
    """A tap and those next to it that are gone from the prepared model, as far as they have its shape."""
    order = list(before.taps)
    position = order.index(key)
    following = position + 1
    while following < len(order) and order[following] not in after.taps:
        following += 1
    return [old for old in order[position:following] if before.taps[old].shape == after.taps[key].shape]


def _errors(tapped: Tapped, gaps: Mapping[Key, _Gap], added: Mapping[Key, float]) -> tuple[LayerError, ...]:
    return tuple(
        LayerError(tap.layer, tap.cls, gaps[key].relative_rms, gaps[key].max_relative, added.get(key))
        for key, tap in tapped.taps.items()
        if key in gaps
    )


class _Gap:
    """Sums and maxima of the difference of two arrays, over batches."""

    def __init__(self) -> None:
        self.squares = self.expected_squares = self.largest = self.expected_largest = 0.0

    def add(self, expected: np.ndarray, received: np.ndarray) -> None:
        a, b = expected.astype(np.float64), received.astype(np.float64)
        finite = np.isfinite(a)
        with np.errstate(invalid="ignore"):
            gap = np.nan_to_num(np.abs(a - b)[finite], nan=np.inf)
        self.squares += float((gap**2).sum())
        self.expected_squares += float((a[finite] ** 2).sum())
        self.largest = max(self.largest, float(gap.max(initial=0.0)))
        self.expected_largest = max(self.expected_largest, float(np.abs(a[finite]).max(initial=0.0)))

    def rms_relative_to(self, reference: _Gap) -> float:
        return math.sqrt(self.squares / (reference.expected_squares or 1.0))

    @property
    def relative_rms(self) -> float:
        return self.rms_relative_to(self)

    @property
    def max_relative(self) -> float:
        return self.largest / (self.expected_largest or 1.0)
