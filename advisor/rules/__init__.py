"""Rules: each reads the facts and says, in coded findings, what is wrong and how to mend it."""

from advisor.rules.base import Case, Requirement, Rule, unmet
from advisor.rules.finding import Confidence, Finding, Fix, PlanChange, Safety, Severity
from advisor.rules.layer_ignores import LayerIgnores, layer_ignores
from advisor.rules.references import Reference, reference, references
from advisor.rules.registry import (
    ENTRY_POINT_GROUP,
    BrokenPlugin,
    all_rules,
    as_codes,
    broken_plugins,
    rule,
    select_rules,
)

__all__ = [
    "ENTRY_POINT_GROUP",
    "BrokenPlugin",
    "Case",
    "Confidence",
    "Finding",
    "Fix",
    "LayerIgnores",
    "PlanChange",
    "Reference",
    "Requirement",
    "Rule",
    "Safety",
    "Severity",
    "all_rules",
    "as_codes",
    "broken_plugins",
    "layer_ignores",
    "reference",
    "references",
    "rule",
    "select_rules",
    "unmet",
]
