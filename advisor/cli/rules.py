"""`keras-advisor rules`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from advisor.cli import completion
from advisor.cli.example import Example
from advisor.cli.running import import_keras, say

EXAMPLES = (
    Example("All of them", "keras-advisor rules"),
    Example("What one says, and why", "keras-advisor rules N112"),
    Example("Those on normalization, as pages", "keras-advisor rules N --pages pages"),
)


def rules(
    code: Annotated[
        str | None,
        typer.Argument(metavar="[CODE]", help="A code, or a prefix such as N.", autocompletion=completion.codes),
    ] = None,
    pages: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Write the rules' pages as Markdown.")] = None,
) -> None:
    """List the rules, or show the page of one."""
    import_keras()
    from advisor.report.rule_pages import print_rules, write_pages
    from advisor.rules import broken_plugins, select_rules

    chosen = select_rules(code)
    for plugin in broken_plugins():
        typer.echo(f"the rules of the plugin {plugin.name} are missing: {plugin.error}", err=True)
    if pages is not None:
        say(f"{len(write_pages(chosen, pages))} pages written to {pages}")
    else:
        print_rules(chosen, Console())
