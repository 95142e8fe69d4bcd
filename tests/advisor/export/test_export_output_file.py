import os
from pathlib import Path

import pytest

from advisor.export.errors import ExportError
from advisor.export.output_file import checked_path, complete_file


def test_the_file_appears_when_the_block_ends_well(tmp_path):
    target = tmp_path / "model.tflite"
    with complete_file(target) as stream:
        stream.write(b"new")
        assert not target.exists()
    assert target.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["model.tflite"]


def test_a_failure_leaves_the_existing_file_and_nothing_else(tmp_path):
    target = tmp_path / "model.tflite"
    target.write_bytes(b"old")

    def breaks():
        with complete_file(target) as stream:
            stream.write(b"half")
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        breaks()
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["model.tflite"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("model.bin", "must end in '.tflite'"),
        ("model", "must end in '.tflite'"),
        ("missing/model.tflite", "must exist"),
        ("folder.tflite", "is a directory"),
    ],
)
def test_a_path_that_cannot_be_written_is_refused(tmp_path, name, message):
    (tmp_path / "folder.tflite").mkdir()
    with pytest.raises(ExportError, match=message) as error:
        checked_path(tmp_path / name)
    assert f"Received: path='{tmp_path / name}'" in str(error.value)


def test_a_directory_that_takes_no_files_is_refused():
    # /proc refuses new files even to root, whom permissions do not stop.
    with pytest.raises(ExportError, match="must be writable"), complete_file(Path("/proc/model.tflite")):
        pytest.fail("the block must not run")
