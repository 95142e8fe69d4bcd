"""Edits: what a fix changes, named by node paths, before any model is touched.

An edit is plain data. Which nodes it touches is its `footprint`; two fixes whose footprints meet are not applied in the
same round.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

if TYPE_CHECKING:
    from advisor.graph.model_graph import ModelGraph

ReadVariable = Callable[[str, str], np.ndarray | None]
"""`read(path, variable_name)` gives the value of a variable of the model being rewritten, None where it has none."""

WeightRule = Callable[[ReadVariable], Mapping[str, np.ndarray]]
"""Computes values for variables of the new layer, by variable name, from the old model's."""

Touch = tuple[str, str]
"""A part of a node (`layer`, `input` or `output`) and the node's path."""


@dataclass(frozen=True)
class LayerSpec:
    """A layer still to be made: its class and the arguments that differ from the defaults.

    Example:
    >>> import keras
    >>> spec = LayerSpec(keras.layers.Dropout, {"rate": 0.2})
    >>> spec.code()
    'keras.layers.Dropout(rate=0.2)'
    >>> spec.make("drop").rate
    0.2
    """

    cls: Any
    config: Mapping[str, Any] = field(default_factory=dict)

    def make(self, name: str) -> Any:
        """The layer, under the given name."""
        return self.cls.from_config({**self.config, "name": self.config.get("name", name)})

    def code(self) -> str:
        """Python source that makes the layer."""
        package = self.cls.__module__.split(".")[0]
        prefix = "keras.layers" if package == "keras" else package
        shown = {key: value for key, value in self.config.items() if key not in {"name", "dtype"}}
        arguments = ", ".join(f"{key}={value!r}" for key, value in shown.items())
        return f"{prefix}.{self.cls.__name__}({arguments})"


@dataclass(frozen=True)
class Edit(ABC):
    """Base of all edits: which node it is about.

    Attributes:
        path: The node's path.
        rebuilds: Whether a layer or a call has to be made in another way, which cannot be done inside Python code.
    """

    path: str

    rebuilds: ClassVar[bool] = True

    @property
    @abstractmethod
    def footprint(self) -> frozenset[Touch]:
        """What the edit touches; two edits with a common touch conflict."""

    @abstractmethod
    def describe(self) -> str:
        """One line a person can follow by hand."""


@dataclass(frozen=True)
class Configure(Edit):
    """Rebuild the node's layer with changed arguments; variables of equal name and shape are kept.

    Args:
        path: Any call of the layer.
        changes: Constructor arguments and their new values.
        weights: Values for variables that change with it, such as a moving mean that takes over a bias.
    """

    changes: Mapping[str, Any] = field(default_factory=dict)
    weights: WeightRule | None = None

    @property
    def footprint(self) -> frozenset[Touch]:
        return frozenset({("layer", self.path)})

    def describe(self) -> str:
        changes = ", ".join(f"{key}={value!r}" for key, value in self.changes.items())
        return f"make `{self.path}` with {changes}" if changes else f"make `{self.path}` anew from its own arguments"


@dataclass(frozen=True)
class Replace(Edit):
    """Put another layer in the place of the node's layer, at every call of it.

    Args:
        path: Any call of the layer.
        spec: The new layer.
        weights: Values for its variables; those it does not name keep the new layer's initial value.
    """

    spec: LayerSpec
    weights: WeightRule | None = None

    @property
    def footprint(self) -> frozenset[Touch]:
        return frozenset({("layer", self.path)})

    def describe(self) -> str:
        return f"replace `{self.path}` by {self.spec.code()}"


@dataclass(frozen=True)
class InsertBefore(Edit):
    """Apply new layers, in order, to the first input of the node."""

    specs: tuple[LayerSpec, ...]

    @property
    def footprint(self) -> frozenset[Touch]:
        return frozenset({("input", self.path)})

    def describe(self) -> str:
        return f"before `{self.path}` insert {' → '.join(spec.code() for spec in self.specs)}"


@dataclass(frozen=True)
class InsertAfter(Edit):
    """Apply new layers, in order, to the first output of the node; everything that read it reads the last of them."""

    specs: tuple[LayerSpec, ...]

    @property
    def footprint(self) -> frozenset[Touch]:
        return frozenset({("output", self.path)})

    def describe(self) -> str:
        return f"after `{self.path}` insert {' → '.join(spec.code() for spec in self.specs)}"


@dataclass(frozen=True)
class Remove(Edit):
    """Take this call out; what read its output reads its input instead.

    Args:
        path: The node's path.
        kept: Which of several inputs is read instead.
    """

    kept: int = 0

    @property
    def footprint(self) -> frozenset[Touch]:
        return frozenset({("layer", self.path), ("input", self.path), ("output", self.path)})

    def describe(self) -> str:
        return f"remove `{self.path}`"


@dataclass(frozen=True)
class Wrap(Edit):
    """Wrap the node's layer: `wrapper(layer, **config)`, at every call of it, weights of the inner layer kept."""

    wrapper: Any
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def footprint(self) -> frozenset[Touch]:
        return frozenset({("layer", self.path)})

    def describe(self) -> str:
        arguments = "".join(f", {key}={value!r}" for key, value in self.config.items())
        return f"wrap `{self.path}`: {self.wrapper.__name__}({self.path}{arguments})"


@dataclass(frozen=True)
class Substitute(Edit):
    """Put a copy of a built layer, with its weights and its name, in the place of the node's layer, at every call.

    Args:
        path: Any call of the layer.
        layer: The layer to copy; it stays as it is.
    """

    layer: Any

    @property
    def footprint(self) -> frozenset[Touch]:
        return frozenset({("layer", self.path)})

    def describe(self) -> str:
        return f"put {type(self.layer).__name__} `{self.layer.name}` in the place of `{self.path}`"


@dataclass(frozen=True)
class SetTrainable(Edit):
    """Freeze the node's layer, or set it free; reaches into nested models and layers written in Python.

    A frozen batch normalization works as at inference while the model trains, too.

    Args:
        path: Any call of the layer or nested model, which passes the flag on to everything in it.
        trainable: The flag.
    """

    rebuilds = False

    trainable: bool

    @property
    def footprint(self) -> frozenset[Touch]:
        return frozenset({("layer", self.path)})

    def describe(self) -> str:
        return f"set `trainable = {self.trainable}` on `{self.path}` before `compile`"


@dataclass(frozen=True)
class ConfigureLoss(Edit):
    """Compile the rewritten model with a changed argument of the loss that belongs to one output.

    Args:
        path: Path of the node whose output the loss reads.
        output: Position of that output among the model's flat outputs.
        changes: Constructor arguments of the loss and their new values.
    """

    output: int
    changes: Mapping[str, Any]

    @property
    def footprint(self) -> frozenset[Touch]:
        return frozenset({("loss", self.path)})

    def describe(self) -> str:
        changes = ", ".join(f"{key}={value!r}" for key, value in self.changes.items())
        return f"compile with {changes} in the loss of `{self.path}`"


def refusal_of(edit: Edit, graph: ModelGraph) -> str | None:
    """Why an edit cannot be carried out.

    Args:
        edit: An edit of a node of the graph.
        graph: Graph of the model.

    Returns:
        The reason, or None when it can.
    """
    return graph.refusal(edit.path) if edit.rebuilds else graph.root.refusal
