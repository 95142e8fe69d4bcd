"""A user's folder, in which the commands run."""

import shutil
import sys

import pytest

from tests.advisor.cli.project import write_project


@pytest.fixture(scope="session")
def written_project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("project")
    write_project(folder)
    return folder


@pytest.fixture
def project(written_project, tmp_path, monkeypatch):
    """A fresh copy of the folder, as the current one; what is imported from it is forgotten afterwards."""
    folder = tmp_path / "project"
    shutil.copytree(written_project, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield folder
    own = {path.stem for path in folder.glob("*.py")}
    for name in [name for name in sys.modules if name.partition(".")[0] in own]:
        del sys.modules[name]
