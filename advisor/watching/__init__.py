"""Watching a model while it trains: what is found is told as it appears."""

from advisor.watching.callback import AdvisorCallback
from advisor.watching.sighting import Sighting

__all__ = ["AdvisorCallback", "Sighting"]
