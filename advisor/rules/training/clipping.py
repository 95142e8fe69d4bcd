"""Gradient clipping, as the rules ask for it."""

from __future__ import annotations

from advisor.rules.finding import PlanChange

CLIPNORM = 1.0


def clipping() -> PlanChange:
    """Gradients of every weight clipped to norm 1."""
    return PlanChange("gradient_clipping", {"clipnorm": CLIPNORM}, f"clip gradients to norm {CLIPNORM:g}")
