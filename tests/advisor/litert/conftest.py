import gc

import pytest

from advisor.litert import choice


@pytest.fixture(scope="module", autouse=True)
def quick_conversions():
    """TensorFlow's converter collects garbage at each call; what is alive now is left out of that."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def nothing_measured_yet(monkeypatch):
    monkeypatch.setattr(choice, "_MEASURED", {})
