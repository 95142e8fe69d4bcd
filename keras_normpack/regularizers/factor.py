"""The check of a penalty's strength."""

import math
from typing import Any


def check_factor(regularizer: Any, factor: Any) -> float:
    """Gives back the factor of a penalty, if it is one.

    Args:
        regularizer: The regularizer whose argument it is.
        factor: Its value, a finite number from 0.

    Returns:
        The value as a float.

    Raises:
        ValueError: If it is not a finite number from 0.
    """
    is_number = isinstance(factor, int | float) and not isinstance(factor, bool)
    if not is_number or not math.isfinite(factor) or factor < 0:
        raise ValueError(
            f"Argument `factor` of {type(regularizer).__name__} must be a finite number from 0. "
            f"Received: factor={factor!r}"
        )
    return float(factor)
