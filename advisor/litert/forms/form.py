"""A way to compute a layer that LiteRT may run faster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from advisor.litert.calls import LayerCall


def _always(call: LayerCall) -> bool:
    return True


@dataclass(frozen=True)
class Form:
    """One way to compute a layer at inference, for static shapes.

    Attributes:
        name: Short, as reports show it: `x · a + b`.
        compute: From the layer, its inputs and its mask to its outputs: those of its own `call` up to rounding.
        fits: Whether it can compute a call; it sees shapes, types and the layer's configuration.
    """

    name: str
    compute: Callable[[Any, Any, Any], Any]
    fits: Callable[[LayerCall], bool] = _always
