"""The commands, put together."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from importlib.metadata import version
from typing import Annotated

import typer
from rich.markup import escape

from advisor.cli import check, demo, export, fix, race, rules
from advisor.cli.example import Example
from advisor.cli.running import failures_explained

app = typer.Typer(
    name="keras-advisor",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(version("keras-normpack"))
        raise typer.Exit


@app.callback()
def keras_advisor(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Find what is wrong with a Keras model, mend it, and ship it.

    Exit codes: 0 nothing found or everything fixed, 1 findings, 2 failure.
    """


def _add(command: Callable[..., None], examples: tuple[Example, ...]) -> None:
    shown = [f"[dim]{escape(one.what)}:[/dim]\n  [bold]{escape(one.command)}[/bold]" for one in examples]
    # Typer breaks the lines of the help where those of the docstring end.
    paragraphs = (inspect.getdoc(command) or "").split("\n\n")
    told = "\n\n".join(escape(" ".join(paragraph.split())) for paragraph in paragraphs)
    app.command(help=told, epilog="\n\n".join(shown))(failures_explained()(command))


_add(check.check, check.EXAMPLES)
_add(fix.fix, fix.EXAMPLES)
_add(race.race, race.EXAMPLES)
_add(export.export, export.EXAMPLES)
_add(rules.rules, rules.EXAMPLES)
_add(demo.demo, demo.EXAMPLES)


def main() -> None:
    """Run the command line."""
    warnings.formatwarning = lambda message, *_: f"keras-advisor: {message}\n"
    # Keras says so of every model that was compiled but not trained.
    warnings.filterwarnings("ignore", "Skipping variable loading for optimizer")
    app()
