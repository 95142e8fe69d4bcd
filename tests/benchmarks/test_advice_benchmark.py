"""The benchmark of the advice: what it changes, what it keeps, and what it says of its figures."""

import json

import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits

from advisor.facts import Kind, gather_facts
from advisor.graph import read_graph
from advisor.training import TrainingPlan
from benchmarks.advice import arms, cells, summary
from benchmarks.advice.arms import AS_WRITTEN, MEASURED, RANDOM, SEARCH, Decision, built
from benchmarks.advice.cells import Cell, mark_outdated, measure
from benchmarks.advice.menu import NORMS, Draft, changed, menu, with_norm
from benchmarks.advice.page import text
from benchmarks.advice.tasks import TASKS, task_named
from benchmarks.datasets import parts


def test_the_parts_of_a_data_set_share_no_sample():
    found = parts("digits", 900, 300, 597)
    rows = [x.reshape(len(x), -1) * 16 for x, _ in (found.train, found.validation, found.test)]
    assert [len(x) for x in rows] == [900, 300, 597]
    published = load_digits().data
    assert np.array_equal(_sorted(np.concatenate(rows)), _sorted(published))
    assert found.classes == 10


def _sorted(rows):
    return rows[np.lexsort(rows.T)]


def test_an_unknown_data_set_is_told():
    with pytest.raises(ValueError, match="Received: 'digit'"):
        parts("digit", 1, 1, 1)


def test_every_change_of_a_menu_makes_a_compiled_model_that_runs():
    task = task_named("wine MLP")
    x = task.parts.train[0][:4]
    for kind, changes in menu(task).items():
        for change in changes:
            draft = changed(Draft(task.model(), TrainingPlan()), task, {kind: change})
            assert draft.model.compiled, (kind, change)
            assert np.isfinite(np.asarray(draft.model(x))).all(), (kind, change)


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_every_model_takes_every_normalization(task):
    for name in ("batch", "group", "layer"):
        spec = NORMS[name]
        facts = gather_facts(read_graph(with_norm(task.model(), spec)))
        assert {layer.cls for layer in facts.of_kind(Kind.NORM)} == {spec.cls}


def test_random_fixes_are_the_same_for_a_seed_and_others_for_another():
    task = task_named("wine MLP")
    decision = arms.random_fixes(task, 4)
    first, again, other = (_described(decision.draft(seed)) for seed in (0, 0, 1))
    assert first == again != other


def _described(draft):
    layers = [(type(layer).__name__, getattr(layer, "rate", None)) for layer in draft.model.layers]
    return layers, str(draft.plan)


@pytest.fixture
def trainings(monkeypatch):
    """Counts the trainings of cells."""
    done = []
    train = cells.train_and_test

    def counting(draft, task, batch_size, seed):
        done.append(seed)
        return train(draft, task, batch_size, seed)

    monkeypatch.setattr(cells, "train_and_test", counting)
    return done


@pytest.mark.slow
def test_a_cell_goes_on_where_it_was_interrupted(tmp_path, trainings):
    cell = Cell("wine MLP", 64)
    lines = measure(cell, [AS_WRITTEN], (0, 1), tmp_path)
    next(lines)
    lines.close()
    list(measure(cell, [AS_WRITTEN], (0, 1), tmp_path))
    assert trainings == [0, 1]
    assert list(measure(cell, [AS_WRITTEN], (0, 1), tmp_path)) == []
    outcomes = cell.record(tmp_path)["arms"][AS_WRITTEN]["outcomes"]
    groups = np.array([float(group) for group in outcomes["0"]["groups"].split()])
    assert groups.mean() == pytest.approx(outcomes["0"]["points"], abs=0.01)


def test_a_record_of_other_settings_is_not_gone_on_with(tmp_path):
    cell = Cell("wine MLP", 64)
    kept = {**cell.record(tmp_path), "arms": {AS_WRITTEN: {}}}
    for epochs, arms_known in ((kept["settings"]["epochs"], {AS_WRITTEN: {}}), (1, {})):
        kept["settings"]["epochs"] = epochs
        cell.path(tmp_path).write_text(json.dumps(kept), "utf-8")
        assert cell.record(tmp_path)["arms"] == arms_known


@pytest.mark.slow
def test_an_arm_that_decides_as_before_is_not_trained_again(tmp_path, trainings, monkeypatch):
    cell = Cell("wine MLP", 64)
    said = {"fixes": []}
    task = task_named("wine MLP")
    monkeypatch.setattr(cells, "_decided", lambda *_: Decision(lambda seed: built(task, seed), dict(said)))
    list(measure(cell, [MEASURED], (0,), tmp_path))
    mark_outdated(cell, [MEASURED], tmp_path)
    list(measure(cell, [MEASURED], (0,), tmp_path))
    assert trainings == [0]
    said["fixes"] = ["another"]
    mark_outdated(cell, [MEASURED], tmp_path)
    list(measure(cell, [MEASURED], (0,), tmp_path))
    assert trainings == [0, 0]


@pytest.mark.slow
def test_a_training_repeats_itself():
    task = task_named("wine MLP")
    keras.backend.clear_session()
    first, second = (cells.train_and_test(arms.batch_norm_everywhere(task).draft(3), task, 64, 3) for _ in range(2))
    assert first.groups == second.groups


def _record(**points):
    """A cell whose arms have points around given ones, in a single voice over seeds and samples."""
    generator = np.random.default_rng(0)
    noise = generator.normal(size=(3, 50))
    noise -= noise.mean()
    found = {}
    for name, mean in points.items():
        outcomes = {
            str(seed): {
                "points": float((mean + noise[seed]).mean()),
                "groups": " ".join(map(str, mean + noise[seed])),
                "seconds": 1.0,
            }
            for seed in range(3)
        }
        found[name.replace("_", " ")] = {
            "outcomes": outcomes,
            "seconds": 1.0,
            "said": {"fixes": ["N101: …"], "plan": [], "training seconds": 30.0},
        }
    return {"task": "plain CNN", "batch size": 8, "arms": found}


def test_goals_are_met_where_the_advice_wins_and_missed_where_it_loses():
    won = _record(as_written=70, measured_advice=75, random_fixes=68, search=75.2)
    lost = _record(as_written=70, measured_advice=65, random_fixes=68, search=75.2)
    assert {goal.name: goal.is_met for goal in summary.goals([won])} == {
        "No harm": True,
        "Gain": True,
        "Regret": True,
        "Compute": True,
        "Beats random fixes": True,
    }
    assert {goal.name: goal.is_met for goal in summary.goals([lost])} == {
        "No harm": False,
        "Gain": False,
        "Regret": False,
        "Compute": True,
        "Beats random fixes": False,
    }


def test_an_arm_without_all_seeds_is_not_compared():
    record = _record(as_written=70, measured_advice=75)
    del record["arms"][MEASURED]["outcomes"]["2"]
    assert not summary.has(record, MEASURED)
    assert summary.goals([record]) == []


def test_shares_have_wilsons_interval():
    # Wilson 1927; the interval of 8 of 10 as R's prop.test(8, 10, correct = FALSE) gives it.
    assert summary.share_with_interval((8, 10)) == "8 of 10 (80%, 49% to 94%)"


def test_the_page_tells_every_arm_of_a_cell():
    page = text([_record(as_written=70, measured_advice=75, random_fixes=60, search=75.2)])
    assert "| 8 | 70.0 | 75.0 **+** | 60.0 **−** | 75.2 **+** |" in page
    assert "![Gains of every arm](benchmarks/plain-cnn.svg)" in page
    assert "| Gain |" in page


def test_records_hold_what_the_page_needs():
    for path in cells.FOLDER.glob("*.json"):
        record = json.loads(path.read_text("utf-8"))
        assert record["arms"].keys() <= set(arms.ARMS), path
        for name in (MEASURED, RANDOM, SEARCH):
            assert not record["arms"].get(name, {}).get("outdated"), path
