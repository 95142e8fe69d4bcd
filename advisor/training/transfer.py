"""Training a pretrained network on few samples, in two phases."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras

from advisor.facts import gather_facts
from advisor.facts.read_data import read_data
from advisor.graph import read_graph
from advisor.graph.keras_internals import compile_arguments, layer_tree, own_variables
from advisor.training.callbacks import joined, make_callbacks
from advisor.training.objective import infer_objective


@dataclass(frozen=True)
class TransferHistory:
    """What the two phases recorded.

    Attributes:
        head: The `History.history` of the first phase.
        top: That of the second.
        kept: The phase whose best weights the model has now, 1 or 2.
    """

    head: Mapping[str, list[float]]
    top: Mapping[str, list[float]]
    kept: int


@dataclass(frozen=True)
class TransferPlan:
    """How to train a model with a pretrained backbone on few samples.

    Phase 1 trains what is new, the backbone frozen; phase 2 trains the top of the backbone with it, at a tenth of the
    learning rate. Batch normalization of the backbone stays frozen, with the averages of the large data set. Each phase
    stops early and goes back to its best weights, and the second is taken back where it did not improve on the first.

    Args:
        backbone: Name of the nested model; None means the largest one.
        head_epochs: Most epochs of phase 1.
        top_epochs: Most epochs of phase 2; 0 leaves it out.
        top_share: Share of the backbone's layers with weights that phase 2 trains, from the top, 0 < share ≤ 1.
        rate_factor: Learning rate of phase 2, relative to that of phase 1.
        patience: Epochs without a lower validation loss after which a phase stops.

    Raises:
        ValueError: If a number is out of range.

    Example:
    >>> import numpy as np
    >>> from advisor.rewrite import pretrained_backbone
    >>> model = pretrained_backbone("classification", "MobileNetV2", weights=None, input_shape=(32, 32, 3), outputs=2)
    >>> model.compile("adam", "sparse_categorical_crossentropy")
    >>> images, labels = np.zeros((4, 32, 32, 3)), np.array([0, 1, 0, 1])
    >>> history = TransferPlan(head_epochs=1, top_epochs=1).fit(model, images, labels, verbose=0)
    >>> len(history.head["loss"]), len(history.top["loss"])
    (1, 1)

    References:
        Keras guide "Transfer learning & fine-tuning"; Yosinski et al. 2014, arXiv:1411.1792.
    """

    backbone: str | None = None
    head_epochs: int = 20
    top_epochs: int = 10
    top_share: float = 0.3
    rate_factor: float = 0.1
    patience: int = 5

    def __post_init__(self) -> None:
        if self.head_epochs < 1 or self.top_epochs < 0 or self.patience < 1:
            raise ValueError(
                "`head_epochs` and `patience` must be at least 1 and `top_epochs` at least 0. "
                f"Received: head_epochs={self.head_epochs}, top_epochs={self.top_epochs}, patience={self.patience}"
            )
        if not (0 < self.top_share <= 1 and self.rate_factor > 0):
            raise ValueError(
                "`top_share` must be above 0 and at most 1, and `rate_factor` above 0. "
                f"Received: top_share={self.top_share}, rate_factor={self.rate_factor}"
            )

    def freeze_backbone(self, model: Any) -> None:
        """Set the flags of phase 1: the backbone frozen. Compile afterwards."""
        self._backbone_of(model).trainable = False

    def unfreeze_top(self, model: Any) -> None:
        """Set the flags of phase 2: the top of the backbone free, batch normalization frozen. Compile afterwards."""
        backbone = self._backbone_of(model)
        backbone.trainable = True
        holders = [layer for layer in layer_tree(backbone) if own_variables(layer)]
        bottom = len(holders) - math.ceil(self.top_share * len(holders))
        # A flag reaches the layers inside, which come later and get their own.
        for position, layer in enumerate(holders):
            layer.trainable = position >= bottom and not isinstance(layer, keras.layers.BatchNormalization)

    def fit(
        self, model: Any, x: Any = None, y: Any = None, *, callbacks: Any = None, **arguments: Any
    ) -> TransferHistory:
        """Train a model in both phases, in place.

        The model keeps its loss, metrics and the class and arguments of its optimizer; each phase begins with a fresh
        one. A model that is not compiled gets Adam and a loss inferred from its head and the labels.

        Args:
            model: A model with a nested backbone, such as `pretrained_backbone` makes.
            x: As in `Model.fit`; `(x, y)` and `(x, y, sample_weight)` of arrays are accepted too.
            y: As in `Model.fit`.
            callbacks: As in `Model.fit`; one of a class that the plan has too replaces it.
            **arguments: Further arguments of `Model.fit`, except `epochs`.

        Returns:
            What both phases recorded, and the phase whose weights were kept.

        Raises:
            ValueError: If there is no such backbone, `epochs` is given, or the loss cannot be inferred.
        """
        if "epochs" in arguments:
            raise ValueError(
                "the phases have epochs of their own: TransferPlan(head_epochs=…, top_epochs=…). "
                f"Received: epochs={arguments['epochs']}"
            )
        if isinstance(x, tuple) and y is None:
            x, y, weights = keras.utils.unpack_x_y_sample_weight(x)
            arguments = {**arguments, "sample_weight": weights}
        settings = compile_arguments(model) or self._fresh_settings(model, x, y)
        optimizer = keras.optimizers.get(model.optimizer if model.compiled else settings["optimizer"])
        validated = arguments.get("validation_data") is not None or bool(arguments.get("validation_split"))
        monitor = "val_loss" if validated else "loss"
        stopping = {"monitor": monitor, "patience": self.patience, "restore_best_weights": True}

        def phase(rate: float, epochs: int) -> Mapping[str, list[float]]:
            model.compile(**{**settings, "optimizer": _with_rate(optimizer, rate)})
            planned = make_callbacks(stopping, validated=validated)
            history = model.fit(x, y, epochs=epochs, callbacks=joined(planned, callbacks), **arguments)
            return dict(history.history)

        rate = float(keras.ops.convert_to_numpy(optimizer.learning_rate))
        self.freeze_backbone(model)
        head = phase(rate, self.head_epochs)
        if not self.top_epochs:
            return TransferHistory(head, {}, 1)
        best_of_head = model.get_weights()
        self.unfreeze_top(model)
        top = phase(rate * self.rate_factor, self.top_epochs)
        if _best(top, monitor) <= _best(head, monitor):
            return TransferHistory(head, top, 2)
        model.set_weights(best_of_head)
        return TransferHistory(head, top, 1)

    def _backbone_of(self, model: Any) -> Any:
        nested = {layer.name: layer for layer in model.layers if isinstance(layer, keras.Model)}
        if self.backbone in nested:
            return nested[self.backbone]
        if self.backbone is not None or not nested:
            raise ValueError(
                f"`backbone` must name a nested model of `{model.name}`, of which there are: "
                f"{', '.join(nested) or 'none'}. Received: backbone={self.backbone!r}"
            )
        return max(nested.values(), key=lambda layer: layer.count_params())

    def _fresh_settings(self, model: Any, x: Any, y: Any) -> dict[str, Any]:
        graph = read_graph(model)
        data = read_data(x if y is None else (x, y), graph, batch_size=None, seed=0)
        return {"optimizer": "adam", **infer_objective(gather_facts(graph, data=data)).compile_arguments()}


def _with_rate(optimizer: Any, rate: float) -> Any:
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        optimizer = optimizer.inner_optimizer
    return type(optimizer).from_config({**optimizer.get_config(), "learning_rate": rate})


def _best(history: Mapping[str, list[float]], monitor: str) -> float:
    return min((loss for loss in history.get(monitor, []) if math.isfinite(loss)), default=math.inf)
