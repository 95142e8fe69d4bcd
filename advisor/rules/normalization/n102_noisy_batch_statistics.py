"""N102: batch normalization on batches that are too small."""

from __future__ import annotations

from collections.abc import Iterator

import keras
from keras import layers

from advisor.facts import Facts, LayerFacts
from advisor.rules.base import Case, Requirement, Rule
from advisor.rules.finding import Finding, Severity
from advisor.rules.normalization.batch_statistics import (
    MINIMUM_EFFECTIVE_SAMPLES,
    BatchWorth,
    worth_of_averaged,
    worth_of_whole,
)
from advisor.rules.normalization.choice import batch_independent_norm
from advisor.rules.normalization.noise_candidates import noise_candidates
from advisor.rules.normalization.replacement import replacement
from advisor.rules.normalization.surroundings import overridden_mode, reads_data
from advisor.rules.registry import rule


def _convolutional(norm: keras.Layer, filters: int = 6) -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(filters, 3, use_bias=False),
            norm,
            layers.ReLU(),
            layers.Flatten(),
            layers.Dense(2),
        ]
    )


def _channels_first(norm: keras.Layer) -> keras.Model:
    conv = layers.Conv2D(6, 3, data_format="channels_first", use_bias=False)
    return keras.Sequential([keras.Input((3, 8, 8)), conv, norm, layers.ReLU(), layers.Flatten(), layers.Dense(2)])


def _dense(norm: keras.Layer, units: int = 8) -> keras.Model:
    return keras.Sequential(
        [keras.Input((6,)), layers.Dense(units, use_bias=False), norm, layers.ReLU(), layers.Dense(2)]
    )


def _on_data() -> keras.Model:
    return keras.Sequential([keras.Input((8,)), layers.BatchNormalization(), layers.Dense(2)])


def _frozen() -> keras.Model:
    return _convolutional(layers.BatchNormalization(trainable=False))


def _called_for_inference(norm: keras.Layer) -> keras.Model:
    inputs = keras.Input((8, 8, 3))
    return keras.Model(inputs, layers.Dense(2)(_convolutional(norm)(inputs, training=False)))


def _autoencoder(norm: keras.Layer) -> keras.Model:
    inputs = keras.Input((8, 8, 1))
    code = layers.ReLU()(norm(layers.Conv2D(4, 3, strides=2, padding="same", use_bias=False)(inputs)))
    model = keras.Model(inputs, layers.Conv2DTranspose(1, 3, strides=2, padding="same", activation="sigmoid")(code))
    model.compile("adam", "mse")
    return model


@rule
class NoisyBatchStatistics(Rule):
    """Batch normalization on batches too small for its statistics.

    What it does:
        Counts how many independent values the mean and variance of one channel rest on: samples of a batch, times the
        positions of its map, of which at most 4 count since neighbours say nearly the same. Fewer than 32 are too few.
        A batch that is too small only because replicas share it is the business of N103.
        Where data is given, the number is measured instead, by how much mean and variance vary from batch to batch; a
        measurement that contradicts the count is reported, without a fix.
        Attention blocks and self-normalizing networks are the matter of N110 and N116.
        Frozen layers use no batch statistics; calls with `training=False` do, as `fit` overrides that argument.

    Why it matters:
        The noise of the statistics is noise in every activation, and the moving averages used at inference no longer
        describe what the layers after it were trained on. On ImageNet the error of a ResNet-50 rises from 23.6 % at
        batch 32 to 34.7 % at batch 2, while that of group normalization stays at 24.1 %.

    Example:
        ```python
        model = keras.Sequential([layers.Conv2D(64, 3), layers.BatchNormalization(), layers.ReLU()])
        model.fit(data, batch_size=4)
        ```

    Fix:
        Puts group normalization in its place, with as many groups as divide the channels, up to 32; layer normalization
        for vectors of features; instance normalization where images are translated (N115). Batch renormalization where
        images are made of images otherwise, as by autoencoders, for statistics of a sample take its contrast away; for
        a mobile target, as it still folds into the convolution; and in a trained model, as it starts from the moving
        averages and the model computes the same at inference. `gamma` and `beta` are kept. Straight behind the input,
        where each feature has a scale of its own, and with fewer than 8 features there is no fix: standardize the data,
        or leave the normalization out. Safety: retrain.
    """

    code = "N102"
    name = "noisy-batch-statistics"
    severity = Severity.WARNING
    requires = frozenset({Requirement.BATCH_SIZE})
    references = ("wu-2018", "ioffe-2017", "keras-20285")

    VALID = (
        Case("a batch of 8 maps", lambda: _convolutional(layers.BatchNormalization()), {"batch_size": 8}),
        Case("a batch of 32 vectors", lambda: _dense(layers.BatchNormalization()), {"batch_size": 32}),
        Case("frozen", _frozen, {"batch_size": 2}),
        Case(
            "a large batch that is small on each replica",
            lambda: _convolutional(layers.BatchNormalization()),
            {"batch_size": 32, "replicas": 8},
        ),
        Case("renormalized already", lambda: _convolutional(layers.BatchNormalization(renorm=True)), {"batch_size": 2}),
        Case(
            "vectors at batch 1, which have no variance at all",
            lambda: _dense(layers.BatchNormalization()),
            {"batch_size": 1},
        ),
    )
    INVALID = (
        Case(
            "a batch of 4 maps",
            lambda: _convolutional(layers.BatchNormalization()),
            {"batch_size": 4},
            lambda: _convolutional(layers.GroupNormalization(2)),
        ),
        Case(
            "an autoencoder",
            lambda: _autoencoder(layers.BatchNormalization()),
            {"batch_size": 2},
            lambda: _autoencoder(layers.BatchNormalization(renorm=True)),
        ),
        Case(
            "a batch that is too small on all replicas together",
            lambda: _convolutional(layers.BatchNormalization(scale=False, epsilon=1e-5), filters=48),
            {"batch_size": 4, "replicas": 2},
            lambda: _convolutional(layers.GroupNormalization(16, scale=False, epsilon=1e-5), filters=48),
        ),
        Case(
            "channels first",
            lambda: _channels_first(layers.BatchNormalization(axis=1)),
            {"batch_size": 4},
            lambda: _channels_first(layers.GroupNormalization(2, axis=1)),
        ),
        Case(
            "a backbone called with `training=False`, which `fit` overrides",
            lambda: _called_for_inference(layers.BatchNormalization()),
            {"batch_size": 4},
            lambda: _called_for_inference(layers.GroupNormalization(2)),
        ),
        Case(
            "on a phone",
            lambda: _convolutional(layers.BatchNormalization()),
            {"batch_size": 4, "target": "mobile"},
            lambda: _convolutional(layers.BatchNormalization(renorm=True)),
        ),
        Case(
            "a trained model",
            lambda: _convolutional(layers.BatchNormalization(momentum=0.9)),
            {"batch_size": 4, "trained": True},
            lambda: _convolutional(layers.BatchNormalization(momentum=0.9, renorm=True, renorm_momentum=0.9)),
        ),
        Case(
            "a batch of 16 vectors",
            lambda: _dense(layers.BatchNormalization()),
            {"batch_size": 16},
            lambda: _dense(layers.LayerNormalization()),
        ),
        Case("vectors of 4 features", lambda: _dense(layers.BatchNormalization(), units=4), {"batch_size": 16}),
        Case("straight behind the input", _on_data, {"batch_size": 16}),
    )

    def check(self, facts: Facts) -> Iterator[Finding]:
        for norm in noise_candidates(facts):
            if worth_of_whole(facts, norm).is_too_little:
                yield self._noisy(facts, norm, worth_of_averaged(facts, norm))
            elif worth_of_whole(facts, norm).is_contradicted and not worth_of_averaged(facts, norm).is_too_little:
                yield self._contradicted(norm, worth_of_averaged(facts, norm))

    def _contradicted(self, norm: LayerFacts, worth: BatchWorth) -> Finding:
        return self.finding(
            norm,
            message=(
                f"batches of {worth.batch} are too small for `{norm.path}` by rule of thumb, but on this data they are "
                f"worth {worth.values:.0f} independent values per channel: it may stay"
            ),
            why="Measured before training this is an upper bound; the statistics get noisier as channels specialize.",
            measurements=worth.measurements,
            severity=Severity.INFO,
        )

    def _noisy(self, facts: Facts, norm: LayerFacts, worth: BatchWorth) -> Finding:
        choice = None if reads_data(facts, norm) else batch_independent_norm(facts, norm)
        return self.finding(
            norm,
            message=(
                f"`{norm.path}` normalizes with statistics of batches of {worth.batch}, worth {worth.values} "
                f"independent values per channel where {MINIMUM_EFFECTIVE_SAMPLES} are needed"
            ),
            why="Their noise disturbs training, and the moving averages used at inference do not describe it."
            + overridden_mode(facts, norm),
            measurements=worth.measurements,
            fix=replacement(norm, choice),
        )
