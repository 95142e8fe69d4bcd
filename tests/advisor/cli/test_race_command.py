"""`keras-advisor race`."""

import json

import keras
import numpy as np
import pytest
from typer.testing import CliRunner

from advisor.cli import app
from tests.advisor.race.small_race import TRAINING, VALIDATION, network


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("race")
    network().save(folder / "small.keras")
    for name, (x, y) in {"train": TRAINING, "validation": VALIDATION}.items():
        np.savez(folder / f"{name}.npz", x=x, y=y)
    return folder


def invoke(folder, *options):
    given = [
        "race",
        folder / "small.keras",
        "--data",
        folder / "train.npz",
        "--validation-data",
        folder / "validation.npz",
        "--epochs",
        1,
        "--batch-size",
        40,
        "--isolated",
        *options,
    ]
    result = CliRunner().invoke(app, [str(argument) for argument in given])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_a_race_is_shown_and_its_winner_written(files):
    best = files / "best.keras"
    settings = ("--budget", "2 trials", "--seeds", 1, "--directory", files / "kept")
    result = invoke(files, *settings, "-o", best)
    assert result.exit_code == 0
    assert "original" in result.stdout
    assert f"is written to {best}" in " ".join(result.stdout.split())
    assert keras.saving.load_model(best).count_params() > 0
    assert (files / "kept" / "study.db").is_file()

    told = json.loads(invoke(files, *settings, "--format", "json").stdout)
    assert told["schema"] == "keras-advisor-race/1"
    assert told["budget"] == "2 trials"
    assert "original" in {one["name"] for one in told["standings"]}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--budget", "soon"), "`budget` must be a time"),
        (("-o", "best.h5"), "must end in '.keras'"),
        (("--data", "none.npz"), "there is no file 'none.npz'"),
        (("--data", "none.csv"), "in .npz or .npy"),
    ],
)
def test_what_cannot_be_is_told_in_a_line(files, options, message):
    result = invoke(files, *options)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
