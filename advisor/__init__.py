"""A model advisor for Keras: inspect, explain, rewrite, train, export."""

from advisor.advise import Advice, advise

__all__ = ["Advice", "advise"]
