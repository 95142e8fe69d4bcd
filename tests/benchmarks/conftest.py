"""Data that is not on this machine is not waited for."""

from functools import partial

import pytest

from benchmarks import datasets


@pytest.fixture(autouse=True)
def no_downloads(monkeypatch):
    """A test whose data would have to be downloaded first is skipped."""
    for name in datasets.NAMES:
        if not datasets.is_here(name):
            monkeypatch.setitem(
                datasets.LOADERS, name, partial(pytest.skip, f"{name} is not in {datasets.data_folder()}")
            )
