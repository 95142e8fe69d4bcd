import keras
import numpy as np
import pytest
from keras import ops

from keras_normpack import PreciseBatchNormalization

X = np.random.default_rng(0).normal(3.0, 2.0, (40, 4)).astype("float32")
Y = X @ np.array([1.0, -1.0, 0.5, 2.0], "float32")

# torch takes a minute to compile a step.
COMPILED = [False] if keras.backend.backend() == "torch" else [False, True]


def network(jit_compile=False, **options):
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(3), keras.layers.BatchNormalization(**options), keras.layers.Dense(1)]
    )
    model.compile(keras.optimizers.SGD(0.01), "mse", jit_compile=jit_compile)
    return model


def recomputed(model):
    """Whether the statistics are those of the data under the present weights."""
    dense, norm = model.layers[0], model.layers[1]
    seen = ops.convert_to_numpy(dense(X)).astype("float64")
    pairs = ((norm.moving_mean, seen.mean(axis=0)), (norm.moving_variance, seen.var(axis=0)))
    return all(np.allclose(ops.convert_to_numpy(moving), value, rtol=1e-5, atol=1e-6) for moving, value in pairs)


class Spy(keras.callbacks.Callback):
    """Notes at which moments the statistics are recomputed ones."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def on_test_batch_begin(self, batch, logs=None):
        self.seen.append(("validation", recomputed(self.model)))

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append(("epoch", recomputed(self.model)))

    def on_train_end(self, logs=None):
        self.seen.append(("train", recomputed(self.model)))


def test_once_at_the_end():
    model, spy = network(), Spy()
    model.fit(X, Y, epochs=2, verbose=0, callbacks=[PreciseBatchNormalization(X), spy])
    assert spy.seen == [("epoch", False), ("epoch", False), ("train", True)]
    assert recomputed(model)


@pytest.mark.parametrize("jit_compile", COMPILED)
def test_each_epoch_before_validation(jit_compile):
    model, spy = network(jit_compile), Spy()
    precise = PreciseBatchNormalization((X, Y), at="epoch_end")
    history = model.fit(
        X, Y, epochs=2, verbose=0, validation_data=(X, Y), validation_batch_size=40, callbacks=[precise, spy]
    ).history
    assert spy.seen == [("validation", True), ("epoch", True)] * 2 + [("train", True)]
    assert history["val_loss"][-1] == pytest.approx(model.evaluate(X, Y, batch_size=40, verbose=0), rel=1e-6)


def test_each_epoch_without_validation_and_not_in_evaluations_of_its_own():
    model, spy = network(), Spy()
    precise = PreciseBatchNormalization(X, at="epoch_end")
    model.fit(X, Y, epochs=2, verbose=0, callbacks=[precise, spy])
    assert spy.seen == [("epoch", True), ("epoch", True), ("train", True)]
    model.layers[1].moving_mean.assign(np.zeros(3))
    model.evaluate(X, Y, verbose=0, callbacks=[precise])
    assert not recomputed(model)


def test_training_itself_is_not_changed():
    kernels = []
    for callbacks in ([], [PreciseBatchNormalization(X, at="epoch_end")]):
        keras.utils.set_random_seed(3)
        model = network()
        model.fit(X, Y, epochs=3, verbose=0, callbacks=callbacks)
        kernels.append(model.layers[0].get_weights()[0])
    np.testing.assert_array_equal(kernels[1], kernels[0])


def test_after_early_stopping_the_restored_weights_are_described():
    model = network()
    stopping = keras.callbacks.EarlyStopping("loss", mode="max", restore_best_weights=True, patience=1)
    model.fit(X, Y, epochs=4, verbose=0, callbacks=[stopping, PreciseBatchNormalization(X)])
    assert recomputed(model)


def test_diverged_training_ends_with_a_warning():
    model = network()
    model.compile(keras.optimizers.SGD(float("nan")), "mse", jit_compile=False)
    with pytest.warns(UserWarning, match="must be finite"):
        model.fit(X, Y, verbose=0, callbacks=[PreciseBatchNormalization(X)])


def test_wrong_arguments():
    with pytest.raises(ValueError, match=r"`at` of PreciseBatchNormalization must be one of .*Received: at='batch'"):
        PreciseBatchNormalization(X, at="batch")
    with pytest.raises(ValueError, match=r"`batches` must be an integer from 1"):
        PreciseBatchNormalization(X, batches=-1)
    with pytest.raises(TypeError, match=r"can be read only once.*Received: data of type generator"):
        PreciseBatchNormalization(x for x in X)
    plain = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)], name="plain")
    plain.compile("sgd", "mse", jit_compile=False)
    before = plain.get_weights()
    with pytest.raises(ValueError, match=r"needs a model with a BatchNormalization.*Received: model 'plain'"):
        plain.fit(X, Y, verbose=0, callbacks=[PreciseBatchNormalization(X)])
    np.testing.assert_equal(plain.get_weights(), before)
