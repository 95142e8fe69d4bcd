"""The hook that the repository offers, run by pre-commit on a commit of models."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import pytest
import yaml
from keras import layers

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
CI_PAGE = (ROOT / "docs" / "ci.md").read_text("utf-8")


def hook():
    (only,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text("utf-8"))
    return only


def git(folder, *arguments):
    own = ["-c", "user.name=user", "-c", "user.email=user@example.org"]
    subprocess.run(["git", *own, *arguments], cwd=folder, capture_output=True, check=True)


def committed_models(folder, *, use_bias):
    git(folder, "init", "-q")
    for name in ("a", "b c"):
        stack = [layers.Conv2D(2, 3, use_bias=use_bias), layers.BatchNormalization(), layers.Flatten(), layers.Dense(2)]
        keras.Sequential([keras.Input((4, 4, 1)), *stack], name=f"net_{name[0]}").save(folder / f"{name}.keras")
    (folder / "notes.txt").write_text("no model")
    # Of the hook all but the environment, which would be one with TensorFlow installed anew.
    own = {**hook(), "language": "system", "args": ["--select", "N101"]}
    config = {"repos": [{"repo": "local", "hooks": [own]}]}
    (folder / ".pre-commit-config.yaml").write_text(yaml.safe_dump(config))
    git(folder, "add", ".")


def pre_commit(folder):
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [BIN / "pre-commit", "run"], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
def test_the_hook_examines_all_models_of_a_commit_in_one_go(tmp_path):
    committed_models(tmp_path, use_bias=True)
    done = pre_commit(tmp_path)
    assert done.returncode == 1
    assert "exit code: 1" in done.stdout
    assert done.stdout.count("1 finding: 1 info.") == 2
    assert "b c.keras" in done.stdout


@pytest.mark.slow
def test_clean_models_pass_the_hook(tmp_path):
    committed_models(tmp_path, use_bias=False)
    done = pre_commit(tmp_path)
    assert done.returncode == 0, done.stdout
    assert "Passed" in done.stdout


def test_the_page_shows_the_hook_as_it_is():
    shown = CI_PAGE.partition("```yaml\nrepos:")[2].partition("```")[0]
    (repository,) = yaml.safe_load(f"repos:{shown}")["repos"]
    (on_page,) = repository["hooks"]
    own = hook()
    assert {key: on_page[key] for key in ("id", "name", "entry", "language", "files", "require_serial")} == {
        key: own[key] for key in ("id", "name", "entry", "language", "files", "require_serial")
    }


def test_the_workflow_of_the_page_uploads_what_it_writes():
    workflow = yaml.safe_load(CI_PAGE.partition("```yaml\nname: keras-advisor")[2].partition("```")[0])
    *_, check, upload = workflow["jobs"]["check"]["steps"]
    assert f"-o {upload['with']['sarif_file']}" in check["run"]
    assert workflow["permissions"]["security-events"] == "write"
