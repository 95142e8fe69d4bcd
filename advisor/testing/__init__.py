"""Public conformance checks: hold a rule, or the advice on a model, to the laws of the advisor."""

from advisor.testing.laws import LawBrokenError, check_laws, randomize_weights, structure
from advisor.testing.rules import check_rule

__all__ = ["LawBrokenError", "check_laws", "check_rule", "randomize_weights", "structure"]
