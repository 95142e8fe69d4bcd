"""Watching a model while it trains: what is found is told as it appears."""

from advisor.watching.sighting import Sighting

__all__ = ["Sighting"]
