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
        is_large: Whether it makes the file larger by many kilobytes, so that it is of use only where the layer as it is
            written may not stay.
    """

    name: str
    compute: Callable[[Any, Any, Any], Any]
    fits: Callable[[LayerCall], bool] = _always
    is_large: bool = False
