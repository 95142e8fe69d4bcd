"""The exported model held against the Keras model it came from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from advisor.export.errors import ExportError
from advisor.export.samples import Samples
from advisor.export.signature import Signature
from advisor.export.trace import trace
from advisor.litert.interpreter import LiteRTModel
from advisor.litert.quantization import DYNAMIC, FLOAT16, INT8, INT8_FLOAT_FALLBACK

FLOAT32_TOLERANCE = 1e-4


@dataclass(frozen=True)
class Limit:
    """How far an exported model may be from the Keras model.

    Attributes:
        measure: The figure of `Difference` that is held: `max_relative` or `relative_rms`.
        value: What it must not exceed.
    """

    measure: str
    value: float

    @property
    def described(self) -> str:
        """The limit in words."""
        return f"{_MEASURES[self.measure]} of {self.value:g}"

    def holds_for(self, figures: Any) -> bool:
        """Whether the figure is within the limit; NaN is not.

        Args:
            figures: What has the figure as an attribute, as a `Difference` or the error of a layer has.
        """
        return bool(getattr(figures, self.measure) <= self.value)


_MEASURES = {"max_relative": "a relative difference", "relative_rms": "a relative root mean square difference"}

LIMITS: Mapping[str | None, Limit] = {
    None: Limit("max_relative", FLOAT32_TOLERANCE),
    FLOAT16: Limit("relative_rms", 0.03),
    DYNAMIC: Limit("relative_rms", 0.2),
    INT8: Limit("relative_rms", 0.5),
    INT8_FLOAT_FALLBACK: Limit("relative_rms", 0.5),
}
"""By the precision, None for float32. Quantized, ‖y - k‖ / ‖k‖ was measured by `benchmarks.quantization`:

| network | float16 | dynamic | int8 |
|---|---|---|---|
| MobileNetV2, ImageNet weights, 9 photographs | 0.0098 | 0.052 | 0.16 |
| LSTM on Fashion-MNIST | 0.0002 | 0.011 | 0.068 |
| separable CNN on Fashion-MNIST | 0.001 | 0.005 | 0.025 |
| transformer on Fashion-MNIST | 0.0003 | 0.006 | 0.023 |

The limits are some three times the largest, for rounding errors grow with depth. They refuse what is broken,
such as MobileNetV2 with ranges read off on noise, 0.89; whether 0.16, where one of the nine classes is another, is good
enough for a task is for labelled data to say. A defect of a smaller size does not hide behind them: what is to be
quantized is held to the limit of float32 before.
"""


def limit_for(precision: str | None, tolerance: float | None) -> Limit:
    """The limit of a precision, None for float32; with the user's tolerance where there is one."""
    default = LIMITS[precision]
    return default if tolerance is None else Limit(default.measure, tolerance)


@dataclass(frozen=True)
class Outputs:
    """What a model returned for the verification samples.

    Attributes:
        names: Names of the outputs, in Keras's flat order.
        values: One array per output, all rows.
    """

    names: tuple[str, ...]
    values: tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Difference:
    """How far an exported model is from the Keras model, over all outputs.

    Attributes:
        max_absolute: Largest absolute difference.
        max_relative: Largest absolute difference of an output, divided by that output's largest magnitude in Keras.
        mean_absolute: Mean absolute difference.
        relative_rms: `‖y - k‖ / ‖k‖` over all samples, `k` from Keras and `y` from the exported model; of an output of
            whole numbers the share that differs. The largest over all outputs.
        top1_agreement: Share of rows with the same arg-max, the lowest over all outputs of the shape
            `(batch, classes)` with two classes or more; None when there is no such output.
        worst_output: Name of the output with the largest relative difference.
    """

    max_absolute: float
    max_relative: float
    mean_absolute: float
    relative_rms: float
    top1_agreement: float | None
    worst_output: str


def keras_outputs(model: keras.Model, signature: Signature, samples: Samples) -> Outputs:
    """Runs the Keras model at inference, in the batches the exported model takes.

    Args:
        model: The model as it was given.
        signature: Its inputs.
        samples: The inputs.

    Returns:
        Its outputs.

    Raises:
        ExportError: If the model cannot be traced, or returns NaN, against which nothing can be verified.
    """
    import tensorflow as tf

    # On the CPU, as the interpreter: GPUs may round float32 products to TF32.
    with tf.device("CPU:0"):
        traced = trace(model, signature)
        batches = [
            traced.function(**{name: tf.constant(array) for name, array in batch.items()})
            for batch in samples.batches(signature.batch_size)
        ]
    outputs = _joined(traced.outputs, batches, signature, samples)
    for name, value in zip(outputs.names, outputs.values, strict=True):
        if value.dtype.kind == "f" and np.isnan(value).any():
            raise ExportError(
                f"The Keras model '{model.name}' must return finite numbers on the verification data to be verified. "
                f"Pass other `verify_data` or mend the model. Received: NaN in output '{name}'"
            )
    return outputs


def outputs_of(
    run: Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]],
    signature: Signature,
    samples: Samples,
    names: tuple[str, ...],
) -> Outputs:
    """Runs an exported model on the samples.

    Args:
        run: The exported model, from inputs by name to outputs by name.
        signature: Its inputs.
        samples: The inputs.
        names: Names of its outputs, in Keras's flat order.

    Returns:
        Its outputs.
    """
    batches = [run(batch) for batch in samples.batches(signature.batch_size)]
    return _joined(names, batches, signature, samples)


def litert_outputs(model: LiteRTModel, signature: Signature, samples: Samples, names: tuple[str, ...]) -> Outputs:
    """Runs a TFLite model on the samples; see `outputs_of`."""
    return outputs_of(model, signature, samples, names)


def difference(expected: Outputs, received: Outputs) -> Difference:
    """Compares the outputs of two models.

    Args:
        expected: What Keras returned.
        received: What the exported model returned.

    Returns:
        Their difference.
    """
    gaps = [_gap(a, b) for a, b in zip(expected.values, received.values, strict=True)]
    relative = [gap.max(initial=0.0) / _scale(a) for gap, a in zip(gaps, expected.values, strict=True)]
    agreements = [
        float(np.mean(np.argmax(a, axis=-1) == np.argmax(b, axis=-1)))
        for a, b in zip(expected.values, received.values, strict=True)
        if a.ndim == 2 and a.shape[-1] > 1
    ]
    return Difference(
        max_absolute=max(float(gap.max(initial=0.0)) for gap in gaps),
        max_relative=float(max(relative)),
        mean_absolute=float(np.concatenate([gap.ravel() for gap in gaps]).mean()),
        relative_rms=max(_relative_rms(gap, a) for gap, a in zip(gaps, expected.values, strict=True)),
        top1_agreement=min(agreements, default=None),
        worst_output=expected.names[int(np.argmax(relative))],
    )


def check(found: Difference, limit: Limit, explain: Callable[[], str]) -> None:
    """Refuses an exported model that is too far from the Keras model.

    Args:
        found: The difference measured.
        limit: The largest allowed.
        explain: Says where the difference comes from; asked only where it is too large.

    Raises:
        ExportError: If the difference is larger.
    """
    if not limit.holds_for(found):
        raise ExportError(
            f"The exported model must agree with Keras to {limit.described}; no file was written. {explain()} "
            f"Received: {getattr(found, limit.measure):.3g} (absolute {found.max_absolute:.3g}) in output "
            f"'{found.worst_output}'"
        )


def _joined(
    names: tuple[str, ...], batches: Sequence[Mapping[str, Any]], signature: Signature, samples: Samples
) -> Outputs:
    """The outputs of all batches; where they have a batch axis, without the rows the last batch was filled up with."""
    values = []
    for name in names:
        stacked = np.stack([np.asarray(batch[name]) for batch in batches])
        if stacked.shape[1:2] == (signature.batch_size,):
            stacked = stacked.reshape(-1, *stacked.shape[2:])[: samples.count]
        values.append(stacked)
    return Outputs(names, tuple(values))


def _gap(expected: np.ndarray, received: np.ndarray) -> np.ndarray:
    """Absolute difference; zero where both are the same infinity, infinite where only one is finite."""
    a, b = expected.astype(np.float64), received.astype(np.float64)
    with np.errstate(invalid="ignore"):
        gap = np.abs(a - b)
    return np.where(a == b, 0.0, np.nan_to_num(gap, nan=np.inf, posinf=np.inf))


def _relative_rms(gap: np.ndarray, expected: np.ndarray) -> float:
    if expected.dtype.kind != "f":
        return float((gap != 0).mean())
    magnitude = expected.astype(np.float64)
    norm = np.linalg.norm(magnitude[np.isfinite(magnitude)])
    return float(np.linalg.norm(gap.ravel()) / (norm or 1.0))


def _scale(expected: np.ndarray) -> float:
    magnitude = np.abs(expected.astype(np.float64))
    largest = magnitude[np.isfinite(magnitude)].max(initial=0.0)
    return float(largest) or 1.0
