import numpy as np
import pytest

from advisor.export.task_metric import task_metrics
from advisor.export.verify import Outputs

RNG = np.random.default_rng(0)
CLASSES = RNG.uniform(size=(6, 3))
BEST = CLASSES.argmax(-1)


def metric(before, labels, after=None):
    before = np.asarray(before)
    found = task_metrics(
        Outputs(("y",), (before,)), Outputs(("y",), (before if after is None else np.asarray(after),)), labels
    )
    return found[0] if found else None


@pytest.mark.parametrize("labels", [BEST, BEST[:, None], np.eye(3)[BEST], np.eye(3)[BEST] * 0.9 + 0.1 / 3])
def test_classes_may_be_numbers_or_distributions(labels):
    found = metric(CLASSES, labels, np.roll(CLASSES, 1, axis=-1))
    assert (found.name, found.keras, found.exported, found.samples) == ("accuracy", 1.0, 0.0, 6)


@pytest.mark.parametrize(
    ("outputs", "expected"),
    [([[0.6], [0.4], [0.2]], 2 / 3), ([[0.6], [-0.4], [7.0]], 1.0), ([[1.2], [0.4], [3.0]], 2 / 3)],
)
def test_one_unit_is_a_probability_or_a_logit(outputs, expected):
    found = metric(outputs, np.array([1, 0, 1]))
    assert found.name == "binary accuracy"
    assert found.keras == pytest.approx(expected)


def test_several_labels_per_sample_are_binary():
    found = metric([[0.9, 0.8, 0.1], [0.2, 0.1, 0.3]], np.array([[1, 1, 0], [0, 1, 0]]))
    assert (found.name, found.keras) == ("binary accuracy", pytest.approx(5 / 6))


def test_maps_are_scored_by_pixel():
    maps = RNG.uniform(size=(2, 4, 5, 3))
    right = maps.argmax(-1)
    wrong = right.copy()
    wrong[0, 0, 0] = (wrong[0, 0, 0] + 1) % 3
    for labels in (wrong, wrong[..., None], np.eye(3)[wrong]):
        found = metric(maps, labels)
        assert (found.name, found.keras) == ("pixel accuracy", pytest.approx(39 / 40))
    assert metric(RNG.uniform(size=(2, 7, 3)), np.zeros((2, 7), int)).name == "accuracy per position"


def test_all_else_is_a_distance():
    found = metric([[1.0], [2.0]], np.array([1.5, 4.0]), [[1.5], [4.0]])
    assert (found.name, found.keras, found.exported) == ("mean absolute error", 1.25, 0.0)
    assert str(found) == "mean absolute error of 'y' 1.25 in Keras, 0 exported (2 labelled samples)"


def test_whole_numbers_are_compared_as_they_are():
    assert metric(np.array([3, 1]), np.array([3, 0])).keras == 0.5


@pytest.mark.parametrize("labels", [None, np.zeros((6, 4)), np.array(["a"] * 6), np.full(6, 9), np.zeros(5)])
def test_labels_that_do_not_fit_give_none(labels):
    found = metric(CLASSES, labels)
    assert found is None


def test_outputs_find_their_labels_by_name_or_order():
    values = (CLASSES, np.array([[0.2]] * 6))
    both = Outputs(("classes", "size"), values)
    size = np.full(6, 0.7)
    for labels in ({"size": size, "classes": BEST}, [BEST, size], (BEST, size)):
        first, second = task_metrics(both, both, labels)
        assert (first.output, first.keras) == ("classes", 1.0)
        assert (second.output, second.keras) == ("size", pytest.approx(0.5))
    (only,) = task_metrics(both, both, [None, size])
    assert only.output == "size"
    (only,) = task_metrics(both, both, {"size": size})
    assert only.output == "size"
    assert task_metrics(both, both, BEST) == ()
