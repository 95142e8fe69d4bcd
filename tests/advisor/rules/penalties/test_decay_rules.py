"""R302, R303 and R306 on models beyond their own cases, and with the training plan."""

import keras
import numpy as np
import pytest
from keras import layers
from sklearn.datasets import load_breast_cancer

from advisor import advise
from advisor.testing import check_laws
from keras_normpack.regularizers import GroupLasso


def advice_on(model, select, **arguments):
    return advise(model, select=select, verbose=0, **{"trained": False, **arguments})


def penalized(penalty, optimizer="adam", **arguments):
    model = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(8, activation="relu", kernel_regularizer=penalty, name="hidden", **arguments),
            layers.Dense(1, name="head"),
        ]
    )
    model.compile(optimizer, "mse")
    return model


def table(rows, columns):
    generator = np.random.default_rng(0)
    return generator.normal(size=(rows, columns)).astype("float32"), generator.integers(0, 2, rows)


class TestL2WithAdam:
    def test_the_decay_to_start_from_goes_by_the_steps_of_the_run(self):
        (finding,) = advice_on(penalized("l2"), "R302", epochs=10, steps_per_epoch=1000).findings
        assert "weight_decay of about 0.0005" in finding.why
        (finding,) = advice_on(penalized("l2"), "R302").findings
        assert "about 0.05 / √steps" in finding.why

    def test_the_penalty_stays_and_no_decay_is_added_to_it(self):
        advice = advice_on(penalized("l2"), "R")
        assert len(advice.apply().losses) == 1
        assert advice.plan.weight_decay is None

    @pytest.mark.parametrize("penalty", [keras.regularizers.L1L2(1e-3, 1e-3), GroupLasso(1e-3), None])
    def test_penalties_that_are_more_than_l2(self, penalty):
        assert advice_on(penalized(penalty), "R302").findings == ()

    def test_a_penalty_that_reaches_no_variable_is_none(self):
        model = penalized(None)
        model.get_layer("hidden").kernel_regularizer = keras.regularizers.L2(1e-3)
        assert advice_on(model, "R302").findings == ()

    def test_under_sgd_decoupled_decay_of_twice_the_factor_is_the_penalty(self):
        x = np.random.default_rng(0).normal(size=(16, 6)).astype("float32")
        pair = [
            penalized(keras.regularizers.L2(0.05), keras.optimizers.SGD(0.1)),
            penalized(None, keras.optimizers.SGD(0.1, weight_decay=0.1)),
        ]
        pair[1].set_weights(pair[0].get_weights())
        pair[1].optimizer.exclude_from_weight_decay(
            var_list=[v for v in pair[1].trainable_variables if v is not pair[1].get_layer("hidden").kernel]
        )
        for model in pair:
            model.train_on_batch(x, x[:, :1])
        for one, other in zip(*(model.get_weights() for model in pair), strict=True):
            np.testing.assert_allclose(one, other, atol=1e-6)


class TestDecayedBias:
    def decaying(self, **excluded):
        model = keras.Sequential(
            [keras.Input((6,)), layers.Dense(8), layers.BatchNormalization(), layers.ReLU(), layers.Dense(1)]
        )
        optimizer = keras.optimizers.AdamW(weight_decay=0.01)
        if excluded:
            optimizer.exclude_from_weight_decay(**excluded)
        model.compile(optimizer, "mse")
        return model

    def test_the_plan_keeps_the_decay_and_leaves_them_out(self):
        model = self.decaying()
        advice = advice_on(model, "R303")
        assert "4 biases, scales and offsets" in advice.findings[0].message
        advice.plan.compile(model)
        assert model.optimizer.weight_decay == pytest.approx(0.01)
        assert advice_on(model, "R303").findings == ()

    def test_some_left_out_by_name_are_not_counted(self):
        assert "2 biases" in advice_on(self.decaying(var_names=["bias"]), "R303").findings[0].message

    def test_frozen_layers_are_not_decayed(self):
        model = self.decaying(var_names=["bias"])
        model.layers[1].trainable = False
        assert advice_on(model, "R303").findings == ()

    def test_an_optimizer_without_decay_decays_nothing(self):
        assert advice_on(penalized(None), "R303").findings == ()

    def test_of_two_penalties_that_on_the_kernel_stays(self):
        model = penalized("l2", bias_regularizer="l2")
        rewrite = check_laws(model, select="R302,R303", safety="retrain", trained=False)
        assert len(model.losses) == 2
        assert len(rewrite.model.losses) == 1

    def test_only_the_penalty_on_gamma_of_a_pruned_network_stays(self):
        norm = layers.BatchNormalization(gamma_regularizer="l1", beta_regularizer="l2", name="norm")
        model = keras.Sequential([keras.Input((6,)), layers.Dense(8), norm, layers.Dense(1)])
        rewritten = advice_on(model, "R303").apply().get_layer("norm")
        assert isinstance(rewritten.gamma_regularizer, keras.regularizers.L1)
        assert rewritten.beta_regularizer is None


class TestWideInput:
    def model(self, columns, penalty=None):
        return keras.Sequential(
            [
                keras.Input((columns,)),
                layers.Dense(8, activation="relu", kernel_regularizer=penalty),
                layers.Dense(2, activation="softmax"),
            ]
        )

    def test_the_penalty_is_bound_and_counts(self):
        advice = advice_on(self.model(40), "R306", data=table(64, 40), batch_size=16)
        assert len(advice.apply().losses) == 1

    def test_images_are_no_table(self):
        model = keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(2, activation="softmax")])
        images = np.random.default_rng(0).random((64, 8, 8, 1)).astype("float32")
        assert advice_on(model, "R306", data=(images, np.arange(64) % 2), batch_size=16).findings == ()

    def test_columns_that_other_layers_read_first_are_not_judged(self):
        inputs = keras.Input((40,))
        model = keras.Model(inputs, layers.Dense(2)(layers.LSTM(4)(layers.Reshape((10, 4))(inputs))))
        assert advice_on(model, "R306", data=table(64, 40), batch_size=16).findings == ()

    def test_the_share_of_informative_columns_is_measured_and_decides(self):
        x, y = table(90, 40)
        sparse, dense = x.copy(), x.copy()
        sparse[:, :4] += 3 * y[:, np.newaxis]
        dense[:, :24] += 3 * y[:, np.newaxis]
        (finding,) = advice_on(self.model(40), "R306", data=(sparse, y), batch_size=30).findings
        assert [round(measured.value, 2) for measured in finding.measurements] == [0.1]
        assert advice_on(self.model(40), "R306", data=(dense, y), batch_size=30).findings == ()

    def test_breast_cancer_whose_columns_are_nearly_all_informative_is_left_alone(self):
        x, y = load_breast_cancer(return_X_y=True)
        assert advice_on(self.model(30), "R306", data=(x[:100], y[:100]), batch_size=20).findings == ()

    def test_with_too_few_rows_nothing_is_measured(self):
        (finding,) = advice_on(self.model(40), "R306", data=table(20, 40), batch_size=10).findings
        assert finding.measurements == ()
