"""Probes: figures measured by running the user's model on the user's data. One probe per file."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import keras

from advisor.facts.data_facts import DataFacts
from advisor.facts.measurement import Measurement
from advisor.facts.probes.activations import Activations
from advisor.facts.probes.batch_dispersion import BatchDispersion, independent_values
from advisor.facts.probes.first_steps import FirstSteps
from advisor.facts.probes.litert_cost import LiteRTCost
from advisor.facts.probes.mode_difference import ModeDifference
from advisor.facts.probes.samples import Clock, Say
from advisor.facts.probes.statistics_lag import StatisticsLag
from advisor.graph import ModelGraph

__all__ = ["Probe", "ProbeFailure", "independent_values", "make_mobile_probes", "make_probes"]

Probe = Callable[[str], Measurement | None]

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
"""Keras prints parts of its errors in bold."""


@dataclass(frozen=True)
class ProbeFailure:
    """A probe that could not measure, since the model does not run in it; rules went without its figures.

    Attributes:
        probe: The probe's name.
        error: Type and message of the exception.
    """

    probe: str
    error: str


def make_probes(
    graph: ModelGraph,
    data: DataFacts,
    *,
    batch_size: int | None,
    seed: int = 0,
    probe_seconds: float = 20,
    say: Say = lambda doing: None,
    failed: Callable[[ProbeFailure], object] = lambda failure: None,
) -> dict[str, Probe]:
    """The measuring functions rules may call; nothing is measured before the first call.

    Each takes the path of a leaf and gives a measurement, or None where it cannot tell. The model stays as it is.

    | probe | measures |
    |---|---|
    | `batch_dispersion` | effective samples per channel on which a batch normalization's statistics rest |
    | `mode_difference` | how far training and inference differ: of a batch normalization, or of the model (`""`) |
    | `statistics_lag` | how far a batch normalization's moving averages are behind the weights |
    | `activation_mean`, `activation_deviation` | of a layer's outputs |
    | `dead_share` | share of a ReLU's channels that are zero for all samples |
    | `saturated_share` | share of a tanh's or sigmoid's outputs within 0.01 of their limits |
    | `gradient_norm`, `gradient_norm_later` | of a layer's matrices, by these and the loss: first, after 5 steps |
    | `penalty_ratio` | penalties to loss at the start: of a layer, or of the model (`""`) |
    | `loss_after_steps` | loss after 5 steps of the optimizer to the loss before them (`""`) |

    Args:
        graph: The model's graph.
        data: Facts of the training data.
        batch_size: Samples over which a batch normalization averages: those of one replica. None if unknown.
        seed: Seed of the order in which the samples are taken.
        probe_seconds: About how many seconds all measurements together may take, at least 0. Batch statistics are
            measured on a few samples in any case.
        say: Told what is being measured.
        failed: Told of a probe in which the model does not run, when a rule asks it; it is not tried again.

    Returns:
        Probes by name; none where no sample is known.

    Example:
    >>> import keras, numpy as np
    >>> from advisor.facts.read_data import read_data
    >>> from advisor.graph import read_graph
    >>> norm = keras.layers.BatchNormalization(name="norm")
    >>> graph = read_graph(keras.Sequential([keras.Input((5,)), norm]))
    >>> data = read_data(np.random.default_rng(0).normal(size=(64, 5)), graph)
    >>> measured = make_probes(graph, data, batch_size=16)["batch_dispersion"]("norm")
    >>> 12 < measured.value < 20
    True
    """
    if not data.batches:
        return {}
    clock = Clock(probe_seconds, say)
    steps = FirstSteps(graph, data, seed, clock)
    probes: dict[str, Probe] = {
        "gradient_norm": steps.gradient_norm,
        "gradient_norm_later": steps.gradient_norm_later,
        "penalty_ratio": steps.penalty_ratio,
        "loss_after_steps": steps.loss_after_steps,
        "statistics_lag": StatisticsLag(graph, data, seed, clock).measure,
    }
    if graph.root.kind != "opaque":
        activations = Activations(graph, data, seed, clock)
        probes |= {
            "activation_mean": activations.mean,
            "activation_deviation": activations.deviation,
            "dead_share": activations.dead_share,
            "saturated_share": activations.saturated_share,
            "mode_difference": ModeDifference(graph, data, seed, clock).measure,
        }
        if batch_size is not None:
            probes["batch_dispersion"] = BatchDispersion(graph, data, batch_size, seed, clock).measure
    return {name: _that_never_raises(name, probe, failed) for name, probe in probes.items()}


def make_mobile_probes(
    graph: ModelGraph,
    *,
    probe_seconds: float = 20,
    say: Say = lambda doing: None,
    failed: Callable[[ProbeFailure], object] = lambda failure: None,
) -> dict[str, Probe]:
    """The measuring functions for a model that is to run on a phone; they need no data.

    | probe | measures |
    |---|---|
    | `litert_milliseconds`, `litert_operators` | of a layer alone in LiteRT, one thread, one sample, as it is written |
    | `litert_milliseconds_lowered`, `litert_operators_lowered` | the same in the form in which the export writes it |

    Args:
        graph: The model's graph.
        probe_seconds: About how many seconds all measurements together may take, at least 0.
        say: Told what is being measured.
        failed: Told of a probe that cannot measure.

    Returns:
        Probes by name; none where TensorFlow, whose converter they need, is not Keras's backend.
    """
    if keras.backend.backend() != "tensorflow":
        return {}
    cost = LiteRTCost(graph, Clock(probe_seconds, say))
    probes: dict[str, Probe] = {
        "litert_milliseconds": cost.milliseconds,
        "litert_milliseconds_lowered": cost.milliseconds_lowered,
        "litert_operators": cost.operators,
        "litert_operators_lowered": cost.operators_lowered,
    }
    return {name: _that_never_raises(name, probe, failed) for name, probe in probes.items()}


def _that_never_raises(name: str, probe: Probe, failed: Callable[[ProbeFailure], object]) -> Probe:
    """A probe that falls silent where the model cannot be run in it, for its rules have other grounds to stand on."""
    has_failed = False

    def measured(path: str) -> Measurement | None:
        nonlocal has_failed
        if has_failed:
            return None
        try:
            return probe(path)
        except Exception as error:
            has_failed = True
            failed(ProbeFailure(name, _COLOURS.sub("", f"{type(error).__name__}: {error}")))
            return None

    return measured
