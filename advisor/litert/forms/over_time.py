"""A recurrent layer, whatever its cell and its mask, around one way to walk through the steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from advisor.graph import keras_internals
from advisor.litert.calls import LayerCall
from advisor.litert.forms.steps import States, has_steps, steps_of

Advance = Callable[[Sequence[Any], States], States]
Walk = Callable[[Advance, Sequence[Any], States, bool], tuple[Any, States]]
"""From the step, what it reads, `(time, batch, …)`, the first states and whether outputs of all steps are wanted, to
these, `(time, batch, …)` or None, and the last states."""


def is_a_sequence(call: LayerCall) -> bool:
    """Whether a layer is called on one sequence, `(batch, time, features)`, with one mask for its steps or none."""
    return (
        isinstance(call.inputs, keras.KerasTensor)
        and len(call.inputs.shape) == 3
        and (call.mask is None or (isinstance(call.mask, keras.KerasTensor) and len(call.mask.shape) == 2))
        and not call.layer.stateful
        and (has_steps(call.layer.cell) or not _keeps_dropout_masks(call.layer.cell))
    )


def over_time(layer: Any, inputs: Any, mask: Any, walk: Walk) -> Any:
    """Computes a recurrent layer.

    Args:
        layer: A `keras.layers.RNN`.
        inputs: The sequence, `(batch, time, features)`.
        mask: Which steps count, `(batch, time)`, or None; a step that does not leaves all states as they were.
        walk: How to go through the steps.

    Returns:
        What the layer returns.
    """
    steps = steps_of(layer.cell)
    if layer.go_backwards:
        inputs, mask = ops.flip(inputs, axis=1), None if mask is None else ops.flip(mask, axis=1)

    def advance(row: Sequence[Any], states: States) -> States:
        after = steps.step(layer.cell, row[0], states)
        return after if mask is None else _where(row[1], after, states)

    rows = [time_major(steps.project(layer.cell, inputs))]
    if mask is not None:
        mask = ops.cast(mask, "bool")
        rows.append(time_major(ops.expand_dims(mask, axis=-1)))
    outputs, states = walk(advance, rows, steps.start(layer, inputs), layer.return_sequences)
    output = states[0] if outputs is None else batch_major(outputs)
    if mask is not None and layer.zero_output_for_mask:
        output = _where(mask if layer.return_sequences else mask[:, -1], output, ops.zeros(output.shape, output.dtype))
    return (output, *steps.end(states)) if layer.return_state else output


def _where(mask: Any, these: Any, those: Any) -> Any:
    """Of every pair of tensors, these values where the mask is true; the mask has their first axes."""

    def chosen(a: Any, b: Any) -> Any:
        missing = tuple(range(len(mask.shape), len(a.shape)))
        return ops.where(ops.expand_dims(mask, axis=missing) if missing else mask, a, b)

    return keras.tree.map_structure(chosen, these, those)


def time_major(tensor: Any) -> Any:
    """`(batch, time, …)` as `(time, batch, …)`."""
    batch, time, *rest = tensor.shape
    if batch == 1:
        return ops.reshape(tensor, (time, 1, *rest))
    return ops.transpose(tensor, (1, 0, *range(2, len(tensor.shape))))


def batch_major(tensor: Any) -> Any:
    """`(time, batch, …)` as `(batch, time, …)`."""
    time, batch, *rest = tensor.shape
    if batch == 1:
        return ops.reshape(tensor, (1, time, *rest))
    return ops.transpose(tensor, (1, 0, *range(2, len(tensor.shape))))


def _keeps_dropout_masks(cell: Any) -> bool:
    """Cells with dropout make their masks in the first step and keep them, which a loop's body may not."""
    parts = [cell, *keras_internals.layer_tree(cell)]
    return any(getattr(part, "dropout", 0) or getattr(part, "recurrent_dropout", 0) for part in parts)
