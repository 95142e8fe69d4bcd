"""Plain layers in the place of those whose kernels a wrapper computes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import keras

from advisor.facts import Facts
from advisor.facts.folding import BAKEABLE
from advisor.graph import Edit, Node, Substitute
from advisor.graph import keras_internals as internals
from advisor.rewrite.cloning import clone_layer, custom_objects
from advisor.rewrite.errors import RewriteError
from advisor.rewrite.rebuild import rebuild
from advisor.rewrite.recipes.targets import facts_of
from keras_normpack import WeightNormalization, WeightStandardization

# Between training steps the kernel of a `SpectralNormalization` is the normalized one, or is used as if it were.
_COMPUTING = (WeightNormalization, WeightStandardization)


def remove_weight_normalization(model: keras.Model) -> keras.Model:
    """Bake weight normalization, weight standardization and spectral normalization into the kernels, for inference.

    `w = g · v / ‖v‖` (or what else the wrapper computes) becomes the kernel of a plain layer, which goes by the wrapped
    layer's own name. Wrappers are found inside `TimeDistributed`, `Bidirectional`, `RNN` and each other; those inside
    layers written in Python stay, and so does spectral normalization of an `Embedding`, which Keras casts to integers.
    Training the result goes on without the reparameterization.

    Args:
        model: Sequential or Functional model; stays as it is.

    Returns:
        A new model that computes the same at inference. Of several outputs each keeps its name, and so does a layer
        whose inner name another one has.

    Raises:
        RewriteError: If the model cannot be rewritten, or a wrapped layer is quantized or has LoRA enabled.

    Example:
    >>> import keras
    >>> from keras_normpack import WeightNormalization
    >>> wrapped = WeightNormalization(keras.layers.Dense(3, name="dense"))
    >>> [layer.name for layer in remove_weight_normalization(keras.Sequential([keras.Input((4,)), wrapped])).layers]
    ['dense']

    References:
        Salimans & Kingma 2016, arXiv:1602.07868, section 2: at inference the weights are computed once.
    """
    facts = facts_of(model)
    edits = substitutes(facts)
    return rebuild(facts.graph, edits).model


def substitutes(facts: Facts) -> list[Edit]:
    """The edits that put plain layers in the place of those whose kernels are computed."""
    graph = facts.graph
    wrapped = [
        node
        for node in graph.leaves()
        if node.is_layer
        and graph.is_first_call(node.path)
        and not graph.refusal(node.path)
        and node.path not in graph.scopes
        and _wrappers_in(node.operation)
    ]
    taken: dict[str, set[str]] = {}
    for node in graph.nodes.values():
        if node not in wrapped:
            taken.setdefault(node.scope, set()).add(node.name)
    several = len(graph.root.outputs) > 1
    edits: list[Edit] = []
    for node in wrapped:
        names = taken.setdefault(node.scope, set())
        plain = _plain(node.operation)
        if plain.name in names or (several and _is_any_output(facts, node)):
            plain.name = node.name
        names.add(plain.name)
        edits.append(Substitute(node.path, plain))
    return edits


def _is_any_output(facts: Facts, node: Node) -> bool:
    return any(facts.graph.is_output(call) for call in facts.graph.calls_of(node.path))


def _wrappers_in(layer: Any) -> list[Any]:
    return [part for part in internals.layer_tree(layer) if _is_removable(part)]


def _is_removable(layer: Any) -> bool:
    # Keras casts the output of a spectrally normalized layer to the type of its input: an embedding's to whole numbers.
    cast = isinstance(layer, keras.layers.SpectralNormalization) and isinstance(layer.layer, keras.layers.Embedding)
    return isinstance(layer, BAKEABLE) and not cast


def _plain(layer: Any) -> Any:
    """A built copy of a layer without the wrappers in it, the kernels they compute as its own."""
    wrappers = _wrappers_in(layer)
    try:
        computed = {key: value for wrapper in wrappers for key, value in _computed_kernels(wrapper).items()}
    except Exception as error:
        # Quantized, with LoRA, or of a configuration that cannot be read back, such as a lambda.
        raise RewriteError(f"`{layer.name}` cannot be made a plain layer: {error}") from error
    left_out = {key for wrapper in wrappers for key in _variables_of_its_own(wrapper)}
    old = [variable for variable in layer.variables if id(variable) not in left_out]
    plain = _without_wrappers(layer)
    if [tuple(v.shape) for v in plain.variables] != [tuple(v.shape) for v in old]:
        raise RewriteError(
            f"`{layer.name}` ({type(layer).__name__}) cannot be made a plain layer, as its variables without those of "
            "the wrappers are not those of the layer inside. By hand: call `remove()` on the wrapper"
        )
    for new, variable in zip(plain.variables, old, strict=True):
        new.assign(computed.get(id(variable), variable))
        new.regularizer, new.constraint = variable.regularizer, variable.constraint
    return plain


def _variables_of_its_own(wrapper: Any) -> set[int]:
    # Spectral normalization lists the kernel of the layer inside as one of its own.
    return {id(v) for v in internals.own_variables(wrapper)} - {id(v) for v in wrapper.layer.variables}


def _computed_kernels(wrapper: Any) -> Mapping[int, Any]:
    if not isinstance(wrapper, _COMPUTING):
        return {}
    plain = wrapper.remove()
    return {id(old): new.value for old, new in zip(wrapper.layer.weights, plain.weights, strict=True)}


def _without_wrappers(layer: Any) -> Any:
    while _is_removable(layer):
        layer = layer.layer
    if not _wrappers_in(layer):
        plain = clone_layer(layer)
    else:
        with keras.saving.custom_object_scope(custom_objects([layer])):
            plain = type(layer).from_config(_unwrapped(layer.get_config()))
    if not plain.built:
        plain.build_from_config(layer.get_build_config())
    return plain


def _unwrapped(config: Any) -> Any:
    """A serialized layer with those that wrappers hold in the place of the wrappers."""
    if isinstance(config, Mapping):
        if _names_a_wrapper(config):
            return _unwrapped(config["config"]["layer"])
        return {key: _unwrapped(value) for key, value in config.items()}
    if isinstance(config, (list, tuple)):
        return type(config)(_unwrapped(item) for item in config)
    return config


def _names_a_wrapper(config: Mapping[str, Any]) -> bool:
    names: Collection[str] = {keras.saving.get_registered_name(cls) for cls in BAKEABLE}
    return (config.get("registered_name") or config.get("class_name")) in names
