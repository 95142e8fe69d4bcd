"""Settings for all tests: quiet TensorFlow, repeatable random numbers, a hypothesis profile for shared machines."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "project", deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], print_blob=True
)
# For the slow test of random models, which takes as many as its profile has where those are more than its own.
settings.register_profile("nightly", parent=settings.get_profile("project"), max_examples=500)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "project"))


@pytest.fixture(autouse=True)
def fresh_keras_state():
    """Every test starts with the same seeds and layer names, whatever ran before it."""
    # Collecting garbage would cost more than most tests.
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(0)


def pytest_collection_modifyitems(items):
    """The pack's tests run on any backend; those of what only TensorFlow has are left out on the others."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        return
    for item in items:
        if item.get_closest_marker("tensorflow_only"):
            item.add_marker(pytest.mark.skip(reason=f"needs the tensorflow backend, this is {backend}"))
