"""`AdvisorCallback`: the advice on a model while it trains."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import keras

from advisor.facts import DataFacts, TrainingFacts, training_facts
from advisor.facts.replicas import replicas_of
from advisor.graph import ModelGraph, read_graph
from advisor.graph.keras_internals import is_built
from advisor.rules import Finding, Severity, select_rules
from advisor.watching.allowance import Allowance
from advisor.watching.look import FIRST_STEPS, WATCHED, WHILE_IT_TRAINS, look
from advisor.watching.samples import samples_of
from advisor.watching.sighting import Sighting, alike, as_text
from advisor.watching.tensorboard import TensorBoardLog

if TYPE_CHECKING:
    from advisor.advice import Advice

STOPS = (None, *(severity.value for severity in Severity))


class AdvisorCallback(keras.callbacks.Callback):
    """Watches a model while it trains, and tells what it finds as it appears, each thing once.

    - N112: moving averages of batch normalization behind the weights, on data; without, by the length of the run.
    - T506: units that never fire, outputs at their limits, on data; with labels, and before the first step, gradients
      that vanish and signals that explode.
    - T505: a loss that is no number, at the step at which it becomes so; divergence, overfitting with its best epoch,
      underfitting, a plateau, noisy validation.
    - T503: a learning rate that does nothing, or too much.

    These are findings of the rules that `advise` runs. The curves are told of once they say the same for two epochs.

    Nothing of training changes: the weights of a run are the same, to the last bit, with the callback and without.
    Looks take at most 5 seconds and `cost` times the time of training; one that would take longer waits for a later
    epoch. What fails in it is told as a warning, and training goes on. A `fit` whose `initial_epoch` follows on the
    last one goes on being watched as one run; any other starts anew.

    Args:
        data: A batch or a data set to look at, best with labels: whatever `fit` takes, but for generators. It is read
            once, here, and about 256 samples of it are kept. A `tf.data.Dataset` that shuffles is then one reading
            further on; give validation data, or arrays, to leave the order of training as it was. None to go without
            running the model, by its structure, its optimizer and its metrics.
        every: Epochs from one look to the next, at least 1.
        select: Codes or prefixes of the rules to ask instead of those above, as in `advise`.
        ignore: Codes or prefixes of the rules to leave out.
        log_dir: Folder for TensorBoard: the text of each finding, and each measurement as a scalar. None for none.
        on_finding: Called with each `Sighting`: `finding`, `epoch` and `step`.
        stop_on: The severity from which on a finding ends training (`"error"`, `"warning"`, `"info"`), or None.
        cost: Share of the time of training that looks may take beyond their 5 seconds, at least 0.
        verbose: 0 silent, 1 printing the findings.

    Attributes:
        findings: What was found in the run, in order: a list of `Sighting`.
        curves: The metrics of the run, one value per epoch, as in `History.history`.

    Raises:
        TypeError: If the data is of a kind that cannot be read twice, or that `fit` does not take.
        ValueError: If an argument is out of range, a code is unknown, or the data is empty.

    Example:
    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
    >>> dead = keras.layers.Dense(8, "relu", bias_initializer=keras.initializers.Constant(-20.0), name="hidden")
    >>> model = keras.Sequential([keras.Input((4,)), dead, keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> watch = AdvisorCallback(data=(x, x[:, :1]), verbose=0)
    >>> history = model.fit(x, x[:, :1], callbacks=[watch], verbose=0)
    >>> last = watch.findings[-1]
    >>> last.epoch, last.finding.code, last.finding.message
    (0, 'T506', '100% of the units of `hidden` are zero for all 64 samples')
    """

    # Steps are only counted, and a loss compared with infinity.
    async_safe = True

    findings: list[Sighting]
    curves: dict[str, list[Any]]
    _epochs: int
    _steps: int
    _steps_before_epoch: int
    _broken: float | None
    _told: set[Any]
    _has_failed: bool

    def __init__(
        self,
        data: Any = None,
        every: int = 1,
        select: str | Iterable[str] | None = None,
        ignore: str | Iterable[str] | None = None,
        log_dir: str | os.PathLike[str] | None = None,
        on_finding: Callable[[Sighting], object] | None = None,
        stop_on: str | None = None,
        cost: float = 0.05,
        verbose: int = 1,
    ) -> None:
        super().__init__()
        _check(every, on_finding, stop_on, cost, verbose)
        self._rules = select_rules(WATCHED if select is None else select, ignore)
        self._samples = None if data is None else samples_of(data)
        self.every, self.stop_on, self.cost, self.verbose = every, stop_on, cost, verbose
        self._log_dir, self._on_finding = log_dir, on_finding
        self._log: TensorBoardLog | None = None
        self._watched: Any = None
        self._subject: tuple[ModelGraph, DataFacts | None] | None = None
        self._allowance = Allowance(cost)
        self._has_begun = False
        self._begin_anew()

    @property
    def seconds(self) -> float:
        """How long the looks of this `fit` have taken."""
        return self._allowance.spent

    def advice(self, **arguments: Any) -> Advice:
        """Advice on the model as it is now, with what was seen of the run: `advise(model, history=…, …)`.

        Args:
            **arguments: Arguments of `advise`, such as `data`; those given here count instead of what was seen.

        Returns:
            The advice.
        """
        from advisor.advice import advise

        training = self._training(self.curves)
        seen: dict[str, Any] = {
            "history": self.curves,
            "epochs": training.epochs,
            "steps_per_epoch": training.steps_per_epoch,
        }
        return advise(self.model, **seen | arguments)

    def set_model(self, model: Any) -> None:
        """Takes the model that will be trained; another one than before begins another run."""
        if model is not self._watched:
            self._begin_anew()
        self._watched, self._subject = model, None
        super().set_model(model)

    def on_train_begin(self, logs: Any = None) -> None:
        """Starts the clock."""
        self._allowance = Allowance(self.cost)
        self._has_begun = False
        self._attempt(self._open_log)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Looks at the model before its first step."""
        if self._has_begun:
            return
        self._has_begun = True
        if epoch == self._epochs > 0:
            return
        self._begin_anew()
        self._epochs = epoch
        self._attempt(self._look, probes=self._probes_before_training(), curves=self.curves)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Tells of a loss that is no number since the step before."""
        self._attempt(self._tell_of_broken_loss)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Counts steps, and keeps a loss that is no number."""
        self._steps = self._steps_before_epoch + batch + 1
        loss = (logs or {}).get("loss")
        if self._broken is None and isinstance(loss, float) and not math.isfinite(loss):
            self._broken = loss

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Looks at the model and its curves."""
        self._attempt(self._tell_of_broken_loss)
        self._epochs, self._steps_before_epoch = epoch + 1, self._steps
        for name, value in (logs or {}).items():
            self.curves.setdefault(name, []).append(value)
        if self._epochs % self.every == 0 and self._allowance.suffices:
            self._attempt(self._look, probes=WHILE_IT_TRAINS, curves=self.curves)

    def on_train_end(self, logs: Any = None) -> None:
        """Judges the curves of the whole run."""
        self._attempt(self._look, probes=(), curves=self.curves, goes_on=False)
        self._attempt(self._close_log)

    def _begin_anew(self) -> None:
        self.findings = []
        self.curves = {}
        self._epochs = self._steps = self._steps_before_epoch = 0
        self._broken = None
        self._told = set()
        self._has_failed = False

    def _attempt(self, act: Callable[..., None], **arguments: Any) -> None:
        """Do something that may fail; the first failure is told, and ends the watching, not the training."""
        if self._has_failed:
            return
        try:
            act(**arguments)
        except Exception as error:
            self._has_failed = True
            warnings.warn(
                f"AdvisorCallback watches no longer, and training goes on: {type(error).__name__}: {error}",
                stacklevel=2,
            )

    def _look(self, probes: Sequence[str], curves: Mapping[str, Sequence[Any]], *, goes_on: bool = True) -> None:
        if not is_built(self.model):
            return
        with self._allowance.spending():
            graph, data = self._subject = self._subject or self._read_subject()
            seen = look(
                graph,
                data,
                replace(self._training(curves), goes_on=goes_on),
                self._rules,
                probes=probes,
                seconds=max(0.0, self._allowance.seconds),
            )
            if self._log is not None:
                self._log.measure(seen.measurements, self._epochs)
            for failure in seen.failures:
                self._warn_once(failure)
            sightings = [Sighting(finding, self._epochs, self._steps) for finding in seen.findings]
            self._tell([sighting for sighting in sightings if sighting.topic not in self._told])

    def _read_subject(self) -> tuple[ModelGraph, DataFacts | None]:
        graph = read_graph(self.model)
        return graph, None if self._samples is None else self._samples.facts(graph)

    def _training(self, curves: Mapping[str, Sequence[Any]]) -> TrainingFacts:
        planned = self.params or {}
        return training_facts(
            batch_size=None,
            steps_per_epoch=planned.get("steps") or (self._steps // self._epochs if self._epochs else None) or None,
            epochs=planned.get("epochs"),
            replicas=replicas_of(self.model),
            history=curves,
            data_batch_size=None if self._samples is None else self._samples.batch_size,
            samples=None,
        )

    def _probes_before_training(self) -> Sequence[str]:
        iterations = getattr(getattr(self.model, "optimizer", None), "iterations", None)
        # Steps with a fresh optimizer say nothing of one that has taken steps already.
        has_trained = iterations is not None and int(keras.ops.convert_to_numpy(iterations)) > 0
        return WHILE_IT_TRAINS if has_trained else FIRST_STEPS + WHILE_IT_TRAINS

    def _tell_of_broken_loss(self) -> None:
        if self._broken is not None and "broken loss" not in self._told:
            self._told.add("broken loss")
            self._epochs += 1
            self._look(probes=(), curves={"loss": [*self.curves.get("loss", ()), self._broken]})
            self._epochs -= 1

    def _tell(self, new: Sequence[Sighting]) -> None:
        self._told |= {sighting.topic for sighting in new}
        self.findings += new
        for same in alike(new):
            if self.verbose:
                print(f"\n{as_text(same)}")
            if self._log is not None:
                self._log.tell(same[0].finding.code, as_text(same), self._epochs)
        for sighting in new:
            if self.stop_on is not None and _is_as_grave(sighting.finding, self.stop_on):
                self.model.stop_training = True
            if self._on_finding is not None:
                self._on_finding(sighting)

    def _warn_once(self, failure: str) -> None:
        if failure not in self._told:
            self._told.add(failure)
            warnings.warn(f"AdvisorCallback goes on without a part: {failure}", stacklevel=2)

    def _open_log(self) -> None:
        if self._log_dir is not None:
            self._log = TensorBoardLog(self._log_dir)

    def _close_log(self) -> None:
        if self._log is not None:
            self._log.close()
            self._log = None


def _check(every: Any, on_finding: Any, stop_on: Any, cost: Any, verbose: Any) -> None:
    if isinstance(every, bool) or not isinstance(every, int) or every < 1:
        raise ValueError(f"`every` of AdvisorCallback must be a whole number of at least 1. Received: every={every!r}")
    if on_finding is not None and not callable(on_finding):
        raise ValueError(
            f"`on_finding` of AdvisorCallback must be callable, or None. Received: on_finding={on_finding!r}"
        )
    if stop_on not in STOPS:
        raise ValueError(
            f"`stop_on` of AdvisorCallback must be None or one of {', '.join(Severity)}. Received: stop_on={stop_on!r}"
        )
    if isinstance(cost, bool) or not isinstance(cost, (int, float)) or not cost >= 0:
        raise ValueError(f"`cost` of AdvisorCallback must be a number of at least 0. Received: cost={cost!r}")
    if verbose not in (0, 1):
        raise ValueError(f"`verbose` of AdvisorCallback must be 0 or 1. Received: verbose={verbose!r}")


def _is_as_grave(finding: Finding, least: str) -> bool:
    order = list(Severity)
    return order.index(finding.severity) <= order.index(Severity(least))
