"""The help teaches: its examples run. What is printed fits the terminal, and has no colour where none is seen."""

import io
import re
import subprocess

import pytest
from rich.cells import cell_len
from typer.main import get_command
from typer.testing import CliRunner

from advisor.cli import app, check, demo, export, fix, race, rules
from tests.advisor.cli.project import run, words_of

COMMANDS = {"check": check, "fix": fix, "race": race, "export": export, "rules": rules, "demo": demo}
SLOW = ("demo", "race", "export")
# Minutes for what shorter examples of the same command show.
NIGHTLY = ("keras-advisor demo", "keras-advisor race model.keras --data train.npz --validation-data val.npz")


def _marks(name, command):
    if command in NIGHTLY:
        return [pytest.mark.nightly]
    return [pytest.mark.slow] if name in SLOW else []


EXAMPLES = [
    pytest.param(example.command, id=example.command, marks=_marks(name, example.command))
    for name, module in COMMANDS.items()
    for example in module.EXAMPLES
]
WIDTHS = (80, 60)


def shown(*arguments, width):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": str(width)})


def too_wide(text, width):
    """Lines that do not fit, but for links alone on theirs, which are never broken."""
    return [line for line in text.splitlines() if cell_len(line) > width and not re.fullmatch(r"\s*https?://\S+", line)]


def test_every_command_has_two_or_three_examples():
    assert set(COMMANDS) == set(get_command(app).commands)
    assert all(2 <= len(module.EXAMPLES) <= 4 for module in COMMANDS.values())


@pytest.mark.parametrize("command", EXAMPLES)
def test_an_example_of_the_help_runs(project, command):
    result = run(*words_of(command))
    assert result.exit_code in (0, 1), result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_the_help_fits(name, width):
    result = shown(*([name] if name else []), "--help", width=width)
    assert result.exit_code == 0
    assert too_wide(result.stdout, width) == []
    if name and width == 80:
        for example in COMMANDS[name].EXAMPLES:
            assert example.what in result.stdout
            assert any(line.strip() == example.command for line in result.stdout.splitlines())


PRINTED = {
    "check": ("check", "model.keras", "--batch-size", 2, "--epochs", 3, "--data", "train.npz"),
    "check of several, with the diff": ("check", "model.keras", "nets:small", "--diff", "--batch-size", 2),
    "check beside a baseline": ("check", "nets:small", "--baseline", "known.json", "--select", "N"),
    "fix": ("fix", "model.keras", "-o", "out.keras", "--batch-size", 2),
    "fix --diff": ("fix", "nets:small", "--diff", "--batch-size", 2),
    "export": pytest.param(("export", "model.keras", "out.tflite"), marks=pytest.mark.slow),
    "export as SavedModel": ("export", "model.keras", "served", "--to", "saved_model"),
    "rules": ("rules",),
    "a rule": ("rules", "N112"),
    "rules as pages": ("rules", "N", "--pages", "pages"),
}


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("arguments", PRINTED.values(), ids=PRINTED)
def test_what_is_printed_fits_and_has_no_colour(project, arguments, width):
    run("check", "nets:small", "--write-baseline", "known.json", "--select", "N10,D")
    result = shown(*arguments, width=width)
    assert result.exit_code in (0, 1), result.stderr
    assert result.stdout
    assert too_wide(result.stdout, width) == []
    assert "\x1b" not in result.stdout + result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("width", WIDTHS)
def test_the_demo_fits(width):
    result = shown("demo", "--seeds", 1, "--epochs", 1, "--samples", 64, width=width)
    assert result.exit_code == 0, result.stderr
    assert too_wide(result.stdout, width) == []
    assert "\x1b" not in result.stdout


@pytest.mark.slow
@pytest.mark.parametrize("width", WIDTHS)
def test_a_race_fits(project, width):
    result = shown("race", "nets:trained", "--budget", "2 trials", "--seeds", 1, "-o", "best.keras", width=width)
    assert result.exit_code == 0, result.stderr
    assert too_wide(result.stdout, width) == []
    assert "\x1b" not in result.stdout


def test_the_command_that_mends_can_be_pasted(project):
    many = ("--per-layer-ignores", "block */*:N102", "--batch-size", 2, "--epochs", 3, "--steps-per-epoch", 100)
    result = shown("check", "model.keras", *many, "--data", "train.npz", "--isolated", width=60)
    command = result.stdout.partition("Fix them:\n")[2]
    assert command.count("\\\n") >= 2
    split = subprocess.run(
        ["bash", "-c", f"printf '%s\\n' {command}"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert split[0] == "keras-advisor"
    assert split[split.index("--per-layer-ignores") + 1] == "block */*:N102"
    assert run(*split[1:]).exit_code in (0, 1)
    assert (project / "model-fixed.keras").is_file()


def test_no_color_is_honoured_on_a_terminal(project, monkeypatch):
    from rich.console import Console

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    colours = re.compile(r"\x1b\[[\d;]*3\d")

    def seen():
        from advisor import advise
        from advisor.report import print_examination

        console = Console(file=Terminal(), width=80)
        print_examination(advise("model.keras", batch_size=2).examination, console)
        return console.file.getvalue()

    assert colours.search(seen())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not colours.search(seen())
