"""What an exported file says about itself: what it was made from and how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import keras
import numpy as np

from advisor.export.errors import ExportError
from advisor.litert.interpreter import LiteRTModel
from advisor.litert.metadata import with_metadata
from advisor.litert.signatures import signature_shapes

VERIFICATION = (
    "verified_samples", "max_abs_difference", "max_relative_difference", "relative_rms_difference", "top1_agreement",
)  # fmt: skip


def provenance(
    model: keras.Model,
    inputs: Mapping[str, Sequence[int | None]],
    outputs: Mapping[str, Sequence[int | None]],
    *,
    precision: str = "float32",
    preparation: Sequence[str] = (),
    lowered: Sequence[str] = (),
    verification: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The metadata entry of an exported file. It holds no path and no time, so that equal exports are equal files.

    Args:
        model: The model.
        inputs: Shapes of the inputs, by name.
        outputs: Shapes of the outputs, by name.
        precision: How numbers are stored and computed.
        preparation: What was done to the model.
        lowered: Which layers are computed in another form.
        verification: What `verification` gives; None where the file could not be verified.

    Returns:
        The entry, in types that JSON has.
    """
    return {
        "keras_normpack": version("keras-normpack"),
        "keras": keras.__version__,
        "model": model.name,
        "inputs": {name: list(shape) for name, shape in inputs.items()},
        "outputs": {name: list(shape) for name, shape in outputs.items()},
        "precision": precision,
        "preparation": list(preparation),
        "lowered": list(lowered),
        "verification": None if verification is None else dict(verification),
    }


def verification(figures: Mapping[str, Any]) -> dict[str, Any] | None:
    """How well a file agreed with the Keras model, to three digits, for every byte of it is shipped.

    Args:
        figures: The figures of the check by the names the report has for them; none where it was not made.

    Returns:
        Those that tell, or None.
    """
    return {name: _short(figures[name]) for name in VERIFICATION if name in figures} or None


def _short(figure: float | None) -> float | None:
    return float(f"{figure:.3g}") if isinstance(figure, float) else figure


def described(flatbuffer: bytes, model: keras.Model, **made: Any) -> bytes:
    """A TFLite model with what it says about itself.

    Args:
        flatbuffer: The model.
        model: The Keras model it was made from.
        **made: How it was made: the keywords of `provenance`.

    Returns:
        The model with a description and a metadata entry.
    """
    shapes = signature_shapes(flatbuffer)
    entry = provenance(model, shapes.inputs, shapes.outputs, **made)
    return with_metadata(flatbuffer, entry, f"{model.name}, exported by keras-normpack {entry['keras_normpack']}")


def check_equal(verified: bytes, written: bytes, batch: Mapping[str, np.ndarray]) -> None:
    """Refuses a file that does not compute, to the bit, what the one did that was verified.

    Raises:
        ExportError: If it does not.
    """
    before, after = LiteRTModel(verified)(batch), LiteRTModel(written)(batch)
    if any(not np.array_equal(before[name], after[name], equal_nan=True) for name in before):
        raise ExportError(
            "A file must compute the same with and without metadata, and this one does not; please report it. "
            f"Received: other values of {', '.join(before)}"
        )
