"""Who takes part: candidates from findings, or named by the user."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from keras import layers

from advisor import advise
from advisor.race.candidate import Candidate
from advisor.race.candidates import candidates_of, named_candidates
from advisor.rewrite import RewriteError
from advisor.training import TrainingPlan


def network(width=8, rate=0.3, names=False):
    given = (lambda name: {"name": name}) if names else (lambda name: {})
    return keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            layers.Conv2D(16, 3, **given("conv")),
            layers.BatchNormalization(**given("norm")),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dense(width, activation="relu", **given("hidden")),
            layers.Dropout(rate, **given("drop")),
            layers.Dense(3, activation="softmax", **given("head")),
        ]
    )


def compiled(model, optimizer="adam"):
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


X, Y = np.random.default_rng(0).normal(size=(60, 6, 6, 1)).astype("float32"), np.arange(60) % 3


@pytest.fixture(scope="module")
def field():
    model = compiled(network(names=True))
    return candidates_of(advise(model, batch_size=2, data=(X, Y), epochs=4))


def by_name(field):
    return {candidate.name: candidate for candidate in field.candidates}


def test_the_original_comes_first_then_the_advice_and_its_fixes(field):
    names = [candidate.name for candidate in field.candidates]
    assert names[:3] == ["original", "as-advised", "only-N112"]
    assert names.index("norm-layer") < names.index("only-R305") < names.index("dropout-0.5")
    assert field.candidates[0].plan is None


def test_a_fix_alone_changes_nothing_else(field):
    alone, original = by_name(field)["only-N112"], by_name(field)["original"]
    for old, new in zip(original.model.layers, alone.model.layers, strict=True):
        changed = {key for key, value in old.get_config().items() if new.get_config()[key] != value}
        assert changed == ({"momentum"} if old.name == "norm" else set())
    assert alone.plan == TrainingPlan(batch_statistics=True, batch_size=2, epochs=4, input_rank=4)
    assert alone.codes == ("N112",)
    assert alone.title == f"momentum of {alone.model.get_layer('norm').momentum} and batch statistics alone (N112)"


def test_a_change_of_the_run_alone_leaves_the_model(field):
    alone = by_name(field)["only-R305"]
    assert alone.model is by_name(field)["original"].model
    assert alone.plan.weight_decay is not None
    assert alone.plan.early_stopping is None
    assert alone.title == "weight decay alone (R305)"


def test_alternatives_stand_on_the_advised_model(field):
    found = by_name(field)
    plan = found["as-advised"].plan
    renorm = found["norm-renorm"].model.get_layer("norm")
    assert isinstance(renorm, layers.BatchNormalization)
    assert renorm.renorm
    assert found["norm-renorm"].plan == plan
    assert found["dropout-0.5"].model.get_layer("drop").rate == 0.5
    assert found["without-dropout"].model.get_layer("drop").rate == 0
    assert replace(found["weight-decay-0.01"].plan, weight_decay=plan.weight_decay) == plan
    assert found["without-weight-decay"].plan.weight_decay == 0


def test_equal_candidates_are_raced_once_and_named(field):
    assert len({candidate.fingerprint for candidate in field.candidates}) == len(field.candidates)
    same = {one.name: one.reason for one in field.left_out}
    assert same["norm-batch"] == "it is the same as as-advised"
    assert same["weight-decay-0.0001"] == "it is the same as as-advised"


def test_augmentation_can_be_left_out():
    model = compiled(network())
    advice = advise(model, batch_size=32, data=(X, Y), epochs=4, select="N101")
    planned = replace(advice.plan, augmentation=_shifts())
    field = candidates_of(_WithPlan(advice, planned))
    assert by_name(field)["without-augmentation"].plan.augmentation == ()


def test_images_can_be_augmented_where_the_advice_does_not():
    images = np.random.default_rng(0).random((60, 16, 16, 3)).astype("float32")
    model = keras.Sequential([keras.Input((16, 16, 3)), layers.Flatten(), layers.Dense(3, activation="softmax")])
    advice = advise(compiled(model), batch_size=32, data=(images, Y), epochs=4, select="T501")
    augmented = by_name(candidates_of(advice))["with-augmentation"]
    assert augmented.plan.augmentation[0].cls is layers.RandomFlip
    series = by_name(candidates_of(advise(compiled(network()), batch_size=32, epochs=4, select="T501")))
    assert "with-augmentation" not in series


def _shifts():
    from advisor.graph import LayerSpec

    return (LayerSpec(layers.RandomTranslation, {"height_factor": 0.1, "width_factor": 0.1}),)


class _WithPlan:
    def __init__(self, advice, plan):
        self._advice, self.plan = advice, plan

    def __getattr__(self, name):
        return getattr(self._advice, name)


class Hidden(keras.Model):
    """Makes its normalization itself, where it cannot be replaced."""

    def __init__(self):
        super().__init__()
        self.stem, self.norm, self.head = layers.Dense(16), layers.BatchNormalization(), layers.Dense(3)

    def call(self, x, training=False):
        return self.head(self.norm(self.stem(x), training=training))


def hidden():
    model = Hidden()
    model(np.zeros((1, 4), "float32"))
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def test_a_model_that_cannot_be_copied_is_not_raced(tmp_path):
    data = (np.zeros((60, 4), "float32"), Y)
    with pytest.raises(RewriteError, match="Its `__init__` must accept what its `get_config` returns"):
        advise(hidden(), batch_size=2, epochs=4).race(data, data, directory=tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.filterwarnings("ignore:.*cannot be made from its own configuration")
def test_what_cannot_be_built_is_told_with_the_reason():
    field = candidates_of(advise(hidden(), batch_size=2, epochs=4))
    left = {one.name: one.reason for one in field.left_out}
    assert "original" in by_name(field)
    assert any(reason.startswith("it could not be built: ") for name, reason in left.items() if "norm" in name)


def test_a_trained_model_keeps_its_weights():
    model = compiled(network())
    model.fit(X, Y, verbose=0)
    field = candidates_of(advise(model, batch_size=2, epochs=4))
    assert all(candidate.keeps_weights for candidate in field.candidates)


def test_a_model_without_a_loss_is_raced_with_the_one_that_fits():
    field = candidates_of(advise(network(), batch_size=2, data=(X, Y), epochs=4))
    assert {candidate.plan.objective.loss for candidate in field.candidates} == {"SparseCategoricalCrossentropy"}


def test_users_name_their_own():
    advice = advise(compiled(network(), keras.optimizers.SGD(0.5)), batch_size=2)
    wide, planned = network(16), compiled(network(4))
    field = named_candidates(advice, {"wide": wide, "narrow": (planned, TrainingPlan(weight_decay=0.1))})
    assert list(by_name(field)) == ["original", "wide", "narrow"]
    assert float(by_name(field)["wide"].model.optimizer.learning_rate) == 0.5
    assert not wide.compiled
    assert by_name(field)["narrow"].model is planned
    assert by_name(field)["narrow"].plan.weight_decay == 0.1


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"original": network}, ValueError, "names in `candidates`"),
        ({"a/b": network}, ValueError, "names in `candidates`"),
        ({1: network}, ValueError, "names in `candidates`"),
        ({"one": lambda: "model.keras"}, TypeError, "must be a keras.Model or a pair"),
        ({"one": lambda: (network(), {"weight_decay": 1})}, TypeError, "and dict"),
        ({"one": lambda: keras.Sequential([layers.Dense(3)])}, ValueError, "must be built"),
        (
            {"one": lambda: keras.Sequential([keras.Input((4,)), layers.Dense(4)])},
            ValueError,
            "outputs of the original",
        ),
    ],
)
def test_others_are_refused(given, error, message):
    advice = advise(compiled(network()), batch_size=2)
    with pytest.raises(error, match=message):
        named_candidates(advice, {name: make() for name, make in given.items()})


def fingerprint(model, plan=None, **settings):
    return Candidate("one", "one", model, plan, **settings).fingerprint


def test_a_fingerprint_is_of_what_training_depends_on():
    base = fingerprint(compiled(network()))
    assert fingerprint(compiled(network())) == base, "names that Keras gives do not count"
    assert fingerprint(compiled(network()), TrainingPlan(epochs=9, batch_size=3)) == base
    others = [
        fingerprint(compiled(network(9))),
        fingerprint(compiled(network(rate=0.4))),
        fingerprint(compiled(network(), "sgd")),
        fingerprint(compiled(network(), keras.optimizers.Adam(0.1))),
        fingerprint(network()),
        fingerprint(compiled(network()), TrainingPlan(weight_decay=0.0)),
        fingerprint(compiled(network()), TrainingPlan(batch_statistics=True)),
        fingerprint(compiled(network()), keeps_weights=True),
    ]
    assert len({base, *others}) == 9


def test_kept_weights_are_in_the_fingerprint_and_those_drawn_anew_are_not():
    one, other = compiled(network()), compiled(network())
    assert not np.array_equal(one.get_weights()[0], other.get_weights()[0])
    assert fingerprint(one) == fingerprint(other)
    assert fingerprint(one, keeps_weights=True) != fingerprint(other, keeps_weights=True)
