"""Figures as people read them."""

from __future__ import annotations


def as_figure(value: float) -> str:
    """A figure with three digits that count, and all of those before the point up to a million.

    Example:
    >>> as_figure(0.012345), as_figure(5000), as_figure(123456.7), as_figure(12345678.0)
    ('0.0123', '5,000', '123,457', '1.23e+07')
    """
    return f"{value:,.0f}" if 1e3 <= abs(value) < 1e6 else f"{value:.3g}"
