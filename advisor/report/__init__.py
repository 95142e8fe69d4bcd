"""Reports: findings and rewrites as text and HTML for people, and as JSON, SARIF and annotations for programs."""

from typing import TYPE_CHECKING, Any

from advisor.report.console import as_text, print_check, print_diff, print_examination, print_rewrite, to_text
from advisor.report.json_report import SCHEMA, check_to_json, rewrite_to_dict, to_dict, to_json
from advisor.report.notebook import to_short_html

if TYPE_CHECKING:
    from advisor.report.html.page import to_html

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
    "to_html",
    "to_json",
    "to_short_html",
    "to_text",
]


def __getattr__(name: str) -> Any:
    # Pictures need the graph, and that needs Keras, which takes seconds to import.
    if name != "to_html":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from advisor.report.html import page

    return page.to_html
