"""The laws that hold for every advice and every rewrite, each as a check on a real model."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from advisor.advice import Advice, advise
from advisor.facts import Kind, kind_of
from advisor.graph import ConfigureLoss, ModelGraph, Remove, SetTrainable, read_graph
from advisor.graph.keras_internals import (
    functional_form,
    layer_tree,
    output_structure,
    variable_paths,
)
from advisor.graph.sampling import sample_inputs
from advisor.rewrite import Rewrite, relative_difference
from advisor.rewrite.cloning import custom_objects
from advisor.rewrite.compile_state import by_new_names
from advisor.rewrite.verify import tolerance


class LawBrokenError(AssertionError):
    """A law does not hold; the message says which one, and where."""


def check_laws(model: keras.Model, *, safety: str | Sequence[str] | None = None, **arguments: Any) -> Rewrite:
    """Advise on a model, apply the advice, and check what must hold whatever the model is.

    1. The model given is as it was: weights, graph, compile state, trainable flags.
    2. Exact fixes compute the same function at inference.
    3. Weights of everything not replaced are equal, and the weight map says where each came from.
    4. The result has no fixable finding left, and applying twice equals applying once.
    5. Names, input and output structure, compile state, precision, trainable flags and the kind of model survive.
    6. Nothing is skipped without a reason.
    7. No rule crashed.
    8. The result saves, loads with `safe_mode=True`, and trains.

    Args:
        model: Any built model whose calls can be read.
        safety: As in `Advice.apply`.
        **arguments: Keyword arguments of `advise`.

    Returns:
        The rewrite, for further checks.

    Raises:
        LawBrokenError: If one of them does not hold.

    Example:
    >>> import keras
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dropout(0.0), keras.layers.Dense(1)])
    >>> [applied.finding.code for applied in check_laws(model).applied]
    ['D203']
    """
    before = _snapshot(model)
    advice = advise(model, verbose=0, **arguments)
    _demand(not advice.failures, 7, f"rules crashed: {[failure.error for failure in advice.failures]}")
    rewrite = advice.rewrite(safety)
    _demand(_snapshot(model) == before, 1, "the model that was given has changed")
    _check_exactness(advice, rewrite)
    _check_weights(model, rewrite)
    _check_settled(rewrite, safety, arguments)
    _check_survivals(model, rewrite)
    _demand(all(skipped.reason for skipped in rewrite.skipped), 6, "a fix was skipped without a reason")
    _check_life(rewrite.model)
    return rewrite


def randomize_weights(model: keras.Model, seed: int = 0) -> keras.Model:
    """Move biases, scales, shifts and statistics away from the constants they start from, so that a lost one shows.

    Kernels stay: they are random already, and larger ones would make deep networks chaotic, so that rounding would show
    as well; a constant one is for a rule to find.

    Args:
        model: Built model; changed in place.
        seed: Seed of the random numbers.

    Returns:
        The same model.
    """
    generator = np.random.default_rng(seed)
    for layer in layer_tree(model):
        if isinstance(layer, keras.Model) or kind_of(layer) is Kind.PREPROCESSING:
            continue
        for weight in layer.weights:
            value = keras.ops.convert_to_numpy(weight.value)
            is_kernel = weight.name.endswith("kernel")
            if is_kernel or not str(weight.dtype).startswith(("float", "bfloat")) or not value.size:
                continue
            if np.all(value == value.flat[0]):
                noise = generator.normal(scale=0.1, size=value.shape)
                shift = np.abs(noise) if "variance" in weight.name else noise
                weight.assign(value.astype("float32") + shift)
    return model


def structure(model: keras.Model) -> list[Any]:
    """A model's layer classes, arguments and connections, without names, seeds and weights.

    Args:
        model: Sequential or Functional model.

    Returns:
        One entry per leaf in topological order: class name, arguments, and the positions of the leaves it reads.
    """
    graph = read_graph(model)
    positions = {node.path: index for index, node in enumerate(graph.leaves())}
    return [
        (
            type(node.operation).__name__,
            _arguments(node.operation),
            [positions[producer] for producer in graph.producers(node.path)],
        )
        for node in graph.leaves()
    ]


_INCOMPARABLE = frozenset(
    {"name", "seed", "build_config", "registered_name", "module", "batch_shape", "shared_object_id"}
)


def _arguments(operation: Any) -> Any:
    if not isinstance(operation, keras.Layer):
        return None
    try:
        return _comparable(operation.get_config())
    except Exception:
        return None  # a hand-written layer whose arguments nobody can tell


def _comparable(config: Any) -> Any:
    if isinstance(config, Mapping):
        return {key: _comparable(value) for key, value in config.items() if key not in _INCOMPARABLE}
    if isinstance(config, (list, tuple)):
        return [_comparable(item) for item in config]
    return config


def _demand(holds: bool, law: int, message: str) -> None:
    if not holds:
        raise LawBrokenError(f"law {law}: {message}")


def _snapshot(model: keras.Model) -> list[Any]:
    """All that must not change, in a form that compares by value."""
    graph = read_graph(model)
    values = [keras.ops.convert_to_numpy(variable.value).tobytes() for variable in model.variables]
    flags = [layer.trainable for layer in layer_tree(model)]
    calls = [(node.path, node.sources, node.mask_sources) for node in graph.nodes.values()]
    return [values, flags, calls, repr(model.get_compile_config()), id(getattr(model, "optimizer", None))]


def _check_exactness(advice: Advice, rewrite: Rewrite) -> None:
    exact_only = advice.apply("exact")
    difference = relative_difference(advice.model, exact_only, sample_inputs(advice.model, batch_size=2, seed=1))
    allowed = tolerance(advice.model)
    _demand(difference <= allowed, 2, f"the exact fixes changed the outputs by {difference:.1e}")
    _demand((rewrite.parity or 0) <= allowed, 2, f"parity is {rewrite.parity}")


def _check_weights(model: keras.Model, rewrite: Rewrite) -> None:
    old_paths, new_paths = variable_paths(model), variable_paths(rewrite.model)
    old = {old_paths[id(variable)]: variable for variable in model.variables}
    _demand(set(rewrite.weight_map) == set(new_paths.values()), 3, "the weight map does not name every variable")
    for variable in rewrite.model.variables:
        origin = rewrite.weight_map[new_paths[id(variable)]]
        if origin.origin == "kept":
            _demand(origin.source in old, 3, f"`{variable.path}` is said to come from `{origin.source}`")
            same = np.array_equal(
                keras.ops.convert_to_numpy(variable.value), keras.ops.convert_to_numpy(old[str(origin.source)].value)
            )
            _demand(same, 3, f"`{variable.path}` differs from `{origin.source}`")


def _check_settled(rewrite: Rewrite, safety: Any, arguments: Mapping[str, Any]) -> None:
    settled = {key: value for key, value in arguments.items() if key != "trained"}
    trained = arguments.get("trained")
    again = advise(rewrite.model, verbose=0, trained=trained, **settled)
    refused = {(skipped.finding.code, skipped.finding.layers) for skipped in rewrite.skipped}
    left = [
        (finding.code, finding.layers)
        for finding in again.findings
        if finding.fix is not None and (finding.code, finding.layers) not in refused
    ]
    _demand(not left, 4, f"still fixable after applying: {left}")
    twice = again.apply(safety)
    _demand(structure(twice) == structure(rewrite.model), 4, "applying twice is not applying once")


def _check_survivals(model: keras.Model, rewrite: Rewrite) -> None:
    new = rewrite.model
    _demand(type(new) is type(model), 5, f"a {type(model).__name__} became a {type(new).__name__}")
    _demand(new.name == model.name, 5, f"the model's name {model.name!r} became {new.name!r}")
    old_graph, new_graph = read_graph(model), read_graph(new)
    edits = [edit for applied in rewrite.applied if applied.finding.fix for edit in applied.finding.fix.edits]
    removed = {edit.path for edit in edits if isinstance(edit, Remove)}
    # What is inside gets the flag, too.
    flagged = {
        path
        for edit in edits
        if isinstance(edit, SetTrainable)
        for path in old_graph.nodes
        if f"{path}/".startswith(f"{edit.path}/")
    }
    lost = set(_operations(old_graph)) - set(_operations(new_graph)) - removed
    _demand(not lost, 5, f"layers lost their names: {sorted(lost)}")
    _demand(
        [node.name for node in old_graph.inputs] == [node.name for node in new_graph.inputs], 5, "inputs changed names"
    )
    kept = _shapes(old_graph.root.structure) == _shapes(new_graph.root.structure)
    _demand(kept, 5, "the input structure of the model changed")
    _demand(_output_shapes(model) == _output_shapes(new), 5, "the output structure of the model changed")
    _demand(_output_names(model) == _output_names(new), 5, "outputs changed names")
    for path in set(_operations(old_graph)) & set(_operations(new_graph)) - removed:
        old_layer, new_layer = old_graph.nodes[path].operation, new_graph.nodes[path].operation
        if isinstance(old_layer, keras.Layer):
            _demand(
                path in flagged or old_layer.trainable == new_layer.trainable, 5, f"`{path}` lost its trainable flag"
            )
            _demand(old_layer.dtype_policy.name == new_layer.dtype_policy.name, 5, f"`{path}` lost its precision")
        # Where a nested model begins at the very input of the outer one, its class may make an input of its own.
        same = old_graph.nodes[path].is_input or len(old_graph.calls_of(path)) == len(new_graph.calls_of(path))
        _demand(same, 5, f"`{path}` is shared no longer")
    if not any(isinstance(edit, ConfigureLoss) for edit in edits):
        config = model.get_compile_config()
        expected = config and {**config, **by_new_names(config, model, new)}
        _demand(repr(expected) == repr(new.get_compile_config()), 5, "the compile state changed")


def _operations(graph: ModelGraph) -> list[str]:
    return [path for path, node in graph.nodes.items() if node.is_layer and graph.is_first_call(path)]


def _output_shapes(model: keras.Model) -> Any:
    """Shapes and types in the structure that the model gives."""
    functional = functional_form(model)
    if functional is None:
        return _shapes(model.compute_output_spec(read_graph(model).root.structure))
    return _shapes(output_structure(functional))


def _output_names(model: keras.Model) -> list[str]:
    """Names that tell several outputs apart, where they are those of layers."""
    functional = None if isinstance(model, keras.Sequential) else functional_form(model)
    if functional is None or isinstance(output_structure(functional), Mapping) or len(functional.outputs) < 2:
        return []
    return list(functional.output_names)


def _shapes(structure: Any) -> Any:
    return keras.tree.map_structure(lambda tensor: (tuple(tensor.shape), tensor.dtype), structure)


def _check_life(model: keras.Model) -> None:
    inputs = sample_inputs(model, batch_size=2, seed=2)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        with keras.saving.custom_object_scope(custom_objects([model])):
            loaded = keras.saving.load_model(path, safe_mode=True)
    difference = relative_difference(model, loaded, inputs)
    _demand(difference <= tolerance(model), 8, f"outputs differ by {difference:.1e} after saving and loading")
    loaded.compile(optimizer=keras.optimizers.SGD(1e-4), loss="mse", metrics=[], run_eagerly=True)
    targets = keras.tree.map_structure(lambda y: np.zeros(y.shape, "float32"), loaded(inputs, training=False))
    loss = loaded.train_on_batch(inputs, targets)
    _demand(bool(np.all(np.isfinite(loss))), 8, f"a training step gives the loss {loss}")
