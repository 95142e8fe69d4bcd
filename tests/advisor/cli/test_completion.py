"""What the shell offers, asked for as the shell asks: by environment variables, and without Keras."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from advisor.cli import app, completion
from advisor.cli.options import CheckFormat, Engine, Task
from advisor.race.schedule import read_budget
from advisor.rules import all_rules

ROOT = Path(__file__).parents[3]


def bash(line):
    """What bash would offer for the last word of a line."""
    words = line.split(" ")
    asked = {"_KERAS_ADVISOR_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    return CliRunner().invoke(app, [], prog_name="keras-advisor", env=asked).stdout.split()


def own_codes():
    return [code for code, rule in all_rules().items() if type(rule).__module__.startswith("advisor.")]


@pytest.mark.parametrize("option", ["--select", "--ignore"])
@pytest.mark.parametrize("command", ["check", "fix", "race"])
def test_codes_of_rules(command, option):
    assert bash(f"keras-advisor {command} model.keras {option} N10") == [f"N10{number}" for number in range(1, 10)]
    assert bash(f"keras-advisor {command} model.keras {option} D203,t50") == [
        f"D203,t50{number}" for number in range(1, 8)
    ]


def test_all_rules_of_the_advisor_are_offered_with_their_names():
    assert [code for code, _ in completion.codes("")] == own_codes()
    assert dict(completion.codes("N101")) == {"N101": "bias-before-norm"}
    assert bash("keras-advisor rules H60") == [code for code in own_codes() if code.startswith("H60")]


@pytest.mark.parametrize("command", ["check", "fix", "race", "export"])
def test_files_of_models(project, command):
    assert bash(f"keras-advisor {command} m") == ["model.keras", "models/large.keras", "models/small.keras"]
    assert bash(f"keras-advisor {command} models/s") == ["models/small.keras"]
    assert bash(f"keras-advisor {command} models/") == ["models/large.keras", "models/small.keras"]
    assert bash(f"keras-advisor {command} absent/") == []
    assert bash(f"keras-advisor {command} [") == []
    assert bash(f"keras-advisor {command} {project}/mod") == [
        f"{project}/{name}" for name in ("model.keras", "models/large.keras", "models/small.keras")
    ]


def test_several_models_each_get_their_files(project):
    assert "model.keras" in bash("keras-advisor check models/small.keras m")


def test_files_of_arrays(project):
    assert bash("keras-advisor check model.keras --data ") == ["train.npz", "val.npz"]
    assert bash("keras-advisor export model.keras o.tflite --representative-data t") == ["train.npz"]


def test_choices():
    assert bash("keras-advisor check model.keras --format ") == [choice.value for choice in CheckFormat]
    assert bash("keras-advisor race model.keras --engine ") == [choice.value for choice in Engine]
    assert set(bash("keras-advisor check model.keras --task ")) == {task.value for task in Task}
    assert bash("keras-advisor export m.keras o --quantize int8_") == ["int8_float_fallback"]


def test_budgets_are_budgets():
    assert bash("keras-advisor race model.keras --budget ") == [budget for budget, _ in completion.BUDGETS]
    assert all(read_budget(budget).seconds for budget, _ in completion.BUDGETS)


def test_commands_and_options():
    assert bash("keras-advisor r") == ["race", "rules"]
    assert bash("keras-advisor check model.keras --write") == ["--write-baseline"]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_are_told_the_names_of_rules(shell):
    line = "keras-advisor check model.keras --select N101"
    asked = {
        "_KERAS_ADVISOR_COMPLETE": f"complete_{shell}",
        "_TYPER_COMPLETE_ARGS": line,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    told = CliRunner().invoke(app, [], prog_name="keras-advisor", env=asked).stdout
    assert "N101" in told
    assert "bias-before-norm" in told


def test_nothing_is_imported_that_takes_seconds():
    script = (
        "import sys; sys.argv = ['keras-advisor']\n"
        "from advisor.cli import main\n"
        "try:\n    main()\nfinally:\n    print('keras' in sys.modules, file=sys.stderr)"
    )
    asked = {
        "_KERAS_ADVISOR_COMPLETE": "complete_bash",
        "COMP_WORDS": "keras-advisor check m --select T50",
        "COMP_CWORD": "4",
    }
    done = subprocess.run(
        [sys.executable, "-c", script], env=os.environ | asked, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout.split()[0] == "T501"
    assert done.stderr.split() == ["False"]
