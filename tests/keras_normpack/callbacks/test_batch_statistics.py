import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops
from sklearn.datasets import load_digits

from keras_normpack import BatchNormalization
from keras_normpack.callbacks import recompute_batch_statistics
from keras_normpack.callbacks.batch_statistics import Moments, assign_all

X = np.random.default_rng(0).normal(3.0, 2.0, (50, 4)).astype("float32")


def averages(layer):
    return [ops.convert_to_numpy(layer.moving_mean), ops.convert_to_numpy(layer.moving_variance)]


def values(variables):
    return [np.array(ops.convert_to_numpy(variable)) for variable in variables]


def assert_statistics(layer, x, axes=0, rtol=2e-6):
    mean, variance = averages(layer)
    np.testing.assert_allclose(mean, x.mean(axis=axes, dtype="float64"), rtol=rtol)
    np.testing.assert_allclose(variance, x.var(axis=axes, dtype="float64"), rtol=rtol)


class Batches(keras.utils.PyDataset):
    def __init__(self, x, batch_size, targets=True):
        super().__init__()
        self._parts = [x[start : start + batch_size] for start in range(0, len(x), batch_size)]
        self._targets = targets
        self.read = []

    def __len__(self):
        return len(self._parts)

    def __getitem__(self, index):
        self.read.append(index)
        return (self._parts[index], np.zeros(len(self._parts[index]))) if self._targets else self._parts[index]


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(0, 1000))
@settings(max_examples=30)
def test_merged_moments_are_those_of_all_positions(counts, seed):
    parts = [np.random.default_rng([seed, count]).normal(10, 3, (count, 2)) for count in counts]
    pooled = None
    for part in parts:
        moments = Moments(len(part), part.mean(axis=0), part.var(axis=0))
        pooled = moments if pooled is None else pooled.merged(moments)
    everything = np.concatenate(parts)
    np.testing.assert_allclose(pooled.mean, everything.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(pooled.variance, everything.var(axis=0), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("batch_size", [1, 7, 50])
@pytest.mark.parametrize("norm", [keras.layers.BatchNormalization, BatchNormalization])
@pytest.mark.parametrize("renorm", [False, True])
def test_statistics_of_one_layer_are_those_of_the_data(norm, batch_size, renorm):
    model = keras.Sequential([keras.Input((4,)), norm(renorm=renorm)])
    recompute_batch_statistics(model, X, batch_size=batch_size)
    assert_statistics(model.layers[0], X)
    if renorm:
        expected = np.sqrt(X.var(axis=0, dtype="float64") + 1e-3)
        np.testing.assert_allclose(ops.convert_to_numpy(model.layers[0].moving_stddev), expected, rtol=2e-6)


def test_channels_first_and_a_mean_far_from_zero():
    images = (1000 + np.random.default_rng(0).normal(size=(20, 3, 5, 4))).astype("float32")
    model = keras.Sequential([keras.Input((3, 5, 4)), keras.layers.BatchNormalization(axis=1)])
    recompute_batch_statistics(model, images, batch_size=8)
    assert_statistics(model.layers[0], images, axes=(0, 2, 3))


def test_later_layers_see_what_earlier_ones_give_in_training():
    first, second = keras.layers.BatchNormalization(), keras.layers.BatchNormalization()
    model = keras.Sequential([keras.Input((4,)), first, keras.layers.Activation("relu"), second])
    first.gamma.assign([1.0, 2.0, 0.5, 3.0])
    recompute_batch_statistics(model, Batches(X, 16))
    assert_statistics(first, X)
    parts = [part.astype("float64") for part in (X[:16], X[16:32], X[32:48], X[48:])]
    normalized = [(part - part.mean(axis=0)) / np.sqrt(part.var(axis=0) + 1e-3) for part in parts]
    assert_statistics(second, np.maximum(np.concatenate(normalized) * [1.0, 2.0, 0.5, 3.0], 0), rtol=5e-6)


@pytest.mark.parametrize("norm", [keras.layers.BatchNormalization, BatchNormalization])
def test_masked_positions_do_not_count(norm):
    sequences = np.random.default_rng(0).normal(2.0, 1.0, (10, 6, 3)).astype("float32")
    lengths = np.arange(10) % 6 + 1
    kept = np.arange(6) < lengths[:, None]
    sequences[~kept] = 0
    model = keras.Sequential([keras.Input((6, 3)), keras.layers.Masking(), norm()])
    recompute_batch_statistics(model, sequences, batch_size=3)
    assert_statistics(model.layers[1], sequences[kept], rtol=5e-6)


def test_masks_over_the_first_axes_hold_for_the_rest():
    videos = np.random.default_rng(0).normal(2.0, 1.0, (4, 6, 5, 3)).astype("float32")
    kept = np.arange(6) < np.array([[1], [3], [6], [2]])
    clips, mask = keras.Input((6, 5, 3)), keras.Input((6,), dtype="bool")
    model = keras.Model([clips, mask], BatchNormalization(name="norm")(clips, mask=mask))
    recompute_batch_statistics(model, [videos, kept], batch_size=2)
    assert_statistics(model.get_layer("norm"), videos[kept], axes=(0, 1))


def test_ghost_batches_are_pooled_too():
    model = keras.Sequential([keras.Input((4,)), BatchNormalization(virtual_batch_size=5)])
    recompute_batch_statistics(model, X, batch_size=20)
    assert_statistics(model.layers[0], X)


def test_a_batch_without_positions_counts_for_nothing():
    sequences = np.zeros((8, 6, 3), "float32")
    sequences[:4] = np.random.default_rng(0).normal(2.0, 1.0, (4, 6, 3))
    model = keras.Sequential([keras.Input((6, 3)), keras.layers.Masking(), keras.layers.BatchNormalization()])
    recompute_batch_statistics(model, Batches(sequences, 4))
    assert_statistics(model.layers[1], sequences[:4], axes=(0, 1), rtol=5e-6)


class Branches(keras.Model):
    """A subclass with layers in a list, one of them used twice, one at inference only."""

    def __init__(self):
        super().__init__()
        self.shared = keras.layers.BatchNormalization()
        self.others = [keras.layers.BatchNormalization(), keras.layers.BatchNormalization()]

    def call(self, inputs):
        once, twice = self.shared(inputs), self.shared(2 * inputs)
        return self.others[0](inputs + 1) + self.others[1](inputs, training=False) + once + twice


def test_shared_layers_count_each_use_and_inference_uses_not():
    model = Branches()
    model(X)
    recompute_batch_statistics(model, X, batch_size=20)
    assert_statistics(model.shared, np.concatenate([X, 2 * X]))
    assert_statistics(model.others[0], X + 1)
    np.testing.assert_array_equal(averages(model.others[1]), [np.zeros(4), np.ones(4)])


def test_layers_in_wrappers_and_nested_models_are_reached_and_frozen_ones_are_not():
    inner = keras.Sequential([keras.Input((5, 4)), keras.layers.TimeDistributed(keras.layers.BatchNormalization())])
    frozen = keras.layers.BatchNormalization(trainable=False)
    model = keras.Sequential([keras.Input((5, 4)), frozen, inner, keras.layers.Flatten()])
    frozen.moving_mean.assign(np.arange(4.0))
    x = np.random.default_rng(1).normal(1.0, 2.0, (12, 5, 4)).astype("float32")
    recompute_batch_statistics(model, x, batch_size=5)
    np.testing.assert_array_equal(averages(frozen), [np.arange(4.0), np.ones(4)])
    seen = (x.astype("float64") - np.arange(4.0)) / np.sqrt(1 + 1e-3)
    assert_statistics(inner.layers[0].layer, seen, axes=(0, 1), rtol=5e-6)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float64"])
def test_dtypes(policy):
    model = keras.Sequential([keras.Input((4,)), keras.layers.BatchNormalization(dtype=policy)])
    x = np.round(X)  # exact in every dtype
    recompute_batch_statistics(model, x, batch_size=16)
    assert_statistics(model.layers[0], x)


def test_broken_averages_are_mended():
    model = keras.Sequential([keras.Input((4,)), keras.layers.BatchNormalization(momentum=1.0)])
    model.layers[0].moving_variance.assign(np.full(4, np.nan))
    recompute_batch_statistics(model, X)
    assert_statistics(model.layers[0], X)


def network(momentum=0.99):
    layers = [keras.Input((8, 8, 1))]
    for filters, strides in ((8, 2), (16, 1), (16, 1)):
        layers += [
            keras.layers.Conv2D(filters, 3, strides, padding="same", use_bias=False),
            keras.layers.BatchNormalization(momentum=momentum),
            keras.layers.ReLU(),
        ]
    layers += [keras.layers.GlobalAveragePooling2D(), keras.layers.Dropout(0.1), keras.layers.Dense(10)]
    model = keras.Sequential(layers)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss, metrics=["accuracy"], jit_compile=keras.backend.backend() == "jax")
    return model


def digits():
    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(images))
    return (images[order].reshape(-1, 8, 8, 1) / 16).astype("float32"), labels[order]


def test_the_gap_between_training_and_inference_closes():
    images, labels = digits()
    training, test = (images[:1200], labels[:1200]), (images[1200:], labels[1200:])
    model = network()
    model.fit(*training, epochs=2, verbose=0)
    lagging = model.evaluate(*test, verbose=0)[1]
    recompute_batch_statistics(model, training)
    assert lagging < 0.6
    assert model.evaluate(*test, verbose=0)[1] > 0.88


def test_nothing_else_changes_and_training_goes_on_as_without():
    images, labels = digits()
    images, labels = images[:64], labels[:64]
    models = []
    for recomputed in (False, True):
        keras.utils.set_random_seed(1)
        model = network()
        model.fit(images, labels, verbose=0)
        if recomputed:
            norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
            moving = {variable.path for norm in norms for variable in norm.non_trainable_variables}
            attributes = [set(vars(layer)) for layer in norms]
            others = [v for v in model.variables if v.path not in moving]
            others += [*model.optimizer.variables, *model.metrics_variables]
            before, functions, history = values(others), (model.train_function, model.optimizer), model.history
            recompute_batch_statistics(model, images)
            first = [averages(norm) for norm in norms]
            recompute_batch_statistics(model, images)
            np.testing.assert_equal([averages(norm) for norm in norms], first)
            np.testing.assert_equal(values(others), before)
            assert (model.train_function, model.optimizer) == functions
            assert model.history is history
            assert [set(vars(layer)) for layer in norms] == attributes
            assert all(variable.trainable for variable in model.trainable_variables)
        model.fit(images, labels, verbose=0)
        models.append(values(model.trainable_variables))
    np.testing.assert_equal(models[1], models[0])


def test_losses_of_layers_do_not_pile_up():
    layers = [keras.layers.Dense(3, activity_regularizer="l2"), keras.layers.BatchNormalization()]
    model = keras.Sequential([keras.Input((4,)), *layers])
    model(X)
    before = values(model.losses)
    recompute_batch_statistics(model, X[:20], batch_size=10)
    model(X)
    np.testing.assert_equal(values(model.losses), before)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interruption_leaves_everything_as_it_was(error):
    def interrupted():
        yield X, X
        yield X, X
        raise error

    model = keras.Sequential([keras.Input((4,)), BatchNormalization(renorm=True), keras.layers.Dropout(0.5)])
    layer = model.layers[0]
    attributes, before = dict(vars(layer)), values(model.variables)
    with pytest.raises(error):
        recompute_batch_statistics(model, interrupted())
    assert dict(vars(layer)) == attributes
    assert layer.renorm
    np.testing.assert_equal(values(model.variables), before)
    model(X, training=True)
    assert not np.array_equal(values(model.variables)[2], before[2])


def test_an_interrupted_assignment_is_taken_back():
    first, second = keras.Variable(np.zeros(3)), keras.Variable(np.zeros(3))
    with pytest.raises(Exception, match="shape"):
        assign_all([(first, np.ones(3)), (second, np.ones(4))])
    np.testing.assert_equal(values([first, second]), [np.zeros(3), np.zeros(3)])


def test_a_call_of_the_users_own_survives():
    layer = keras.layers.BatchNormalization()
    model = keras.Sequential([keras.Input((4,)), layer])
    calls = []
    original = layer.call

    def own(inputs, training=None, mask=None):
        calls.append(training)
        return original(inputs, training=training, mask=mask)

    layer.call = own
    recompute_batch_statistics(model, X, batch_size=25)
    assert calls == [True, True]
    assert layer.call is own
    assert_statistics(layer, X)


def two_inputs():
    left, right = keras.Input((4,), name="left"), keras.Input((4,), name="right")
    return keras.Model({"left": left, "right": right}, keras.layers.BatchNormalization(name="norm")(left + right))


def test_kinds_of_data():
    tf = pytest.importorskip("tensorflow")
    y = np.zeros(len(X))
    single = keras.Sequential([keras.Input((4,)), keras.layers.BatchNormalization(name="norm")])
    for data in (
        (X, y),
        (X, y, y),
        X.astype("float64"),
        Batches(X, 16),
        Batches(X, 16, targets=False),
        tf.data.Dataset.from_tensor_slices((X, y)).batch(16),
        tf.data.Dataset.from_tensor_slices(X).batch(16),
        ((X[start : start + 16], y) for start in range(0, 50, 16)),
    ):
        single.get_layer("norm").moving_mean.assign(np.zeros(4))
        recompute_batch_statistics(single, data)
        assert_statistics(single.get_layer("norm"), X)
    double = two_inputs()
    recompute_batch_statistics(double, ({"left": X, "right": 2 * X}, y), batch_size=9)
    assert_statistics(double.get_layer("norm"), 3 * X)
    inputs = [keras.Input((4,)), keras.Input((4,))]
    listed = keras.Model(inputs, keras.layers.BatchNormalization(name="norm")(inputs[0] - inputs[1]))
    recompute_batch_statistics(listed, [X, 3 * X], batch_size=9)
    assert_statistics(listed.get_layer("norm"), -2 * X)


def test_a_torch_loader():
    torch = pytest.importorskip("torch")
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(torch.from_numpy(X), torch.zeros(50)), batch_size=16
    )
    model = keras.Sequential([keras.Input((4,)), keras.layers.BatchNormalization()])
    recompute_batch_statistics(model, loader)
    assert_statistics(model.layers[0], X)


def test_batches_are_limited_spread_and_shuffled():
    model = keras.Sequential([keras.Input((4,)), keras.layers.BatchNormalization()])
    data = Batches(X, 10)
    recompute_batch_statistics(model, data, batches=3)
    assert data.read == [0, 2, 4]
    assert_statistics(model.layers[0], np.concatenate([X[:10], X[20:30], X[40:]]))
    data.read.clear()
    recompute_batch_statistics(model, data, batches=None)
    assert data.read == [0, 1, 2, 3, 4]
    ordered = np.sort(X, axis=0)
    recompute_batch_statistics(model, ordered, batches=1, batch_size=25)
    assert np.all(averages(model.layers[0])[0] > ordered[:25].mean(axis=0) + 0.5)


def test_numbers_that_are_not_finite_are_refused_by_name():
    model = keras.Sequential([keras.Input((4,)), keras.layers.BatchNormalization(name="norm")])
    broken = X.copy()
    broken[3, 2] = np.nan
    with pytest.raises(FloatingPointError, match=r"BatchNormalization 'norm' must be finite.*Received: mean="):
        recompute_batch_statistics(model, broken)
    np.testing.assert_array_equal(averages(model.layers[0]), [np.zeros(4), np.ones(4)])


def test_wrong_arguments():
    model = keras.Sequential([keras.Input((4,)), keras.layers.BatchNormalization()])
    with pytest.raises(ValueError, match=r"`batches` must be an integer from 1, or None. Received: batches=0"):
        recompute_batch_statistics(model, X, batches=0)
    with pytest.raises(ValueError, match=r"`batch_size` must be .* Received: batch_size=2.5"):
        recompute_batch_statistics(model, X, batch_size=2.5)
    with pytest.raises(ValueError, match=r"`batch_size` is for arrays.*Received: batch_size=8, data of type Batches"):
        recompute_batch_statistics(model, Batches(X, 10), batch_size=8)
    with pytest.raises(TypeError, match=r"`data` must be what `fit` takes.*Received: data of type int"):
        recompute_batch_statistics(model, 3)
    with pytest.raises(ValueError, match=r"at least one batch. Received: data without batches"):
        recompute_batch_statistics(model, X[:0])
    plain = keras.Sequential([keras.Input((4,)), keras.layers.BatchNormalization(trainable=False)], name="plain")
    with pytest.raises(ValueError, match=r"must have a BatchNormalization layer.*Received: model 'plain'"):
        recompute_batch_statistics(plain, X)


def test_it_says_what_it_did(capsys):
    model = keras.Sequential([keras.Input((4,)), keras.layers.BatchNormalization()])
    recompute_batch_statistics(model, X)
    assert not capsys.readouterr().out
    recompute_batch_statistics(model, X, verbose=1)
    assert capsys.readouterr().out == "Statistics of 1 batch normalizations recomputed.\n"
