"""The line that says what is going on: what it shows on a terminal, in a log, and nowhere else."""

import io
import os
import pty
import re
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import keras
import pytest
from keras import layers
from rich.cells import cell_len
from rich.console import Console

from advisor import advise
from advisor.progress import moving_line, silence, told_time, working

ROOT = Path(__file__).parents[2]
CODES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


def frames(work, width=60):
    """What a terminal of that width shows, line by line, without colours."""
    console = Console(file=io.StringIO(), width=width, force_terminal=True)
    with moving_line("Reading the model", console) as say:
        work(say)
    text = CODES.sub("", console.file.getvalue())
    return [line.rstrip() for line in re.split(r"[\r\n]+", text) if line.strip()]


def test_what_is_unknown_has_no_bar_but_the_time_it_has_taken():
    last = frames(lambda say: say("Converting"))[-1]
    assert re.search(r"Converting …\s+0:00$", last)


def test_what_is_known_has_a_bar_and_the_time_left():
    def work(say):
        time.sleep(0.2)
        say("Writing", 0.5)

    last = frames(work)[-1]
    assert re.search(r"Writing …\s+━+.*\s0:00 left$", last)


def test_a_text_alone_leaves_the_share_as_it_was():
    def work(say):
        say("Writing", 0.5)
        say("Packing")

    assert re.search(r"Packing …\s+━+.* left$", frames(work)[-1])


@pytest.mark.parametrize("width", [80, 60])
def test_a_long_text_is_cut_and_fits(width):
    shown = frames(lambda say: say("[bold]layer[/bold] " + "of a long name " * 20, 0.3), width)
    assert all(cell_len(line) <= width for line in shown)
    assert any("[bold]layer" in line for line in shown)


@pytest.mark.parametrize(
    ("spent", "share", "told"),
    [(10, None, "0:10"), (10, 0, "0:10"), (10, 0.5, "0:10 left"), (75, 0.5, "1:15 left"), (3, 1, "0:00 left")],
)
def test_times(spent, share, told):
    assert told_time(spent, share) == told


@pytest.mark.parametrize("verbose", [0, "auto"])
def test_nothing_is_said_where_nobody_sees_it(verbose, capfd):
    with working("Reading", verbose) as say:
        assert say is silence
        say("Converting", 0.5)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("verbose", [1, 2])
def test_a_log_has_a_line_per_step_and_none_for_how_far_it_is(verbose, capsys):
    with working("Reading", verbose) as say:
        say("Writing 10%", 0.1)
        say("Converting")
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"Reading: \d+\.\d s\nConverting: \d+\.\d s\n", err)


def flawed_model():
    stack = [layers.Conv2D(4, 3, name="conv"), layers.BatchNormalization(name="norm"), layers.Dropout(0.0)]
    return keras.Sequential([keras.Input((8, 8, 1)), *stack])


def test_advise_and_what_it_does_say_their_steps(capsys):
    advise(flawed_model(), batch_size=4, verbose=2).apply()
    steps = [line.rpartition(":")[0] for line in capsys.readouterr().err.splitlines()]
    assert steps[:3] == ["Reading the model", "Looking at the data", "Examining the model"]
    assert "Rewriting the model, round 1: D203, N101" in steps
    assert "Examining the model after round 1" in steps


def test_a_quiet_advice_stays_quiet(capsys):
    advise(flawed_model(), batch_size=4, verbose=0).apply()
    assert capsys.readouterr() == ("", "")


def test_every_rule_moves_the_bar():
    from advisor.facts import gather_facts
    from advisor.graph import read_graph
    from advisor.rules import all_rules
    from advisor.rules.examination import examine

    told = []
    rules = list(all_rules().values())
    examine(gather_facts(read_graph(flawed_model())), rules, say=lambda doing, share=None: told.append((doing, share)))
    assert [doing.rpartition(" ")[2] for doing, _ in told] == [rule.code for rule in rules]
    assert [share for _, share in told] == [number / len(rules) for number in range(len(rules))]


SCRIPT = """
import time
from advisor.progress import working
with working("Examining", "auto") as say:
    for number in range(5):
        say("Examining", number / 5)
        time.sleep(0.15)
print("done")
"""


def test_on_a_real_terminal_the_line_moves_and_vanishes():
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
        check=True,
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the other end is closed and all is read
            break
        if not part:
            break
        shown += part
    os.close(ours)
    assert done.stdout == "done\n"
    text = shown.decode()
    assert "Examining …" in text
    assert "left" in text
    assert text.rstrip("\r\n").endswith("\x1b[2K")
