"""N103: batch normalization on a batch that is small because replicas share it."""

from __future__ import annotations

from collections.abc import Iterator

import keras
from keras import layers

import keras_normpack
from advisor.facts import Facts, LayerFacts
from advisor.rules.base import Case, Requirement, Rule
from advisor.rules.finding import Finding, Fix, Severity
from advisor.rules.normalization.batch_statistics import (
    MINIMUM_EFFECTIVE_SAMPLES,
    BatchWorth,
    can_synchronize,
    worth_of_averaged,
    worth_of_whole,
)
from advisor.rules.normalization.choice import batch_independent_norm
from advisor.rules.normalization.noise_candidates import noise_candidates
from advisor.rules.normalization.replacement import replacing, synchronizing
from advisor.rules.normalization.surroundings import (
    overridden_mode,
    reads_data,
)
from advisor.rules.registry import rule


def _convolutional(norm: keras.Layer) -> keras.Model:
    conv = layers.Conv2D(8, 3, use_bias=False)
    return keras.Sequential([keras.Input((8, 8, 3)), conv, norm, layers.ReLU(), layers.Flatten(), layers.Dense(2)])


def _dense(norm: keras.Layer) -> keras.Model:
    return keras.Sequential([keras.Input((6,)), layers.Dense(8, use_bias=False), norm, layers.ReLU(), layers.Dense(2)])


def _masked(norm: keras.Layer) -> keras.Model:
    steps = [keras.Input((6, 3)), layers.Masking(), layers.Dense(8, use_bias=False), norm]
    return keras.Sequential([*steps, layers.GlobalAveragePooling1D(), layers.Dense(2)])


@rule
class SplitBatchStatistics(Rule):
    """Batch normalization on the small shares of a large batch.

    What it does:
        Counts or measures what the mean and variance of one channel rest on, as N102 does, and speaks where the samples
        of one replica are too few for them while those of all replicas together are enough. The replicas are those
        given, or those of the model's `tf.distribute` strategy. Frozen layers, batch renormalization and ghost batches
        (`virtual_batch_size`) are left alone; calls with `training=False` are not, as `fit` overrides that argument.

    Why it matters:
        Each replica normalizes by the statistics of its own share, however large the batch is. On ImageNet the error of
        a ResNet-50 rises from 23.6 % with 32 images on each of 8 GPUs to 24.8 % with 8 and 34.7 % with 2.

    Example:
        ```python
        with tf.distribute.MirroredStrategy().scope():  # 8 GPUs
            model = keras.Sequential([layers.Conv2D(64, 3), layers.BatchNormalization(), layers.ReLU()])
        model.fit(data, batch_size=32)  # 4 images on each
        ```

    Fix:
        Sets `synchronized=True`, which averages over all replicas; weights are kept. Where a mask reaches the layer,
        Keras's does not synchronize, and the one of `keras_normpack` takes its place. Keras synchronizes on TensorFlow
        only: on other backends a normalization that does without the batch takes its place, as by N102.
        Safety: retrain.
    """

    code = "N103"
    name = "split-batch-statistics"
    severity = Severity.WARNING
    requires = frozenset({Requirement.BATCH_SIZE})
    references = ("wu-2018", "keras-batch-normalization", "keras-20285")

    VALID = (
        Case(
            "8 maps on each replica",
            lambda: _convolutional(layers.BatchNormalization()),
            {"batch_size": 64, "replicas": 8},
        ),
        Case(
            "synchronized already",
            lambda: _convolutional(layers.BatchNormalization(synchronized=True)),
            {"batch_size": 32, "replicas": 8},
        ),
        Case(
            "a batch that is too small on all replicas together",
            lambda: _convolutional(layers.BatchNormalization()),
            {"batch_size": 4, "replicas": 2},
        ),
        Case(
            "frozen",
            lambda: _convolutional(layers.BatchNormalization(trainable=False)),
            {"batch_size": 32, "replicas": 8},
        ),
        Case(
            "ghost batches, small on purpose",
            lambda: _convolutional(keras_normpack.BatchNormalization(virtual_batch_size=4)),
            {"batch_size": 32, "replicas": 8},
        ),
        Case("one replica", lambda: _dense(layers.BatchNormalization()), {"batch_size": 32}),
    )
    INVALID = (
        Case(
            "4 maps on each replica",
            lambda: _convolutional(layers.BatchNormalization(scale=False)),
            {"batch_size": 32, "replicas": 8},
            lambda: _convolutional(layers.BatchNormalization(scale=False, synchronized=True)),
        ),
        Case(
            "16 vectors on each replica",
            lambda: _dense(layers.BatchNormalization()),
            {"batch_size": 64, "replicas": 4},
            lambda: _dense(layers.BatchNormalization(synchronized=True)),
        ),
        Case(
            "a mask, under which Keras's layer does not synchronize",
            lambda: _masked(layers.BatchNormalization(synchronized=True, momentum=0.9)),
            {"batch_size": 32, "replicas": 8},
            lambda: _masked(keras_normpack.BatchNormalization(synchronized=True, momentum=0.9)),
        ),
    )

    def check(self, facts: Facts) -> Iterator[Finding]:
        if facts.training.replicas == 1:
            return
        for norm in noise_candidates(facts):
            if norm.config.get("virtual_batch_size"):
                continue
            share, whole = worth_of_averaged(facts, norm), worth_of_whole(facts, norm)
            if share.is_too_little and not whole.is_too_little:
                yield self._split(facts, norm, share, whole)
            elif share.is_contradicted and not whole.is_contradicted:
                yield self._contradicted(norm, share)

    def _split(self, facts: Facts, norm: LayerFacts, share: BatchWorth, whole: BatchWorth) -> Finding:
        return self.finding(
            norm,
            message=(
                f"`{norm.path}` normalizes with statistics of the {share.batch} samples of one replica, worth "
                f"{share.values} independent values per channel where {MINIMUM_EFFECTIVE_SAMPLES} are needed; the "
                f"{whole.batch} of all replicas are worth {whole.values}"
            ),
            why="Their noise disturbs training, and the moving averages used at inference do not describe it."
            + overridden_mode(facts, norm),
            measurements=share.measurements,
            fix=_synchronized(norm) if can_synchronize() else _independent(facts, norm),
        )

    def _contradicted(self, norm: LayerFacts, share: BatchWorth) -> Finding:
        return self.finding(
            norm,
            message=(
                f"shares of {share.batch} are too small for `{norm.path}` by rule of thumb, but on this data they are "
                f"worth {share.values:.0f} independent values per channel: it may stay"
            ),
            why="Measured before training this is an upper bound; the statistics get noisier as channels specialize.",
            measurements=share.measurements,
            severity=Severity.INFO,
        )


def _synchronized(norm: LayerFacts) -> Fix:
    return Fix(f"average over all replicas in `{norm.path}`", (synchronizing(norm),), "retrain")


def _independent(facts: Facts, norm: LayerFacts) -> Fix | None:
    choice = None if reads_data(facts, norm) else batch_independent_norm(facts, norm)
    if choice is None:
        return None
    title = f"replace `{norm.path}` by {choice.spec.code()}, as only TensorFlow synchronizes: {choice.reason}"
    return Fix(title, (replacing(norm, choice),), "retrain")
