import math

import keras
import numpy as np
import pytest

from keras_normpack import GeneralizationEarlyStopping
from keras_normpack.callbacks.early_stopping_criteria import (
    generalization_loss,
    progress_quotient,
    successive_rises,
    training_progress,
)

FALLING = [2.0**-epoch for epoch in range(40)]

# torch takes a minute to compile a step.
COMPILED = [False] if keras.backend.backend() == "torch" else [False, True]


def history(stopping, validation, training=FALLING, monitor="val_loss"):
    """Plays errors to the callback; the weight of the model counts the epochs from 1. Gives the epochs run."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.compile("sgd", "mse")
    model.stop_training = False
    stopping.set_model(model)
    stopping.on_train_begin()
    epoch = 0
    for epoch, error in enumerate(validation):
        model.set_weights([np.full((1, 1), epoch + 1.0)])
        logs = {} if error is None else {monitor: error}
        if training is not None:
            logs["loss"] = training[epoch]
        stopping.on_epoch_end(epoch, logs)
        if model.stop_training:
            break
    stopping.on_train_end()
    return epoch + 1, float(model.get_weights()[0][0, 0])


def test_generalization_loss_by_hand():
    assert generalization_loss([5.0]) == 0
    assert generalization_loss([5.0, 4.0, 5.0]) == 25.0
    assert generalization_loss([8.0, 5.0, 4.0, 4.5, 6.0]) == 50.0
    assert generalization_loss([1.0, 0.0]) == 0
    assert generalization_loss([0.0, 1.0]) == math.inf


def test_training_progress_by_hand():
    assert math.isnan(training_progress([1.0, 1.0], strip=3))
    assert training_progress([1.0, 1.0, 1.0], strip=3) == 0
    # The last three: mean 3, lowest 2: 1.5 times, 500 per thousand above.
    assert training_progress([100.0, 4.0, 3.0, 2.0], strip=3) == 500.0
    # A rising error is progress too, as in the paper: it is not stuck.
    assert training_progress([2.0, 3.0, 4.0], strip=3) == 500.0


def test_progress_quotient_by_hand():
    # GL = 100 · (6/4 - 1) = 50, P_3 = 500.
    assert progress_quotient([4.0, 5.0, 6.0], [4.0, 3.0, 2.0], strip=3) == 0.1
    assert progress_quotient([6.0, 5.0, 4.0], [2.0, 2.0, 2.0], strip=3) == 0
    assert progress_quotient([4.0, 5.0, 6.0], [2.0, 2.0, 2.0], strip=3) == math.inf
    assert math.isnan(progress_quotient([4.0, 5.0], [4.0, 3.0], strip=3))


def test_successive_rises_by_hand():
    assert successive_rises([1.0, 2.0, 3.0, 4.0], strip=1) == 3
    assert successive_rises([4.0, 3.0, 5.0, 6.0], strip=1) == 2
    assert successive_rises([1.0, 2.0, 2.0], strip=1) == 0
    # Ends of strips of two: 3, 4, 5; the seventh epoch is in a strip that is not complete.
    assert successive_rises([9.0, 3.0, 1.0, 4.0, 9.0, 5.0, 0.0], strip=2) == 2
    assert successive_rises([9.0], strip=2) == 0


def test_gl_stops_above_alpha_and_restores_the_best():
    # GL: 0, 0, 25, 50.
    stopping = GeneralizationEarlyStopping("GL", alpha=30)
    assert history(stopping, [6.0, 4.0, 5.0, 6.0, 3.0]) == (4, 2.0)
    assert stopping.criterion_values == [0, 0, 25.0, 50.0]
    assert (stopping.stopped_epoch, stopping.best, stopping.best_epoch) == (3, 4.0, 1)
    assert stopping.validation_errors == [6.0, 4.0, 5.0, 6.0]
    assert stopping.training_errors == FALLING[:4]
    # Exactly alpha is not above it.
    assert history(GeneralizationEarlyStopping("GL", alpha=25), [6.0, 4.0, 5.0, 3.0]) == (4, 4.0)


def test_pq_stops_at_the_end_of_a_strip():
    # Strips of three; of FALLING, P_3 = 1000 · ((4 + 2 + 1) / 3 - 1) = 4000/3 in every one.
    # GL at epoch 3: 100, PQ = 0.075; epoch 4: 200, 0.15; epoch 6: 300, 0.225.
    stopping = GeneralizationEarlyStopping("PQ", alpha=0.14, strip=3)
    assert history(stopping, [1.0, 1.5, 2.0, 3.0, 1.0, 4.0, 1.0]) == (6, 1.0)
    assert all(math.isnan(value) for value in stopping.criterion_values[:2])
    np.testing.assert_allclose(stopping.criterion_values[2:], [0.075, 0.15, 0, 0.225], rtol=1e-12)


def test_up_stops_after_so_many_strips_in_a_row():
    # Ends of the strips of two: 4, 5, 3, 3.5, 3.6.
    stopping = GeneralizationEarlyStopping("UP", alpha=2, strip=2)
    errors = [5.0, 4.0, 1.0, 5.0, 2.0, 3.0, 9.0, 3.5, 9.0, 3.6, 0.0]
    assert history(stopping, errors) == (10, 3.0)
    assert stopping.criterion_values == [0, 0, 0, 1, 1, 0, 0, 1, 1, 2]
    # Errors below 0 can be compared as well.
    assert history(GeneralizationEarlyStopping("UP", alpha=1, strip=1), [-3.0, -2.0, -4.0]) == (2, 1.0)


def test_last_weights_stay_where_the_best_are_not_wanted():
    stopping = GeneralizationEarlyStopping("GL", alpha=30, restore_best_weights=False)
    assert history(stopping, [6.0, 4.0, 6.0]) == (3, 3.0)


def test_the_best_are_restored_without_a_stop_too():
    stopping = GeneralizationEarlyStopping("GL", alpha=90)
    assert history(stopping, [6.0, 4.0, 5.0]) == (3, 2.0)
    assert stopping.stopped_epoch == 0


def test_no_progress_stops():
    flat = [1.0] * 20
    assert history(GeneralizationEarlyStopping("GL"), flat, flat)[0] == 5
    assert history(GeneralizationEarlyStopping("UP", min_progress=None), flat, flat)[0] == 20
    # Progress of 0.2 and of 0.05 per thousand.
    for excess, epochs in ((0.0003, 20), (0.000075, 3)):
        training = [1.0 + excess, 1.0 + excess, 1.0] * 7
        assert history(GeneralizationEarlyStopping("GL", strip=3), flat, training)[0] == epochs


@pytest.mark.parametrize("criterion", ["GL", "PQ", "UP"])
@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_errors_that_are_not_finite_stop_at_once(criterion, broken, capsys):
    stopping = GeneralizationEarlyStopping(criterion, verbose=1)
    assert history(stopping, [3.0, 2.0, broken, 1.0]) == (3, 2.0)
    assert "Epoch 3: val_loss is not finite" in capsys.readouterr().out
    assert history(stopping, [broken, 1.0]) == (1, 1.0)
    assert "Epoch 1: val_loss is not finite" in capsys.readouterr().out


def test_epochs_without_validation_and_before_the_start_are_not_counted():
    stopping = GeneralizationEarlyStopping("UP", alpha=1, strip=2, start_from_epoch=2)
    with pytest.warns(UserWarning, match="`val_loss` which is not available"):
        assert history(stopping, [0.0, 0.0, 9.0, None, 1.0, 9.0, 2.0])[0] == 7
    assert stopping.validation_errors == [9.0, 1.0, 9.0, 2.0]


def test_it_says_why_it_stopped(capsys):
    history(GeneralizationEarlyStopping("GL", alpha=30, verbose=1), [6.0, 4.0, 6.0])
    printed = capsys.readouterr().out
    assert "Epoch 3: GL = 50 is above alpha = 30 (val_loss 6, lowest 4 in epoch 2)." in printed
    history(GeneralizationEarlyStopping("PQ", alpha=0.01, strip=3, verbose=1), [1.0, 1.5, 2.0])
    assert "PQ = 0.075 is above alpha = 0.01" in capsys.readouterr().out
    history(GeneralizationEarlyStopping("UP", alpha=2, strip=1, verbose=1), [1.0, 1.5, 2.0])
    assert "val_loss has risen in 2 strips of 1 epochs in a row" in capsys.readouterr().out
    history(GeneralizationEarlyStopping("GL", verbose=1), [1.0] * 5, [1.0] * 5)
    assert "training progress 0 per thousand is below min_progress = 0.1" in capsys.readouterr().out


@pytest.mark.parametrize("jit_compile", COMPILED)
def test_in_training(jit_compile):
    x = np.linspace(-1, 1, 32)[:, None]
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, kernel_initializer="ones")])
    model.compile(keras.optimizers.SGD(0.1), "mse", metrics=["mae"], jit_compile=jit_compile)
    stopping = GeneralizationEarlyStopping("GL", alpha=5, monitor="val_mae")
    for _ in range(2):  # the second time anew
        model.set_weights([np.ones((1, 1)), np.zeros(1)])
        errors = model.fit(x, -x, validation_data=(x, x), epochs=20, callbacks=[stopping], verbose=0).history["val_mae"]
        assert len(errors) < 20
        np.testing.assert_allclose(stopping.validation_errors, errors)
        assert stopping.criterion_values[-1] == pytest.approx(100 * (errors[-1] / min(errors) - 1))
        assert model.evaluate(x, x, return_dict=True, verbose=0)["mae"] == pytest.approx(min(errors), rel=1e-5)


def test_wrong_arguments():
    with pytest.raises(ValueError, match=r"`criterion` of GeneralizationEarlyStopping .*Received: criterion='gl'"):
        GeneralizationEarlyStopping("gl")
    with pytest.raises(ValueError, match=r"`alpha` .* must be a number above 0. Received: alpha=0"):
        GeneralizationEarlyStopping("GL", alpha=0)
    with pytest.raises(ValueError, match=r"`alpha` .* must be an integer from 1. Received: alpha=2.5"):
        GeneralizationEarlyStopping("UP", alpha=2.5)
    with pytest.raises(ValueError, match=r"`strip` .*Received: strip=0"):
        GeneralizationEarlyStopping(strip=0)
    with pytest.raises(ValueError, match=r"`strip` .* from 2 for criterion='PQ'.*Received: strip=1"):
        GeneralizationEarlyStopping("PQ", strip=1)
    with pytest.raises(ValueError, match=r"`min_progress` .*Received: min_progress=-1"):
        GeneralizationEarlyStopping(min_progress=-1)
    with pytest.raises(ValueError, match=r"must not be negative.*Received: val_loss=-1.0"):
        history(GeneralizationEarlyStopping("GL"), [-1.0])
    with pytest.raises(ValueError, match=r"needs the training error 'loss'. Received: val_loss"):
        history(GeneralizationEarlyStopping("PQ"), [1.0], training=None)


@pytest.mark.parametrize("metric", ["accuracy", "acc", keras.metrics.AUC(name="auc")])
def test_what_is_to_rise_is_refused(metric):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, activation="sigmoid")])
    model.compile("sgd", "binary_crossentropy", metrics=[metric], jit_compile=False)
    name = metric if isinstance(metric, str) else metric.name
    stopping = GeneralizationEarlyStopping(monitor=f"val_{name}")
    with pytest.raises(ValueError, match=rf"must name an error.*Received: monitor='val_{name}'"):
        model.fit(np.ones((4, 1)), np.ones((4, 1)), verbose=0, callbacks=[stopping])
