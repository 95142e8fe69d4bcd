"""A race on a real Ray cluster: a head and two workers on this machine, of which one is lost on the way."""

import os
import signal

import keras
import numpy as np
import pytest
import tensorflow as tf

from advisor import advise
from advisor.race.candidate import Candidate
from advisor.race.data import race_data
from advisor.race.engine import Course
from advisor.race.local import LocalEngine
from advisor.race.schedule import FINALISTS, ORIGINAL, Budget
from advisor.race.scoring import scorer_for
from advisor.race.trial import Trial
from advisor.training import TrainingPlan

pytest.importorskip("ray.tune", reason="needs Ray Tune: pip install 'keras-normpack[ray]'")
pytest.importorskip("optuna", reason="compares with the local race: pip install 'keras-normpack[race]'")

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("ray")]

EPOCHS, SEEDS, ENOUGH = 6, 2, Budget(trials=40)


@keras.saving.register_keras_serializable("tests")
class Halved(keras.layers.Layer):
    """A layer of the user's own, of a module that only this process can import."""

    def call(self, inputs):
        return inputs / 2


class Unloadable(keras.layers.Layer):
    """A layer that cannot be made from its configuration."""

    def call(self, inputs):
        return inputs

    @classmethod
    def from_config(cls, config):
        raise KeyError("size")


@pytest.fixture(scope="module")
def cluster():
    """A head that trains nothing, and two workers."""
    import ray
    from ray.cluster_utils import Cluster

    found = os.environ.get("RAY_ADDRESS")
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    made.add_node(num_cpus=1)
    os.environ["RAY_ADDRESS"] = made.address
    yield made
    ray.shutdown()
    made.shutdown()
    os.environ.pop("RAY_ADDRESS")
    if found:
        os.environ["RAY_ADDRESS"] = found


@pytest.fixture
def workers(cluster):
    """Two workers, whatever the test before has done to them."""
    while len(cluster.worker_nodes) < 2:
        cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    return cluster


def samples(count, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, 8)).astype("float32")
    return x, (x[:, 0] * x[:, 1] + x[:, 2] > 0).astype("int32")


def network(units, *more):
    hidden = [keras.layers.Dense(units, activation="relu"), *more]
    model = keras.Sequential([keras.Input((8,)), *hidden, keras.layers.Dense(2, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def course(directory, budget=ENOUGH, epochs=EPOCHS):
    models = {
        ORIGINAL: network(8, keras.layers.Dropout(0.2)),
        "wide": network(64),
        "narrow": network(2),
        "halved": network(32, Halved()),
        "normalized": network(16, keras.layers.BatchNormalization()),
        "tiny": network(1),
    }
    plan = TrainingPlan(weight_decay=1e-3, early_stopping={"monitor": "val_loss", "patience": 3})
    candidates = [Candidate(name, name, model, plan if name == "wide" else None) for name, model in models.items()]
    data = race_data(samples(1000, 0), samples(400, 1), 32)
    scorer = scorer_for(models[ORIGINAL], "sparse_categorical_crossentropy", data.choosing, 32)
    (directory / "models").mkdir(parents=True, exist_ok=True)
    return Course(tuple(candidates), data, scorer, epochs, SEEDS, budget, directory)


class Seen:
    """Sees a race, and does something the first time that a challenger has trained an epoch."""

    def __init__(self, then=lambda: None):
        self.epochs, self.ends, self._then = [], [], then

    def started(self, trial):
        pass

    def epoch_done(self, trial, epoch, score):
        self.epochs.append((trial, epoch, score))
        if trial.candidate != ORIGINAL:
            then, self._then = self._then, lambda: None
            then()

    def ended(self, trial, outcome):
        self.ends.append(trial)


def whole(outcomes):
    return {trial: outcome for trial, outcome in outcomes.items() if trial.epochs == EPOCHS}


def ray_engine():
    from advisor.race.cluster import RayEngine

    return RayEngine()


def test_a_race_that_loses_a_worker_ends_with_what_the_local_one_finds(workers, tmp_path):
    race = course(tmp_path / "race")
    seen = Seen(then=lambda: workers.remove_node(next(iter(workers.worker_nodes)), allow_graceful=False))
    record = ray_engine().run(race, seen)

    assert not record.interrupted
    assert any("lost their worker" in note for note in record.notes)
    found = whole(record.outcomes)
    assert all(outcome.failure is None for outcome in record.outcomes.values())
    finalists = {trial.candidate for trial in found if trial.seed == SEEDS - 1} - {ORIGINAL}
    assert 1 <= len(finalists) <= FINALISTS
    assert all(Trial(name, seed, EPOCHS) in found for name in (ORIGINAL, *finalists) for seed in range(SEEDS))
    assert {trial.candidate for trial in record.outcomes} == {candidate.name for candidate in race.candidates}
    stopped = set(record.outcomes) - set(found)
    assert stopped
    assert {trial.epochs for trial in stopped} == {2}
    assert not {trial.candidate for trial in stopped} & {trial.candidate for trial in found}

    # The same trainings on this machine, one after the other.
    local = course(tmp_path / "local")
    chosen = tuple(one for one in local.candidates if one.name in {ORIGINAL, *finalists})
    expected = LocalEngine().run(Course(chosen, *list(vars(local).values())[1:]), Seen()).outcomes
    compared = [trial for trial in found if trial in expected]
    assert len(compared) == (1 + len(finalists)) * SEEDS
    for trial in compared:
        np.testing.assert_array_equal(found[trial].scores, expected[trial].scores)
        assert found[trial].choice == expected[trial].choice
        assert found[trial].epochs == expected[trial].epochs
        ours, theirs = (keras.saving.load_model(one.model_file(trial)) for one in (race, local))
        for mine, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
            np.testing.assert_allclose(mine, other, rtol=1e-5, atol=1e-6)

    # Nothing is trained twice.
    again = Seen()
    assert whole(ray_engine().run(course(tmp_path / "race"), again).outcomes).keys() == found.keys()
    assert again.epochs == []


def test_ctrl_c_ends_a_race_with_what_is_known(workers, tmp_path):
    import ray

    before = signal.getsignal(signal.SIGINT)
    race = course(tmp_path)
    record = ray_engine().run(race, Seen(then=lambda: os.kill(os.getpid(), signal.SIGINT)))
    assert record.interrupted
    assert signal.getsignal(signal.SIGINT) is before
    assert not ray.is_initialized()
    known = {Trial(ORIGINAL, seed, EPOCHS) for seed in range(SEEDS)}
    assert known <= set(record.outcomes)
    assert not {trial for trial in record.outcomes if trial.seed and trial.candidate != ORIGINAL}

    again = Seen()
    resumed = ray_engine().run(course(tmp_path), again)
    assert not resumed.interrupted
    assert not known & {trial for trial, _, _ in again.epochs}
    assert max(len({t.seed for t in whole(resumed.outcomes) if t.candidate == name}) for name in ("wide", "halved")) > 1


def test_a_race_ends_when_its_time_is_over(workers, tmp_path):
    # How long workers take to start is for the machine to say; a training that is under way is what is to be stopped.
    for seconds in (40, 160):
        seen = Seen()
        record = ray_engine().run(course(tmp_path / str(seconds), Budget(seconds=seconds), epochs=100_000), seen)
        assert not record.interrupted
        assert record.outcomes == {}
        if seen.epochs:
            return
    pytest.fail("no training had begun after 160 seconds")


def test_a_user_races_on_a_connection_of_their_own(workers, tmp_path):
    import ray

    ray.init(logging_level="ERROR", log_to_driver=False)
    try:
        pipeline = tf.data.Dataset.from_tensor_slices(samples(300, 0)).batch(32)
        advice = advise(network(8), batch_size=32, epochs=2)
        candidates = {"wide": network(32), "broken": network(4, Unloadable())}
        result = advice.race(
            pipeline, samples(100, 1), budget="20 trials", seeds=2, engine="ray", candidates=candidates, verbose=0
        )
        assert ray.is_initialized()
    finally:
        ray.shutdown()
    standings = {standing.name: standing for standing in result.standings}
    assert standings["wide"].rung == standings[ORIGINAL].rung == "final"
    assert len(standings["wide"].values) == 2
    assert "can be saved and loaded" in standings["broken"].failure
    assert result.model.count_params() == {ORIGINAL: 90, "wide": 354}[result.winner]
