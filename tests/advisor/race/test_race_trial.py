"""One training: fresh, repeatable, and a result even where it fails."""

import keras
import numpy as np
import pytest
from keras import layers

from advisor.race.candidate import Candidate
from advisor.race.data import race_data
from advisor.race.scoring import scorer_for
from advisor.race.trial import OutOfTimeError, train
from advisor.rewrite.fresh_values import fresh_copy
from advisor.training import TrainingPlan

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(64, 4)).astype("float32")
Y = (X[:, 0] > 0).astype("int64") + (X[:, 1] > 0)


def network(optimizer="adam", inner=()):
    model = keras.Sequential(
        [keras.Input((4,)), layers.Dense(8, activation="relu"), *inner, layers.Dense(3, activation="softmax")]
    )
    # Eagerly, as tracing would cost more than such trainings.
    model.compile(optimizer, "sparse_categorical_crossentropy", run_eagerly=True)
    return model


def outcome_of(model, seed=0, epochs=2, plan=None, **settings):
    data = race_data((X, Y), (X, Y), batch_size=32)
    scorer = scorer_for(model, "sparse_categorical_crossentropy", data.choosing, 32)
    return train(Candidate("one", "one", model, plan), data, scorer, seed, epochs, **settings)


def test_a_seed_decides_all():
    model = network(inner=[layers.BatchNormalization(), layers.Dropout(0.3)])
    before = model.get_weights()
    first, again, other = (outcome_of(model, seed) for seed in (1, 1, 2))
    assert first.history == again.history
    assert first.scores.tolist() == again.scores.tolist()
    assert first.history != other.history
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    assert (first.epochs, len(first.scores), first.failure, first.notes) == (2, 32, None, ())


def test_augmentation_is_the_seeds_too():
    from advisor.graph import LayerSpec

    plan = TrainingPlan(augmentation=(LayerSpec(layers.GaussianNoise, {"stddev": 0.5}),), input_rank=2)
    first, again = (outcome_of(network(), 1, 2, plan) for _ in range(2))
    assert first.history == again.history


def test_each_epoch_is_told():
    seen = []
    outcome = outcome_of(network(), epochs=3, on_epoch=lambda epoch, score: seen.append((epoch, score)))
    assert [epoch for epoch, _ in seen] == [1, 2, 3]
    assert seen[-1][1] == outcome.choice
    assert 0 <= outcome.choice <= 1


def test_early_stopping_watches_the_samples_for_choosing():
    plan = TrainingPlan(early_stopping={"monitor": "val_loss", "patience": 1, "restore_best_weights": True})
    outcome = outcome_of(network(keras.optimizers.Adam(1.0)), epochs=20, plan=plan)
    assert outcome.epochs < 20
    assert len(outcome.history["val_loss"]) == outcome.epochs


def test_an_exploding_candidate_is_a_result(tmp_path):
    file = tmp_path / "model.keras"
    outcome = outcome_of(network(keras.optimizers.SGD(1e30)), epochs=3, keep_at=file)
    assert outcome.scores is None
    assert outcome.choice == -np.inf
    assert outcome.failure.endswith(("loss in epoch 1", "loss in epoch 2"))
    assert not file.exists()


@keras.saving.register_keras_serializable("race tests")
class Breaks(layers.Layer):
    def call(self, x, training=False):
        if training:
            raise ArithmeticError("no way")
        return x


def test_a_crashing_candidate_is_a_result():
    outcome = outcome_of(network(inner=[Breaks()]))
    assert outcome.scores is None
    assert "no way" in outcome.failure


def test_time_that_is_over_is_no_result():
    def stop(epoch, score):
        raise OutOfTimeError

    with pytest.raises(OutOfTimeError):
        outcome_of(network(), on_epoch=stop)


def test_the_trained_model_is_kept(tmp_path):
    file = tmp_path / "model.keras"
    outcome = outcome_of(network(), keep_at=file)
    kept = keras.saving.load_model(file)
    data = race_data((X, Y), (X, Y), batch_size=32)
    right = kept.predict(data.judging[0], verbose=0).argmax(-1) == data.judging[1]
    assert outcome.scores.tolist() == right.tolist()


def test_smoothed_labels_are_scored_as_they_are():
    plan = TrainingPlan(label_smoothing=0.1, classes=3)
    assert outcome_of(network(), plan=plan).failure is None


def drawn(model, seed, **settings):
    keras.utils.set_random_seed(seed)
    return fresh_copy(model, **settings)


def test_fresh_copies_draw_what_is_trained_and_keep_the_rest():
    statistics = layers.Normalization()
    statistics.adapt(X + 5)
    frozen = layers.Dense(8, name="frozen", trainable=False)
    model = network(
        inner=[frozen, layers.Dense(8, kernel_initializer=keras.initializers.HeNormal(seed=3), name="fixed")]
    )
    model = keras.Sequential([keras.Input((4,)), statistics, *model.layers])
    model.compile("sgd", "sparse_categorical_crossentropy")
    one, same, other = (drawn(model, seed).model for seed in (1, 1, 2))
    for weight, again in zip(one.get_weights(), same.get_weights(), strict=True):
        assert np.array_equal(weight, again)
    kernels = [[m.get_layer(name).kernel.numpy() for m in (one, other)] for name in ("dense", "fixed", "frozen")]
    assert [np.array_equal(*pair) for pair in kernels[1:]] == [False, True]
    assert np.array_equal(one.layers[0].mean.numpy(), statistics.mean.numpy())
    assert one.compiled


def test_a_trained_model_is_copied_with_its_weights():
    model = network()
    model.fit(X, Y, verbose=0)
    copies = [drawn(model, seed, keep_trained=True).model for seed in (1, 2)]
    for original, *values in zip(model.get_weights(), *(copy.get_weights() for copy in copies), strict=True):
        assert all(np.array_equal(original, value) for value in values)


def doubled(x):
    return 2 * x


def test_functions_of_the_users_own_are_no_obstacle():
    model = network(inner=[layers.Dense(8, activation=doubled, name="own")])
    one, other = (drawn(model, seed) for seed in (1, 2))
    assert (one.note, other.note) == (None, None)
    assert one.model.get_layer("own").activation is doubled
    assert not np.array_equal(*(copy.model.get_layer("own").kernel.numpy() for copy in (one, other)))


class Once(layers.Layer):
    """Can be built just twice: as the original, and as a copy."""

    builds = 0

    def build(self, shape):
        Once.builds += 1
        if Once.builds > 2:
            raise RuntimeError("not again")
        self.kernel = self.add_weight(shape=(shape[-1],), initializer="glorot_uniform")

    def call(self, x):
        return self.kernel * x


def test_a_model_that_cannot_be_built_anew_begins_with_the_same_weights_and_that_is_told():
    model = network(inner=[Once()])
    copy = drawn(model, 1)
    assert "began with the same weights each time" in copy.note
    assert "not again" in copy.note
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), copy.model.get_weights(), strict=True))
