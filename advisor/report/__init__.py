"""Reports: findings and rewrites as text for people and as JSON for programs."""

from advisor.report.console import print_examination, print_rewrite, to_text
from advisor.report.json_report import SCHEMA, rewrite_to_dict, to_dict, to_json

__all__ = [
    "SCHEMA",
    "print_examination",
    "print_rewrite",
    "rewrite_to_dict",
    "to_dict",
    "to_json",
    "to_text",
]
