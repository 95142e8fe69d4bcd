"""Which layer of a model computes an operator, by the path that TensorFlow gave its operation."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras

from advisor.export.signature import Signature
from advisor.export.trace import trace
from advisor.graph import keras_internals
from advisor.litert.calls import Call, calls_replaced
from advisor.litert.operators import Operator


@dataclass(frozen=True)
class LayerScopes:
    """The name scopes that the layers of a model were called in.

    Attributes:
        scopes: The layer's name by the scope.
        outputs: The path of the operation behind an output, by the output's name.
    """

    scopes: Mapping[str, str]
    outputs: Mapping[str, str]

    def at(self, path: str) -> str | None:
        """The innermost layer on the path of an operation, such as `net_1/block_1/act_1/Atanh`; None if unknown.

        Example:
        >>> LayerScopes({"net_1": "net", "net_1/act_1": "act"}, {}).at("net_1/act_1/Atanh@__inference_serve_7")
        'act'
        """
        segments = path.split("@")[0].split(";")[0].split("/")
        for length in range(len(segments), 0, -1):
            name = self.scopes.get("/".join(segments[:length]))
            if name is not None:
                return name
        return None

    def of(self, operator: Operator) -> str:
        """The layer that an operator of a converted model belongs to; what is known of it where that is not found."""
        path = self.outputs.get(operator.output or "", operator.tensors[0] if operator.tensors else "")
        return self.at(path) or path


def read_layer_scopes(model: keras.Model, signature: Signature, outputs: tuple[str, ...] | None = None) -> LayerScopes:
    """Traces a model and notes the scope of every call.

    TensorFlow numbers scopes so that they are unique: a layer `dense` may be called in the scope `dense_1`, and the
    layer `dense_1` in `dense_1_1`. So they are noted, not guessed.

    Args:
        model: The model, in the forms it was converted in.
        signature: Its inputs.
        outputs: Names of its outputs.

    Returns:
        The names.
    """
    with scopes_noted(model) as scopes:
        traced = trace(model, signature, outputs)
    outputs_of = traced.function.structured_outputs
    return LayerScopes(scopes, {name: _behind_identities(tensor).op.name for name, tensor in outputs_of.items()})


@contextmanager
def scopes_noted(model: keras.Model) -> Iterator[dict[str, str]]:
    """Notes the scopes that layers are called in while the block traces them.

    Args:
        model: The model that is traced.

    Yields:
        What is filled: layers' names by scope.
    """
    import tensorflow as tf

    scopes: dict[str, str] = {}

    def watch(layer: Any, original: Call) -> Call:
        @functools.wraps(original)
        def watched(*args: Any, **kwargs: Any) -> Any:
            scopes.setdefault(tf.compat.v1.get_default_graph().get_name_scope(), layer.name)
            return original(*args, **kwargs)

        return watched

    with calls_replaced(keras_internals.layer_tree(model), watch):
        yield scopes


def _behind_identities(tensor: Any) -> Any:
    while tensor.op.type == "Identity":
        (tensor,) = tensor.op.inputs
    return tensor
