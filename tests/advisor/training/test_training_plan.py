import json
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from sklearn.datasets import load_digits

from advisor import advise
from advisor.facts import gather_facts
from advisor.graph import LayerSpec, read_graph
from advisor.rules import Finding, PlanChange, Severity
from advisor.training import TrainingPlan, make_plan

STOPPING = {"monitor": "val_loss", "patience": 5, "restore_best_weights": True}


@pytest.fixture(scope="module")
def digits():
    images, labels = load_digits(return_X_y=True)
    images = (images / 16).reshape(-1, 8, 8, 1).astype("float32")
    return images, labels


def digit_net(compiled=True, rate=1e-2):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(4, 3, use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dense(32, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    if compiled:
        model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def line(units=1):
    model = keras.Sequential([keras.Input((3,)), layers.Dense(units)])
    model.compile("sgd", "mse")
    return model


X, Y = np.random.default_rng(0).normal(size=(20, 3)).astype("float32"), np.ones((20, 1), "float32")


def test_advice_on_digits_trains_with_decay_and_gives_back_the_best_epoch(digits):
    images, labels = digits
    train, validation = (images[:300], labels[:300]), (images[300:700], labels[300:700])
    advice = advise(digit_net(), data=train, batch_size=32, epochs=25, select=["R305", "T501"], verbose=0)
    assert {finding.code for finding in advice.findings} == {"R305", "T501"}
    model = digit_net()
    history = advice.plan.fit(model, train, validation_data=validation, verbose=0)
    assert (type(model.optimizer).__name__, model.optimizer.weight_decay) == ("AdamW", 1e-4)
    losses = history.history["val_loss"]
    best = int(np.argmin(losses))
    assert best < len(losses) - 1
    assert model.evaluate(*validation, verbose=0)[0] == pytest.approx(losses[best], rel=1e-5)
    assert max(history.history["val_accuracy"]) > 0.85


def test_decay_moves_kernels_only_in_a_real_run(digits):
    """Two runs of one epoch from the same weights on the same batches differ by the decay alone at the first step."""
    images, labels = digits[0][:32], digits[1][:32]
    plain, decayed = digit_net(), digit_net()
    before = {variable.path: np.array(variable) for variable in plain.trainable_variables}
    plan = TrainingPlan(weight_decay=0.5, batch_size=32)
    plain.fit(images, labels, batch_size=32, verbose=0)
    plan.fit(decayed, images, labels, verbose=0)
    for one, other in zip(plain.trainable_variables, decayed.trainable_variables, strict=True):
        shift = 1e-2 * 0.5 * before[one.path] if one.name == "kernel" else 0.0
        np.testing.assert_allclose(np.array(one) - shift, np.array(other), rtol=0, atol=1e-6)


def test_compile_keeps_loss_metrics_and_further_arguments():
    model = digit_net(compiled=False)
    loss = keras.losses.SparseCategoricalCrossentropy(name="mine")
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
    model.compile(optimizer, loss, metrics=["accuracy"], steps_per_execution=2, jit_compile=False)
    TrainingPlan(weight_decay=1e-3).compile(model)
    config = model.get_compile_config()
    assert model.loss is loss
    assert config["metrics"] == ["accuracy"]
    assert (config["steps_per_execution"], config["jit_compile"]) == (2, False)
    assert (type(model.optimizer), model.optimizer.momentum) == (keras.optimizers.SGD, 0.9)
    assert optimizer.weight_decay is None


def test_an_empty_plan_leaves_a_compiled_model_alone():
    model = line()
    optimizer = model.optimizer
    TrainingPlan().compile(model)
    assert model.optimizer is optimizer


def test_a_model_that_is_not_compiled_gets_loss_and_optimizer(digits):
    train = (digits[0][:200], digits[1][:200])
    model = digit_net(compiled=False)
    plan = advise(model, data=train, batch_size=50, select="R305", verbose=0).plan
    history = plan.fit(model, train, epochs=2, verbose=0)
    assert type(model.optimizer) is keras.optimizers.AdamW
    assert model.loss.name == "sparse_categorical_crossentropy"
    assert "accuracy" in history.history


def test_a_second_fit_goes_on_with_the_same_optimizer():
    model, plan = line(), TrainingPlan(weight_decay=1e-4, batch_size=10)
    plan.fit(model, X, Y, verbose=0)
    optimizer = model.optimizer
    plan.fit(model, X, Y, verbose=0)
    assert model.optimizer is optimizer
    assert int(optimizer.iterations) == 4


def test_a_model_trained_otherwise_gets_the_planned_decay():
    model = line()
    model.fit(X, Y, verbose=0)
    TrainingPlan(weight_decay=1e-4).fit(model, X, Y, verbose=0)
    assert model.optimizer.weight_decay == 1e-4


def test_mixed_precision_decays_inside_the_loss_scaling():
    model = keras.Sequential([keras.Input((3,)), layers.Dense(1, dtype="mixed_float16")])
    model.compile(keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(), initial_scale=2.0), "mse")
    plan = TrainingPlan(weight_decay=1e-4)
    for _ in range(2):
        plan.fit(model, X, Y, batch_size=10, verbose=0)
    assert model.optimizer.inner_optimizer.weight_decay == 1e-4
    assert int(model.optimizer.iterations) == 4


class OwnCompile(keras.Model):
    def compile(self, generator_optimizer):
        super().compile(loss="mse")


def test_a_compile_without_an_optimizer_argument_is_refused():
    inputs = keras.Input((3,))
    model = OwnCompile(inputs, layers.Dense(1)(inputs))
    model.compile("sgd")
    with pytest.raises(ValueError, match=r"`compile` of its own.*Received: compile\(generator_optimizer\)"):
        TrainingPlan(weight_decay=1e-4).compile(model)


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 2

    def __getitem__(self, index):
        rows = slice(10 * index, 10 * (index + 1))
        return X[rows], Y[rows]


def batches():
    return tf.data.Dataset.from_tensor_slices((X, Y)).batch(10)


@pytest.mark.parametrize(
    ("data", "arguments"),
    [
        ((X, Y), {}),
        ((X, Y, np.ones(20)), {}),
        ((X, Y), {"validation_split": 0.5}),
        (batches(), {}),
        (batches(), {"validation_data": (X, Y)}),
        (Batches(), {"validation_data": Batches()}),
    ],
)
def test_fit_takes_what_model_fit_takes(data, arguments):
    plan = TrainingPlan(early_stopping=STOPPING, batch_size=10, epochs=2)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", category=UserWarning, module="keras")
        history = plan.fit(line(), data, verbose=0, **arguments)
    assert len(history.history["loss"]) == 2
    assert ("val_loss" in history.history) == bool(arguments)


def test_fit_takes_separate_targets_weights_and_its_own_epochs():
    plan = TrainingPlan(epochs=5, batch_size=4)
    history = plan.fit(line(), X, Y, epochs=1, batch_size=20, sample_weight=np.ones(20), verbose=0)
    assert history.params["epochs"] == 1
    assert history.params["steps"] == 1


def test_the_users_callbacks_follow_and_replace_those_of_their_class():
    class Seen(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            own.append(self)

    own: list = []
    mine = keras.callbacks.EarlyStopping("loss", patience=0, min_delta=1e9)
    history = TrainingPlan(early_stopping=STOPPING).fit(line(), X, Y, epochs=9, callbacks=[Seen(), mine], verbose=0)
    assert len(own) == 1
    assert len(history.history["loss"]) == 2
    TrainingPlan().fit(line(), X, Y, callbacks=Seen(), verbose=0)
    TrainingPlan().fit(line(), X, Y, callbacks=keras.callbacks.CallbackList([Seen()]), verbose=0)
    assert len(own) == 3


def test_training_stops_when_the_loss_is_no_number():
    data = np.full((20, 3), 1e30, "float32")
    history = TrainingPlan(batch_size=10).fit(line(), data, np.ones((20, 1)), epochs=5, verbose=0)
    assert len(history.history["loss"]) == 1


def test_callbacks_are_fresh_each_time():
    plan = TrainingPlan(early_stopping=STOPPING)
    first, second = plan.callbacks, plan.callbacks
    assert [type(callback).__name__ for callback in first] == ["TerminateOnNaN", "EarlyStopping"]
    assert not {id(callback) for callback in first} & {id(callback) for callback in second}
    assert (first[1].monitor, first[1].patience, first[1].restore_best_weights) == ("val_loss", 5, True)


def test_prepare_batches_every_sample_once():
    dataset = TrainingPlan(batch_size=8).prepare((X, np.arange(20)))
    sizes, seen = zip(*((len(x), list(y.numpy())) for x, y in dataset), strict=True)
    assert sizes == (8, 8, 4)
    assert sorted(label for labels in seen for label in labels) == list(range(20))


def test_planned_augmentation_is_applied_to_the_inputs_alone():
    flip = LayerSpec(keras.layers.RandomFlip, {"mode": "horizontal", "seed": 1})
    images = np.arange(8 * 2 * 2, dtype="float32").reshape(8, 2, 2, 1)
    plan = TrainingPlan(augmentation=(flip,), batch_size=8)
    ((x, y),) = list(plan.prepare(tf.data.Dataset.from_tensor_slices((images, images)).batch(8)))
    np.testing.assert_array_equal(y, images)
    flipped = np.any(x != images, axis=(1, 2, 3))
    assert 0 < flipped.sum() < 8
    np.testing.assert_array_equal(np.where(flipped[:, None, None, None], x[:, :, ::-1], x), images)
    model = keras.Sequential([keras.Input((2, 2, 1)), layers.Flatten(), layers.Dense(1)])
    model.compile("sgd", "mse")
    weighted = plan.fit(model, images, np.ones((8, 1)), sample_weight=np.zeros(8), verbose=0)
    assert weighted.history["loss"] == [0.0]


def test_data_with_workers_of_its_own_passes_as_it_is_where_nothing_changes():
    data = Batches()
    assert TrainingPlan().prepare(data) is data


def finding(*changes):
    return Finding("X001", "x", Severity.INFO, (), "found", "because", plan=changes)


def test_the_first_change_of_a_kind_wins_and_others_are_left_by_hand():
    facts = gather_facts(read_graph(line()))
    other = PlanChange("ensemble", {"members": 3}, "train three and average them")
    decays = [PlanChange("weight_decay", {"weight_decay": value}, "decay") for value in (1e-3, 1e-4)]
    plan = make_plan([finding(decays[0]), finding(other, decays[1])], facts)
    assert plan.weight_decay == 1e-3
    assert plan.by_hand == (other,)
    assert "by hand: train three and average them" in str(plan)


def test_the_plan_is_plain_data_and_readable(digits):
    plan = advise(
        digit_net(compiled=False), data=(digits[0][:64], digits[1][:64]), batch_size=8, epochs=20, verbose=0
    ).plan
    as_data = json.loads(json.dumps(plan.to_dict()))
    assert as_data["weight_decay"] == 1e-4
    assert as_data["early_stopping"]["restore_best_weights"] is True
    assert as_data["objective"]["loss"] == "SparseCategoricalCrossentropy"
    assert (as_data["batch_size"], as_data["epochs"]) == (8, 20)
    for word in (
        "weight decay 0.0001",
        "EarlyStopping(monitor='val_loss', patience=5",
        "SparseCategoricalCrossentropy",
    ):
        assert word in str(plan)
