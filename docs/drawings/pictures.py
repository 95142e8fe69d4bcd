"""The list of pictures: file name without ending, and the function that draws it."""

from collections.abc import Callable

from docs.drawings import flows, noise, normalizations, training, weights
from docs.drawings.svg import Picture

PICTURES: dict[str, Callable[[], Picture]] = {
    "overview": normalizations.overview,
    "batch": normalizations.batch,
    "ghost_batches": normalizations.ghost_batches,
    "moving_averages": normalizations.moving_averages,
    "layer": normalizations.layer,
    "instance": normalizations.instance,
    "group": normalizations.group,
    "filter_response": normalizations.filter_response,
    "global_response": normalizations.global_response,
    "root_mean_square": normalizations.root_mean_square,
    "dynamic_tanh": normalizations.dynamic_tanh,
    "reversible_instance": flows.reversible_instance,
    "adaptive": flows.adaptive,
    "recurrent": flows.recurrent,
    "weight_normalization": weights.weight_normalization,
    "penalties": weights.penalties,
    "dropout": noise.dropout,
    "monte_carlo": noise.monte_carlo,
    "augmentation": noise.augmentation,
    "early_stopping": training.early_stopping,
    "weight_averaging": training.weight_averaging,
    "transfer": training.transfer,
}
