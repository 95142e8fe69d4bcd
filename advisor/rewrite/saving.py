"""Writing a model to a `.keras` file with one variable in memory at a time."""

from __future__ import annotations

import math
import os
import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from advisor.graph import keras_internals as internals
from advisor.graph.stored_model import CONFIG, METADATA, WEIGHTS, all_variables
from advisor.progress import Say, silence

BLOCK = 1 << 22


def save_model(model: Any, path: str | os.PathLike[str], progress: Say = silence) -> None:
    """Write a model as `model.save` does, but one variable after the other.

    The values of a model that was read from a larger file than fits in memory go from file to file. The weights are
    first written beside `path`, so that for a while the disk holds them twice.

    Args:
        model: The model.
        path: The `.keras` file to write; not complete until the function returns.
        progress: Called with a line of text, and with how much of the whole is written, 0 to 1, whenever something more
            has been done.

    Raises:
        OSError: If the file cannot be written.
    """
    target = Path(path)
    whole = sum(math.prod(variable.shape) for variable in all_variables(model))
    done = 0

    def watch(values: int) -> None:
        nonlocal done
        done += values
        share = min(done / whole, 1)
        progress(f"Writing {share:.0%} of {whole:,} values", share)

    config, metadata = internals.config_and_metadata(model)
    with (
        tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.stem}.") as folder,
        zipfile.ZipFile(target, "w") as archive,
    ):
        archive.writestr(METADATA, metadata)
        archive.writestr(CONFIG, config)
        weights = Path(folder, WEIGHTS)
        internals.write_state(model, weights, archive, watch)
        progress("Packing", 1.0)
        member = zipfile.ZipInfo.from_file(weights, WEIGHTS)
        with weights.open("rb") as source, archive.open(member, "w") as packed:
            shutil.copyfileobj(source, packed, BLOCK)
