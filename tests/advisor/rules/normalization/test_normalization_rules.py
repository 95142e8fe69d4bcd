"""What the normalization rules say and do beyond their own cases, which `test_all_rules` runs."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from advisor import advise
from advisor.testing import randomize_weights

SHORT_RUN = {"steps_per_epoch": 63, "epochs": 8}


def _findings(model, code, **arguments):
    return advise(model, select=code, trained=False, **arguments).findings


def _applied(model, code, **arguments):
    return advise(model, select=code, trained=False, **arguments).apply()


def _outputs(model, inputs, **arguments):
    return ops.convert_to_numpy(model(inputs, **arguments))


def _images(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


class TestBiasBeforeNorm:
    @pytest.mark.parametrize("renorm", [False, True])
    def test_training_computes_the_same_too(self, renorm):
        def build():
            conv, norm = layers.Conv2D(4, 3, name="conv"), layers.BatchNormalization(renorm=renorm, name="norm")
            return randomize_weights(keras.Sequential([keras.Input((8, 8, 3)), conv, norm]))

        model, batch = build(), _images(16, 8, 8, 3)
        bias = ops.convert_to_numpy(model.get_layer("conv").bias)
        fixed = _applied(model, "N101")
        np.testing.assert_allclose(
            _outputs(fixed, batch, training=True), _outputs(model, batch, training=True), atol=2e-5
        )
        # Both have taken one training step's statistics; the averages stay apart by the bias.
        means = [ops.convert_to_numpy(m.get_layer("norm").moving_mean) for m in (model, fixed)]
        np.testing.assert_allclose(means[0] - means[1], bias, atol=1e-6)

    def test_the_dropped_bias_had_no_part_in_learning(self):
        import tensorflow as tf

        conv = layers.Conv2D(4, 3, name="conv")
        model = keras.Sequential([keras.Input((8, 8, 3)), conv, layers.BatchNormalization(), layers.Dense(2)])
        assert [finding.layer for finding in _findings(model, "N101")] == ["conv"]
        with tf.GradientTape() as tape:
            loss = ops.sum(ops.square(model(_images(16, 8, 8, 3), training=True)))
        of_kernel, of_bias = tape.gradient(loss, [conv.kernel.value, conv.bias.value])
        assert np.abs(of_bias).max() < 1e-4 * np.abs(of_kernel).max()

    def test_half_precision_is_kept(self):
        policy = {"dtype": "mixed_float16"}
        inner = [layers.Conv2D(4, 3, name="conv", **policy), layers.BatchNormalization(name="norm", **policy)]
        model = randomize_weights(keras.Sequential([keras.Input((8, 8, 3)), *inner]))
        fixed = _applied(model, "N101")
        assert not fixed.get_layer("conv").use_bias
        assert fixed.get_layer("norm").dtype_policy.name == "mixed_float16"

    def test_a_frozen_pair_is_mended(self):
        model = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(4, 3), layers.BatchNormalization()])
        model.trainable = False
        assert len(_findings(model, "N101")) == 1

    def test_a_bias_that_is_punished_through_the_output_is_left_alone(self):
        conv = layers.Conv2D(4, 3, activity_regularizer="l2")
        assert not _findings(keras.Sequential([keras.Input((8, 8, 3)), conv, layers.BatchNormalization()]), "N101")

    def test_a_dense_layer_of_several_axes_is_left_alone(self):
        dense = layers.EinsumDense("ab,bc->ac", output_shape=4, bias_axes="c")
        assert not _findings(keras.Sequential([keras.Input((6,)), dense, layers.BatchNormalization()]), "N101")


class TestNoisyBatchStatistics:
    @staticmethod
    def _model(channels=16):
        # The input convolution is linear, so that its maps vary as the images do.
        conv, norm = layers.Conv2D(channels, 1, use_bias=False), layers.BatchNormalization(name="norm")
        return keras.Sequential([keras.Input((8, 8, 3)), conv, norm, layers.GlobalMaxPooling2D(), layers.Dense(2)])

    def test_images_without_detail_are_noisier_than_their_positions_tell(self):
        flat = np.broadcast_to(_images(256, 1, 1, 3), (256, 8, 8, 3)).copy()
        assert not _findings(self._model(), "N102", batch_size=16)
        (finding,) = _findings(self._model(), "N102", batch_size=16, data=flat)
        (measured,) = finding.measurements
        assert measured.value < measured.threshold == 32
        assert measured.value == pytest.approx(16, rel=0.25)

    def test_images_full_of_detail_are_less_noisy_than_counted(self):
        assert _findings(self._model(), "N102", batch_size=4)
        (finding,) = _findings(self._model(), "N102", batch_size=4, data=_images(64, 8, 8, 3))
        assert finding.fix is None
        assert finding.severity == "info"
        assert finding.measurements[0].value > 32

    def test_scale_and_shift_are_kept(self):
        model = randomize_weights(self._model())
        old, new = model.get_layer("norm"), _applied(model, "N102", batch_size=2).get_layer("norm")
        assert isinstance(new, layers.GroupNormalization)
        np.testing.assert_array_equal(ops.convert_to_numpy(new.gamma), ops.convert_to_numpy(old.gamma))
        np.testing.assert_array_equal(ops.convert_to_numpy(new.beta), ops.convert_to_numpy(old.beta))

    @pytest.mark.parametrize("arguments", [{"trained": True}, {"trained": False, "target": "mobile"}])
    def test_batch_renormalization_infers_alike_and_starts_from_the_moving_averages(self, arguments):
        model = randomize_weights(self._model())
        fixed = advise(model, select="N102", batch_size=4, **arguments).apply(safety="retrain")
        images = _images(4, 8, 8, 3)
        np.testing.assert_allclose(_outputs(fixed, images), _outputs(model, images), atol=1e-5)
        old, new = model.get_layer("norm"), fixed.get_layer("norm")
        np.testing.assert_array_equal(ops.convert_to_numpy(new.renorm_mean), ops.convert_to_numpy(old.moving_mean))
        # In its first step, corrections within their bounds make training compute what inference does.
        new.renorm_clipping = {"rmin": 0.0, "rmax": 1e6, "dmax": 1e6}
        before = _outputs(fixed, images)
        np.testing.assert_allclose(_outputs(fixed, images, training=True), before, atol=1e-3)

    def test_penalties_and_initial_values_are_kept(self):
        norm = layers.BatchNormalization(name="norm", gamma_initializer="zeros", beta_regularizer="l2")
        model = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(16, 3), norm])
        config = _applied(model, "N102", batch_size=2).get_layer("norm").get_config()
        assert config["gamma_initializer"]["class_name"] == "Zeros"
        assert config["beta_regularizer"]["class_name"] == "L2"

    def test_one_value_per_feature_is_the_business_of_another_rule(self):
        model = keras.Sequential([keras.Input((6,)), layers.Dense(8), layers.BatchNormalization(), layers.Dense(2)])
        codes = [finding.code for finding in _findings(model, ["N102", "N104"], batch_size=1)]
        assert codes == ["N104"]

    def test_a_subclassed_model_is_judged_like_any_other(self):
        class Block(keras.Model):
            def __init__(self):
                super().__init__()
                self.norm = layers.BatchNormalization()

            def call(self, inputs, training=None):
                return self.norm(inputs, training=training)

        model = Block()
        model(_images(2, 8))
        advice = advise(model, select="N", batch_size=1)
        assert not advice.failures
        (finding,) = advice.findings
        assert finding.code == "N104"


class TestNoNormalization:
    def test_every_head_stays_as_it_is(self):
        inputs = maps = keras.Input((8, 8, 3))
        for _ in range(3):
            maps = layers.Conv2D(4, 3, padding="same", activation="relu")(maps)
        pooled = layers.GlobalAveragePooling2D()(maps)
        outputs = {
            "kind": layers.Dense(3, activation="softmax", name="kind")(pooled),
            "mask": layers.Conv2D(1, 1, activation="sigmoid", name="mask")(maps),
        }
        (finding,) = _findings(keras.Model(inputs, outputs), "N105")
        assert len(finding.layers) == 3
        assert not {"kind", "mask"} & set(finding.layers)

    def test_gates_are_not_normalized(self):
        inputs = maps = keras.Input((8, 8, 3))
        for number in range(3):
            maps = layers.Conv2D(4, 3, padding="same", activation="relu", name=f"conv_{number}")(maps)
            gate = layers.Conv2D(4, 1, activation="sigmoid", name=f"gate_{number}")(maps)
            maps = layers.Multiply()([maps, gate])
        model = keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(maps)))
        (finding,) = _findings(model, "N105")
        assert finding.layers == ("conv_0", "conv_1", "conv_2")

    def test_runs_with_frozen_layers_are_left_alone(self):
        inner = [layers.Conv2D(4, 3, padding="same", trainable=number > 0) for number in range(5)]
        model = keras.Sequential([keras.Input((8, 8, 3)), *inner, layers.GlobalAveragePooling2D(), layers.Dense(2)])
        assert not _findings(model, "N105")

    @pytest.mark.parametrize("task", ["generation", "image_to_image"])
    def test_generators_are_left_alone(self, task):
        inner = [layers.Conv2D(4, 3, padding="same", activation="relu") for _ in range(4)]
        model = keras.Sequential([keras.Input((8, 8, 3)), *inner, layers.Conv2D(3, 3, padding="same")])
        assert _findings(model, "N105", task="segmentation")
        assert not _findings(model, "N105", task=task)

    def test_an_activation_of_the_users_own_is_not_split_off(self):
        def squared(values):
            return ops.square(ops.relu(values))

        inner = [layers.Conv2D(4, 3, padding="same", activation=squared) for _ in range(3)]
        model = keras.Sequential([keras.Input((8, 8, 3)), *inner, layers.GlobalAveragePooling2D(), layers.Dense(2)])
        (finding,) = _findings(model, "N105")
        assert finding.fix is None

    def test_parallel_branches_are_no_run(self):
        inputs = keras.Input((8, 8, 3))
        branches = [layers.Conv2D(4, size, padding="same", activation="relu")(inputs) for size in (1, 3, 5, 7)]
        pooled = layers.GlobalAveragePooling2D()(layers.Concatenate()(branches))
        assert not _findings(keras.Model(inputs, layers.Dense(2)(pooled)), "N105")

    def test_sequences_between_recurrent_layers_get_layer_normalization(self):
        inner = [layers.Dense(8, activation="relu") for _ in range(4)]
        recurrent = layers.LSTM(8, return_sequences=True)
        model = keras.Sequential([keras.Input((5, 6)), recurrent, *inner, layers.LSTM(4), layers.Dense(2)])
        fixed = _applied(model, "N105", batch_size=64)
        assert sum(isinstance(layer, layers.LayerNormalization) for layer in fixed.layers) == 4


class TestNormAfterActivation:
    def test_the_normalization_keeps_its_weights(self):
        inner = [layers.Conv2D(4, 3, activation="relu"), layers.BatchNormalization(name="norm")]
        model = randomize_weights(keras.Sequential([keras.Input((8, 8, 3)), *inner]))
        fixed = _applied(model, "N106")
        assert isinstance(fixed.layers[-1], layers.Activation)
        for old, new in zip(model.get_layer("norm").weights, fixed.get_layer("norm").weights, strict=True):
            np.testing.assert_array_equal(ops.convert_to_numpy(old), ops.convert_to_numpy(new))

    def test_the_moved_normalization_folds(self):
        inner = [
            layers.Conv2D(4, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(),
            layers.ReLU(),
        ]
        model = keras.Sequential([keras.Input((8, 8, 3)), *inner, layers.Flatten(), layers.Dense(2)])
        assert len(_findings(model, "E701", target="mobile")) == 1
        assert not _findings(_applied(model, "N106"), "E701", target="mobile")

    def test_an_activation_layer_called_elsewhere_stays_there(self):
        relu = layers.ReLU(name="relu")
        inputs = keras.Input((8, 8, 3))
        maps = layers.BatchNormalization()(relu(layers.Conv2D(4, 3)(inputs)))
        model = keras.Model(inputs, relu(layers.Conv2D(4, 3)(maps)))
        fixed = _applied(model, "N106")
        assert [type(layer).__name__ for layer in fixed.layers[1:]] == [
            "Conv2D",
            "BatchNormalization",
            "ReLU",
            "Conv2D",
            "ReLU",
        ]

    def test_an_operation_with_arguments_is_left_to_the_user(self):
        inputs = keras.Input((8, 8, 3))
        maps = ops.leaky_relu(layers.Conv2D(4, 3)(inputs), negative_slope=0.3)
        (finding,) = _findings(keras.Model(inputs, layers.BatchNormalization()(maps)), "N106")
        assert finding.fix is None

    def test_a_mobile_target_makes_it_a_warning(self):
        inner = [layers.Conv2D(4, 3, activation="relu"), layers.BatchNormalization()]
        model = keras.Sequential([keras.Input((8, 8, 3)), *inner])
        severities = [_findings(model, "N106", target=target)[0].severity for target in (None, "mobile")]
        assert severities == ["info", "warning"]


class TestBatchNormOnSequence:
    def test_padding_does_not_change_the_result(self):
        words = keras.Input((None,), dtype="int32")
        features = layers.Embedding(20, 8, mask_zero=True)(words)
        features = layers.LSTM(8, return_sequences=True)(layers.BatchNormalization()(features))
        model = keras.Model(words, layers.Dense(2)(layers.LSTM(4)(features)))
        fixed = _applied(randomize_weights(model), "N107")
        assert any(isinstance(layer, layers.LayerNormalization) for layer in fixed.layers)
        short, long = np.array([[3, 7, 5, 0]]), np.array([[3, 7, 5, 0, 0, 0]])
        np.testing.assert_allclose(_outputs(fixed, short), _outputs(fixed, long), atol=1e-6)

    def test_scale_and_shift_are_kept(self):
        inner = [layers.GRU(8, return_sequences=True), layers.BatchNormalization(name="norm"), layers.GRU(4)]
        model = randomize_weights(keras.Sequential([keras.Input((6, 3)), *inner]))
        old, new = model.get_layer("norm"), _applied(model, "N107").get_layer("norm")
        np.testing.assert_array_equal(ops.convert_to_numpy(new.gamma), ops.convert_to_numpy(old.gamma))
        np.testing.assert_array_equal(ops.convert_to_numpy(new.beta), ops.convert_to_numpy(old.beta))

    def test_maps_of_convolutional_recurrent_layers_are_left_alone(self):
        recurrent = [
            layers.ConvLSTM2D(8, 3, return_sequences=True),
            layers.BatchNormalization(),
            layers.ConvLSTM2D(4, 3),
        ]
        assert not _findings(keras.Sequential([keras.Input((3, 8, 8, 1)), *recurrent]), "N107")


class TestLaggingMovingAverages:
    @pytest.mark.parametrize("frozen", [False, True])
    def test_a_backbone_called_for_inference_is_judged_by_what_fit_does_with_it(self, frozen):
        norm = layers.BatchNormalization(name="norm", trainable=not frozen)
        backbone = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(4, 3), norm, layers.GlobalMaxPooling2D()])
        inputs = keras.Input((8, 8, 3))
        model = keras.Model(inputs, layers.Dense(2)(backbone(inputs, training=False)))
        model.compile("sgd", "mse")
        found = _findings(model, "N112", **SHORT_RUN)
        before = np.array(norm.moving_mean)
        model.fit(_images(4, 8, 8, 3), np.zeros((4, 2)), verbose=0)
        moved = not np.array_equal(norm.moving_mean, before)
        assert [moved, len(found)] == ([False, 0] if frozen else [True, 1])
        assert all("overridden by `fit`" in finding.why for finding in found)

    def test_a_norm_that_is_also_called_for_training_is_not_told_of_its_mode(self):
        norm = layers.BatchNormalization()
        inputs = keras.Input((8, 8, 3))
        model = keras.Model(inputs, layers.Add()([norm(inputs, training=False), norm(inputs)]))
        (finding,) = _findings(model, "N112", **SHORT_RUN)
        assert "overridden" not in finding.why

    def test_statistics_taken_so_far_are_kept(self):
        norm = layers.BatchNormalization(name="norm")
        model = randomize_weights(keras.Sequential([keras.Input((8, 8, 3)), norm, layers.Conv2D(2, 3)]))
        fixed = _applied(model, "N112", **SHORT_RUN)
        images = _images(4, 8, 8, 3)
        np.testing.assert_array_equal(_outputs(fixed, images), _outputs(model, images))

    @pytest.mark.parametrize(
        ("steps", "momentum", "kinds"), [(432, 0.5, ["batch_statistics"]), (433, 0.5, []), (3000, 0.9, [])]
    )
    def test_statistics_are_recomputed_where_no_momentum_follows(self, steps, momentum, kinds):
        model = keras.Sequential([keras.Input((8, 8, 3)), layers.BatchNormalization(name="norm"), layers.Conv2D(2, 3)])
        advice = advise(model, select="N112", steps_per_epoch=steps, epochs=1)
        (finding,) = advice.findings
        assert [change.kind for change in finding.plan] == kinds
        assert advice.apply().get_layer("norm").momentum == momentum

    def test_the_length_of_the_run_must_be_known(self):
        model = keras.Sequential([keras.Input((8, 8, 3)), layers.BatchNormalization()])
        advice = advise(model, select="N112", batch_size=8)
        assert [missing.code for missing in advice.not_run] == ["N112"]


class TestTwoNormsInARow:
    def test_the_first_goes_also_when_the_second_is_inside_a_nested_model(self):
        nested = keras.Sequential(
            [keras.Input((8, 8, 4)), layers.BatchNormalization(name="inner"), layers.Conv2D(2, 3)]
        )
        inputs = keras.Input((8, 8, 4))
        model = keras.Model(inputs, nested(layers.LayerNormalization(name="outer")(inputs)))
        (finding,) = _findings(model, "N114")
        assert finding.fix.title == "remove `outer`"

    def test_a_nested_model_fed_twice_keeps_its_normalization(self):
        nested = keras.Sequential([keras.Input((8, 8, 4)), layers.BatchNormalization(), layers.Conv2D(2, 3)])
        inputs = keras.Input((8, 8, 4))
        model = keras.Model(inputs, layers.Add()([nested(layers.LayerNormalization()(inputs)), nested(inputs)]))
        assert not _findings(model, "N114")


def test_steps_of_unknown_number_are_not_counted():
    model = keras.Sequential(
        [keras.Input((None, 3)), layers.LSTM(4, return_sequences=True), layers.BatchNormalization()]
    )
    (finding,) = advise(model, select="N107").findings
    assert "normalizes all steps of" in finding.message
