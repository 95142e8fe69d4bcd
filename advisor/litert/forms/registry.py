"""Which forms there are of which layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from advisor.litert.forms import (
    batch_normalization,
    centered_layer_normalization,
    conditional_normalization,
    filter_response_normalization,
    global_response_normalization,
    group_normalization,
    layer_normalization,
    per_channel_activations,
    recurrent,
    reversible_instance_normalization,
)
from advisor.litert.forms.form import Form

_FAMILIES = (
    batch_normalization,
    centered_layer_normalization,
    conditional_normalization,
    filter_response_normalization,
    global_response_normalization,
    group_normalization,
    layer_normalization,
    per_channel_activations,
    recurrent,
    reversible_instance_normalization,
)
_FORMS: Mapping[type, Sequence[Form]] = {cls: forms for family in _FAMILIES for cls, forms in family.FORMS.items()}


def forms_of(layer: Any) -> tuple[Form, ...]:
    """The forms a layer can be computed in, in the order of preference; none for a layer of an unknown class.

    Args:
        layer: A layer. A subclass may compute something else, so classes must match exactly.
    """
    return tuple(_FORMS.get(type(layer), ()))
