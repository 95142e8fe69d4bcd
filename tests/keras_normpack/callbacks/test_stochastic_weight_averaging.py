import keras
import numpy as np
import pytest
from keras import ops

from keras_normpack import StochasticWeightAveraging

X = np.random.default_rng(0).normal(1.0, 2.0, (40, 4)).astype("float32")
Y = X @ np.array([1.0, -1.0, 0.5, 2.0], "float32")

# torch takes a minute to compile a step.
COMPILED = [False] if keras.backend.backend() == "torch" else [False, True]


def network(*extra, jit_compile=False):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), *extra, keras.layers.Dense(1)])
    model.compile(
        keras.optimizers.SGD(0.01, momentum=0.9),
        "mse",
        metrics=["mae"],
        jit_compile=jit_compile,
    )
    return model


class Recorder(keras.callbacks.Callback):
    """Keeps the trained weights after each step and epoch, and the optimizer's state at the end."""

    def __init__(self):
        super().__init__()
        self.steps, self.epochs, self.optimizer = [], [], None

    def _weights(self):
        return [np.array(ops.convert_to_numpy(v), "float64") for v in self.model.trainable_variables]

    def on_train_batch_end(self, batch, logs=None):
        self.steps.append(self._weights())

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.append(self._weights())

    def on_train_end(self, logs=None):
        self.optimizer = [np.array(ops.convert_to_numpy(v)) for v in self.model.optimizer.variables]


def assert_average(model, states, rtol=1e-6):
    for variable, *values in zip(model.trainable_variables, *states, strict=True):
        np.testing.assert_allclose(ops.convert_to_numpy(variable), np.mean(values, axis=0), rtol=rtol, atol=1e-7)


@pytest.mark.parametrize("jit_compile", COMPILED)
def test_the_ends_of_the_last_epochs_are_averaged(jit_compile):
    model, recorder = network(jit_compile=jit_compile), Recorder()
    averaging = StochasticWeightAveraging(start_epoch=2)
    model.fit(X, Y, epochs=5, verbose=0, callbacks=[recorder, averaging])
    assert averaging.averaged == 3
    assert_average(model, recorder.epochs[2:])
    after = [ops.convert_to_numpy(v) for v in model.optimizer.variables]
    np.testing.assert_equal(after, recorder.optimizer)


def test_three_quarters_pass_first_by_default():
    model, recorder = network(), Recorder()
    model.fit(X, Y, epochs=8, verbose=0, callbacks=[recorder, StochasticWeightAveraging()])
    assert_average(model, recorder.epochs[6:])


def test_steps_are_averaged_with_a_period():
    model, recorder = network(), Recorder()
    averaging = StochasticWeightAveraging(start_epoch=1, average_period=3)
    model.fit(X, Y, batch_size=8, epochs=3, verbose=0, callbacks=[recorder, averaging])  # 5 steps an epoch
    assert averaging.averaged == 3
    assert_average(model, [recorder.steps[5 + step - 1] for step in (3, 6, 9)])


def test_steps_in_one_execution_are_counted():
    model, averaging = network(), StochasticWeightAveraging(start_epoch=0, average_period=4)
    averaging.set_model(model)
    averaging.set_params({"epochs": 2})
    averaging.on_train_begin()
    states = []
    for epoch in range(2):
        averaging.on_epoch_begin(epoch)
        for last_step, is_averaged in ((2, epoch == 1), (5, epoch == 0), (8, True)):  # 3, 6, 9, 12, 15, 18 in all
            model.set_weights([np.random.default_rng([epoch, last_step]).normal(size=w.shape) for w in model.weights])
            averaging.on_train_batch_end(last_step)
            states += [model.get_weights()] if is_averaged else []
    averaging.on_train_end()
    assert averaging.averaged == len(states) == 4
    assert_average(model, states)


def test_batch_statistics_are_those_of_the_averaged_weights():
    norm = keras.layers.BatchNormalization()
    model, recorder = network(norm), Recorder()
    averaging = StochasticWeightAveraging(start_epoch=1, data=(X, Y), batch_size=16)
    model.fit(X, Y, epochs=4, verbose=0, callbacks=[recorder, averaging])
    assert_average(model, recorder.epochs[1:])
    seen = ops.convert_to_numpy(model.layers[0](X)).astype("float64")
    np.testing.assert_allclose(ops.convert_to_numpy(norm.moving_mean), seen.mean(axis=0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(ops.convert_to_numpy(norm.moving_variance), seen.var(axis=0), rtol=1e-5)


def test_the_averaged_model_is_validated(capsys):
    model = network()
    averaging = StochasticWeightAveraging(start_epoch=1, validation_data=(X, Y), verbose=1)
    model.fit(X, Y, epochs=3, verbose=0, callbacks=[averaging])
    assert averaging.results == pytest.approx(model.evaluate(X, Y, return_dict=True, verbose=0), rel=1e-6)
    printed = capsys.readouterr().out
    assert "the model has the average of 2 states" in printed
    assert f"mae {averaging.results['mae']:.4f}" in printed


def test_a_second_fit_averages_anew():
    model, recorder, averaging = network(), Recorder(), StochasticWeightAveraging(start_epoch=1)
    model.fit(X, Y, epochs=2, verbose=0, callbacks=[averaging])
    model.fit(X, Y, epochs=3, verbose=0, callbacks=[recorder, averaging])
    assert_average(model, recorder.epochs[1:])


class Stop(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        self.model.stop_training = True


def test_training_that_ends_early_keeps_its_weights_and_says_so():
    model, recorder = network(), Recorder()
    with pytest.warns(UserWarning, match="averaged nothing, since training ended before epoch 3"):
        model.fit(X, Y, epochs=5, verbose=0, callbacks=[Stop(), recorder, StochasticWeightAveraging(start_epoch=2)])
    assert_average(model, recorder.epochs[:1], rtol=0)


class Interrupted(keras.utils.PyDataset):
    def __len__(self):
        return 2

    def __getitem__(self, index):
        raise KeyboardInterrupt


def test_an_interruption_at_the_end_leaves_the_last_weights():
    norm = keras.layers.BatchNormalization()
    model, recorder = network(norm), Recorder()
    averaging = StochasticWeightAveraging(start_epoch=0, data=Interrupted())
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, epochs=3, verbose=0, callbacks=[recorder, averaging])
    assert_average(model, recorder.epochs[-1:], rtol=0)


def test_diverged_weights_leave_the_last_ones_and_a_warning():
    model = network(keras.layers.BatchNormalization())
    averaging = StochasticWeightAveraging(start_epoch=0, data=np.full_like(X, np.nan), validation_data=(X, Y))
    recorder = Recorder()
    with pytest.warns(UserWarning, match=r"keeps the weights of the last step.*must be finite"):
        model.fit(X, Y, epochs=2, verbose=0, callbacks=[recorder, averaging])
    assert_average(model, recorder.epochs[-1:], rtol=0)
    assert averaging.results is None


def test_wrong_arguments():
    with pytest.raises(ValueError, match=r"`start_epoch` of StochasticWeightAveraging .* Received: start_epoch=-1"):
        StochasticWeightAveraging(start_epoch=-1)
    with pytest.raises(ValueError, match=r"`average_period` of Stoch.* Received: average_period=0"):
        StochasticWeightAveraging(average_period=0)
    with pytest.raises(TypeError, match="can be read only once"):
        StochasticWeightAveraging(data=iter([X]))
    with pytest.raises(ValueError, match=r"must be below the number of epochs, 3.*Received: start_epoch=3"):
        network().fit(X, Y, epochs=3, verbose=0, callbacks=[StochasticWeightAveraging(start_epoch=3)])
    model = network(keras.layers.BatchNormalization())
    before = model.get_weights()
    with pytest.raises(ValueError, match=r"give the training data, `StochasticWeightAveraging\(..., data=x_train\)`"):
        model.fit(X, Y, epochs=4, verbose=0, callbacks=[StochasticWeightAveraging()])
    np.testing.assert_equal(model.get_weights(), before)
