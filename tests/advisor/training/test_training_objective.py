import keras
import numpy as np
import pytest
from keras import layers

from advisor import advise
from advisor.training import Objective

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(40, 6)).astype("float32")
NUMBERS = np.arange(40) % 3
YES_NO = np.arange(40) % 2


def model(units=3, activation=None, *then):
    return keras.Sequential([keras.Input((6,)), layers.Dense(units, activation=activation), *then])


def plan(network, labels=None, **arguments):
    data = None if labels is None else (X, labels)
    return advise(network, data=data, verbose=0, **arguments).plan


@pytest.mark.parametrize(
    ("network", "labels", "loss", "from_logits"),
    [
        (model(3, "softmax"), NUMBERS, "SparseCategoricalCrossentropy", False),
        (model(3, "softmax"), NUMBERS[:, None], "SparseCategoricalCrossentropy", False),
        (model(3, "softmax"), np.eye(3)[NUMBERS], "CategoricalCrossentropy", False),
        (model(3, "log_softmax"), NUMBERS, "SparseCategoricalCrossentropy", True),
        (model(3), NUMBERS, "SparseCategoricalCrossentropy", True),
        (model(3), np.eye(3)[NUMBERS], "CategoricalCrossentropy", True),
        (model(1, "sigmoid"), None, "BinaryCrossentropy", False),
        (model(1, "sigmoid"), YES_NO, "BinaryCrossentropy", False),
        (model(1), YES_NO, "BinaryCrossentropy", True),
        (model(3, "sigmoid"), GENERATOR.integers(0, 2, (40, 3)), "BinaryCrossentropy", False),
        (model(1), GENERATOR.normal(size=40), "MeanSquaredError", None),
        (model(3), GENERATOR.normal(size=(40, 3)), "MeanSquaredError", None),
    ],
)
def test_head_and_labels_decide(network, labels, loss, from_logits):
    objective = plan(network, labels).objective
    assert (objective.loss, objective.from_logits) == (loss, from_logits)


def test_the_task_given_decides_between_numbers_and_classes():
    assert plan(model(1), YES_NO, task="regression").objective.loss == "MeanSquaredError"


@pytest.mark.parametrize(
    ("network", "labels", "says"),
    [
        (model(3, "softmax"), None, "without labels"),
        (model(3), None, "without labels"),
        (model(3, "tanh"), NUMBERS, "gives no scores of classes"),
    ],
)
def test_where_it_is_unclear_compile_says_so(network, labels, says):
    unclear = plan(network, labels)
    assert unclear.objective is None
    with pytest.raises(ValueError, match=f"cannot be inferred: .*{says}.*Received"):
        unclear.compile(network)
    assert not network.compiled


def test_several_outputs_are_left_to_the_user():
    inputs = keras.Input((6,))
    network = keras.Model(inputs, [layers.Dense(1)(inputs), layers.Dense(1)(inputs)])
    assert "has 2" in plan(network).unclear


def test_accuracy_of_logits_is_counted_from_zero():
    accuracy = Objective("BinaryCrossentropy", True, "accuracy").compile_arguments()["metrics"][0]
    accuracy.update_state([[0], [1]], [[-0.1], [0.2]])
    assert float(accuracy.result()) == 1.0
