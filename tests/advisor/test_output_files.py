import os
from pathlib import Path

import pytest

from advisor.output_files import checked_folder, checked_target, complete_file, complete_folder


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


def write(folder, text):
    (folder / "inner").mkdir(exist_ok=True)
    (folder / "inner" / "data").write_text(text)
    (folder / "mark").write_text(text)


def test_a_folder_appears_when_the_block_ends_well(tmp_path):
    target = tmp_path / "model"
    with complete_folder(target) as temporary:
        write(temporary, "new")
        assert not target.exists()
    assert (target / "inner" / "data").read_text() == "new"
    assert os.listdir(tmp_path) == ["model"]


def test_a_folder_replaces_all_of_another(tmp_path):
    target = tmp_path / "model"
    target.mkdir()
    write(target, "old")
    (target / "left over").touch()
    with complete_folder(target) as temporary:
        write(temporary, "new")
        assert (target / "mark").read_text() == "old"
    assert sorted(os.listdir(target)) == ["inner", "mark"]
    assert (target / "mark").read_text() == "new"
    assert os.listdir(tmp_path) == ["model"]


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_a_failure_leaves_the_existing_folder_and_nothing_else(tmp_path, failure):
    target = tmp_path / "model"
    target.mkdir()
    write(target, "old")

    def breaks():
        with complete_folder(target) as temporary:
            write(temporary, "half")
            raise failure

    with pytest.raises(failure):
        breaks()
    assert (target / "inner" / "data").read_text() == "old"
    assert os.listdir(tmp_path) == ["model"]


def test_the_old_folder_comes_back_where_the_new_one_cannot_take_its_place(tmp_path, monkeypatch):
    target = tmp_path / "model"
    target.mkdir()
    write(target, "old")
    replace = os.replace

    def refuse_second(source, destination):
        if Path(destination) == target and not Path(source).name.endswith(".old"):
            raise KeyboardInterrupt
        replace(source, destination)

    def breaks():
        with complete_folder(target) as temporary:
            write(temporary, "new")

    monkeypatch.setattr(os, "replace", refuse_second)
    with pytest.raises(KeyboardInterrupt):
        breaks()
    assert (target / "mark").read_text() == "old"
    assert os.listdir(tmp_path) == ["model"]


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("file", NotADirectoryError, "must be a folder, and this is a file"),
        ("missing/model", NotADirectoryError, "must exist; create it"),
        ("other", FileExistsError, "must be new, empty or one with a mark in it"),
        ("link", FileExistsError, "this is a link"),
    ],
)
def test_a_folder_that_holds_something_else_is_refused(tmp_path, name, error, message):
    (tmp_path / "file").touch()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "precious").touch()
    (tmp_path / "link").symlink_to(tmp_path / "other")
    with pytest.raises(error, match=message) as refused:
        checked_folder(tmp_path / name, holding="mark")
    assert f"Received: '{tmp_path / name}'" in str(refused.value)


def test_new_and_empty_folders_and_those_of_the_same_kind_are_taken(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "same").mkdir()
    write(tmp_path / "same", "old")
    for name in ("new", "empty", "same"):
        assert checked_folder(tmp_path / name, holding="mark") == tmp_path / name
