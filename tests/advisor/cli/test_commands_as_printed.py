"""Every command of README and pages runs as it is printed, in a folder that has what it names."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

from advisor.cli.running import CLEAN, FINDINGS
from tests.advisor.cli.project import run, words_of

ROOT = Path(__file__).parents[3]
# The page that makes its own files is walked through by itself.
PAGES = [ROOT / "README.md", *sorted(page for page in (ROOT / "docs").rglob("*.md") if page.name != "start.md")]
# Its data set is downloaded, and it has tests of its own; what is written for the package itself changes it.
LEFT_OUT = {"keras-advisor demo --data tfds:fashion_mnist", "keras-advisor rules --pages docs/rules"}


def commands_of(page):
    text = page.read_text("utf-8").replace("\\\n", "")
    return [" ".join(line.split()) for line in re.findall(r"^ {4,}(keras-advisor [^\n]*)$", text, re.MULTILINE)]


PRINTED = {line: page for page in PAGES for line in commands_of(page) if line not in LEFT_OUT}


def test_there_are_commands_of_every_kind():
    assert {shlex.split(line)[1] for line in PRINTED} >= {"check", "fix", "race", "export", "rules"}


# A race takes minutes; a shorter one is an example of its help.
@pytest.mark.parametrize(
    "line", [pytest.param(line, marks=pytest.mark.nightly if " race " in line else ()) for line in PRINTED]
)
def test_a_command_runs_as_printed(line, project):
    shutil.copy("val.npz", "validation.npz")
    if "--baseline" in line:
        assert run(*words_of(line.replace("--baseline", "--write-baseline"))).exit_code == CLEAN
    words = words_of(line)
    result = run(*words)
    assert result.exit_code in (CLEAN, FINDINGS), result.output
    assert "Traceback" not in result.stderr
    written = [words[words.index("-o") + 1]] if "-o" in words else []
    assert all((project / name).stat().st_size > 0 for name in written)
