"""Trainings on a Ray cluster, by Ray Tune."""

from __future__ import annotations

import logging
import os
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import ray
from ray import tune
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, TrialScheduler
from ray.util.queue import Queue
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from advisor import output_files as files
from advisor.race import records
from advisor.race.engine import Course, Watch
from advisor.race.schedule import heat_epochs
from advisor.race.trial import Outcome, Trial
from advisor.race.worker import Delivery, Parcel, sendable

MOST_FAILURES = 3
"""A training whose worker is lost is begun anew elsewhere, so many times."""

_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # Files of Tune's own about every training; the race keeps its records itself.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    # The race has a handler of its own.
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    # Nothing of a training that is stopped is missed.
    "TUNE_FORCE_TRIAL_CLEANUP_S": "5",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}


@contextmanager
def connected() -> Iterator[None]:
    """A connection to Ray: the one there is; else to the running cluster, by `RAY_ADDRESS`; else to one of its own."""
    with _environment(_QUIET), _quiet_loggers():
        if ray.is_initialized():
            yield
            return
        ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        try:
            yield
        finally:
            ray.shutdown()


@contextmanager
def interruptible() -> Iterator[threading.Event]:
    """An event that Ctrl-C sets; a second Ctrl-C has its usual effect."""
    pressed = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield pressed
        return
    before = signal.getsignal(signal.SIGINT)

    def press(number: int, frame: Any) -> None:
        pressed.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, press)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, before)


class Cluster:
    """Workers that have all a course needs.

    Args:
        course: The race.
        watch: Sees its trainings.
        parcels: The candidates that can be sent, by name.
        is_over: Asked again and again whether the race is to end.

    Raises:
        ValueError: If the training data cannot be sent.
    """

    def __init__(
        self, course: Course, watch: Watch, parcels: Mapping[str, Parcel], is_over: Callable[[], bool]
    ) -> None:
        self._course, self._watch, self._is_over = course, watch, is_over
        self._parcels = {name: ray.put(parcel) for name, parcel in parcels.items()}
        data = sendable(course.data)
        try:
            self._data = ray.put(data)
        except TypeError as error:
            raise ValueError(
                "`data` must be something that can be pickled, as that is how it gets to the workers of a cluster. "
                f"Received: {type(course.data.training).__name__}: {error}"
            ) from error
        self._scorer = ray.put(course.scorer)
        # Where this process is, so that it is not lost with a worker.
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        self._mail = Queue(actor_options={"num_cpus": 0, "scheduling_strategy": here})
        self.recoveries = 0

    @property
    def workers(self) -> int:
        """Trainings that go on at once, at least 1."""
        there = ray.cluster_resources()
        return max(1, int(min(there.get(name.upper(), 0) // amount for name, amount in _needs().items())))

    def run(self, trials: Sequence[Trial], *, halving: bool) -> dict[Trial, Outcome]:
        """Train, all that fit at once.

        Args:
            trials: Trainings over all epochs, in the order in which they begin.
            halving: Whether those that do not belong to the best third after a third of the epochs are stopped there.

        Returns:
            What came of them; of those that were stopped, under the trial of as many epochs as they ran.
        """
        heat = heat_epochs(self._course.epochs) if halving else None
        desk = _Desk(self._course, self._watch, trials, heat, self._mail)
        with tempfile.TemporaryDirectory(prefix="race-") as folder:
            tune.Tuner(
                tune.with_resources(self._trainable(trials, heat), _needs()),
                param_space={"number": tune.grid_search(list(range(len(trials))))},
                tune_config=tune.TuneConfig(reuse_actors=True, scheduler=_scheduler(self._course.epochs, heat)),
                run_config=tune.RunConfig(
                    storage_path=folder,
                    verbose=0,
                    callbacks=[desk],
                    stop=_Stop(self._is_over),
                    failure_config=tune.FailureConfig(max_failures=MOST_FAILURES),
                ),
            ).fit()
        desk.collect()
        self.recoveries += desk.recoveries
        return desk.outcomes

    def _trainable(self, trials: Sequence[Trial], heat: int | None) -> Callable[[Mapping[str, Any]], None]:
        """What a worker does; it travels by value, so that the worker is set up before it imports anything."""
        parcels, data, scorer, mail = self._parcels, self._data, self._scorer, self._mail
        names = [tuple(trial) for trial in trials]
        environment = _workers_environment()

        def train_one(config: Mapping[str, Any]) -> None:
            for name, value in environment.items():
                os.environ.setdefault(name, value)
            from advisor.race.trial import Trial
            from advisor.race.worker import work

            trial = Trial(*names[config["number"]])
            parcel = ray.get(parcels[trial.candidate])
            work(parcel, ray.get(data), ray.get(scorer), trial, heat, report=tune.report, deliver=mail.put)

        return train_one


class _OfThisProcess:
    """Is left out of what Tune stores of a run, which the race does not go back to."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class _Desk(_OfThisProcess, tune.Callback):
    """Takes in what workers send, and shows it."""

    def __init__(self, course: Course, watch: Watch, trials: Sequence[Trial], heat: int | None, mail: Queue) -> None:
        self._course, self._watch, self._trials, self._heat, self._mail = course, watch, trials, heat, mail
        self._shown: dict[int, Trial] = {}
        self.outcomes: dict[Trial, Outcome] = {}
        self.recoveries = 0

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        number = trial.config["number"]
        if number not in self._shown:
            whole = self._trials[number]
            self._show(number, whole if self._heat is None else whole.over(self._heat))

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        if "epoch" not in result:
            return
        number, epoch = trial.config["number"], result["epoch"]
        if epoch > self._shown[number].epochs:
            self._show(number, self._trials[number])
        self._watch.epoch_done(self._shown[number], epoch, result["score"])
        self.collect()

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.collect()

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.recoveries += 1

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        whole = self._trials[trial.config["number"]]
        reason = str(trial.get_error()).strip().splitlines()[-1:]
        failure = f"its worker was lost {MOST_FAILURES + 1} times: {''.join(reason)}"
        self._take(whole, Outcome(None, -float("inf"), 0, 0.0, failure=failure))

    def collect(self) -> None:
        """Take in what has come."""
        while not self._mail.empty():
            delivery: Delivery = self._mail.get()
            trial = delivery.trial
            if trial in self.outcomes:
                continue  # of a training that was begun anew
            if trial.epochs == self._course.epochs:
                self._keep(delivery)
            self._take(trial, delivery.outcome)

    def _keep(self, delivery: Delivery) -> None:
        if delivery.model is not None:
            with files.complete_file(self._course.model_file(delivery.trial)) as temporary:
                temporary.write_bytes(delivery.model)
        records.keep(self._course, delivery.trial, delivery.outcome)

    def _take(self, trial: Trial, outcome: Outcome) -> None:
        self.outcomes[trial] = outcome
        number = next(n for n, one in enumerate(self._trials) if one[:2] == trial[:2])
        self._watch.ended(self._shown.get(number, trial), outcome)

    def _show(self, number: int, trial: Trial) -> None:
        self._shown[number] = trial
        self._watch.started(trial)


class _Stop(_OfThisProcess, tune.Stopper):
    """Ends all trainings at once."""

    def __init__(self, is_over: Callable[[], bool]) -> None:
        self._is_over = is_over

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self._is_over()


def _scheduler(epochs: int, heat: int | None) -> TrialScheduler:
    if heat is None:
        return FIFOScheduler()
    return ASHAScheduler(
        time_attr="epoch",
        metric="score",
        mode="max",
        grace_period=heat,
        # A rung at the last epoch would stop a training before its model is scored and saved.
        max_t=epochs - 1,
        reduction_factor=3,
        stop_last_trials=False,
    )


def _needs() -> dict[str, float]:
    """What a training takes of a worker: a processor, and a GPU where the cluster has any."""
    return {"cpu": 1, "gpu": 1} if ray.cluster_resources().get("GPU") else {"cpu": 1}


def _workers_environment() -> dict[str, str]:
    """As here; with one thread per training where processors are what trainings share."""
    threads = {} if "gpu" in _needs() else {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
    return {"TF_CPP_MIN_LOG_LEVEL": "2", **threads, "KERAS_BACKEND": keras.backend.backend()}


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Environment variables for the time being; what the user has set stays."""
    added = {name: value for name, value in values.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


@contextmanager
def _quiet_loggers() -> Iterator[None]:
    """No lines of Ray's own about what is retried anyway."""
    logger = logging.getLogger("ray")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)
