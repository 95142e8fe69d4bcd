"""One rebuild of a model with edits applied, through the public functional API."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import keras

from advisor.facts.replicas import strategy_scope
from advisor.graph import (
    Configure,
    ConfigureLoss,
    Edit,
    InsertAfter,
    InsertBefore,
    LayerSpec,
    ModelGraph,
    Node,
    Remove,
    Replace,
    Scope,
    SetTrainable,
    Substitute,
    WeightRule,
    Wrap,
    refusal_of,
)
from advisor.graph import keras_internals as internals
from advisor.rewrite.cloning import clone_input, clone_layer, custom_objects
from advisor.rewrite.compile_state import carry_compile_state
from advisor.rewrite.errors import RewriteError, UncopyableError
from advisor.rewrite.reconfigured import counterparts, reconfigured
from advisor.rewrite.ways import Ways
from advisor.rewrite.weights import Succession, WeightOrigin, carry_identity, carry_weights


@dataclass(frozen=True, eq=False)
class Rebuilt:
    """A rebuilt model.

    Attributes:
        model: The new model; the old one is as it was.
        weight_map: Where each of its variables got its value, by variable path.
        notes: What else a user should know about it, a sentence each.
    """

    model: Any
    weight_map: Mapping[str, WeightOrigin]
    notes: tuple[str, ...] = ()


def rebuild(graph: ModelGraph, edits: Sequence[Edit] = ()) -> Rebuilt:
    """A new model like the one behind the graph, with edits applied and the weights carried over.

    Args:
        graph: Graph of the model.
        edits: What to change; nothing for a plain copy.

    Returns:
        The new model and its weight map.

    Raises:
        RewriteError: If a part cannot be rebuilt; the old model is as it was.

    Example:
    >>> import keras
    >>> from advisor.graph import Remove, read_graph
    >>> drop = keras.layers.Dropout(0.0, name="drop")
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="dense"), drop])
    >>> [layer.name for layer in rebuild(read_graph(model), [Remove("drop")]).model.layers]
    ['dense']
    """
    _refuse_what_cannot_change(graph, edits)
    ways = Ways(graph, edits)
    _refuse_hidden_sharing(graph, ways)
    with _room_to_build(graph, edits):
        try:
            with internals.deferred_variables():
                builder = _Builder(graph, edits, ways)
                model = builder.make(graph.root)
        except RewriteError:
            raise
        except Exception:
            # Some layers make variables from values, which cannot wait; build them the ordinary way.
            builder = _Builder(graph, edits, ways)
            model = _or_rewrite_error(builder, graph)
        weight_map, old_of = carry_weights(graph, builder.successions, model)
        alike = list(builder.alike())
        carry_identity(alike)
        _set_trainable(graph, alike, [edit for edit in edits if isinstance(edit, SetTrainable)])
        carry_compile_state(graph.model, model, [edit for edit in edits if isinstance(edit, ConfigureLoss)], old_of)
    return Rebuilt(model, weight_map, tuple(builder.notes))


def built_anew(graph: ModelGraph) -> Any:
    """A new model like the one behind the graph, with the values that its initializers draw, and not compiled.

    Args:
        graph: Graph of the model.

    Returns:
        The new model; its variables are those of `rebuild` in the same order.

    Raises:
        RewriteError: If a part cannot be rebuilt.
    """
    with _room_to_build(graph, ()):
        return _or_rewrite_error(_Builder(graph, (), Ways(graph, ())), graph)


@contextmanager
def _room_to_build(graph: ModelGraph, edits: Sequence[Edit]) -> Iterator[None]:
    """Where a model is built as the one behind the graph was: its strategy, its classes, its depth."""
    operations = [graph.model, *(node.operation for node in graph.nodes.values())]
    inserted = sum(len(edit.specs) for edit in edits if isinstance(edit, (InsertBefore, InsertAfter)))
    with (
        strategy_scope(graph.model),
        keras.saving.custom_object_scope(custom_objects(operations)),
        internals.room_for_depth(len(operations) + inserted),
    ):
        yield


def _or_rewrite_error(builder: _Builder, graph: ModelGraph) -> Any:
    try:
        return builder.make(graph.root)
    except RewriteError:
        raise
    except Exception as error:
        raise RewriteError(f"`{graph.model.name}` could not be rebuilt: {error}") from error


def _set_trainable(graph: ModelGraph, alike: Sequence[tuple[Any, Any]], edits: Sequence[SetTrainable]) -> None:
    successors = {id(old): new for old, new in alike}
    for edit in edits:
        old = graph.nodes[edit.path].operation
        if id(old) not in successors:
            raise RewriteError(f"`{edit.path}` has no counterpart in the new model. By hand: {edit.describe()}")
        successors[id(old)].trainable = edit.trainable


class _Builder:
    """Builds the scopes of a graph anew, innermost when first needed."""

    def __init__(self, graph: ModelGraph, edits: Sequence[Edit], ways: Ways) -> None:
        self._graph = graph
        self._ways = ways
        self._made: dict[int, Any] = {}
        self.successions: list[Succession] = []
        self.notes: list[str] = []
        self._models: list[tuple[Any, Any]] = []
        self._nodes_of: dict[str, list[Node]] = defaultdict(list)
        for node in graph.nodes.values():
            self._nodes_of[node.scope].append(node)
        self._removed = {edit.path: edit.kept for edit in edits if isinstance(edit, Remove)}
        self._before: dict[str, list[LayerSpec]] = defaultdict(list)
        self._after: dict[str, list[LayerSpec]] = defaultdict(list)
        self._layer_edits: dict[int, list[Edit]] = defaultdict(list)
        for edit in edits:
            if isinstance(edit, InsertBefore):
                self._before[edit.path].extend(edit.specs)
            elif isinstance(edit, InsertAfter):
                self._after[edit.path].extend(edit.specs)
            elif isinstance(edit, (Configure, Replace, Substitute, Wrap)):
                self._layer_edits[id(graph.nodes[edit.path].operation)].append(edit)

    def alike(self) -> Iterator[tuple[Any, Any]]:
        """Old and new layers of equal structure, models before what is in them."""
        yield from reversed(self._models)
        for succession in self.successions:
            if isinstance(succession.old, keras.Layer):
                old, new = succession.old_layers, succession.new_layers
                # Only the outermost layers correspond where the insides differ.
                yield from zip(old, new, strict=True) if len(old) == len(new) else [(old[0], new[0])]

    def make(self, scope: Scope) -> Any:
        """The scope's model or layer, made anew."""
        return self._build(scope) if self._ways.of(scope) == "graph" else self._reconfigure(scope)

    def _build(self, scope: Scope) -> Any:
        nodes = self._nodes_of[scope.path]
        names = _Names({node.name for node in nodes if self._stays(node)})
        make = self._build_sequential if scope.kind == "sequential" else self._build_functional
        model = make(scope, nodes, names)
        # By the precision of the model, which is no argument of it, Keras decides whether to scale the loss.
        model.dtype_policy = scope.model.dtype_policy
        self._models.append((scope.model, model))
        return model

    def _reconfigure(self, scope: Scope) -> Any:
        """The scope's model or layer, made by its own class with the changed layers in its configuration."""
        first, first_model = len(self.successions), len(self._models)
        children = self._ways.edited_children(scope)
        exchanges = [(node.operation, self._held(node)) for node in children]
        new = reconfigured(scope.model, exchanges)
        # The class made the layers once more, from the configurations of those that were made here.
        copies = counterparts(new, exchanges)
        apart = tuple((old, copies[id(made)]) for old, made in exchanges)
        self.successions[first:] = [
            Succession(scope.path, scope.model, new, (), same_class=True, changed=None, apart=apart),
            *(replace(made, new=copies[id(made.new)]) for made in self.successions[first:]),
        ]
        self._models[first_model:] = [(old, copies[id(made)]) for old, made in self._models[first_model:]]
        return new

    def _held(self, node: Node) -> Any:
        """The new layer for one that a configuration holds."""
        if self._before[node.path] or self._after[node.path]:
            raise RewriteError(
                f"nothing can be put before or after `{node.path}`, which Python code calls. Write it into that code."
            )
        if node.path in self._removed:
            return keras.layers.Identity(name=node.name, dtype=_float_policy(node.operation).name)
        return self._operation(node)

    def _stays(self, node: Node) -> bool:
        return any(path not in self._removed for path in self._graph.calls_of(node.path))

    def _build_sequential(self, scope: Scope, nodes: list[Node], names: _Names) -> Any:
        old = scope.model
        layers = [self._input(layer) for layer in internals.sequential_layers(old)[:1] if _is_input(layer)]
        for node in nodes:
            # Besides the layers there are the operations by which Keras computes masks; it does so again by itself.
            if not node.is_layer:
                continue
            if not node.is_input:
                layers += self._insertions(self._before[node.path], node, names)
                if node.path not in self._removed:
                    layers.append(self._operation(node))
            layers += self._insertions(self._after[node.path], node, names)
        if all(_is_input(layer) for layer in layers):
            layers.append(keras.layers.Identity(name=names.free(nodes[-1].name)))
        model = keras.Sequential(layers, name=old.name)
        if not model.built:
            model.build(old.input_shape)
        return model

    def _build_functional(self, scope: Scope, nodes: list[Node], names: _Names) -> Any:
        functional = internals.functional_form(scope.model)
        new: dict[int, Any] = {}
        entries: dict[int, Any] = {}  # the inputs themselves, which `new` replaces by what is inserted after them

        def renewed(structure: Any) -> Any:
            return keras.tree.map_structure(lambda x: new[id(x)] if isinstance(x, keras.KerasTensor) else x, structure)

        for node in nodes:
            assert node.call is not None
            if node.is_input:
                outputs = self._input(node.operation).output
            elif node.path in self._removed:
                outputs = self._bypass(node, scope, renewed, names)
            else:
                outputs = self._call(node, renewed, names)
            flat = keras.tree.flatten(outputs)
            if node.is_input:
                entries[id(node.call.outputs[0])] = flat[0]
            for spec_layer in self._insertions(self._after[node.path], node, names):
                flat[0] = spec_layer(flat[0])
            new.update(zip(map(id, node.call.outputs), flat, strict=True))
        inputs = keras.tree.map_structure(lambda x: entries[id(x)], internals.input_structure(functional))
        outputs = keras.tree.map_structure(lambda x: new[id(x)], internals.output_structure(functional))
        cls = type(scope.model)
        if not internals.rebuilds_from_graph(scope.model):
            self.notes.append(
                f"`{scope.path}` is a plain keras.Model now: its class {cls.__name__} makes its own layers and cannot "
                "take changed ones."
            )
            cls = keras.Model
        return cls(inputs=inputs, outputs=outputs, name=scope.model.name)

    def _bypass(self, node: Node, scope: Scope, renewed: Any, names: _Names) -> Any:
        position = self._removed[node.path]
        kept = renewed(_tensors(node.call)[position])
        sole_output = len(scope.outputs) == 1 and not self._graph.nodes[node.sources[position].path].is_input
        if sole_output or node.path not in {source.path for source in scope.outputs}:
            return kept
        # The output's name, by which losses and metrics may be keyed, is the name of its layer.
        return keras.layers.Identity(name=names.free(node.name))(kept)

    def _call(self, node: Node, renewed: Any, names: _Names) -> Any:
        assert node.call is not None
        args, kwargs = renewed(node.call.args), renewed(node.call.kwargs)
        if self._before[node.path]:
            first = renewed(_tensors(node.call)[0])
            changed = first
            for layer in self._insertions(self._before[node.path], node, names):
                changed = layer(changed)
            args, kwargs = keras.tree.map_structure(lambda x: changed if x is first else x, (args, kwargs))
        operation = self._operation(node)
        if id(node.operation) in self._layer_edits or "mask" in kwargs:
            # Keras records the masks and context it passed on its own; not every layer accepts them as arguments.
            kwargs = {key: value for key, value in kwargs.items() if internals.accepts_argument(operation, key)}
        return operation(*args, **kwargs)

    def _input(self, layer: Any) -> Any:
        """The new `InputLayer` for an old one; a model may begin at the very input of a model inside it."""
        if id(layer) not in self._made:
            self._made[id(layer)] = clone_input(layer)
        return self._made[id(layer)]

    def _operation(self, node: Node) -> Any:
        """The new layer for a node's layer; one and the same for all calls."""
        key = id(node.operation)
        if key not in self._made:
            scope = self._ways.inside(node)
            if self._layer_edits[key] and scope is not None and self._ways.is_edited(scope):
                raise RewriteError(f"`{node.path}` and something inside it cannot change at once")
            if scope is None or self._layer_edits[key] or self._ways.of(scope) == "whole":
                self._made[key] = self._succeed(node)
            else:
                self._made[key] = self.make(scope)
        return self._made[key]

    def _succeed(self, node: Node) -> Any:
        old = node.operation
        edits = self._layer_edits[id(old)]
        changes: dict[str, Any] = {}
        rules: list[WeightRule] = []
        for edit in edits:
            if isinstance(edit, Configure):
                changes.update(edit.changes)
                rules.extend([edit.weights] if edit.weights else [])
            elif isinstance(edit, Replace):
                config = {"dtype": _float_policy(old), **edit.spec.config, "name": old.name}
                new = LayerSpec(edit.spec.cls, config).make(old.name)
                self.successions.append(
                    Succession(
                        node.path,
                        old,
                        new,
                        ((edit.weights,) if edit.weights else ()),
                        same_class=False,
                        changed=frozenset(),
                    )
                )
                return new
            elif isinstance(edit, Substitute):
                new = clone_layer(edit.layer)
                self.successions.append(Succession(node.path, edit.layer, new, (), same_class=True, changed=None))
                return new
        new = clone_layer(old, changes)
        configured = any(isinstance(edit, Configure) for edit in edits)
        changed = frozenset(changes) if configured else None
        self.successions.append(Succession(node.path, old, new, tuple(rules), same_class=True, changed=changed))
        for edit in edits:
            if isinstance(edit, Wrap):
                new = edit.wrapper(new, **{"name": old.name, **edit.config})
        return new

    def _insertions(self, specs: Sequence[LayerSpec], node: Node, names: _Names) -> list[Any]:
        made = []
        for spec in specs:
            name = names.free(spec.config.get("name") or f"{node.name}_{_snake(spec.cls.__name__)}")
            dtype = {"dtype": _float_policy(node.operation)} if node.is_layer else {}
            made.append(LayerSpec(spec.cls, {**dtype, **spec.config, "name": name}).make(name))
        return made


class _Names:
    """Names in use in one scope."""

    def __init__(self, taken: set[str]) -> None:
        self._taken = taken

    def free(self, wanted: str) -> str:
        """The wanted name, with a number behind it if it is taken; taken from now on."""
        name, number = wanted, 0
        while name in self._taken:
            number += 1
            name = f"{wanted}_{number}"
        self._taken.add(name)
        return name


def _tensors(call: Any) -> list[Any]:
    """The tensors in the order of the operation's arguments, in whatever order they were named in the call."""
    named = [call.kwargs.get(name) for name in internals.argument_names(call.operation)]
    tensors = keras.tree.flatten([*call.args, *named, *call.kwargs.values()])
    return [leaf for leaf in tensors if isinstance(leaf, keras.KerasTensor)]


def _float_policy(layer: Any) -> Any:
    """A layer's precision, and that from which it was quantized, which not every layer can be."""
    policy = layer.dtype_policy
    if not isinstance(policy, keras.dtype_policies.QuantizedDTypePolicy):
        return policy
    computed = policy.compute_dtype
    return keras.dtype_policies.DTypePolicy(computed if computed == policy.variable_dtype else f"mixed_{computed}")


def _refuse_what_cannot_change(graph: ModelGraph, edits: Sequence[Edit]) -> None:
    for edit in edits:
        if edit.path not in graph.nodes:
            raise RewriteError(f"there is no node `{edit.path}` in `{graph.model.name}`")
        reason = refusal_of(edit, graph)
        if reason:
            raise RewriteError(f"`{edit.path}` cannot be rewritten: {reason}.")


def _refuse_hidden_sharing(graph: ModelGraph, ways: Ways) -> None:
    """Raise `UncopyableError` where layers hold the same layer inside, as their copies would not."""
    holders: dict[int, Node] = {}
    for node in graph.nodes.values():
        if not node.is_layer or node.is_input or not ways.is_made_by_graph(node):
            continue
        inside = internals.layer_tree(node.operation) if ways.is_copied_whole(node) else [node.operation]
        for layer in inside:
            holder = holders.setdefault(id(layer), node)
            if holder.operation is not node.operation:
                raise UncopyableError(
                    f"`{holder.path}` and `{node.path}` share the layer `{layer.name}`, which at least one of them "
                    "holds inside: their copies would have one each, and so would the model once saved and loaded. "
                    "Call that layer itself where the model is put together."
                )


def _is_input(layer: Any) -> bool:
    return isinstance(layer, keras.layers.InputLayer)


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
