"""Recurrent layers written out step by step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from advisor.litert.calls import LayerCall
from advisor.litert.forms.form import Form
from advisor.litert.forms.over_time import Advance, is_a_sequence, over_time
from advisor.litert.forms.steps import States


def _walk(advance: Advance, rows: Sequence[Any], states: States, keep: bool) -> tuple[Any, States]:
    # From constant zeros the converter would leave gates of the first step unread, and in float where all else is int8.
    zero = ops.minimum(ops.abs(rows[0][0][:, :1]), 0.0)
    states = keras.tree.map_structure(lambda state: state + zero, states)
    outputs = []
    for row in zip(*(ops.unstack(part, axis=0) for part in rows), strict=True):
        states = advance(row, states)
        outputs.append(states[0])
    return (ops.stack(outputs, axis=0) if keep else None), states


def unrolled(layer: Any, inputs: Any, mask: Any) -> Any:
    """The layer without a loop."""
    return over_time(layer, inputs, mask, _walk)


def _is_asked_for(call: LayerCall) -> bool:
    return is_a_sequence(call) and call.layer.unroll


def _is_not_asked_for(call: LayerCall) -> bool:
    return is_a_sequence(call) and not call.layer.unroll


FORM_UNROLLED = Form("steps written out", unrolled, _is_asked_for)
FORM_UNROLLED_WITHOUT_NEED = Form("steps written out", unrolled, _is_not_asked_for, is_large=True)
