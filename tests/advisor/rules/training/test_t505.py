"""T505 from the file of a run on: what the plan makes of a verdict."""

import keras
import numpy as np
from keras import layers

from advisor import advise


def model(optimizer="adam"):
    built = keras.Sequential([keras.Input((4,)), layers.Dense(2, activation="softmax")])
    built.compile(optimizer, "sparse_categorical_crossentropy")
    return built


def overfitted(epochs=20):
    epoch = np.arange(epochs)
    return {
        "loss": list(np.exp(-epoch / 5)),
        "val_loss": list(0.4 + 0.6 * np.exp(-epoch / 3) + 0.02 * epoch),
    }


def written(path, history):
    lines = [";".join(["epoch", *history])]
    lines += [";".join(map(str, [epoch, *row])) for epoch, row in enumerate(zip(*history.values(), strict=True))]
    path.write_text("\n".join(lines))
    return path


def test_a_log_file_gives_the_finding_that_its_history_gives(tmp_path):
    history = overfitted()
    expected = advise(model(), history=history, select="T505").findings
    assert [finding.message for finding in expected] == [
        finding.message
        for finding in advise(model(), history=written(tmp_path / "log.csv", history), select="T505").findings
    ]
    assert "epoch" in expected[0].message


def test_overfitting_brings_decay_unless_the_optimizer_has_it():
    plans = [
        advise(model(optimizer), history=overfitted(), select="T505").plan
        for optimizer in ("adam", keras.optimizers.AdamW(weight_decay=0.01))
    ]
    assert [plan.weight_decay for plan in plans] == [1e-4, None]
    assert all(plan.early_stopping["restore_best_weights"] for plan in plans)


def test_divergence_asks_for_a_tenth_of_the_rate_and_for_clipping_once():
    broken = {"loss": [1.0, float("nan")]}
    (finding,) = advise(model(keras.optimizers.SGD(0.5)), history=broken, select="T505").findings
    assert [(change.kind, dict(change.settings)) for change in finding.plan] == [
        ("learning_rate", {"learning_rate": 0.05}),
        ("gradient_clipping", {"clipnorm": 1.0}),
    ]
    clipped = model(keras.optimizers.SGD(0.5, clipvalue=1.0))
    (finding,) = advise(clipped, history=broken, select="T505").findings
    assert [change.kind for change in finding.plan] == ["learning_rate"]


def test_without_a_history_it_is_listed_as_not_run():
    assert [rule.missing for rule in advise(model(), select="T505").not_run] == [("history",)]
