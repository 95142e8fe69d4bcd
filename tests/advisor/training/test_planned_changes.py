"""What a plan does beyond decay and early stopping: optimizer settings, labels, augmentation, mixing, statistics."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_normpack
from advisor import advise
from advisor.facts import gather_facts
from advisor.graph import LayerSpec, read_graph
from advisor.rules import Finding, PlanChange, Severity
from advisor.training import TrainingPlan, make_plan

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(24, 3)).astype("float32")
Y = np.arange(24) % 3
IMAGES = GENERATOR.uniform(size=(24, 8, 8, 1)).astype("float32")
MIX = LayerSpec(layers.MixUp, {"alpha": 0.4, "seed": 1})
SETTINGS = {
    "gradient_clipping": {"clipnorm": 1.0},
    "learning_rate": {"learning_rate": 0.25},
    "reduce_on_plateau": {"factor": 0.5, "patience": 2},
    "label_smoothing": {"label_smoothing": 0.1},
    "augmentation": {"layers": (LayerSpec(layers.GaussianNoise, {"stddev": 0.1}),)},
    "mixing": {"layer": MIX},
    "batch_statistics": {},
}


def classifier(
    loss="sparse_categorical_crossentropy", metrics=("accuracy",), units=3, activation="softmax", norm=False
):
    steps = [layers.BatchNormalization()] if norm else []
    model = keras.Sequential([keras.Input((3,)), *steps, layers.Dense(units, activation=activation)])
    model.compile(keras.optimizers.SGD(0.1), loss, metrics=list(metrics))
    return model


def image_classifier():
    model = keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(3, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def planned(model, *kinds, **others):
    changes = {kind: SETTINGS[kind] for kind in kinds} | others
    findings = [
        Finding("X001", "x", Severity.INFO, (), "found", "why", plan=(PlanChange(kind, settings, f"do {kind}"),))
        for kind, settings in changes.items()
    ]
    return make_plan(findings, gather_facts(read_graph(model)))


def test_gradients_are_clipped_and_the_users_own_clipping_wins():
    model = classifier()
    plan = planned(model, "gradient_clipping")
    plan.fit(model, X, Y, verbose=0)
    assert model.optimizer.clipnorm == 1.0
    optimizer = model.optimizer
    plan.fit(model, X, Y, verbose=0)
    assert model.optimizer is optimizer
    own = classifier()
    own.compile(keras.optimizers.SGD(0.1, global_clipnorm=3.0), own.loss)
    plan.compile(own)
    assert (own.optimizer.clipnorm, own.optimizer.global_clipnorm) == (None, 3.0)


def test_clipping_decay_and_learning_rate_go_together():
    model = classifier()
    plan = planned(model, "gradient_clipping", "learning_rate", weight_decay={"weight_decay": 1e-3})
    plan.compile(model)
    optimizer = model.optimizer
    assert (type(optimizer), optimizer.clipnorm, optimizer.weight_decay) == (keras.optimizers.SGD, 1.0, 1e-3)
    assert float(optimizer.learning_rate) == 0.25
    before = [np.array(variable) for variable in model.trainable_variables]
    plan.fit(model, X, Y, verbose=0)
    assert not np.array_equal(before[0], model.trainable_variables[0])


def test_a_schedule_of_the_users_is_neither_replaced_nor_reduced():
    model = classifier()
    model.compile(keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.1, 100)), model.loss)
    plan = planned(model, "learning_rate", "reduce_on_plateau")
    plan.fit(model, X, Y, verbose=0)
    assert isinstance(model.optimizer.get_config()["learning_rate"], dict)


def test_the_learning_rate_falls_on_a_plateau():
    model = classifier()
    plan = planned(model, reduce_on_plateau={"factor": 0.5, "patience": 1, "min_delta": 1e9})
    assert "ReduceLROnPlateau" in [type(callback).__name__ for callback in plan.callbacks]
    plan.fit(model, X, Y, epochs=4, verbose=0)  # without validation data the training loss is watched
    assert float(model.optimizer.learning_rate) < 0.1


@pytest.mark.parametrize("as_dataset", [False, True])
def test_class_numbers_are_smoothed_while_training(as_dataset):
    """The first step's loss is that of smoothed one-hot labels, and metrics and later evaluations are as ever."""
    model, by_hand = classifier(), classifier(keras.losses.CategoricalCrossentropy(label_smoothing=0.1))
    by_hand.set_weights(model.get_weights())
    plan = planned(model, "label_smoothing")
    data = (X, Y)
    if as_dataset:
        data = tf.data.Dataset.from_tensor_slices(data).batch(24)
    history = plan.fit(model, data, validation_data=data, batch_size=None if as_dataset else 24, verbose=0).history
    one_hot = keras.utils.to_categorical(Y, 3)
    expected = by_hand.fit(X, one_hot, validation_data=(X, one_hot), batch_size=24, verbose=0).history
    for name, values in expected.items():
        np.testing.assert_allclose(history[name], values, rtol=1e-5, err_msg=name)
    loss, accuracy = model.evaluate(X, Y, verbose=0)
    assert model.get_compile_config()["loss"]["class_name"] == "SparseCategoricalCrossentropy"
    assert accuracy == pytest.approx(history["val_accuracy"][0])
    scores = model.predict(X, verbose=0)
    assert loss == pytest.approx(-np.log(scores[np.arange(24), Y]).mean(), rel=1e-4)
    optimizer = model.optimizer
    plan.fit(model, data, verbose=0)
    assert model.optimizer is optimizer
    assert int(optimizer.iterations) == 2 if as_dataset else int(optimizer.iterations) > 1


@pytest.mark.parametrize(
    ("loss", "units", "activation", "labels"),
    [
        ("categorical_crossentropy", 3, "softmax", keras.utils.to_categorical(Y, 3)),
        (keras.losses.CategoricalCrossentropy(from_logits=True), 3, None, keras.utils.to_categorical(Y, 3)),
        ("binary_crossentropy", 1, "sigmoid", Y % 2),
    ],
)
def test_losses_that_can_smooth_do_it_themselves(loss, units, activation, labels):
    model = classifier(loss, units=units, activation=activation)
    plan = planned(model, "label_smoothing")
    assert plan.classes is None
    plan.fit(model, X, labels, verbose=0)
    assert model.loss.label_smoothing == 0.1
    assert model.loss.get_config().get("from_logits") == (activation is None)


def test_the_users_own_smoothing_wins():
    model = classifier(keras.losses.CategoricalCrossentropy(label_smoothing=0.3))
    planned(model, "label_smoothing").compile(model)
    assert model.loss.label_smoothing == 0.3


@pytest.mark.parametrize("metric", ["sparse_categorical_accuracy", keras.metrics.SparseTopKCategoricalAccuracy(2)])
def test_metrics_of_class_numbers_stay_right(metric):
    model = classifier(metrics=(metric,))
    plan = planned(model, "label_smoothing")
    history = plan.fit(model, X, Y, validation_data=(X, Y), verbose=0).history
    after = model.evaluate(X, Y, verbose=0, return_dict=True)
    (name,) = {key for key in after if key != "loss"}
    assert history[f"val_{name}"][0] == pytest.approx(after[name])


def own_loss(y_true, y_pred):
    return keras.ops.mean(keras.ops.square(y_pred), axis=-1)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (lambda: classifier(own_loss), "one crossentropy of Keras's own"),
        (lambda: classifier(keras.losses.SparseCategoricalCrossentropy(ignore_class=0)), "ignore_class"),
        (lambda: classifier(metrics=(lambda y, p: p[:, 0],)), "not known to take one-hot labels"),
    ],
    ids=["loss", "ignored class", "metric"],
)
def test_what_cannot_be_smoothed_is_left_by_hand_with_the_reason(model, reason):
    plan = planned(model(), "label_smoothing", "gradient_clipping")
    assert (plan.label_smoothing, plan.classes, plan.clipnorm) == (None, None, 1.0)
    assert reason in plan.by_hand[0].title
    assert f"by hand: do label_smoothing ({reason}" in str(plan) or reason in str(plan)


def test_images_and_labels_are_mixed_alike():
    marks = np.broadcast_to(Y[:, None, None, None] * 1.0, IMAGES.shape).astype("float32")
    plan = planned(image_classifier(), "mixing")
    assert plan.classes == 3
    dataset = plan.prepare(tf.data.Dataset.from_tensor_slices((marks, Y)).batch(24))
    ((x, y),) = [(x.numpy(), y.numpy()) for x, y in dataset]
    np.testing.assert_allclose(y.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(x[:, 0, 0, 0], y @ [0, 1, 2], rtol=1e-5)
    assert ((y > 0) & (y < 1)).any()


def test_grey_images_without_their_last_axis_are_mixed_and_augmented():
    flip = LayerSpec(layers.RandomFlip, {"mode": "horizontal"})
    plan = planned(image_classifier(), "mixing", augmentation={"layers": (flip,)})
    assert plan.fit(image_classifier(), (IMAGES[..., 0] * 255).astype("uint8"), Y, verbose=0).history["loss"]
    x, y = next(iter(plan.prepare((IMAGES[..., 0], Y))))
    assert (x.shape, y.shape) == ((24, 8, 8, 1), (24, 3))


def test_validation_data_is_neither_mixed_nor_augmented():
    noise = LayerSpec(layers.GaussianNoise, {"stddev": 1.0})
    model = image_classifier()
    plan = planned(model, "mixing", augmentation={"layers": (noise,)})
    x, y = plan.prepare_validation((IMAGES, Y))
    np.testing.assert_array_equal(x, IMAGES)
    np.testing.assert_array_equal(y, keras.utils.to_categorical(Y, 3))
    history = plan.fit(model, IMAGES, Y, validation_split=0.25, batch_size=6, verbose=0)
    assert history.params["steps"] == 3
    assert model.evaluate(IMAGES[18:], Y[18:], verbose=0)[0] == pytest.approx(history.history["val_loss"][0], rel=1e-4)


def test_weighted_samples_are_not_mixed():
    with pytest.raises(ValueError, match="there is no weight that fits a mixture"):
        planned(image_classifier(), "mixing").prepare((IMAGES, Y, np.ones(24)))


def test_other_data_is_refused_with_a_remedy():
    plan = planned(classifier(), "label_smoothing")
    for prepare in (plan.prepare, plan.prepare_validation):
        with pytest.raises(ValueError, match=r"ignore='A,R307'. Received: object"):
            prepare(object())


def test_augmentation_of_several_findings_is_joined_in_order():
    scaling, jitter = (
        LayerSpec(keras_normpack.RandomScaling, {"stddev": 0.1}),
        LayerSpec(keras_normpack.RandomJitter, {"stddev": 0.1}),
    )
    changes = [PlanChange("augmentation", {"layers": specs}, "vary") for specs in ((scaling,), (jitter, scaling))]
    findings = [Finding("X001", "x", Severity.INFO, (), "found", "why", plan=(change,)) for change in changes]
    assert make_plan(findings, gather_facts(read_graph(classifier()))).augmentation == (scaling, jitter)


def test_data_of_several_inputs_is_left_by_hand():
    one, other = keras.Input((3,)), keras.Input((3,))
    model = keras.Model([one, other], layers.Dense(3)(layers.Add()([one, other])))
    plan = planned(model, "augmentation")
    assert plan.augmentation == ()
    assert "one input only" in plan.by_hand[0].title


def test_moving_averages_are_recomputed_by_fit():
    shifted = X + 5
    model = classifier(norm=True)
    plan = planned(model, "batch_statistics")
    plan.fit(model, shifted, Y, batch_size=24, validation_data=(shifted, Y), verbose=0)
    np.testing.assert_allclose(np.array(model.layers[0].moving_mean), shifted.mean(axis=0), rtol=1e-4)
    plain = classifier()
    plan.fit(plain, X, Y, verbose=0)  # nothing to recompute


def test_all_of_it_is_told():
    plan = planned(image_classifier(), *SETTINGS)
    as_data = json.loads(json.dumps(plan.to_dict()))
    assert (as_data["clipnorm"], as_data["learning_rate"], as_data["label_smoothing"]) == (1.0, 0.25, 0.1)
    assert as_data["reduce_on_plateau"] == {"factor": 0.5, "patience": 2}
    assert as_data["batch_statistics"] is True
    assert "MixUp" in as_data["mixing"]
    for words in (
        "learning rate 0.25, gradients clipped to norm 1",
        "ReduceLROnPlateau(factor=0.5, patience=2)",
        "PreciseBatchNormalization",
        "augmentation: keras.layers.GaussianNoise(stddev=0.1)",
        "mixing: keras.layers.MixUp",
        "labels: smoothed by 0.1",
    ):
        assert words in str(plan)
    model = image_classifier()
    assert plan.fit(model, IMAGES, Y, validation_data=(IMAGES, Y), verbose=0).history["val_loss"]
    assert model.evaluate(IMAGES, Y, verbose=0)


def test_an_empty_plan_changes_nothing_about_labels():
    model = classifier()
    loss = model.loss
    TrainingPlan().fit(model, X, Y, verbose=0)
    assert model.loss is loss


def test_batches_that_the_users_own_code_makes_are_left_to_it():
    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 4

        def __getitem__(self, index):
            images = np.random.default_rng(index).uniform(0, 1, (8, 16, 16, 1)).astype("float32")
            return images, np.arange(8) % 10

    stack = [layers.Conv2D(4, 3, activation="relu"), layers.GlobalAveragePooling2D(), layers.Dense(10)]
    model = keras.Sequential([keras.Input((16, 16, 1)), *stack])
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    advice = advise(model, data=Batches(), select="A4,R307", verbose=0)
    left = [
        change.title for change in advice.plan.by_hand if change.kind in ("augmentation", "mixing", "label_smoothing")
    ]
    assert left
    assert all("made by code of your own" in title for title in left)
    _, history = advice.fit(Batches(), epochs=1, verbose=0)
    assert len(history.history["loss"]) == 1
