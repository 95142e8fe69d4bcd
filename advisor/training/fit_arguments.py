"""The arguments of `Model.fit`, checked before anything changes."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from advisor.facts.data_source import is_torch_loader
from advisor.training.data import is_arrays


def check_fit_arguments(model: Any, x: Any, y: Any, arguments: Mapping[str, Any], *, mixes: bool) -> None:
    """Make sure that `Model.fit` will take what it is given.

    Args:
        model: The model that will be trained.
        x: Inputs, or a data set.
        y: Targets, or None.
        arguments: The others, by keyword.
        mixes: Whether samples will be mixed.

    Raises:
        TypeError: If `fit` has no such argument.
        ValueError: If arguments do not go together.
    """
    _check_names(model, arguments)
    if not is_arrays(x):
        for name, value in (("y", y), ("sample_weight", arguments.get("sample_weight"))):
            if value is not None:
                raise ValueError(
                    f"`{name}` goes with arrays; a data set yields it itself. Received: {name} with {type(x).__name__}"
                )
    if arguments.get("class_weight") is not None:
        _check_class_weight(x, arguments, mixes=mixes)
    if arguments.get("validation_split") and arguments.get("validation_data") is None:
        _check_split(x, arguments["validation_split"])


def _check_names(model: Any, arguments: Mapping[str, Any]) -> None:
    parameters = inspect.signature(model.fit).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    for name in arguments:
        if name not in parameters:
            close = get_close_matches(name, parameters, n=1)
            meant = f"did you mean `{close[0]}`?" if close else f"it takes {', '.join(parameters)}."
            raise TypeError(f"`fit` of `{model.name}` has no argument `{name}`; {meant} Received: {name}=…")


def _check_class_weight(x: Any, arguments: Mapping[str, Any], *, mixes: bool) -> None:
    if isinstance(x, Iterator) or is_torch_loader(x):
        raise ValueError(
            "Keras weighs the classes of arrays, a `tf.data.Dataset` or a `PyDataset`; let the data yield weights as "
            f"third part of each batch. Received: class_weight with {type(x).__name__}"
        )
    if arguments.get("sample_weight") is not None:
        raise ValueError(
            "`class_weight` and `sample_weight` cannot be given together; multiply the weights of the samples by those "
            "of their classes. Received: both"
        )
    if mixes:
        raise ValueError(
            "samples are to be mixed, and there is no weight that fits a mixture of classes of different weights. "
            "Leave `class_weight` out, or ask for advice with ignore='A402'. Received: "
            f"class_weight={arguments['class_weight']!r}"
        )


def _check_split(x: Any, share: Any) -> None:
    if not is_arrays(x):
        raise ValueError(
            "`validation_split` goes with arrays; give `validation_data`. "
            f"Received: validation_split={share!r} with {type(x).__name__}"
        )
    if not 0 < share < 1:
        raise ValueError(f"`validation_split` must be between 0 and 1. Received: validation_split={share!r}")
