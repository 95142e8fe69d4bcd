import os
import re
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest
from keras import layers

from advisor import advise
from advisor.graph.stored_model import all_variables, holds_values
from advisor.rewrite.verify import outputs_of
from advisor.testing import randomize_weights, structure
from tests.advisor.graph.test_stored_model import assert_same_values, inputs_of
from tests.advisor.models_to_store import MODELS, conv_net, own_storage, text

SAFETIES = ("exact", "retrain")


def large_net():
    """With weights of the size from which they are not copied in passing."""
    return keras.Sequential(
        [
            keras.Input((8,), dtype="int32"),
            layers.Embedding(700, 512),
            layers.Dense(700, name="wide"),
            layers.BatchNormalization(),
            layers.GlobalAveragePooling1D(),
            layers.Dense(2),
        ]
    )


def _unnumbered(name):
    """Without the number that Keras counts up for variables without a name."""
    return re.sub(r"^variable_\d+$", "variable", name)


def assert_fixed_alike(path, folder, **arguments):
    """A fix from file to file writes what a fix in memory does."""
    original = keras.saving.load_model(path)
    expected = advise(original, verbose=0, **arguments).rewrite(SAFETIES)
    expected.model.save(folder / "expected.keras")
    actual = advise(path, verbose=0, **arguments).rewrite(SAFETIES)
    before = path.read_bytes()
    actual.save(folder / "actual.keras")
    assert path.read_bytes() == before
    if any(len(variable.shape) > 1 for variable in original.weights):
        assert not holds_values(actual.structure)
    assert [a.finding.code for a in expected.applied] == [a.finding.code for a in actual.applied]
    # Layers without a name of their own get other ones.
    origins = [[origin.origin for origin in rewrite.weight_map.values()] for rewrite in (expected, actual)]
    assert origins[0] == origins[1]
    first, second = (keras.saving.load_model(folder / f"{name}.keras") for name in ("expected", "actual"))
    assert structure(first) == structure(second)
    new = [path for path, origin in actual.weight_map.items() if origin.origin == "new"]
    for a, b in zip(all_variables(first), all_variables(second), strict=True):
        assert (_unnumbered(a.name), a.dtype, tuple(a.shape)) == (_unnumbered(b.name), b.dtype, tuple(b.shape))
        if b.path not in new and "seed_generator" not in a.path:
            np.testing.assert_array_equal(np.asarray(a.value), np.asarray(b.value), err_msg=a.path)
    if not new:
        for a, b in zip(outputs_of(first, inputs_of(first)), outputs_of(second, inputs_of(second)), strict=True):
            np.testing.assert_array_equal(a, b)
    with zipfile.ZipFile(folder / "expected.keras") as a, zipfile.ZipFile(folder / "actual.keras") as b:
        assert sorted(a.namelist()) == sorted(b.namelist())
    return second


@pytest.mark.parametrize("make", [*MODELS, large_net], ids=lambda make: make.__name__)
def test_a_fix_from_file_to_file_is_that_in_memory(make, tmp_path):
    randomize_weights(make()).save(tmp_path / "m.keras")
    assert_fixed_alike(tmp_path / "m.keras", tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("ResNet50", "MobileNetV2", "EfficientNetB0")),
        *(
            pytest.param(name, marks=pytest.mark.nightly)
            for name in ("ConvNeXtTiny", "DenseNet121", "InceptionV3", "NASNetMobile")
        ),
    ],
)
def test_applications_too(name, tmp_path):
    randomize_weights(getattr(keras.applications, name)(weights=None)).save(tmp_path / "m.keras")
    assert_fixed_alike(tmp_path / "m.keras", tmp_path, batch_size=2)


@pytest.mark.parametrize(("select", "iterations"), [("D203", 3), ("N101", 3)])
def test_the_state_of_an_optimizer(select, iterations, tmp_path):
    model = conv_net()
    model.compile("adam", "mse")
    model.fit(np.random.rand(6, 8, 8, 3), np.random.rand(6, 3), batch_size=2, verbose=0)
    model.save(tmp_path / "m.keras")
    fixed = assert_fixed_alike(tmp_path / "m.keras", tmp_path, select=select)
    assert int(fixed.optimizer.iterations) == iterations
    moved = any(np.any(np.asarray(v.value)) for v in fixed.optimizer.variables if len(v.shape) > 1)
    assert moved == (select == "D203")  # moments are kept where every trained weight is
    fixed.fit(np.ones((2, 8, 8, 3)), np.ones((2, 3)), verbose=0)


def test_applying_advice_on_a_file_gives_a_model_in_memory(tmp_path):
    model = conv_net()
    model.compile("adam", "mse")
    model.save(tmp_path / "m.keras")
    advice = advise(tmp_path / "m.keras", verbose=0)
    fixed = advice.apply(SAFETIES)
    assert not holds_values(advice.structure)
    (tmp_path / "m.keras").unlink()
    assert holds_values(fixed)
    fixed.fit(np.ones((2, 8, 8, 3)), np.ones((2, 3)), verbose=0)
    assert_same_values(advice.model.variables, advice.structure.variables)
    assert holds_values(advice.model)


def test_what_is_no_variable_goes_along(tmp_path):
    own_storage().save(tmp_path / "own.keras")
    advise(tmp_path / "own.keras", verbose=0).rewrite(SAFETIES).save(tmp_path / "out.keras")
    assert keras.saving.load_model(tmp_path / "out.keras").get_layer("own").steps == 7
    text().save(tmp_path / "text.keras")
    advise(tmp_path / "text.keras", verbose=0).rewrite(SAFETIES).save(tmp_path / "out.keras")
    vocabularies = [
        keras.saving.load_model(tmp_path / name).layers[0].get_vocabulary() for name in ("text.keras", "out.keras")
    ]
    assert vocabularies[0] == vocabularies[1]


def test_progress_is_told_and_nothing_is_left_beside_the_file(tmp_path):
    conv_net().save(tmp_path / "m.keras")
    told = []
    rewrite = advise(tmp_path / "m.keras", verbose=0).rewrite(SAFETIES)
    rewrite.save(tmp_path / "out.keras", progress=lambda text, share: told.append((text, share)))
    assert told[-2:] == [("Writing 100% of 247 values", 1.0), ("Packing", 1.0)]
    shares = [share for _, share in told]
    assert shares == sorted(shares)
    assert sorted(os.listdir(tmp_path)) == ["m.keras", "out.keras"]


STREAMED = """
import keras
from keras import layers
from advisor import advise
from advisor.graph import keras_internals as internals
from benchmarks.memory import own_peak
from benchmarks.scale import write_without_values

with internals.deferred_variables():
    wide = [layers.Dense(4096) for _ in range({layers})]
    model = keras.Sequential([keras.Input((4096,)), *wide, layers.Dropout(0.0)])
write_without_values(model, "{folder}/m.keras")
rewrite = advise("{folder}/m.keras", verbose=0).rewrite(("exact", "retrain"))
rewrite.save("{folder}/out.keras")
print([applied.finding.code for applied in rewrite.applied], own_peak())
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_weights(tmp_path):
    peaks = []
    for count in (4, 48):  # 0.25 and 3 GiB of weights
        script = STREAMED.format(layers=count, folder=tmp_path)
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        codes, _, peak = done.stdout.strip().splitlines()[-1].rpartition(" ")
        assert "D203" in codes
        peaks.append(float(peak))
    assert (tmp_path / "out.keras").stat().st_size > 48 * 4096 * 4096 * 4
    assert peaks[1] < peaks[0] + 200
    assert peaks[1] < 2048 + 64
