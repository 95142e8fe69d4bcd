"""Population statistics of batch normalization, recomputed for the weights as they are."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_normpack.callbacks.input_batches import check_sampling, input_batches
from keras_normpack.layers.sublayers import sublayers

DEFAULT_BATCHES = 200
Look = Callable[[keras.layers.BatchNormalization, Any, Any], None]


@dataclass(frozen=True, eq=False)
class Moments:
    """Mean and variance of each channel.

    Attributes:
        count: Over how many positions.
        mean: Float64 array `(channels,)`.
        variance: Float64 array `(channels,)`, of the population: divided by `count`.
    """

    count: float
    mean: np.ndarray
    variance: np.ndarray

    def merged(self, other: "Moments") -> "Moments":
        """Moments of the positions of both: mean of the variances plus variance of the means."""
        count = self.count + other.count
        share = other.count / count
        distance = other.mean - self.mean
        return Moments(
            count,
            self.mean + share * distance,
            (1 - share) * self.variance + share * other.variance + share * (1 - share) * distance**2,
        )


def recompute_batch_statistics(
    model: keras.Model,
    data: Any,
    *,
    batches: int | None = DEFAULT_BATCHES,
    batch_size: int | None = None,
    verbose: int = 0,
) -> None:
    """Sets the moving averages of every batch normalization to the statistics of the data under the present weights.

    Moving averages mix the statistics of many past weights; in short runs, or while the learning rate is high, they lag
    behind and the model is worse at inference than in training. Here the weights stay fixed, the model is run in
    training mode (so that each batch normalization sees what those before it give in training, dropout included), and
    the moments of all batches are pooled:

    `mean = Σ nᵢ·meanᵢ / N`, `variance = Σ nᵢ·(varianceᵢ + meanᵢ²) / N - mean²`

    where batch `i` has `nᵢ` positions (masked ones left out) of `N` in all: the sample variance of all batches
    together, which is exact for any batch size, unlike the mean of the batches' variances. Layers with `renorm=True`
    normalize by the batch meanwhile, as without it, since the averages they renormalize by lag too.

    Reaches Keras's and this package's layers, nested, shared, or inside wrappers. Layers that are frozen, or called
    with `training=False`, keep their averages. Nothing else of the model changes: not its weights, random seeds,
    metrics, nor optimizer. An interruption, or an error, leaves everything as it was.

    Args:
        model: A built model; it need not be compiled.
        data: Training data: arrays in the structure of the model's inputs; a tuple `(x, y)` or `(x, y, sample_weight)`;
            a batched `tf.data.Dataset`, `keras.utils.PyDataset`, torch `DataLoader` or generator. Arrays are drawn in a
            fixed random order.
        batches: How many batches to take at most; `None` for all. 1,000 to 10,000 samples are enough as a rule.
        batch_size: Samples in a batch of arrays, best as in training; `None` for 32.
        verbose: 1 prints what was recomputed, 0 nothing.

    Raises:
        TypeError: If the data is of a kind that `fit` does not take.
        ValueError: If `batches` or `batch_size` is not an integer from 1, the model has no batch normalization that
            trains, or the data is empty.
        FloatingPointError: If a statistic is NaN or infinite, because the weights or the data are.

    Example:
    >>> images = np.random.default_rng(0).normal(3.0, 2.0, (256, 8)).astype("float32")
    >>> model = keras.Sequential([keras.Input((8,)), keras.layers.BatchNormalization()])
    >>> recompute_batch_statistics(model, images)
    >>> outputs = model.predict(images, verbose=0)
    >>> bool(abs(outputs.mean()) < 1e-5), round(float(outputs.std()), 2)
    (True, 1.0)

    Source:
        Wu & Johnson 2021, arXiv:2105.07576, section 3 (PreciseBN) and the estimator of its appendix.
    """
    check_sampling(data, batches, batch_size)
    layers = training_batch_normalizations(model)
    if not layers:
        raise ValueError(
            "The model must have a BatchNormalization layer that is built and trainable; there are no statistics to "
            f"recompute. Received: model {model.name!r}"
        )
    moments = population_moments(model, layers, input_batches(data, batches, batch_size))
    assign_all([pair for layer, pooled in moments for pair in _new_values(layer, pooled)])
    if verbose:
        print(f"Statistics of {len(moments)} batch normalizations recomputed.")


def training_batch_normalizations(model: keras.Model) -> list[keras.layers.BatchNormalization]:
    """Finds the batch normalizations of a model that update their averages in training.

    Args:
        model: Any model.

    Returns:
        The built and trainable ones, at any depth, each once.
    """
    return [
        layer
        for layer in sublayers(model)
        if isinstance(layer, keras.layers.BatchNormalization) and layer.built and layer.trainable
    ]


def assign_all(pairs: Iterable[tuple[keras.Variable, Any]]) -> None:
    """Assigns every variable its value, or, when interrupted or failing, none.

    Args:
        pairs: Variables and their new values.
    """
    pairs = list(pairs)
    before = [(variable, np.array(ops.convert_to_numpy(variable))) for variable, _ in pairs]
    try:
        for variable, value in pairs:
            variable.assign(value)
    except BaseException:
        for variable, value in before:
            variable.assign(value)
        raise


def population_moments(
    model: keras.Model, layers: Sequence[keras.layers.BatchNormalization], batches: Iterable[Any]
) -> list[tuple[keras.layers.BatchNormalization, Moments]]:
    """Mean and variance of what batch normalizations read in training mode, under the present weights.

    Nothing of the model changes: not its weights, averages, random seeds, nor metrics.

    Args:
        model: A built model.
        layers: Batch normalizations in it.
        batches: Inputs of the model, at least one batch.

    Returns:
        The moments, of all batches together, of each layer that ran in training mode.

    Raises:
        ValueError: If there is no batch.
        FloatingPointError: If a moment is NaN or infinite.
    """
    pooled: dict[int, Moments] = {}

    def pool(layer: keras.layers.BatchNormalization, inputs: Any, mask: Any) -> None:
        moments = _moments(inputs, mask, layer.axis)
        if moments.count:
            earlier = pooled.get(id(layer))
            pooled[id(layer)] = moments if earlier is None else earlier.merged(moments)

    taken = 0
    # Renormalization would normalize by averages that lag behind the weights.
    overrides = [(layer, {"call": _observed_call(layer, pool), "renorm": False}) for layer in layers]
    # Every update of a variable ends in the scope and is forgotten with it. Constants in place of the weights keep
    # torch from recording gradients.
    constants = [(variable, ops.stop_gradient(variable)) for variable in model.variables]
    with _overridden(overrides), _random_numbers_apart(), keras.StatelessScope(constants):
        for inputs in batches:
            model(inputs, training=True)
            taken += 1
    if not taken:
        raise ValueError("Argument `data` must hold at least one batch. Received: data without batches")
    found = [(layer, pooled[id(layer)]) for layer in layers if id(layer) in pooled]
    for layer, moments in found:
        if not np.all(np.isfinite([moments.mean, moments.variance])):
            raise FloatingPointError(
                f"The inputs of {type(layer).__name__} {layer.name!r} must be finite; look for NaN or infinity in the "
                "data and the weights before it. The moving averages were left as they were. "
                f"Received: mean={moments.mean}, variance={moments.variance}"
            )
    return found


@contextmanager
def _overridden(overrides: Iterable[tuple[keras.Layer, dict[str, Any]]]) -> Iterator[None]:
    """Gives layers other attributes while the context lasts; past Keras, which would track them."""
    overrides = list(overrides)
    before = [(layer, {name: vars(layer)[name] for name in new if name in vars(layer)}) for layer, new in overrides]
    try:
        for layer, new in overrides:
            vars(layer).update(new)
        yield
    finally:
        for (layer, new), (_, own) in zip(overrides, before, strict=True):
            for name in new:
                vars(layer).pop(name, None)
            vars(layer).update(own)


def _random_numbers_apart() -> AbstractContextManager[Any]:
    """Keeps what is drawn meanwhile from shifting later draws, where layers draw from the backend's global state."""
    if keras.backend.backend() != "torch":
        return nullcontext()
    import torch

    return torch.random.fork_rng(devices=range(torch.cuda.device_count()))


def _observed_call(layer: keras.layers.BatchNormalization, look: Look) -> Callable[..., Any]:
    call = layer.call

    def observed(inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        outputs = call(inputs, training=training, mask=mask)
        if training:
            look(layer, inputs, mask)
        return outputs

    return observed


def _moments(inputs: Any, mask: Any, axis: int) -> Moments:
    inputs = ops.cast(inputs, keras.backend.result_type(inputs.dtype, "float32"))
    sizes = list(inputs.shape)
    others = [index for index in range(len(sizes)) if index != axis % len(sizes)]
    weights: Any = 1.0
    count = float(np.prod([sizes[index] for index in others]))
    if mask is not None:
        masked = others[: len(mask.shape)]
        valid = ops.reshape(mask, [size if index in masked else 1 for index, size in enumerate(sizes)])
        # `where`, not a product: masked positions may hold anything.
        inputs = ops.where(valid, inputs, 0)
        weights = ops.cast(valid, inputs.dtype)
        count *= float(ops.convert_to_numpy(ops.mean(weights)))

    def mean_of(values: Any) -> Any:
        return ops.sum(values * weights, axis=others, keepdims=True) / max(count, 1.0)

    rounded = mean_of(inputs)
    deviations = inputs - rounded
    # What rounding took from a mean that is large against the deviation.
    remainder, squares = _channels(mean_of(deviations)), _channels(mean_of(ops.square(deviations)))
    return Moments(count, _channels(rounded) + remainder, squares - remainder**2)


def _channels(statistic: Any) -> np.ndarray:
    return ops.convert_to_numpy(statistic).astype("float64").reshape(-1)


def _new_values(layer: keras.layers.BatchNormalization, moments: Moments) -> Iterator[tuple[keras.Variable, Any]]:
    yield layer.moving_mean, moments.mean
    yield layer.moving_variance, moments.variance
    if layer.renorm:
        # Renormalization averages the deviation and derives the variance from it.
        yield layer.moving_stddev, np.sqrt(moments.variance + layer.epsilon)
