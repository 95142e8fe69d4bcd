"""Candidates measured against each other under a budget."""

from advisor.race.race import race
from advisor.race.result import LeftOut, RaceResult, Standing

__all__ = ["LeftOut", "RaceResult", "Standing", "race"]
