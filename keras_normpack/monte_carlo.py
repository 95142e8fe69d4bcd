"""Predictions with dropout on: their mean and how far they spread."""

import functools
import operator
import random
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops, tree

from keras_normpack.layers.regularization.drop_layer import DropLayer
from keras_normpack.layers.regularization.stochastic_depth import StochasticDepth
from keras_normpack.layers.sublayers import sublayers

# Spatial dropout is a subclass of `Dropout`; multi-head attention holds its dropout as a layer.
_DROPPING = (
    keras.layers.Dropout,
    keras.layers.AlphaDropout,
    keras.layers.GaussianDropout,
    DropLayer,
    StochasticDepth,
)
# These drop by an argument of their own.
_MAY_DROP = (keras.layers.RNN, keras.layers.Attention)


@dataclass(frozen=True)
class MonteCarloPrediction:
    """What `mc_predict` gives, each of the structure of the model's outputs.

    Args:
        mean: NumPy arrays `(samples of the data, …)`, the mean of the predictions.
        standard_deviation: NumPy arrays of the same shapes, the standard deviation of the predictions.
    """

    mean: Any
    standard_deviation: Any


def mc_predict(
    model: keras.Model,
    inputs: Any,
    samples: int = 50,
    batch_size: int = 32,
    verbose: int = 1,
    seed: int | None = None,
) -> MonteCarloPrediction:
    """Predicts many times with dropout on.

    Everything that drops is on: `Dropout`, `SpatialDropout1D` to `3D`, `AlphaDropout`, `GaussianDropout`, `DropPath`,
    `StochasticDepth`, `DropBlock1D` to `3D`, and the dropout within attention and recurrent layers; in nested models,
    wrappers and layers of layers, too. Everything else, such as batch normalization, stays in inference. This runs on
    a copy; the model is not changed.

    `mean = 1/T · Σ y_t` and `standard_deviation = sqrt(1/T · Σ (y_t - mean)²)` over T predictions, summed in float64.

    Args:
        model: Model to predict with, with its weights. Layers and models of classes of your own must be serializable.
        inputs: NumPy arrays or tensors in the structure the model takes; or what yields batches, each `inputs`,
            `(inputs, targets)` or `(inputs, targets, sample_weights)`: a `tf.data.Dataset`, a
            `keras.utils.PyDataset`, a torch `DataLoader` or a generator. It is gone through once.
        samples: Integer from 2, the number of predictions T.
        batch_size: Integer from 1, samples per batch where `inputs` are arrays.
        verbose: 0 for silence, 1 for a progress bar.
        seed: Integer, makes the result repeatable; `None` for what `keras.utils.set_random_seed` set.

    Returns:
        A `MonteCarloPrediction`.

    Raises:
        ValueError: If nothing in the model drops, `samples` is below 2, `batch_size` is below 1, or `inputs` are empty.

    Example:
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dropout(0.5), keras.layers.Dense(1)])
    >>> prediction = mc_predict(model, np.ones((10, 4)), samples=20, verbose=0, seed=0)
    >>> prediction.mean.shape, prediction.standard_deviation.shape
    ((10, 1), (10, 1))
    >>> bool(prediction.standard_deviation.min() > 0)
    True

    Source:
        Gal & Ghahramani 2016, arXiv:1506.02142, section 4, the first two moments; its model precision τ, which is
        learned or chosen, is left to the caller.
    """
    for name, value, least in (("samples", samples, 2), ("batch_size", batch_size, 1)):
        if not isinstance(value, int) or value < least:
            raise ValueError(f"Argument `{name}` of mc_predict must be an integer from {least}. Received: {value!r}")
    dropping = _copy_that_drops(model, seed)
    batches, number = _split(inputs, batch_size)
    progress = keras.utils.Progbar(number, verbose=verbose, unit_name="batch")
    moments = []
    for batch in batches:
        moments.append(_moments(dropping, batch, samples))
        progress.update(len(moments), finalize=False)
    if not moments:
        raise ValueError("Argument `inputs` of mc_predict must hold at least one sample. Received: none")
    progress.update(len(moments), finalize=True)
    mean, deviation = (
        tree.map_structure(lambda *parts: np.concatenate(parts), *each) for each in zip(*moments, strict=True)
    )
    return MonteCarloPrediction(mean, deviation)


def _copy_that_drops(model: keras.Model, seed: int | None) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        # Saving carries what `clone_model` leaves behind: weights, vocabularies, and what subclassed models build.
        path = Path(folder) / "model.keras"
        model.save(path)
        own = {type(layer) for layer in sublayers(model) if not type(layer).__module__.startswith("keras.")}
        classes = {layer_class.__name__: layer_class for layer_class in own}
        copy = keras.saving.load_model(path, custom_objects=classes, compile=False, safe_mode=False)
    dropping = [layer for layer in sublayers(copy) if _drops(layer)]
    if not dropping:
        raise ValueError(
            "Argument `model` of mc_predict must hold something that drops, such as keras.layers.Dropout with a rate "
            f"above 0. Received: {model.name!r} with the layers {[layer.name for layer in sublayers(model)[1:]]}"
        )
    for layer in dropping:
        _keep_training(layer)
    draws = np.random.default_rng(random.randrange(2**31) if seed is None else seed)
    for layer in sublayers(copy):
        generator = getattr(layer, "seed_generator", None)
        if generator is not None:
            first = int(draws.integers(2**31))
            generator.state.assign([first, 0])
            # Without a seed of its own, Keras's dropout on torch draws from torch's global generator.
            generator._initial_seed = first
    return copy


def _drops(layer: Any) -> bool:
    if isinstance(layer, _DROPPING):
        return getattr(layer, "rate", 1) > 0
    own = sublayers(layer) if isinstance(layer, _MAY_DROP) else []
    return any(getattr(part, name, 0) > 0 for part in own for name in ("dropout", "recurrent_dropout"))


def _keep_training(layer: Any) -> None:
    """Makes one layer behave as in training whatever the rest does."""
    layer_class = type(layer)

    class KeepsTraining(layer_class):  # type: ignore[valid-type, misc]
        @functools.wraps(layer_class.call)
        def call(self, *arguments: Any, **options: Any) -> Any:
            return super().call(*arguments, **{**options, "training": True})

    # The layer stays the same object, so that whatever holds it, a graph, a wrapper or another layer, calls it so.
    layer.__class__ = KeepsTraining


def _split(inputs: Any, batch_size: int) -> tuple[Iterable[Any], int | None]:
    """Gives the batches, and how many there are, if that is known."""
    if isinstance(inputs, keras.utils.PyDataset):
        return (_inputs_of(inputs[index]) for index in range(inputs.num_batches)), inputs.num_batches
    arrays = tree.flatten(inputs)
    if not all(hasattr(array, "shape") for array in arrays):
        return (_inputs_of(batch) for batch in inputs), None
    starts = range(0, arrays[0].shape[0], batch_size)
    cut = (tree.map_structure(operator.itemgetter(slice(start, start + batch_size)), inputs) for start in starts)
    return cut, len(starts)


def _inputs_of(batch: Any) -> Any:
    return keras.utils.unpack_x_y_sample_weight(batch)[0]


def _moments(model: Any, batch: Any, samples: int) -> tuple[Any, Any]:
    """Mean and standard deviation over predictions, updated with each so that only one is held (Welford 1962)."""
    batch = tree.map_structure(ops.convert_to_numpy, batch)
    first = model.predict_on_batch(batch)
    means = [output.astype("float64") for output in tree.flatten(first)]
    squares = [np.zeros_like(mean) for mean in means]
    for count in range(2, samples + 1):
        for mean, square, output in zip(means, squares, tree.flatten(model.predict_on_batch(batch)), strict=True):
            away = output.astype("float64") - mean
            mean += away / count
            square += away * (output - mean)
    dtypes = [np.promote_types(output.dtype, "float32") for output in tree.flatten(first)]
    packed = (
        tree.pack_sequence_as(first, [value.astype(dtype) for value, dtype in zip(values, dtypes, strict=True)])
        for values in (means, [np.sqrt(square / samples) for square in squares])
    )
    mean, deviation = packed
    return mean, deviation
