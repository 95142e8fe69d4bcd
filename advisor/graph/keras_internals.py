"""The only file of the advisor that touches private Keras attributes.

Everything the advisor needs and Keras does not offer publicly is here, one small function each, so that a Keras
release that moves something is mended in one place. `tests/advisor/graph/test_keras_internals.py` holds what these
functions return against the public `get_config()`.
"""

from __future__ import annotations

import contextlib
import copy
import inspect
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras.src.backend.common import global_state
from keras.src.backend.common.masking import get_keras_mask, set_keras_mask
from keras.src.models.functional import Functional, functional_like_constructor
from keras.src.saving import saving_lib
from keras.src.saving.keras_saveable import KerasSaveable
from keras.src.saving.serialization_lib import ObjectSharingScope, SafeModeScope
from keras.src.utils.naming import to_snake_case

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


def learning_rate_schedule(optimizer: Any) -> Any | None:
    """The schedule an optimizer takes its learning rate from, or None where that is a number."""
    given = optimizer._learning_rate
    return given if isinstance(given, keras.optimizers.schedules.LearningRateSchedule) else None


def decays(optimizer: Any, variable: Any) -> bool:
    """Whether the decoupled weight decay of an optimizer works on a variable: it has some, and does not exclude it."""
    return isinstance(optimizer, keras.optimizers.Optimizer) and bool(
        optimizer.weight_decay and optimizer._use_weight_decay(variable)
    )


def accepts_argument(layer: Any, name: str) -> bool:
    """Whether a layer's `call` takes the named argument."""
    parameters = inspect.signature(layer.call).parameters
    return name in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())


def argument_names(operation: Any) -> tuple[str, ...]:
    """The names of the arguments of a layer's or operation's `call`, in order."""
    return tuple(inspect.signature(operation.call).parameters)


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
def deferred_variables() -> Iterator[keras.StatelessScope]:
    """Layers built in this scope get variables with shapes but no values and no memory.

    Every variable so made must be given a value with `initialize` or `initialize_fresh`, or a way to get one with
    `defer_to`, before use. Without the scope, every weight would be drawn from its initializer only to be overwritten.
    """
    before = list(global_state.get_global_attribute("uninitialized_variables") or [])
    try:
        with keras.StatelessScope(initialize_variables=False) as scope:
            yield scope
    finally:
        # Keras keeps the variables in a global list and would initialize them a second time when the next scope ends.
        global_state.set_global_attribute("uninitialized_variables", before)


def is_deferred(variable: Any) -> bool:
    """Whether a variable made under `deferred_variables` holds no value."""
    return variable._value is None


def defer_to(variable: Any, read: Callable[[], Any]) -> None:
    """Let a deferred variable get its value from a function whenever it is asked for it, and hold none."""
    variable._initializer = _Read(read)


class _Read:
    """Stands in for the initializer of a variable whose value is somewhere else."""

    def __init__(self, read: Callable[[], Any]) -> None:
        self.read = read

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        value = self.read()
        if _is_large(value) and keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            # TensorFlow would take two more copies in passing.
            value = tf.experimental.dlpack.from_dlpack(value.__dlpack__())
        return keras.ops.convert_to_tensor(value, dtype=dtype)


def _is_large(value: Any) -> bool:
    """Whether an array is worth an effort not to copy it, and laid out so that every backend can use it as it is."""
    return (
        isinstance(value, np.ndarray)
        and value.dtype.kind in "fiu"
        and value.nbytes > LARGE
        and value.ctypes.data % ALIGNMENT == 0
    )


LARGE = 1 << 20
ALIGNMENT = 64


def initialize(variable: Any, value: Any) -> None:
    """Give a variable its value: the first one, or a new one; that of a deferred variable stays where it is."""
    if not is_deferred(variable):
        variable.assign(value)
    elif isinstance(value, keras.Variable) and is_deferred(value):
        variable._initializer = value._initializer
    else:
        # A tensor, never the other variable itself: Keras would share the storage between the two.
        variable._initialize(keras.ops.copy(keras.ops.convert_to_tensor(value, dtype=variable.dtype)))
        variable._initializer = None


def initialize_fresh(variable: Any) -> None:
    """Give a deferred variable the value it has been deferred to, or that its own initializer draws."""
    if is_deferred(variable):
        variable._deferred_initialize()


def model_from_config(config: Mapping[str, Any], *, safe_mode: bool) -> Any:
    """The model that a `config.json` describes, not compiled."""
    with ObjectSharingScope(), room_for_depth(len(config["config"].get("layers", ()))):
        return keras.saving.deserialize_keras_object({**config, "compile_config": None}, safe_mode=safe_mode)


def compile_from_config(model: Any, config: Mapping[str, Any], *, safe_mode: bool) -> None:
    """Compile a model as its `config.json` says, the optimizer's variables deferred; it may say nothing."""
    if not config.get("compile_config"):
        return
    built = model.built
    # The optimizer of a built model would get its variables at once, values included.
    model.built = False
    try:
        with ObjectSharingScope(), SafeModeScope(safe_mode):
            model.compile_from_config(config["compile_config"])
    finally:
        model.built = built
    if built and getattr(model, "optimizer", None) is not None:
        build_optimizer(model.optimizer, model.trainable_variables)


def build_optimizer(optimizer: Any, variables: Sequence[Any]) -> None:
    """Give an optimizer its variables, deferred like those they are for; `initialize_optimizer` makes it fit to train.

    Args:
        optimizer: An optimizer that is not built.
        variables: The variables to train, deferred or not.
    """
    for part in _with_inner(optimizer):
        part._var_key = id
    with deferred_variables() as scope:
        for variable in variables:
            # It asks for the values, which may have to be read or drawn, and makes no use of them.
            scope.add_update((variable, keras.ops.zeros((), variable.dtype)))
        optimizer.build(variables)


def initialize_optimizer(optimizer: Any) -> None:
    """Give the variables of an optimizer built with `build_optimizer` their values, after those it is to train."""
    for variable in optimizer.variables:
        initialize_fresh(variable)
    for part in _with_inner(optimizer):
        if vars(part).pop("_var_key", None) is not None:
            # TensorFlow knows a variable by its storage, which there was none of before.
            trained = enumerate(part._trainable_variables)
            part._trainable_variables_indices = {part._var_key(variable): index for index, variable in trained}


def _with_inner(optimizer: Any) -> list[Any]:
    inner = getattr(optimizer, "inner_optimizer", None)
    return [optimizer] if inner is None else [optimizer, *_with_inner(inner)]


def state_holders(model: Any) -> dict[str, Any]:
    """Everything in a compiled model that has state of its own to save, by its path in a weights file."""
    holders: dict[str, Any] = {}
    # Held, since some attributes make a new list each time, whose `id` would otherwise be given to the next one.
    seen: dict[int, Any] = {}

    def visit(thing: Any, path: str) -> None:
        if id(thing) in seen:
            return
        seen[id(thing)] = thing
        if isinstance(thing, KerasSaveable):
            holders[path] = thing
            for attribute, child in saving_lib._walk_saveable(thing):
                if isinstance(child, (KerasSaveable, list, dict, tuple)):
                    visit(child, f"{path}/{attribute}" if path else attribute)
        else:
            names: dict[str, int] = {}
            for child in thing.values() if isinstance(thing, dict) else thing:
                if isinstance(child, (KerasSaveable, list, dict, tuple)):
                    kind = to_snake_case(type(child).__name__) if isinstance(child, KerasSaveable) else "container"
                    visit(child, f"{path}/{saving_lib._get_unique_name(kind, names)}")

    visit(model, "")
    return holders


def weights_store(opened: Any) -> Any:
    """Reads an open weights file: `store.get(path)[name]` is an array."""

    class Archive:
        def open(self, name: str, mode: str) -> Any:
            return opened

    return _ReadStore("weights", archive=Archive(), mode="r")


class _ReadStore(saving_lib.H5IOStore):
    """A weights file whose arrays a tensor can share."""

    def __getitem__(self, key: str) -> Any:
        dataset = saving_lib.safe_get_h5_dataset(self._h5_entry_group, key)
        if dataset.nbytes <= LARGE or "dtype" in dataset.attrs:
            return super().__getitem__(key)
        room = np.empty(dataset.nbytes + ALIGNMENT, np.uint8)
        begin = -room.ctypes.data % ALIGNMENT
        array = room[begin : begin + dataset.nbytes].view(dataset.dtype).reshape(dataset.shape)
        dataset.read_direct(array)
        return array


class _WatchedStore(saving_lib.H5IOStore):
    """A weights file that says what goes into it, and takes values from another file without a detour."""

    def __init__(self, path: Path, watch: Callable[[int], None]) -> None:
        super().__init__(path, mode="w")
        self._watch = watch

    def __setitem__(self, key: str, value: Any) -> None:
        self._watch(math.prod(getattr(value, "shape", ())))
        read = getattr(getattr(value, "_initializer", None), "read", None)
        if read is not None:
            array = read()
            value = array if _is_large(array) and array.dtype == value.dtype else value
        if not _is_large(value):
            super().__setitem__(key, value)
            return
        if not self._h5_entry_initialized:
            self._create_h5_group(self._h5_entry_path)
        self._h5_entry_group[key] = value


def write_state(model: Any, weights: Path, archive: Any, watch: Callable[[int], None]) -> None:
    """Write what a model holds beside its configuration, as Keras does, one variable after the other.

    Args:
        model: The model.
        weights: The HDF5 file to write.
        archive: The zip file that vocabularies and the like go into.
        watch: Called with the number of values that are written next.
    """
    weights_store = _WatchedStore(weights, watch)
    assets = saving_lib.DiskIOStore("assets", archive=archive, mode="w")
    try:
        saving_lib._save_state(model, weights_store, assets, inner_path="", visited_saveables=set())
    finally:
        weights_store.close()
        assets.close()


def config_and_metadata(model: Any) -> tuple[str, str]:
    """The `config.json` and `metadata.json` of a model."""
    return saving_lib._serialize_model_as_json(model)


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
