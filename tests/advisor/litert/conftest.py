import gc

import pytest


@pytest.fixture(scope="module", autouse=True)
def quick_conversions():
    """TensorFlow's converter collects garbage at each call; what is alive now is left out of that."""
    gc.freeze()
    yield
    gc.unfreeze()
