"""A403: few recordings, and no augmentation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import layers

import keras_normpack
from advisor.facts import DataFacts, Facts
from advisor.graph import LayerSpec
from advisor.rules.augmentation.small_sets import samples_per_class, small_unaugmented_set
from advisor.rules.base import Case, Requirement, Rule
from advisor.rules.finding import Finding, PlanChange, Severity
from advisor.rules.inputs.scaling import is_masked
from advisor.rules.registry import rule

BAND = 8
"""The widest band of a spectrogram that is masked: this part of the axis."""

SHIFT = 0.1
NOISE = 0.05
"""Deviation of the noise beside that of the waveforms: 26 dB below."""


def _of_spectrograms(*before: Any) -> keras.Model:
    model = keras.Sequential(
        [
            keras.Input((40, 16, 1)),
            *before,
            layers.Conv2D(4, 3),
            layers.ReLU(),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2, activation="softmax"),
        ]
    )
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def _of_waveforms(units: int = 2) -> keras.Model:
    model = keras.Sequential(
        [
            keras.Input((2400, 1)),
            layers.Conv1D(4, 32, strides=16, activation="relu"),
            layers.GlobalAveragePooling1D(),
            layers.Dense(units, activation="softmax"),
        ]
    )
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def _spectrograms(count: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Decibels that fall with the frequency."""
    noise = np.random.default_rng(0).normal(scale=4.0, size=(count, 40, 16, 1))
    return noise - 3.0 * np.arange(16)[:, None], np.arange(count) % 2


def _waveforms(count: int = 60) -> tuple[np.ndarray, np.ndarray]:
    frequencies = np.random.default_rng(0).uniform(0.01, 0.05, size=(count, 1, 1))
    return np.sin(2 * np.pi * frequencies * np.arange(2400)[:, None]), np.arange(count) % 2


@rule
class UnaugmentedAudio(Rule):
    """There are few recordings of each class, and the network always hears the same ones.

    What it does:
        Speaks for the classification of spectrograms or waveforms with fewer than 5,000 recordings of each class and no
        augmentation layer in the model. What they are is told by the layers that read them (`STFTSpectrogram`,
        `MelSpectrogram`) and by the values: decibels, logarithms or magnitudes that fall along one axis; or at least
        2,000 steps that swing around 0. Silent in runs of fewer than 20 epochs (A401), and of fewer than 100 on
        spectrograms. What a data set augments by itself cannot be seen.

    Why it matters:
        A network that hears the same recordings in every epoch learns the voice and the room, not the word. With masked
        bands of time and frequency Park et al. reached 6.8 % word errors on LibriSpeech test-other without a language
        model, the best figure of their time; warping time added little. On small sets it is no sure gain, and in short
        runs a loss: on 400 spoken digits it cost a convolutional network 4.5 ± 1.8 points in 30 epochs and 0.7 ± 0.7 in
        60, and made no difference that could be told for new speakers (C19 of docs/claims.md). Let it race
        (`advice.race`) before you believe it.

    Example:
        ```python
        model.fit(log_mel_spectrograms, labels, epochs=200)
        ```

    Fix:
        No change to the model. The training plan masks one band of up to an eighth of each axis of spectrograms
        (`keras_normpack.SpecAugment`), or shifts waveforms by up to a tenth of their length and adds noise of 1/20 of
        their deviation. Validation data is left as it is.
    """

    code = "A403"
    name = "unaugmented-audio"
    severity = Severity.INFO
    requires = frozenset({Requirement.GRAPH, Requirement.SAMPLES})
    references = ("park-2019",)

    VALID = (
        Case(
            "augmented in the model",
            lambda: _of_spectrograms(keras_normpack.SpecAugment(time_warp=0, frequency_mask=4, time_mask=8)),
            {"data": _spectrograms},
        ),
        Case(
            "too short a run for masked bands", _of_spectrograms, {"data": _spectrograms, "batch_size": 1, "epochs": 60}
        ),
        Case(
            "pixels, not decibels",
            _of_spectrograms,
            {"data": lambda: (np.random.default_rng(0).uniform(size=(60, 40, 16, 1)), np.arange(60) % 2)},
        ),
    )
    INVALID = (
        Case("thirty spectrograms of each class", _of_spectrograms, {"data": _spectrograms}),
        Case("thirty waveforms of each class", _of_waveforms, {"data": _waveforms}),
    )

    def check(self, facts: Facts) -> Iterator[Finding]:
        data = small_unaugmented_set(facts, "spectrogram", "waveform")
        if data is None or (facts.graph.inputs and is_masked(facts, facts.graph.inputs[0].path)):
            return
        specs = _for_spectrograms(data) if data.modality == "spectrogram" else _for_waveforms(data)
        if not specs:
            return
        yield self.finding(
            message=f"{data.samples_per_class:,.0f} training {data.modality}s of each class, and no augmentation in "
            "the model",
            why="The network hears the same recordings in every epoch and learns them by heart. (If your data set "
            "changes them already, leave this out.)",
            plan=(
                PlanChange(
                    "augmentation",
                    {"layers": specs},
                    "mask bands of time and frequency in the training data"
                    if data.modality == "spectrogram"
                    else "shift the training waveforms and add noise",
                ),
            ),
            measurements=(samples_per_class(data),),
        )


def _for_spectrograms(data: DataFacts) -> tuple[LayerSpec, ...]:
    height, width = data.inputs[0].shape[:2]
    if height is None or width is None:
        return ()
    # Without a warp, it does not matter which of the axes is time.
    masks = {"time_mask": max(1, height // BAND), "frequency_mask": max(1, width // BAND)}
    return (LayerSpec(keras_normpack.SpecAugment, {"time_warp": 0, **masks}),)


def _for_waveforms(data: DataFacts) -> tuple[LayerSpec, ...]:
    (waveforms,) = data.inputs
    if not waveforms.deviation > 0:
        return ()
    return (
        LayerSpec(keras_normpack.RandomTimeShift, {"factor": SHIFT}),
        LayerSpec(keras_normpack.RandomJitter, {"stddev": NOISE * waveforms.deviation}),
    )
