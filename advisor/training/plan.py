"""The training plan: what the findings ask of the run."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import keras

from advisor.graph import LayerSpec
from advisor.graph.keras_internals import compile_arguments
from advisor.rules import PlanChange
from advisor.training.callbacks import batch_statistics_callbacks, joined, make_callbacks, replacements
from advisor.training.data import (
    BatchChange,
    augmenting,
    batches_of,
    changed,
    is_arrays,
    is_dataset,
    labelling_one_hot,
    mixing,
    prefetched,
    split_off,
)
from advisor.training.description import as_data, describe
from advisor.training.fit_arguments import check_fit_arguments
from advisor.training.objective import Objective
from advisor.training.optimizer import (
    clips,
    follows_schedule,
    with_gradient_clipping,
    with_learning_rate,
    with_weight_decay,
)
from advisor.training.soft_labels import for_class_numbers, for_soft_labels, one_hot
from advisor.training.streams import stream_changed


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
        by_hand: Changes that the plan does not carry out.
        clipnorm: Largest norm of each variable's gradient, or None; an optimizer that clips already is left as it is.
        learning_rate: Learning rate of the optimizer, or None; a schedule is left as it is.
        reduce_on_plateau: Arguments of `keras.callbacks.ReduceLROnPlateau`, or None for none.
        label_smoothing: Share of every label that is spread over all classes, or None for none.
        mixing: `MixUp` or `CutMix` to apply to training inputs and labels, or None.
        batch_statistics: Whether moving averages are recomputed by `keras_normpack.PreciseBatchNormalization`.
        classes: Number of classes where labels are class numbers and are to be smoothed or mixed, for which they are
            made one-hot; None where they stay as they are.
        input_rank: Axes of the model's only input with the batch; None where there are several.

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
    clipnorm: float | None = None
    learning_rate: float | None = None
    reduce_on_plateau: Mapping[str, Any] | None = None
    label_smoothing: float | None = None
    mixing: LayerSpec | None = None
    batch_statistics: bool = False
    classes: int | None = None
    input_rank: int | None = None

    @property
    def callbacks(self) -> list[Any]:
        """Fresh callbacks for one run of `Model.fit` with validation data.

        Those that must know model or data are added by `fit`: the one that recomputes batch statistics.
        """
        return make_callbacks(self.early_stopping, self.reduce_on_plateau, validated=True)

    def compile(self, model: Any) -> None:
        """Compile a model as planned, in place.

        A compiled model keeps its loss, metrics and further arguments, and the class and arguments of its optimizer; it
        is left as it is when the plan changes nothing about them. A model that is not compiled gets Adam, or AdamW
        where decay is planned, and a loss inferred from head and labels. Where labels are smoothed or mixed, loss and
        metrics become those for one-hot labels; train with `prepare` and `prepare_validation` then, or with `fit`,
        which turns them back when it is done.

        Args:
            model: A built model with the output structure of the one the plan was made for.

        Raises:
            ValueError: If the model is not compiled and its loss cannot be inferred, its loss or a metric does not
                take smoothed labels and such are planned, or it has a `compile` of its own that takes other arguments.

        Example:
        >>> import keras
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> TrainingPlan(weight_decay=1e-4).compile(model)
        >>> type(model.optimizer).__name__, model.optimizer.weight_decay, model.loss
        ('SGD', 0.0001, 'mse')
        """
        arguments = compile_arguments(model) or self._fresh_arguments(model)
        if self._changes_optimizer:
            _check_compile_of(model, arguments)
            arguments = {**arguments, "optimizer": self._optimizer(arguments["optimizer"], model)}
        if self._softens_labels:
            arguments = for_soft_labels(arguments, self.label_smoothing)
        if self._changes_optimizer or self._softens_labels or not model.compiled:
            model.compile(**arguments)

    def prepare(self, data: Any, *, shuffle: bool | str = True) -> Any:
        """Make training data ready for `Model.fit`: augmented and mixed as planned, and prefetched.

        Args:
            data: A batched `tf.data.Dataset`; arrays as `(x, y)` or `(x, y, sample_weight)`, which are batched; or what
                has workers of its own: a `PyDataset`, a torch `DataLoader`, a generator.
            shuffle: Whether arrays are shuffled, or `"batch"` for whole batches, as in `Model.fit`.

        Returns:
            A `tf.data.Dataset` of a data set or arrays. Data of another kind as it is where its batches need no change,
            and otherwise changed batch by batch.

        Raises:
            ValueError: If a change is planned for data that is none of these.

        Example:
        >>> import numpy as np
        >>> dataset = TrainingPlan(batch_size=4).prepare((np.zeros((10, 3)), np.zeros(10)))
        >>> [x.shape[0] for x, y in dataset]
        [4, 4, 2]
        """
        if isinstance(data, tuple) and is_arrays(data):
            data = batches_of(data, self.batch_size, shuffle)
        if is_dataset(data):
            return prefetched(changed(data, self._changes))
        return stream_changed(data, self._changes) if self._changes else data

    def prepare_validation(self, data: Any) -> Any:
        """Make validation data ready: with one-hot labels where training has them. It is never augmented or mixed.

        Args:
            data: What `validation_data` of `Model.fit` takes.

        Returns:
            The same kind of data.

        Raises:
            ValueError: If labels must change in data whose batches cannot be changed.

        Example:
        >>> import numpy as np
        >>> x, y = TrainingPlan(label_smoothing=0.1, classes=3).prepare_validation((np.zeros((2, 3)), np.array([2, 0])))
        >>> y.tolist()
        [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
        """
        if data is None or self.classes is None:
            return data
        if isinstance(data, (tuple, list)) and is_arrays(data):
            x, y, *weights = data
            return (x, one_hot(y, self.classes).numpy(), *weights)
        label = [labelling_one_hot(self.classes)]
        return changed(data, label) if is_dataset(data) else stream_changed(data, label)

    def fit(
        self,
        model: Any,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int | None = None,
        verbose: int | str = "auto",
        callbacks: Any = None,
        **arguments: Any,
    ) -> Any:
        """Train a model as planned.

        The model is compiled by the plan unless its optimizer has the planned settings and has taken steps already, so
        that a second call goes on where the first ended. Where labels are smoothed or mixed, which needs one-hot ones,
        the model has its loss and metrics for class numbers again afterwards, so that `evaluate` takes the labels as
        they are.

        Args:
            model: The model; it is trained in place.
            x: As in `Model.fit`; `(x, y)` and `(x, y, sample_weight)` of arrays are accepted too.
            y: As in `Model.fit`.
            batch_size: As in `Model.fit`; for arrays the planned size by default.
            epochs: As in `Model.fit`; the planned number by default.
            verbose: As in `Model.fit`.
            callbacks: As in `Model.fit`; they follow the plan's, and one of a class that the plan has too, or derived
                from it, replaces it, which is printed unless `verbose` is 0.
            **arguments: Further arguments of `Model.fit`.

        Returns:
            The `keras.callbacks.History`.

        Raises:
            TypeError: If `Model.fit` has no such argument.
            ValueError: As `compile` and `prepare`, and where arguments do not go together. Nothing has changed then.

        Example:
        >>> import numpy as np
        >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> plan = TrainingPlan(weight_decay=1e-4, epochs=2)
        >>> history = plan.fit(model, np.ones((8, 3)), np.ones((8, 1)), verbose=0)
        >>> len(history.history["loss"])
        2
        """
        arguments["verbose"] = verbose
        chosen = {"batch_size": batch_size, "epochs": self.epochs if epochs is None else epochs}
        arguments |= {name: value for name, value in chosen.items() if value is not None}
        if isinstance(x, tuple) and y is None:
            x, y, arguments = _unpacked(x, arguments)
        check_fit_arguments(model, x, y, arguments, mixes=self.mixing is not None)
        validated = arguments.get("validation_data") is not None or bool(arguments.get("validation_split"))
        prepared = self._data_arguments(x, y, arguments)
        self._make_ready(model)
        planned = make_callbacks(self.early_stopping, self._reductions(model), validated=validated)
        if self.batch_statistics:
            size = prepared.get("batch_size") if is_arrays(prepared["x"]) else None
            planned += batch_statistics_callbacks(model, prepared["x"], size, validated=validated)
        if verbose:
            for sentence in replacements(planned, callbacks):
                print(f"{sentence[0].upper()}{sentence[1:]}.")
        try:
            return model.fit(**prepared, callbacks=joined(planned, callbacks))
        finally:
            if self.classes is not None:
                model.compile(**{**for_class_numbers(compile_arguments(model)), "optimizer": model.optimizer})

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain data, ready for JSON."""
        return as_data(self)

    def __str__(self) -> str:
        return describe(self)

    @property
    def _changes_optimizer(self) -> bool:
        return any(setting is not None for setting in (self.weight_decay, self.clipnorm, self.learning_rate))

    @property
    def _softens_labels(self) -> bool:
        return self.label_smoothing is not None or self.mixing is not None

    @property
    def _changes(self) -> list[BatchChange]:
        """What is done to the batches of the training data, in order, with fresh layers."""
        augment = [augmenting(self.augmentation, self.input_rank)] if self.augmentation else []
        label = [] if self.classes is None else [labelling_one_hot(self.classes)]
        mix = [] if self.mixing is None else [mixing(self.mixing, self.input_rank)]
        return [*augment, *label, *mix]

    def _optimizer(self, optimizer: Any, model: Any) -> Any:
        if self.learning_rate is not None:
            optimizer = with_learning_rate(optimizer, self.learning_rate)
        if self.clipnorm is not None:
            optimizer = with_gradient_clipping(optimizer, self.clipnorm)
        # Last, as its exceptions do not outlive a copy.
        return optimizer if self.weight_decay is None else with_weight_decay(optimizer, self.weight_decay, model)

    def _reductions(self, model: Any) -> Mapping[str, Any] | None:
        return None if follows_schedule(model.optimizer) else self.reduce_on_plateau

    def _make_ready(self, model: Any) -> None:
        """Compile the model, with the optimizer it has where that is in the middle of its training."""
        if not self._is_in_training(model):
            self.compile(model)
        elif self._softens_labels:
            arguments = for_soft_labels(compile_arguments(model), self.label_smoothing)
            model.compile(**{**arguments, "optimizer": model.optimizer})

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
        decays = self.weight_decay is None or inner.weight_decay == self.weight_decay
        return decays and (self.clipnorm is None or clips(optimizer))

    def _data_arguments(self, x: Any, y: Any, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments of `Model.fit` with the data in the form in which it takes it."""
        result = dict(arguments)
        result["validation_data"] = self.prepare_validation(result.get("validation_data"))
        if x is None or not is_arrays(x):
            prepared = self.prepare(x)
            if is_dataset(prepared):
                # Keras warns of a data set that it is asked to shuffle, and it is asked by default.
                result.setdefault("shuffle", False)
            return {**result, "x": prepared, "y": y}
        if self._changes:
            return self._as_dataset(x, y, result)
        if self.batch_size is not None:
            result.setdefault("batch_size", self.batch_size)
        return {**result, "x": x, "y": y}

    def _as_dataset(self, x: Any, y: Any, arguments: dict[str, Any]) -> dict[str, Any]:
        """Arguments of `Model.fit` with arrays as a data set that changes as planned, and the split off as it is."""
        arrays = tuple(part for part in (x, y, arguments.pop("sample_weight", None)) if part is not None)
        split = arguments.pop("validation_split", None)
        if split and arguments["validation_data"] is None:
            arrays, held = split_off(arrays, split)
            arguments["validation_data"] = self.prepare_validation(held)
        size = arguments.pop("batch_size", None) or self.batch_size
        if size is None and (steps := arguments.get("steps_per_epoch")):
            # As Keras does: all samples in so many steps.
            size = math.ceil(len(keras.tree.flatten(arrays)[0]) / steps)
        plan = replace(self, batch_size=size)
        if plan.batch_size is not None:
            arguments.setdefault("validation_batch_size", plan.batch_size)
        dataset = plan.prepare(arrays, shuffle=arguments.pop("shuffle", True))
        return {**arguments, "shuffle": False, "x": dataset}


def _unpacked(x: tuple[Any, ...], arguments: dict[str, Any]) -> tuple[Any, Any, dict[str, Any]]:
    """Inputs, targets and the other arguments, out of `(x, y)` or `(x, y, sample_weight)`."""
    x, y, weights = keras.utils.unpack_x_y_sample_weight(x)
    if weights is None:
        return x, y, arguments
    if arguments.get("sample_weight") is not None:
        raise ValueError("`sample_weight` must be given once. Received: sample_weight, and weights in (x, y, weights)")
    return x, y, {**arguments, "sample_weight": weights}


def _check_compile_of(model: Any, arguments: Mapping[str, Any]) -> None:
    parameters = inspect.signature(model.compile).parameters
    takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    if not takes_all and not parameters.keys() >= {"optimizer", *arguments}:
        raise ValueError(
            f"`{model.name}` has a `compile` of its own, to which the planned optimizer cannot be given. "
            f"Compile it yourself, or ask for advice with ignore='R305,T'. Received: compile({', '.join(parameters)})"
        )
