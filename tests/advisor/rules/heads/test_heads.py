"""H601, H603, H604 and H605 on models beyond their own cases."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from advisor import advise
from advisor.graph.keras_internals import deferred_variables
from advisor.testing import check_laws


def findings(model, code, **arguments):
    return advise(model, select=code, verbose=0, trained=False, **arguments).findings


def mended(model, select):
    return advise(model, select=select, verbose=0, trained=False).apply()


def names(model):
    return [type(layer).__name__ for layer in model.layers]


@pytest.mark.filterwarnings("ignore:You are using a softmax over axis")
class TestSoftmaxOnOneUnit:
    def test_an_operation_is_left_to_the_user(self):
        inputs = keras.Input((6,))
        (finding,) = findings(keras.Model(inputs, ops.softmax(layers.Dense(1)(inputs))), "H601")
        assert finding.severity == "error"
        assert finding.fix is None
        assert "Use sigmoid" in finding.why

    def test_a_head_for_every_step_and_one_behind_a_reshape(self):
        head = [layers.TimeDistributed(layers.Dense(1, activation="softmax")), layers.Reshape((5,))]
        model = keras.Sequential([keras.Input((5, 4)), *head])
        assert mended(model, "H601").layers[0].layer.activation is keras.activations.sigmoid

    def test_the_loss_is_asked_for_by_h602(self):
        model = keras.Sequential([keras.Input((6,)), layers.Dense(1, activation="softmax")])
        model.compile("sgd", "sparse_categorical_crossentropy")
        rewritten = mended(model, "H")
        (finding,) = findings(rewritten, "H")
        assert finding.code == "H602"
        assert "binary_crossentropy" in finding.why

    def test_a_softmax_over_all_axes_of_a_map_is_none(self):
        inputs = keras.Input((4, 4, 1))
        model = keras.Model(inputs, layers.Softmax(axis=(1, 2))(inputs))
        assert not findings(model, "H601")


def stack(*inner, shape=(6,)):
    return keras.Sequential([keras.Input(shape), *inner])


class TestLinearLayersInARow:
    def test_a_pair_across_the_border_of_a_nested_model(self):
        backbone = stack(layers.Dense(8, activation="relu"), layers.Dense(8, name="last"))
        inputs = keras.Input((6,))
        model = keras.Model(inputs, layers.Dense(2, name="head")(backbone(inputs)))
        (finding,) = findings(model, "H603")
        assert [path.split("/")[-1] for path in finding.layers] == ["last", "head"]
        assert not findings(mended(model, "H603"), "H603")

    def test_a_shared_layer_gets_no_fix(self):
        hidden = layers.Dense(8)
        heads = [layers.Dense(2), layers.Dense(2)]
        inputs = [keras.Input((6,)), keras.Input((6,))]
        model = keras.Model(inputs, [head(hidden(tensor)) for head, tensor in zip(heads, inputs, strict=True)])
        assert [finding.fix for finding in findings(model, "H603")] == [None, None]

    def test_a_linear_layer_with_two_readers_is_a_place_where_branches_part(self):
        inputs = keras.Input((6,))
        hidden = layers.Dense(8)(inputs)
        gated = layers.Multiply()([layers.Dense(8)(hidden), layers.Dense(8, activation="sigmoid")(hidden)])
        assert not findings(keras.Model(inputs, gated), "H603")

    @pytest.mark.parametrize(
        "inner",
        [
            [layers.Conv2D(8, 2, groups=2), layers.Conv2D(8, 1)],
            [layers.Conv2DTranspose(8, 2), layers.Conv2D(8, 3)],
            [layers.Conv2D(8, 1), layers.AveragePooling2D(2), layers.Conv2D(8, 1)],
            [layers.Conv2D(8, 1, activation="gelu"), layers.Conv2D(8, 1)],
        ],
    )
    def test_pairs_that_are_meant(self, inner):
        assert not findings(stack(*inner, shape=(8, 8, 4)), "H603")

    def test_convolutions_and_a_flattened_head(self):
        model = stack(layers.Conv2D(8, 3), layers.Conv2D(8, 3), layers.Flatten(), layers.Dense(2), shape=(8, 8, 3))
        assert len(findings(model, "H603")) == 2
        assert names(mended(model, "H603")) == ["Conv2D", "ReLU", "Conv2D", "ReLU", "Flatten", "Dense"]

    def test_with_the_rules_on_normalization_the_order_is_linear_norm_activation(self):
        model = stack(
            *(layers.Conv2D(8, 3, padding="same") for _ in range(3)), layers.Flatten(), layers.Dense(2), shape=(8, 8, 3)
        )
        block = ["Conv2D", "BatchNormalization", "ReLU"]
        assert names(mended(model, "H603,N105,N106")) == [*block, *block, *block, "Flatten", "Dense"]


class TestActivationsInARow:
    def test_what_changes_nothing_is_taken_out_exactly(self):
        inner = [layers.Dense(8, activation="sigmoid"), layers.LeakyReLU(), layers.Dense(2)]
        rewrite = check_laws(stack(*inner), select="H604", trained=False)
        assert [applied.finding.fix.safety for applied in rewrite.applied] == ["exact"]
        assert names(rewrite.model) == ["Dense", "Dense"]

    @pytest.mark.parametrize(
        ("first", "second", "safety"),
        [
            (layers.ReLU(negative_slope=0.1), layers.ReLU(), "retrain"),
            (layers.ReLU(), layers.ReLU(threshold=1.0), "retrain"),
            (layers.Activation("relu6"), layers.ReLU(), "exact"),
            (layers.Activation("softplus"), layers.ELU(), "exact"),
            (layers.Activation("relu"), layers.Activation("gelu"), "retrain"),
        ],
    )
    def test_only_values_from_zero_pass_unchanged(self, first, second, safety):
        (finding,) = findings(stack(layers.Dense(8), first, second, layers.Dense(2)), "H604")
        assert finding.fix.safety == safety

    def test_operations_count(self):
        inputs = keras.Input((6,))
        model = keras.Model(inputs, layers.Dense(2)(ops.relu(ops.relu(layers.Dense(8)(inputs)))))
        assert [finding.fix.safety for finding in findings(model, "H604")] == ["exact"]

    def test_an_activation_that_is_read_elsewhere_too_stays(self):
        inputs = keras.Input((6,))
        hidden = layers.Dense(8, activation="tanh")(inputs)
        model = keras.Model(inputs, layers.Add()([hidden, layers.Activation("gelu")(hidden)]))
        assert not findings(model, "H604")

    def test_a_layer_called_twice_gets_no_fix(self):
        hidden = layers.Dense(8, activation="tanh")
        inputs = [keras.Input((6,)), keras.Input((6,))]
        model = keras.Model(inputs, layers.Add()([layers.Activation("gelu")(hidden(tensor)) for tensor in inputs]))
        assert [finding.fix for finding in findings(model, "H604")] == [None, None]

    def test_probabilities_squashed_again_are_an_error(self):
        model = stack(layers.Dense(3, activation="softmax"), layers.Softmax())
        assert [finding.severity for finding in findings(model, "H604")] == ["error"]

    def test_the_bounds_that_the_page_names(self):
        scores = np.eye(10, dtype="float32")[:1]
        assert float(ops.max(ops.softmax(scores))) == pytest.approx(0.2320, abs=1e-4)
        assert float(ops.min(ops.sigmoid(ops.relu(np.linspace(-5, 5))))) == 0.5


class TestFlattenedMaps:
    def test_the_share_of_vgg16(self):
        with deferred_variables():
            model = keras.applications.VGG16(weights=None)
        (finding,) = findings(model, "H605")
        assert "89% of the 138,357,544 weights" in finding.message
        assert finding.layers == ("flatten", "fc1", "fc2", "predictions")

    def test_series_are_pooled_along_time(self):
        inner = [layers.Conv1D(4, 3, activation="relu"), layers.Flatten(), layers.Dense(32, activation="relu")]
        model = stack(*inner, layers.Dense(2, activation="softmax"), shape=(40, 3))
        assert "GlobalAveragePooling1D" in findings(model, "H605")[0].why

    def test_vectors_from_global_pooling_may_be_flattened(self):
        inner = [layers.Conv2D(4, 3, activation="relu"), layers.GlobalAveragePooling2D(keepdims=True), layers.Flatten()]
        head = [layers.Dense(64, activation="relu"), layers.Dense(2, activation="softmax")]
        assert not findings(stack(*inner, *head, shape=(8, 8, 3)), "H605")
