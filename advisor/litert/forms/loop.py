"""Recurrent layers as a loop over time that holds nothing but what depends on the states."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

from keras import ops

from advisor.litert.calls import LayerCall
from advisor.litert.forms.form import Form
from advisor.litert.forms.over_time import Advance, is_a_sequence, over_time
from advisor.litert.forms.steps import States

_MANY = 8


def walk_in_a_loop(
    advance: Advance, rows: Sequence[Any], states: States, keep: bool, *, at_once: int = 1
) -> tuple[Any, States]:
    """LiteRT copies what changes in a loop in every iteration, so that several steps in one copy less."""
    import tensorflow as tf

    length = rows[0].shape[0]

    def body(time: Any, states: States, outputs: Any) -> tuple[Any, States, Any]:
        for _ in range(at_once):
            states = advance([tf.gather(row, time) for row in rows], states)
            if keep:
                outputs = ops.slice_update(outputs, [time, 0], ops.reshape(states[0], (1, -1)))
            time = time + 1
        return time, states, outputs

    first = (tf.constant(0), list(states), _place_for_outputs(rows[0], states[0]) if keep else ())
    _, states, outputs = tf.while_loop(lambda time, *_: time < length, body, first)
    return (ops.reshape(outputs, (length, *states[0].shape)) if keep else None), states


def _place_for_outputs(rows: Any, output: Any) -> Any:
    """All of it is written over, so it may hold anything: a part of the rows, where zeros would lie in the file."""
    length, (batch, *sizes) = rows.shape[0], output.shape
    width = math.prod(sizes)
    if rows.shape[-1] >= width and rows.dtype == output.dtype:
        return ops.reshape(rows[:, :, :width], (length, batch * width))
    return ops.zeros((length, batch * width), output.dtype)


def _takes_pairs(call: LayerCall) -> bool:
    """Where outputs of many steps are wanted, Keras's loop is so much larger that a second step does not show."""
    return (
        is_a_sequence(call)
        and call.layer.return_sequences
        and call.inputs.shape[1] >= _MANY
        and call.inputs.shape[1] % 2 == 0
    )


def looped(layer: Any, inputs: Any, mask: Any, *, at_once: int) -> Any:
    """The layer as a loop of so many steps in an iteration."""
    return over_time(layer, inputs, mask, partial(walk_in_a_loop, at_once=at_once))


FORM_LOOP = Form("a lean loop", partial(looped, at_once=1), is_a_sequence)
FORM_LOOP_OF_PAIRS = Form("a lean loop, two steps at a time", partial(looped, at_once=2), _takes_pairs)
