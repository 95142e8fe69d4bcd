import os
from pathlib import Path

import pytest

from advisor.output_files import checked_target, complete_file


def test_the_file_appears_when_the_block_ends_well(tmp_path):
    target = tmp_path / "model.tflite"
    with complete_file(target) as temporary:
        temporary.write_bytes(b"new")
        assert not target.exists()
    assert target.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["model.tflite"]


def test_a_failure_leaves_the_existing_file_and_nothing_else(tmp_path):
    target = tmp_path / "model.tflite"
    target.write_bytes(b"old")

    def breaks():
        with complete_file(target) as temporary:
            temporary.write_bytes(b"half")
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        breaks()
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["model.tflite"]


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("model.bin", ValueError, "must end in '.tflite'"),
        ("model", ValueError, "must end in '.tflite'"),
        ("missing/model.tflite", NotADirectoryError, "must exist; create it"),
        ("folder.tflite", IsADirectoryError, "is a directory"),
        ("there.tflite", FileExistsError, "--force"),
    ],
)
def test_a_path_that_cannot_be_written_is_refused(tmp_path, name, error, message):
    (tmp_path / "folder.tflite").mkdir()
    (tmp_path / "there.tflite").write_bytes(b"old")
    with pytest.raises(error, match=message) as refused:
        checked_target(tmp_path / name, suffix=".tflite", overwrite=False)
    assert f"Received: '{tmp_path / name}'" in str(refused.value)


def test_a_directory_that_takes_no_files_is_refused():
    # /proc refuses new files even to root, whom permissions do not stop.
    with pytest.raises(PermissionError, match="must be writable"):
        checked_target(Path("/proc/model.tflite"))
