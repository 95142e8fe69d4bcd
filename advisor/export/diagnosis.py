"""Where the difference between an exported model and the Keras model comes from, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from advisor.export.layer_errors import LayerError
from advisor.export.verify import Limit
from advisor.litert.lowering import Lowering

NAMED_LAYERS = 3


def first_over(errors: Sequence[LayerError], limit: Limit) -> LayerError | None:
    """The first layer, in the order of execution, that differs by more than a limit."""
    return next((error for error in errors if not limit.holds_for(error)), None)


def worst(errors: Sequence[LayerError], count: int = NAMED_LAYERS) -> tuple[LayerError, ...]:
    """The layers that add most to the error, the worst first; those that add nothing are left out."""
    adding = [error for error in errors if error.added]
    return tuple(sorted(adding, key=lambda error: -(error.added or 0.0))[:count])


def conversion_blamed(errors: Sequence[LayerError], limit: Limit, lowering: Lowering) -> str:
    """A sentence that names the first layer over the limit, or the worst where none is over it alone."""
    layer = first_over(errors, limit)
    if layer is None:
        named = ", ".join(f"'{error.layer}'" for error in worst(errors))
        return f"No layer alone differs by more; most is added by {named}." if named else "No layer differs by more."
    form = _forms(lowering).get(layer.layer.split("#")[0].split("/")[-1])
    how = f"{layer.cls}, computed as {form}" if form else layer.cls
    return f"The first layer that differs by more is '{layer.layer}' ({how}): {getattr(layer, limit.measure):.3g}."


def preparation_blamed(errors: Sequence[LayerError], limit: Limit, done: Sequence[str]) -> str:
    """A sentence that says the prepared model computes something else, and from which layer on."""
    steps = f" ({', '.join(done)})" if done else ""
    layer = first_over(errors, limit)
    where = f", first in layer '{layer.layer}': {getattr(layer, limit.measure):.3g}" if layer else ""
    return f"The preparation of the model{steps} has changed what it computes in Keras already{where}."


def _forms(lowering: Lowering) -> Mapping[str, str]:
    return {call.layer.name: choice.form.name for call, choice in lowering.lowered if choice.form is not None}
