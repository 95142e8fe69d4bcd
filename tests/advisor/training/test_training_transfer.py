"""The two phases of transfer."""

import keras
import numpy as np
import pytest
from keras import layers

from advisor.rewrite import pretrained_backbone
from advisor.training import TransferPlan

SHAPE = (8, 8, 3)


def _model(*, compiled=True):
    backbone = keras.Sequential([keras.Input(SHAPE)], name="backbone")
    for index in range(4):
        backbone.add(layers.Conv2D(4, 3, padding="same", name=f"conv_{index}"))
        backbone.add(layers.BatchNormalization(name=f"norm_{index}"))
    model = pretrained_backbone("classification", backbone, outputs=2)
    if compiled:
        model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def _data(count=16):
    generator = np.random.default_rng(0)
    y = np.arange(count) % 2
    return (generator.normal(size=(count, *SHAPE)) + y[:, None, None, None]).astype("float32"), y


def _values(model):
    return {v.path: np.array(keras.ops.convert_to_numpy(v.value)) for v in model.variables}


def _changed(before, after):
    changed = {path.split("/")[-2] for path in before if not np.array_equal(before[path], after[path])}
    return changed - {"seed_generator"}


class Record(keras.callbacks.Callback):
    """Weights, rate and trained layers at the start and end of each phase."""

    def __init__(self):
        super().__init__()
        self.starts, self.ends, self.rates = [], [], []

    def on_train_begin(self, logs=None):
        self.starts.append(_values(self.model))
        self.rates.append(float(self.model.optimizer.learning_rate))

    def on_epoch_end(self, epoch, logs=None):
        self.ends = [*self.ends[: len(self.starts) - 1], _values(self.model)]


def test_the_head_first_then_the_top_at_a_tenth_of_the_rate():
    model, record = _model(), Record()
    plan = TransferPlan(head_epochs=2, top_epochs=2, top_share=0.5)
    history = plan.fit(model, *_data(), callbacks=[record], verbose=0)
    assert len(history.head["loss"]) == len(history.top["loss"]) == 2
    assert _changed(record.starts[0], record.ends[0]) == {"head"}
    assert _changed(record.starts[1], record.ends[1]) == {"head", "conv_2", "conv_3"}
    assert record.rates == pytest.approx([0.1, 0.01])
    assert type(model.optimizer) is keras.optimizers.SGD
    assert model.optimizer.momentum == 0.9


def test_batch_normalization_of_the_backbone_infers_in_both_phases():
    model = _model()
    plan = TransferPlan()
    norms = [layer for layer in model.get_layer("backbone").layers if isinstance(layer, layers.BatchNormalization)]
    for set_flags in (plan.freeze_backbone, plan.unfreeze_top):
        set_flags(model)
        assert not any(norm.trainable for norm in norms)


def test_a_second_phase_that_makes_it_worse_is_taken_back():
    model, data = _model(), _data()
    plan = TransferPlan(head_epochs=3, top_epochs=2, rate_factor=1e4)
    history = plan.fit(model, *data, validation_data=data, verbose=0)
    assert history.kept == 1
    assert model.evaluate(*data, verbose=0)[0] == pytest.approx(min(history.head["val_loss"]), rel=1e-4)


def test_the_best_weights_of_the_phases_are_kept():
    model, data = _model(), _data()
    history = TransferPlan(head_epochs=6, top_epochs=6).fit(model, *data, validation_data=data, verbose=0)
    best = min(history.head["val_loss"] + history.top["val_loss"])
    assert model.evaluate(*data, verbose=0)[0] == pytest.approx(best, rel=1e-4)


def test_the_second_phase_can_be_left_out():
    history = TransferPlan(head_epochs=1, top_epochs=0).fit(_model(), *_data(), verbose=0)
    assert history.top == {}
    assert history.kept == 1


def test_a_phase_stops_when_it_does_not_improve():
    model, data = _model(), _data()
    plan = TransferPlan(head_epochs=50, top_epochs=0, patience=1)
    model.compile(keras.optimizers.SGD(0.0), "sparse_categorical_crossentropy")
    assert len(plan.fit(model, data, validation_data=data, verbose=0).head["loss"]) == 2


def test_a_model_that_is_not_compiled_gets_a_loss_from_its_head():
    model = _model(compiled=False)
    TransferPlan(head_epochs=1, top_epochs=1).fit(model, _data(), verbose=0)
    assert type(model.optimizer) is keras.optimizers.Adam
    assert "accuracy" in model.evaluate(*_data(), verbose=0, return_dict=True)


def test_the_largest_nested_model_is_the_backbone():
    inputs = keras.Input(SHAPE)
    small = keras.Sequential([keras.Input(SHAPE), layers.Conv2D(3, 1)], name="small")
    large = keras.Sequential([keras.Input(SHAPE), layers.Conv2D(3, 3)], name="large")
    model = keras.Model(inputs, large(small(inputs)))
    TransferPlan().freeze_backbone(model)
    assert [model.get_layer(name).trainable for name in ("small", "large")] == [True, False]
    TransferPlan(backbone="small").freeze_backbone(model)
    assert not model.get_layer("small").trainable


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: TransferPlan(head_epochs=0), "Received: head_epochs=0"),
        (lambda: TransferPlan(top_share=1.5), "Received: top_share=1.5"),
        (lambda: TransferPlan().fit(_model(), *_data(), epochs=3), "Received: epochs=3"),
        (lambda: TransferPlan("nope").freeze_backbone(_model()), "Received: backbone='nope'"),
        (
            lambda: TransferPlan().freeze_backbone(keras.Sequential([keras.Input((2,)), layers.Dense(1)])),
            "of which there are: none",
        ),
    ],
)
def test_wrong_arguments_are_named(call, match):
    with pytest.raises(ValueError, match=match):
        call()
