"""What takes part in a race: a model, and how it is trained."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import keras
import numpy as np

from advisor.rewrite.fresh_values import is_kept
from advisor.training import TrainingPlan


@dataclass(frozen=True, eq=False)
class Candidate:
    """A model and how it is trained.

    Attributes:
        name: Short name in kebab case, such as `only-N102`.
        title: What a person would call it.
        model: The model, compiled unless the plan has an objective; a race trains copies of it.
        plan: How it is trained, or None to train it as it was compiled.
        codes: Codes of the findings it rests on.
        keeps_weights: Whether every training begins with the weights it has, as those of a trained model, instead of
            new ones.
    """

    name: str
    title: str
    model: Any
    plan: TrainingPlan | None
    codes: tuple[str, ...] = ()
    keeps_weights: bool = False

    @cached_property
    def fingerprint(self) -> str:
        """A hash of all that its training depends on beside data, seed and epochs.

        That is the configuration of the model, how it is compiled, the values that a training begins with unless they
        are drawn anew, and the plan. Names that Keras gave its layers by itself do not count.

        Example:
        >>> import keras
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
        >>> twin = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
        >>> one, other = Candidate("one", "one", model, None), Candidate("other", "other", twin, None)
        >>> one.fingerprint == other.fingerprint
        True
        """
        digest = hashlib.sha256()
        config = _without_given_names(keras.saving.serialize_keras_object(self.model))
        digest.update(json.dumps([config, _essence(self.plan), self.keeps_weights], default=_plain).encode())
        for variable in self.model.variables:
            if is_kept(variable, keep_trained=self.keeps_weights):
                digest.update(np.ascontiguousarray(keras.ops.convert_to_numpy(variable.value)).tobytes())
        return digest.hexdigest()


def _essence(plan: TrainingPlan | None) -> dict[str, Any]:
    """What a plan changes; the race itself decides on epochs and batches."""
    told = {} if plan is None else plan.to_dict()
    left_out = ("epochs", "batch_size", "by_hand")
    told = {**told, "batch_statistics": told.get("batch_statistics") or None}
    return {key: value for key, value in told.items() if key not in left_out and value not in (None, [])}


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else repr(type(value))


def _without_given_names(config: Any) -> Any:
    """A configuration in which the names that Keras gave are numbered in their order."""
    numbers: dict[str, str] = {}
    for name in _given_names(config):
        numbers.setdefault(name, f"#{len(numbers)}")

    def renamed(part: Any) -> Any:
        if isinstance(part, Mapping):
            return {numbers.get(key, key): renamed(value) for key, value in part.items()}
        if isinstance(part, (list, tuple)):
            return [renamed(item) for item in part]
        return numbers.get(part, part) if isinstance(part, str) else part

    return renamed(config)


def _given_names(part: Any) -> Iterator[str]:
    if isinstance(part, Mapping):
        settings = part.get("config")
        name = settings.get("name") if isinstance(settings, Mapping) else None
        stem = _snake(str(part.get("class_name")))
        if isinstance(name, str) and re.fullmatch(rf"{re.escape(stem)}(_\d+)?", name):
            yield name
        for key, value in part.items():
            # Losses and metrics are called what layers are not; of the rest only the optimizer is named by Keras.
            is_compiled = key == "compile_config" and isinstance(value, Mapping)
            yield from _given_names(value.get("optimizer") if is_compiled else value)
    elif isinstance(part, (list, tuple)):
        for item in part:
            yield from _given_names(item)


def _snake(name: str) -> str:
    """A class's name as Keras makes it the name of a layer."""
    apart = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", apart).lower()
