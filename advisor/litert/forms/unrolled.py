"""Recurrent layers written out step by step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import ops

from advisor.litert.calls import LayerCall
from advisor.litert.forms.form import Form
from advisor.litert.forms.over_time import Advance, is_a_sequence, over_time
from advisor.litert.forms.steps import States


def _walk(advance: Advance, rows: Sequence[Any], states: States, keep: bool) -> tuple[Any, States]:
    outputs = []
    for row in zip(*(ops.unstack(part, axis=0) for part in rows), strict=True):
        states = advance(row, states)
        outputs.append(states[0])
    return (ops.stack(outputs, axis=0) if keep else None), states


def unrolled(layer: Any, inputs: Any, mask: Any) -> Any:
    """The layer without a loop."""
    return over_time(layer, inputs, mask, _walk)


_FEW = 8
"""So many steps may still fit into what a loop takes in the file."""


def _is_short(call: LayerCall) -> bool:
    return is_a_sequence(call) and call.inputs.shape[1] <= _FEW


def _is_long(call: LayerCall) -> bool:
    return is_a_sequence(call) and call.inputs.shape[1] > _FEW


FORM_UNROLLED = Form("steps written out", unrolled, _is_short)
FORM_UNROLLED_AT_LENGTH = Form("steps written out", unrolled, _is_long, is_large=True)
