"""The training plan: what the findings ask of the run."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import keras

from advisor.facts import Facts
from advisor.graph import LayerSpec
from advisor.graph.keras_internals import compile_arguments
from advisor.rules import Finding, PlanChange
from advisor.training.callbacks import joined, make_callbacks
from advisor.training.data import augmented, batches_of, is_arrays, is_dataset, prefetched
from advisor.training.objective import Objective, UnclearObjectiveError, infer_objective
from advisor.training.optimizer import with_weight_decay

CARRIED_OUT = frozenset({"early_stopping", "weight_decay"})
"""Kinds of `PlanChange` that a plan carries out by itself."""


@dataclass(frozen=True)
class TrainingPlan:
    """How to train a model, put together from findings.

    Attributes:
        weight_decay: Decoupled weight decay of the optimizer, or None to leave the optimizer alone.
        early_stopping: Arguments of `keras.callbacks.EarlyStopping`, or None for none.
        augmentation: Layers to apply to the training inputs, in order.
        batch_size: Samples per step for data given as arrays, or None for Keras's default.
        epochs: Epochs of `fit` when it is not told, or None for Keras's default.
        objective: Loss and metric for a model that is not compiled; None where they cannot be inferred.
        unclear: Why they cannot, or None.
        by_hand: Changes of kinds that the plan does not carry out.

    Example:
    >>> plan = TrainingPlan(weight_decay=1e-4, early_stopping={"monitor": "val_loss", "patience": 5})
    >>> print(plan)
    Training plan
      optimizer: decoupled weight decay 0.0001, not on biases, normalizations and embeddings
      callbacks: TerminateOnNaN, EarlyStopping(monitor='val_loss', patience=5)
    """

    weight_decay: float | None = None
    early_stopping: Mapping[str, Any] | None = None
    augmentation: tuple[LayerSpec, ...] = ()
    batch_size: int | None = None
    epochs: int | None = None
    objective: Objective | None = None
    unclear: str | None = None
    by_hand: tuple[PlanChange, ...] = field(default=())

    @property
    def callbacks(self) -> list[Any]:
        """Fresh callbacks for one run of `Model.fit` with validation data."""
        return make_callbacks(self.early_stopping, validated=True)

    def compile(self, model: Any) -> None:
        """Compile a model as planned, in place.

        A compiled model keeps its loss, metrics and further arguments, and the class and arguments of its optimizer; it
        is left as it is when the plan changes nothing about them. A model that is not compiled gets Adam, or AdamW
        where decay is planned, and a loss inferred from head and labels.

        Args:
            model: A built model with the output structure of the one the plan was made for.

        Raises:
            ValueError: If the model is not compiled and its loss cannot be inferred, or it has a `compile` of its own
                that takes other arguments and decay is planned.

        Example:
        >>> import keras
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> TrainingPlan(weight_decay=1e-4).compile(model)
        >>> type(model.optimizer).__name__, model.optimizer.weight_decay, model.loss
        ('SGD', 0.0001, 'mse')
        """
        arguments = compile_arguments(model) or self._fresh_arguments(model)
        if self.weight_decay is not None:
            _check_compile_of(model, arguments)
            optimizer = with_weight_decay(arguments["optimizer"], self.weight_decay, model)
            model.compile(**{**arguments, "optimizer": optimizer})
        elif not model.compiled:
            model.compile(**arguments)

    def prepare(self, data: Any) -> Any:
        """Make training data ready for `Model.fit`: augmented as planned, and prefetched.

        Args:
            data: A batched `tf.data.Dataset`, or arrays as `(x, y)` or `(x, y, sample_weight)`, which are shuffled and
                batched. Anything else (`PyDataset`, `DataLoader`, generator) has workers of its own.

        Returns:
            A `tf.data.Dataset`; anything else unchanged.

        Raises:
            ValueError: If augmentation is planned for data of another kind.

        Example:
        >>> import numpy as np
        >>> dataset = TrainingPlan(batch_size=4).prepare((np.zeros((10, 3)), np.zeros(10)))
        >>> [x.shape[0] for x, y in dataset]
        [4, 4, 2]
        """
        if is_dataset(data):
            dataset = data
        elif isinstance(data, tuple) and is_arrays(data):
            dataset = batches_of(data, self.batch_size)
        elif self.augmentation:
            raise ValueError(
                "augmentation is planned, and it is applied to a `tf.data.Dataset` or arrays `(x, y)`. "
                f"Received: {type(data).__name__}"
            )
        else:
            return data
        return prefetched(augmented(dataset, self.augmentation))

    def fit(self, model: Any, x: Any = None, y: Any = None, *, callbacks: Any = None, **arguments: Any) -> Any:
        """Train a model as planned.

        The model is compiled by the plan unless its optimizer has the planned decay and has taken steps already, so
        that a second call goes on where the first ended.

        Args:
            model: The model; it is trained in place.
            x: As in `Model.fit`; `(x, y)` and `(x, y, sample_weight)` of arrays are accepted too.
            y: As in `Model.fit`.
            callbacks: As in `Model.fit`; they follow the plan's, and one of a class that the plan has too replaces it.
            **arguments: Further arguments of `Model.fit`. `epochs` is the planned number by default, and so is
                `batch_size` for arrays.

        Returns:
            The `keras.callbacks.History`.

        Raises:
            ValueError: As `compile` and `prepare`.

        Example:
        >>> import numpy as np
        >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> plan = TrainingPlan(weight_decay=1e-4, epochs=2)
        >>> history = plan.fit(model, np.ones((8, 3)), np.ones((8, 1)), verbose=0)
        >>> len(history.history["loss"])
        2
        """
        if not self._is_in_training(model):
            self.compile(model)
        if self.epochs is not None:
            arguments.setdefault("epochs", self.epochs)
        validated = arguments.get("validation_data") is not None or bool(arguments.get("validation_split"))
        planned = make_callbacks(self.early_stopping, validated=validated)
        return model.fit(**self._data_arguments(x, y, arguments), callbacks=joined(planned, callbacks))

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain data, ready for JSON."""
        return {
            "weight_decay": self.weight_decay,
            "early_stopping": dict(self.early_stopping) if self.early_stopping is not None else None,
            "augmentation": [spec.code() for spec in self.augmentation],
            "batch_size": self.batch_size,
            "epochs": self.epochs,
            "objective": asdict(self.objective) if self.objective else None,
            "by_hand": [{"kind": change.kind, "title": change.title} for change in self.by_hand],
        }

    def __str__(self) -> str:
        lines = ["Training plan"]
        if self.weight_decay is not None:
            left_out = "not on biases, normalizations and embeddings"
            lines.append(f"  optimizer: decoupled weight decay {self.weight_decay:g}, {left_out}")
        names = ["TerminateOnNaN"]
        if self.early_stopping is not None:
            settings = ", ".join(f"{key}={value!r}" for key, value in self.early_stopping.items())
            names.append(f"EarlyStopping({settings})")
        lines.append(f"  callbacks: {', '.join(names)}")
        if self.augmentation:
            lines.append(f"  augmentation: {' → '.join(spec.code() for spec in self.augmentation)}")
        if self.objective is not None:
            lines.append(f"  loss: {self.objective.loss}, metric {self.objective.metric}")
        lines += [f"  by hand: {change.title}" for change in self.by_hand]
        return "\n".join(lines)

    def _fresh_arguments(self, model: Any) -> dict[str, Any]:
        if self.objective is None:
            reason = self.unclear or "the plan was made for a compiled model"
            raise ValueError(
                f"`{model.name}` is not compiled and its loss cannot be inferred: {reason}. Compile it with a loss "
                "first. Received: a model without a loss"
            )
        return {"optimizer": "adam", **self.objective.compile_arguments()}

    def _is_in_training(self, model: Any) -> bool:
        optimizer = getattr(model, "optimizer", None)
        if optimizer is None or int(keras.ops.convert_to_numpy(optimizer.iterations)) == 0:
            return False
        inner = getattr(optimizer, "inner_optimizer", optimizer)
        return self.weight_decay is None or inner.weight_decay == self.weight_decay

    def _data_arguments(self, x: Any, y: Any, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments of `Model.fit` with the data in the form in which it takes it."""
        result = dict(arguments)
        if isinstance(x, tuple) and y is None:
            x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(x)
            if sample_weight is not None:
                result["sample_weight"] = sample_weight
        if x is None or not is_arrays(x):
            if is_dataset(x):
                # Keras warns of a data set that it is asked to shuffle, and it is asked by default.
                result.setdefault("shuffle", False)
            return {**result, "x": self.prepare(x), "y": y}
        if self.augmentation:
            weights = result.pop("sample_weight", None)
            batch_size = result.pop("batch_size", self.batch_size)
            arrays = (x, y) if weights is None else (x, y, weights)
            dataset = prefetched(augmented(batches_of(arrays, batch_size), self.augmentation))
            return {"shuffle": False, **result, "x": dataset}
        if self.batch_size is not None:
            result.setdefault("batch_size", self.batch_size)
        return {**result, "x": x, "y": y}


def _check_compile_of(model: Any, arguments: Mapping[str, Any]) -> None:
    parameters = inspect.signature(model.compile).parameters
    takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    if not takes_all and not parameters.keys() >= {"optimizer", *arguments}:
        raise ValueError(
            f"`{model.name}` has a `compile` of its own, to which an optimizer with weight decay cannot be given. "
            f"Compile it yourself, or ask for advice with ignore='R305'. Received: compile({', '.join(parameters)})"
        )


def make_plan(findings: Sequence[Finding], facts: Facts) -> TrainingPlan:
    """Put a training plan together.

    Args:
        findings: What the rules found; where two ask for the same kind of change, the first wins.
        facts: Facts of the model, its data and the planned run.

    Returns:
        The plan.

    Example:
    >>> import keras
    >>> from advisor.facts import gather_facts
    >>> from advisor.graph import read_graph
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, activation="sigmoid")])
    >>> make_plan([], gather_facts(read_graph(model))).objective.loss
    'BinaryCrossentropy'
    """
    changes: dict[str, PlanChange] = {}
    for finding in findings:
        for change in finding.plan:
            changes.setdefault(change.kind, change)
    objective, unclear = None, None
    if not facts.model.compiled:
        try:
            objective = infer_objective(facts)
        except UnclearObjectiveError as error:
            unclear = str(error)
    decay, stopping = changes.get("weight_decay"), changes.get("early_stopping")
    return TrainingPlan(
        weight_decay=float(decay.settings["weight_decay"]) if decay else None,
        early_stopping=dict(stopping.settings) if stopping else None,
        batch_size=facts.training.batch_size,
        epochs=facts.training.epochs,
        objective=objective,
        unclear=unclear,
        by_hand=tuple(change for kind, change in changes.items() if kind not in CARRIED_OUT),
    )
