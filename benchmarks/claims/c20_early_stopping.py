"""C20: early stopping with the best weights restored beats training to the end on a small set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

import keras
import numpy as np
from keras import layers
from matplotlib.figure import Figure

from advisor.race.statistics import Interval, interval, paired_difference
from benchmarks.claims.claim import Claim, Figures, Judgement, Run, Verdict
from benchmarks.claims.conditions import listed, verdict_of, with_interval
from benchmarks.claims.restarts import restarted
from benchmarks.claims.standardizing import standardized
from benchmarks.claims.style import colour
from benchmarks.datasets import REVIEW_WORDS, Pair, Parts, parts

RATE = 0.001
STOPPED, TO_THE_END, WITH_VALIDATION = "stopped", "to the end", "to the end, validation samples too"


@dataclass(frozen=True)
class Small:
    """A small set, the network trained on it, and for how many epochs."""

    data: str
    train: int
    validation: int
    test: int
    epochs: int
    network: Callable[[], keras.Sequential]


def convolutional() -> keras.Sequential:
    model = keras.Sequential([keras.Input((28, 28, 1))])
    for filters in (16, 32):
        model.add(layers.Conv2D(filters, 3, padding="same", activation="relu"))
        model.add(layers.MaxPooling2D())
    model.add(layers.Flatten())
    model.add(layers.Dense(64, activation="relu"))
    model.add(layers.Dense(10))
    return model


def bag_of_words() -> keras.Sequential:
    embedding = layers.Embedding(REVIEW_WORDS, 32, mask_zero=True)
    head = [layers.Dense(32, activation="relu"), layers.Dense(2)]
    return keras.Sequential([keras.Input((None,), dtype="int32"), embedding, layers.GlobalAveragePooling1D(), *head])


def perceptron() -> keras.Sequential:
    hidden = [layers.Dense(64, activation="relu") for _ in range(2)]
    return keras.Sequential([keras.Input((30,)), *hidden, layers.Dense(2)])


SETS: Mapping[str, Small] = {
    "Fashion-MNIST": Small("fashion_mnist", 400, 100, 2000, 50, convolutional),
    "IMDB": Small("imdb", 800, 200, 2000, 30, bag_of_words),
    "breast cancer": Small("breast_cancer", 120, 40, 400, 100, perceptron),
}


class BestWeights(keras.callbacks.Callback):
    """Keeps what early stopping of any patience below the rest of the run would restore, and lets the run go on."""

    def __init__(self) -> None:
        super().__init__()
        self.loss, self.epoch, self.weights = np.inf, 0, []

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        if logs and logs["val_loss"] < self.loss:
            self.loss, self.epoch, self.weights = logs["val_loss"], epoch + 1, self.model.get_weights()


def drawn_for(small: Small, seed: int) -> Parts:
    drawn = parts(small.data, small.train, small.validation, small.test, seed)
    return standardized(drawn, axis=0) if small.data == "breast_cancer" else drawn


@cache
def trainable(name: str) -> keras.Model:
    model = SETS[name].network()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(), loss, metrics=["accuracy"], steps_per_execution=5, jit_compile=False)
    return model


def begun(name: str, seed: int) -> keras.Model:
    keras.utils.set_random_seed(seed)
    beginning = SETS[name].network()
    return restarted(trainable(name), beginning, RATE)


def tested(model: keras.Model, pair: Pair) -> dict[str, float]:
    loss, accuracy = model.evaluate(*pair, batch_size=500, verbose=0)
    return {"loss": round(float(loss), 4), "accuracy": round(100 * float(accuracy), 2)}


def trained(name: str, seed: int, epochs: int) -> Figures:
    """Loss and accuracy on the test part at both ends of one run, and at the end of one on validation samples too."""
    drawn = drawn_for(SETS[name], seed)
    settings = {"epochs": epochs, "batch_size": 32, "verbose": 0}
    model, best = begun(name, seed), BestWeights()
    history = model.fit(
        *drawn.train, validation_data=drawn.validation, validation_batch_size=500, callbacks=[best], **settings
    ).history
    end = tested(model, drawn.test)
    model.set_weights(best.weights)
    stopped = tested(model, drawn.test)
    x, y = (np.concatenate(both) for both in zip(drawn.train, drawn.validation, strict=True))
    of_all = begun(name, seed)
    of_all.fit(x, y, **settings)
    return {
        STOPPED: stopped,
        TO_THE_END: end,
        WITH_VALIDATION: tested(of_all, drawn.test),
        "best epoch": best.epoch,
        "validation loss": [round(float(loss), 4) for loss in history["val_loss"]],
    }


def measure(run: Run) -> Figures:
    return {
        name: [run.cell(trained, name=name, seed=seed, epochs=5 if run.quick else small.epochs) for seed in run.seeds]
        for name, small in SETS.items()
    }


def values(runs: list[Figures], arm: str, metric: str) -> list[float]:
    """One for each seed."""
    return [one[arm][metric] for one in runs]


def advantages(figures: Figures, rival: str) -> dict[str, Interval]:
    """By how much stopping is better, in loss and in points of accuracy."""
    found = {}
    for name, runs in figures.items():
        found[f"loss on {name}"] = paired_difference(values(runs, rival, "loss"), values(runs, STOPPED, "loss"))
        found[f"accuracy on {name}"] = paired_difference(
            values(runs, STOPPED, "accuracy"), values(runs, rival, "accuracy")
        )
    return found


def judge(figures: Figures) -> Judgement:
    verdict, holding = verdict_of(advantages(figures, TO_THE_END))
    when = f"what counts is {listed(holding)}" if verdict is Verdict.HOLDS_WHEN else ""
    sentences = [_sentence(name, runs) for name, runs in figures.items()]
    against_all = advantages(figures, WITH_VALIDATION)
    more_data = listed(
        [with_interval(against_all[f"accuracy on {name}"], f"points ({name})", signed=True) for name in figures]
    )
    return Judgement(
        verdict,
        f"{' '.join(sentences)} Against a run to the end that may train on the validation samples too, stopping makes "
        f"{more_data} of accuracy.",
        when,
    )


def _sentence(name: str, runs: list[Figures]) -> str:
    found = advantages({name: runs}, TO_THE_END)
    epochs = interval([one["best epoch"] for one in runs])
    return (
        f"{name[0].upper()}{name[1:]}: best after {with_interval(epochs, digits=0)} of "
        f"{len(runs[0]['validation loss'])} epochs; loss "
        f"{np.mean(values(runs, STOPPED, 'loss')):.2f} there and {np.mean(values(runs, TO_THE_END, 'loss')):.2f} at "
        f"the end (lower by {with_interval(found[f'loss on {name}'], digits=2)}), accuracy "
        f"{np.mean(values(runs, STOPPED, 'accuracy')):.1f} % and {np.mean(values(runs, TO_THE_END, 'accuracy')):.1f} % "
        f"({with_interval(found[f'accuracy on {name}'], 'points', signed=True)} for stopping)."
    )


def draw(figures: Figures, figure: Figure) -> None:
    for axes, (name, runs) in zip(figure.subplots(1, len(figures)), figures.items(), strict=True):
        epochs = range(1, len(runs[0]["validation loss"]) + 1)
        lines = axes.plot(epochs, np.transpose([one["validation loss"] for one in runs]), color=colour(name), alpha=0.6)
        lines[0].set_label("a seed")
        best = [min(one["validation loss"]) for one in runs]
        axes.plot([one["best epoch"] for one in runs], best, "o", color="black", markersize=4, label="best weights")
        axes.set(title=name, xlabel="epoch", ylim=(0, None))
    figure.axes[0].set_ylabel("validation loss (cross-entropy)")
    figure.axes[0].legend()


CLAIM = Claim(
    code="C20",
    statement="Early stopping with restored best weights beats training to the end on a small set.",
    how="A convolutional network on 400 images of Fashion-MNIST, the mean of word vectors on 800 reviews of IMDB, a "
    "perceptron on 120 rows of breast cancer; Adam at 0.001, batches of 32, parts drawn anew for every seed. One run "
    "gives both arms: the weights of the epoch with the lowest loss on 100, 200 and 40 validation samples, and those "
    "of the last epoch. A third arm trains to the end on training and validation samples together. Loss and accuracy "
    "are on test samples (2,000, and 400 of breast cancer).",
    measure=measure,
    judge=judge,
    draw=draw,
)
