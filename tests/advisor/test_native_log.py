import logging
import os
import sys

import pytest

from advisor.native_log import native_log_held_back


def test_native_output_is_held_back_and_python_output_is_not(capfd):
    with native_log_held_back():
        os.write(2, b"from C++\n")
        print("from Python", file=sys.stderr)
    os.write(2, b"afterwards\n")
    shown = capfd.readouterr().err
    assert "from Python" in shown
    assert "afterwards" in shown
    assert "from C++" not in shown


def test_python_output_stays_visible_on_a_plain_descriptor(capfd, monkeypatch):
    with open(2, "w", closefd=False) as plain:
        monkeypatch.setattr(sys, "stderr", plain)
        with native_log_held_back():
            os.write(2, b"from C++\n")
            print("from Python", file=sys.stderr)
        assert sys.stderr is plain
    shown = capfd.readouterr().err
    assert "from Python" in shown
    assert "from C++" not in shown


def test_an_error_carries_what_was_held_back():
    @native_log_held_back()
    def breaks():
        os.write(2, b"why it broke\n")
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError) as error:
        breaks()
    assert error.value.__notes__ == ["why it broke"]


@pytest.mark.parametrize(("level", "within"), [(logging.INFO, logging.WARNING), (logging.ERROR, logging.ERROR)])
def test_tensorflow_tells_warnings_only_and_all_it_did_afterwards(level, within):
    logger = logging.getLogger("tensorflow")
    before = logger.level
    logger.setLevel(level)
    try:
        with native_log_held_back():
            assert logger.level == within
        assert logger.level == level
    finally:
        logger.setLevel(before)
