"""Reports: findings and rewrites as text for people, as HTML with pictures, and as JSON for programs."""

from advisor.report.console import print_examination, print_rewrite, to_text
from advisor.report.html.page import to_html
from advisor.report.json_report import SCHEMA, rewrite_to_dict, to_dict, to_json
from advisor.report.notebook import to_short_html

__all__ = [
    "SCHEMA",
    "print_examination",
    "print_rewrite",
    "rewrite_to_dict",
    "to_dict",
    "to_html",
    "to_json",
    "to_short_html",
    "to_text",
]
