"""The only file of the advisor that touches private Keras attributes.

Everything the advisor needs and Keras does not offer publicly is here, one small function each, so that a Keras
release that moves something is mended in one place. `tests/advisor/graph/test_keras_internals.py` holds what these
functions return against the public `get_config()`.
"""

from __future__ import annotations

import contextlib
import copy
import inspect
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras
from keras.src.backend.common import global_state
from keras.src.backend.common.masking import get_keras_mask, set_keras_mask
from keras.src.models.functional import Functional, functional_like_constructor

KerasTensor = keras.KerasTensor


@dataclass(frozen=True, eq=False)
class RecordedCall:
    """One call of an operation while a functional graph was built.

    Attributes:
        operation: The layer, model or `keras.ops` operation that was called.
        args: Positional arguments, symbolic tensors in place.
        kwargs: Keyword arguments, symbolic tensors in place.
        inputs: The symbolic tensors among the arguments, in order.
        outputs: The symbolic tensors returned, flat.
        is_input: Whether the call is an `Input`.
    """

    operation: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]
    is_input: bool


def functional_form(model: Any) -> Any | None:
    """The `Functional` graph behind a model, or None when there is none to read."""
    if isinstance(model, keras.Sequential):
        return model._functional
    if isinstance(model, Functional) and hasattr(model, "_nodes_by_depth"):
        return model
    return None


def rebuilds_from_graph(model: Any) -> bool:
    """Whether a model of the same class can be made from layers, or from inputs and outputs, as Keras decides it."""
    return type(model) is keras.Sequential or functional_like_constructor(type(model))


def recorded_calls(functional: Any) -> list[RecordedCall]:
    """The calls that make up a functional graph, each after the calls it depends on."""
    return [
        _recorded(node)
        for depth in sorted(functional._nodes_by_depth, reverse=True)
        for node in functional._nodes_by_depth[depth]
    ]


def calls_between(inputs: list[Any], outputs: list[Any]) -> list[RecordedCall]:
    """The calls that lead from symbolic inputs to symbolic outputs, each after the calls it depends on.

    As a functional model of them would tell, but for layers of any names.
    """
    ordered: dict[int, Any] = {}
    waiting = [(_node_of(tensor), False) for tensor in [*reversed(outputs), *reversed(inputs)]]
    while waiting:
        node, is_ready = waiting.pop()
        if id(node) in ordered:
            continue
        if is_ready:
            ordered[id(node)] = node
        else:
            waiting.append((node, True))
            waiting.extend((_node_of(tensor), False) for tensor in reversed(node.input_tensors))
    return [_recorded(node) for node in ordered.values()]


def _node_of(tensor: Any) -> Any:
    history = tensor._keras_history
    return history.operation._inbound_nodes[history.node_index]


def _recorded(node: Any) -> RecordedCall:
    return RecordedCall(
        operation=node.operation,
        args=node.arguments.args,
        kwargs=node.arguments.kwargs,
        inputs=tuple(node.input_tensors),
        outputs=tuple(node.output_tensors),
        is_input=node.is_input,
    )


def input_structure(functional: Any) -> Any:
    """The symbolic inputs in the structure the user gave: a tensor, list, dict or nesting of them."""
    return functional._inputs_struct


def output_structure(functional: Any) -> Any:
    """The symbolic outputs in the structure the user gave."""
    return functional._outputs_struct


def sequential_layers(model: Any) -> list[Any]:
    """The layers of a `Sequential`, its `InputLayer` included (the public `layers` leaves it out)."""
    return list(model._layers)


def direct_sublayers(layer: Any) -> list[Any]:
    """The layers a layer or subclassed model holds itself, in order of creation."""
    return list(layer._flatten_layers(include_self=False, recursive=False))


def wrapped_layers(layer: Any) -> tuple[Any, ...]:
    """The layers inside a wrapper such as `TimeDistributed` or `Bidirectional`; empty for any other layer."""
    if isinstance(layer, keras.layers.Bidirectional):
        return (layer.forward_layer, layer.backward_layer)
    if isinstance(layer, keras.layers.Wrapper):
        return (layer.layer,)
    return ()


def compile_arguments(model: Any) -> dict[str, Any]:
    """The arguments `compile` was called with, as objects; empty when the model is not compiled."""
    if not getattr(model, "compiled", False):
        return {}
    # A loaded file keeps only the serialized form when its objects are unknown here.
    config = getattr(model, "_compile_config", None)
    return dict(config.config) if config is not None else {}


def accepts_argument(layer: Any, name: str) -> bool:
    """Whether a layer's `call` takes the named argument."""
    parameters = inspect.signature(layer.call).parameters
    return name in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())


def keras_mask(tensor: Any) -> Any | None:
    """The mask a tensor carries, or None."""
    return get_keras_mask(tensor)


def attach_mask(tensor: Any, mask: Any) -> None:
    """Let an eager tensor carry a mask, as layers do for the next one."""
    set_keras_mask(tensor, mask)


def bare_copy(operation: Any) -> Any:
    """A copy of a stateless `keras.ops` operation that takes part in no graph."""
    duplicate = copy.copy(operation)
    duplicate._inbound_nodes = []
    duplicate._outbound_nodes = []
    return duplicate


def is_built(model: Any) -> bool:
    """Whether the model has its weights."""
    # Not asked of its layers: those a model never calls stay unbuilt for good, as the lookup inside a text layer does.
    return functional_form(model) is not None or bool(model.built)


def own_variables(layer: Any) -> list[Any]:
    """The variables a layer holds itself, seed generator states included, without those of its sublayers."""
    variables = {id(v): v for v in (*layer._trainable_variables, *layer._non_trainable_variables)}
    for generator in layer._seed_generators:
        variables.setdefault(id(generator.state), generator.state)
    return list(variables.values())


def variable_paths(model: Any) -> dict[int, str]:
    """A unique name per variable of a model, by `id`: its path, numbered where nested models repeat one."""
    seen: dict[str, int] = {}
    paths = {}
    for variable in model.variables:
        seen[variable.path] = seen.get(variable.path, 0) + 1
        count = seen[variable.path]
        paths[id(variable)] = variable.path if count == 1 else f"{variable.path}#{count}"
    return paths


def layer_tree(layer: Any) -> list[Any]:
    """A layer and all layers inside it, each once, outermost first."""
    return list(layer._flatten_layers(include_self=True, recursive=True))


def rename(layer: Any, name: str) -> None:
    """Give a layer another name; an input also goes by that of its tensor."""
    layer.name = name
    if isinstance(layer, keras.layers.InputLayer):
        layer.output.name = name


@contextlib.contextmanager
def room_for_depth(layers: int) -> Iterator[None]:
    """Room to build a model with that many layers in a row: Keras walks a graph by recursion, one call per layer.

    A model that could just be built at the top of a script can then be built again from further down the stack.
    """
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(before + layers)
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


@contextlib.contextmanager
def deferred_variables() -> Iterator[None]:
    """Layers built in this scope get variables with shapes but no values and no memory.

    Every variable so made must be given a value with `initialize` or `initialize_fresh` before use. Without the scope,
    every weight would be drawn from its initializer only to be overwritten.
    """
    before = list(global_state.get_global_attribute("uninitialized_variables") or [])
    try:
        with keras.StatelessScope(initialize_variables=False):
            yield
    finally:
        # Keras keeps the variables in a global list and would initialize them a second time when the next scope ends.
        global_state.set_global_attribute("uninitialized_variables", before)


def is_deferred(variable: Any) -> bool:
    """Whether a variable made under `deferred_variables` still waits for its value."""
    return variable._value is None


def initialize(variable: Any, value: Any) -> None:
    """Give a variable its value: the first one, or a new one."""
    if is_deferred(variable):
        # A tensor, never the other variable itself: Keras would share the storage between the two.
        variable._initialize(keras.ops.copy(keras.ops.convert_to_tensor(value, dtype=variable.dtype)))
        variable._initializer = None
    else:
        variable.assign(value)


def initialize_fresh(variable: Any) -> None:
    """Give a deferred variable the value its own initializer draws."""
    if is_deferred(variable):
        variable._deferred_initialize()


@contextlib.contextmanager
def fresh_names() -> Iterator[None]:
    """Names that Keras makes up count from the beginning, and those made up afterwards do not skip any."""
    before = global_state.get_global_attribute("object_name_uids")
    global_state.set_global_attribute("object_name_uids", None)
    try:
        yield
    finally:
        global_state.set_global_attribute("object_name_uids", before)


@contextlib.contextmanager
def left_as_it_is(owner: Any) -> Iterator[None]:
    """Everything in a layer or model is afterwards as it was, though its `call` runs on symbolic tensors here.

    Those add nodes to the layers called, whose shared calls Keras would count when it saves the model; losses, which
    Keras takes from values only, are dropped; and a layer without weights yet raises instead of making them.
    """
    layers = layer_tree(owner)
    attributes = [(vars(layer), dict(vars(layer))) for layer in layers]
    nodes = [(found, len(found)) for layer in layers for found in (layer._inbound_nodes, layer._outbound_nodes)]
    for layer in layers:
        vars(layer)["add_loss"] = lambda loss: None
        if not layer.built:
            vars(layer)["build"] = _refuse_to_build
    try:
        yield
    finally:
        for live, before in attributes:
            live.clear()
            live.update(before)
        for found, count in nodes:
            del found[count:]


def _refuse_to_build(*args: Any, **kwargs: Any) -> None:
    raise RuntimeError("a layer is called that has no weights yet")


_OVERRIDDEN_BY_CLASSES = (
    "call",
    "compute_loss",
    "compute_metrics",
    "train_step",
    "test_step",
    "predict_step",
    "make_train_function",
    "make_test_function",
    "make_predict_function",
    "compile",
    "fit",
    "evaluate",
    "predict",
)


def own_behavior(model: Any) -> list[str]:
    """The methods by which a model's class computes or trains otherwise than Keras does."""
    return [
        name for name in _OVERRIDDEN_BY_CLASSES if getattr(type(model), name) is not getattr(Functional, name, None)
    ]
