"""Reports: findings and rewrites as text for people, as JSON, SARIF and annotations for programs."""

from advisor.report.console import as_text, print_check, print_diff, print_examination, print_rewrite, to_text
from advisor.report.json_report import SCHEMA, check_to_json, rewrite_to_dict, to_dict, to_json

__all__ = [
    "SCHEMA",
    "as_text",
    "check_to_json",
    "print_check",
    "print_diff",
    "print_examination",
    "print_rewrite",
    "rewrite_to_dict",
    "to_dict",
    "to_json",
    "to_text",
]
