"""What TensorFlow and the C++ libraries under it write to the terminal, held back."""

import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr


@contextmanager
def native_log_held_back() -> Iterator[None]:
    """Keeps what C++ code writes to file descriptor 2 off the terminal; Python's own `sys.stderr` stays visible.

    TensorFlow's logger is held to warnings, as in a notebook it tells every file it writes.

    An exception that leaves the block carries the withheld text as a note, so nothing is lost when it matters.
    """
    if sys.stderr is not None:
        sys.stderr.flush()
    terminal = os.dup(2)
    with ExitStack() as stack:
        stack.callback(os.close, terminal)
        tensorflow = logging.getLogger("tensorflow")
        stack.callback(tensorflow.setLevel, tensorflow.level)
        tensorflow.setLevel(max(tensorflow.level, logging.WARNING))
        log = stack.enter_context(tempfile.TemporaryFile())
        if _writes_to_descriptor_2(sys.stderr):
            visible = stack.enter_context(os.fdopen(os.dup(terminal), "w", buffering=1))
            stack.enter_context(redirect_stderr(visible))
        os.dup2(log.fileno(), 2)
        stack.callback(os.dup2, terminal, 2)
        try:
            yield
        except Exception as error:
            log.seek(0)
            text = log.read().decode(errors="replace").strip()
            if text:
                error.add_note(text)
            raise


def _writes_to_descriptor_2(stream: object) -> bool:
    try:
        return stream.fileno() == 2  # type: ignore[attr-defined]
    except (AttributeError, OSError, ValueError):
        return False
