"""All of `keras.applications`: exact fixes keep the function; advised models save, load and train."""

import gc
import inspect

import keras
import pytest

from advisor import advise
from advisor.graph.sampling import sample_inputs
from advisor.rewrite import relative_difference
from advisor.testing import check_laws, randomize_weights

# One at a time: the largest take gigabytes.
pytestmark = pytest.mark.xdist_group("applications")

# Smallest square inputs the networks accept; those not named take 32.
SMALLEST = {"InceptionV3": 75, "InceptionResNetV2": 75, "Xception": 71}
FIXED = {"NASNetMobile": 224, "NASNetLarge": 331}
QUICK = {"ResNet50", "MobileNetV2", "EfficientNetB0", "VGG16"}
# The smallest of each further family; their larger siblings repeat the same blocks.
FAMILIES = {
    "ConvNeXtTiny", "DenseNet121", "EfficientNetV2B0", "InceptionResNetV2", "InceptionV3", "MobileNet",
    "MobileNetV3Large", "MobileNetV3Small", "NASNetMobile", "ResNet50V2", "Xception",
}  # fmt: skip

APPLICATIONS = sorted(
    name
    for name, builder in inspect.getmembers(keras.applications, inspect.isfunction)
    if "weights" in inspect.signature(builder).parameters
)


def build(name):
    side = FIXED.get(name) or SMALLEST.get(name, 32)
    model = getattr(keras.applications, name)(
        weights=None, input_shape=(side, side, 3), classes=10, classifier_activation=None
    )
    return randomize_weights(model)


@pytest.fixture(autouse=True)
def free_memory():
    yield
    keras.backend.clear_session()
    gc.collect()


def test_all_applications_are_found():
    assert len(APPLICATIONS) >= 38
    assert set(APPLICATIONS) >= QUICK | FAMILIES


@pytest.mark.parametrize("name", sorted(QUICK))
def test_laws(name):
    check_laws(build(name), trained=False, batch_size=64)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_laws_on_other_families(name):
    check_laws(build(name), trained=False, batch_size=64)


@pytest.mark.nightly
@pytest.mark.parametrize("name", [name for name in APPLICATIONS if name not in QUICK | FAMILIES])
def test_laws_on_the_rest(name):
    check_laws(build(name), trained=False, batch_size=64)


@pytest.mark.parametrize("name", ["ResNet50", "VGG16"])
def test_exact_fixes_do_something_where_there_is_something_to_do(name):
    model = build(name)
    rewrite = advise(model, trained=True).rewrite()
    assert bool(rewrite.applied) is (name == "ResNet50")
    assert relative_difference(model, rewrite.model, sample_inputs(model, seed=3)) <= 1e-5
