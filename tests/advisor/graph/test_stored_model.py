import zipfile

import keras
import numpy as np
import pytest
from keras import layers

from advisor.graph import keras_internals as internals
from advisor.graph.sampling import sample_inputs
from advisor.graph.stored_model import all_variables, holds_values, load_values, read_stored_model
from advisor.rewrite.verify import outputs_of
from advisor.testing import randomize_weights
from tests.advisor.models_to_store import MODELS, conv_net, own_storage


def read(path):
    return read_stored_model(path, safe_mode=True)


def assert_same_values(expected, actual):
    assert len(expected) == len(actual)
    for a, b in zip(expected, actual, strict=True):
        # The state of a random generator is no part of a file.
        if "seed_generator" not in a.path:
            np.testing.assert_array_equal(np.asarray(a.value), np.asarray(b.value), err_msg=a.path)


def inputs_of(model):
    if model.inputs[0].dtype == "string":
        return np.array(["two one", "three"], dtype=object)
    return sample_inputs(model, batch_size=2, seed=0)


@pytest.mark.parametrize("make", MODELS, ids=lambda make: make.__name__)
def test_values_and_outputs_are_those_of_a_loaded_model(make, tmp_path):
    randomize_weights(make()).save(tmp_path / "m.keras")
    loaded, stored = keras.saving.load_model(tmp_path / "m.keras"), read(tmp_path / "m.keras")
    x = inputs_of(loaded)
    assert_same_values(loaded.variables, stored.variables)
    for a, b in zip(outputs_of(loaded, x), outputs_of(stored, x), strict=True):
        np.testing.assert_array_equal(a, b)
    if any(len(variable.shape) > 1 for variable in loaded.weights):
        assert not holds_values(stored)  # running it took nothing into memory for good
    assert_same_values(loaded.variables, load_values(stored).variables)
    assert holds_values(stored)


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "lion", "rmsprop"])
@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_an_optimizer_goes_on_where_it_was(tmp_path, optimizer, policy):
    keras.utils.set_random_seed(0)
    x, y = np.random.default_rng(0).normal(size=(2, 16, 4))
    stack = [layers.Dense(4, dtype=policy), layers.BatchNormalization(dtype=policy), layers.Dense(4, dtype="float32")]
    model = keras.Sequential([keras.Input((4,)), *stack])
    model.compile(optimizer, "mse", metrics=["mae"])
    model.fit(x, y, verbose=0, epochs=2)
    model.save(tmp_path / "m.keras")
    loaded, stored = keras.saving.load_model(tmp_path / "m.keras"), read(tmp_path / "m.keras")
    assert int(stored.optimizer.iterations) == int(model.optimizer.iterations) == 2
    assert_same_values(all_variables(loaded), all_variables(stored))
    load_values(stored)
    for either in (loaded, stored):
        either.fit(x, y, verbose=0, shuffle=False, epochs=2)
    for a, b in zip(all_variables(loaded), all_variables(stored), strict=True):
        np.testing.assert_allclose(np.asarray(a.value), np.asarray(b.value), rtol=1e-6, err_msg=a.path)


def test_a_compiled_model_that_was_never_trained(tmp_path):
    model = conv_net()
    model.compile(keras.optimizers.Adam(0.25), "mse")
    model.save(tmp_path / "m.keras")
    stored = load_values(read(tmp_path / "m.keras"))
    assert int(stored.optimizer.iterations) == 0
    assert float(stored.optimizer.learning_rate) == 0.25
    stored.fit(np.ones((2, 8, 8, 3)), np.ones((2, 3)), verbose=0)
    assert int(stored.optimizer.iterations) == 1


def test_state_that_is_no_variable(tmp_path):
    own_storage().save(tmp_path / "m.keras")
    assert read(tmp_path / "m.keras").get_layer("own").steps == 7


def test_a_value_is_read_when_asked_for_and_only_then(tmp_path, monkeypatch):
    conv_net().save(tmp_path / "m.keras")
    asked = []
    original = internals.weights_store

    class Watched:
        def __init__(self, store):
            self.store, self.place = store, ""

        def get(self, place):
            self.store.get(place)
            self.place = place
            return self

        def keys(self):
            return self.store.keys()

        def __getitem__(self, name):
            asked.append((self.place, name))
            return self.store[name]

    monkeypatch.setattr(internals, "weights_store", lambda opened: Watched(original(opened)))
    stored = read(tmp_path / "m.keras")
    assert not asked
    np.asarray(stored.get_layer("conv").bias.value)
    assert asked == [("layers/conv2d", "1")]


def test_places_are_those_of_the_file(tmp_path):
    for make in MODELS:
        model = make()
        model.save(tmp_path / "m.keras")
        with zipfile.ZipFile(tmp_path / "m.keras") as archive, archive.open("model.weights.h5") as opened:
            store = internals.weights_store(opened)
            for place, holder in internals.state_holders(model).items():
                expected = {}
                if hasattr(holder, "save_own_variables"):
                    holder.save_own_variables(expected)
                assert set(store.get(place).keys()) == set(expected), place


def test_a_compressed_file_and_a_bomb_are_refused(tmp_path):
    conv_net().save(tmp_path / "m.keras")
    for name, content in (("packed", None), ("bomb", bytes(1 << 29))):
        target = tmp_path / f"{name}.keras"
        with zipfile.ZipFile(tmp_path / "m.keras") as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
            for member in old.namelist():
                weights = member == "model.weights.h5"
                new.writestr(member, content if weights and content else old.read(member))
        with pytest.raises(ValueError, match="compressed" if content is None else "would unpack to 536,870,912 bytes"):
            read(target)


def test_a_value_of_another_shape_is_refused(tmp_path):
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2, name="dense")])
    model.save(tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras") as old, zipfile.ZipFile(tmp_path / "n.keras", "w") as new:
        for member in old.namelist():
            new.writestr(member, old.read(member).replace(b'"units": 2', b'"units": 4'))
    with pytest.raises(ValueError, match=r"has the shape \(3, 4\), and its stored value \(3, 2\)"):
        load_values(read(tmp_path / "n.keras"))
