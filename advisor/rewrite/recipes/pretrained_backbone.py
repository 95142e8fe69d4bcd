"""A pretrained network under the head of a model."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from advisor.facts import Facts, Kind
from advisor.graph.keras_internals import functional_form, input_structure
from advisor.rewrite.cloning import clone_input, clone_layer
from advisor.rewrite.compile_state import carry_compile_state
from advisor.rewrite.errors import RewriteError
from advisor.rewrite.recipes.backbones import Backbone, make_backbone, scaling_layers, working_size
from advisor.rewrite.recipes.targets import facts_of

TASKS = {"classification": "softmax", "regression": "linear"}
_HEAD_DROPOUT = 0.2
_GLOBAL_POOLINGS = (
    layers.GlobalAveragePooling1D,
    layers.GlobalAveragePooling2D,
    layers.GlobalAveragePooling3D,
    layers.GlobalMaxPooling1D,
    layers.GlobalMaxPooling2D,
    layers.GlobalMaxPooling3D,
)


def pretrained_backbone(
    model: keras.Model | str,
    backbone: str | keras.Model = "MobileNetV2",
    *,
    weights: str | os.PathLike[str] | None = "imagenet",
    input_shape: Sequence[int | None] | None = None,
    outputs: int | None = None,
    image_size: tuple[int, int] | None = None,
    input_range: tuple[float, float] = (0.0, 255.0),
    preprocess: bool | str = True,
) -> keras.Model:
    """Put a pretrained network under the head of a model.

    What the backbone's inputs need happens inside the new model: grey images become three equal channels, small ones
    are enlarged, and values are put on the scale the network was trained on. The backbone is frozen, as in the first of
    the two phases that `advisor.training.TransferPlan` trains in.

    Args:
        model: The model whose head is kept: its layers after the last global pooling or flattening. Or what a new head
            is for: `"classification"` (dropout and a softmax) or `"regression"` (dropout and plain values).
        backbone: Name of a network of `keras.applications`; name or folder of a preset of KerasHub (ViT, DINOv2, BERT,
            …), which must be installed; or a model, such as a backbone of KerasHub, which becomes part of the result.
        weights: `"imagenet"`, which for a preset means its own; a file for `load_weights`; None for random ones.
        input_shape: Shape of one image; that of the model's input when None. Networks of tokens have inputs of their
            own: give the new model what KerasHub's preprocessor makes of a text.
        outputs: Units of a new head: the number of classes.
        image_size: Height and width at which the backbone sees the images. By default their own, or as much as makes
            the shorter side 96; a model given as backbone has its own.
        input_range: Least and largest value of the images.
        preprocess: Whether to put the values on the backbone's scale; `"tf"`, `"torch"` or `"caffe"` for weights that
            were trained on another than the one Keras's weights were. Of a model given as backbone no scale is known.

    Returns:
        A new model with frozen backbone, compiled like the given one. Layers of the head keep their weights where these
        fit the new features; those that begin anew in a trained model are named in a warning.

    Raises:
        TypeError: If `model` or `backbone` is of another type.
        ValueError: If `backbone` is no known network, or an argument does not go with the others.
        ImportError: If a preset is named and KerasHub is not installed.
        RewriteError: If the model's head cannot be told from the rest.

    Example:
    >>> small = [keras.layers.Conv2D(8, 3), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(5, name="head")]
    >>> model = keras.Sequential([keras.Input((32, 32, 1)), *small])
    >>> transfer = pretrained_backbone(model, "MobileNetV2", weights=None)
    >>> [layer.name for layer in transfer.layers[-3:]], transfer.output_shape
    (['mobilenetv2_1.00_96', 'pool', 'head'], (None, 5))

    References:
        Keras guide "Transfer learning & fine-tuning"; Yosinski et al. 2014, arXiv:1411.1792; Kornblith et al. 2019,
        arXiv:1805.08974.
    """
    facts = _facts(model, outputs)
    old_head = _head(facts) if facts else None
    shape = _input_shape(facts, input_shape, backbone)
    chosen = make_backbone(backbone, weights, _size(shape, image_size, backbone))
    chosen.model.trainable = False
    inputs, seen = _inputs(facts, chosen, shape, input_range, preprocess)
    features = _pooled(chosen.model(seen))
    head = [clone_layer(layer) for layer in old_head] if old_head is not None else _new_head(str(model), outputs)
    for layer in head:
        features = layer(features)
    new = keras.Model(inputs, features, name=facts.graph.model.name if facts else "transfer")
    if facts is not None and old_head is not None:
        _carry_head(facts, old_head, head)
        carry_compile_state(facts.graph.model, new, (), {})
    return new


def _facts(model: Any, outputs: int | None) -> Facts | None:
    if isinstance(model, keras.Model):
        if outputs is not None:
            raise ValueError(f"`outputs` is for a new head, and the model has one. Received: outputs={outputs}")
        return facts_of(model)
    if not isinstance(model, str):
        raise TypeError(f"`model` must be a keras.Model or one of {', '.join(TASKS)}. Received: {model!r}")
    if model not in TASKS or not isinstance(outputs, int) or outputs < 1:
        raise ValueError(
            f"`model` must be a keras.Model or one of {', '.join(TASKS)}, with `outputs` at least 1. "
            f"Received: model={model!r}, outputs={outputs}"
        )
    return None


def _head(facts: Facts) -> list[Any]:
    """The layers after the last global pooling or flattening, in order."""
    graph = facts.graph
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise RewriteError(
            f"`{graph.model.name}` has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs; the head of a "
            "model with one of each is kept. Give a task and `outputs` instead, and build on the new model"
        )
    head: list[Any] = []
    path: str | None = graph.outputs[0].path
    while path is not None:
        layer = facts[path]
        if issubclass(layer.cls, (*_GLOBAL_POOLINGS, layers.Flatten)):
            return head[::-1]
        head.append(graph.nodes[path].operation)
        producer = facts.sole_producer(path)
        path = producer.path if producer is not None and layer.kind is not Kind.INPUT else None
    raise RewriteError(
        f"`{graph.model.name}` has no global pooling or flattening from which a chain of layers leads to its output, "
        "so its head cannot be told from the rest. Give a task and `outputs` instead"
    )


def _input_shape(facts: Facts | None, given: Any, backbone: Any) -> tuple[int | None, ...] | None:
    """Shape of one image; None where the inputs are the backbone's own."""
    if given is not None:
        shape = tuple(given)
    elif isinstance(backbone, keras.Model) and not _sees_images(backbone):
        return None
    elif facts is not None:
        shape = tuple(facts.graph.inputs[0].output_shapes[0][1:])
    elif isinstance(backbone, keras.Model):
        shape = tuple(backbone.input_shape[1:])
    else:
        return None
    if len(shape) == 3 and shape[-1] not in (1, 3):
        raise ValueError(f"images must have 1 or 3 channels, the last axis. Received: input_shape={shape}")
    return shape


def _sees_images(model: Any) -> bool:
    shape = model.input_shape
    return isinstance(shape, tuple) and len(shape) == 4


def _size(shape: Any, image_size: tuple[int, int] | None, backbone: Any) -> tuple[int, int] | None:
    if isinstance(backbone, keras.Model):
        return None
    if image_size is not None:
        return image_size
    return working_size(backbone, shape[:2]) if shape is not None and len(shape) == 3 else None


def _inputs(
    facts: Facts | None, backbone: Backbone, shape: Any, input_range: tuple[float, float], preprocess: bool | str
) -> tuple[Any, Any]:
    """The inputs of the new model, and what the backbone gets of them."""
    if not _sees_images(backbone.model):
        inputs = keras.tree.map_structure(
            lambda x: keras.Input(x.shape[1:], dtype=x.dtype, name=x.name), input_structure(backbone.model)
        )
        return inputs, inputs
    height, width, channels = backbone.model.input_shape[1:]
    shape = shape if shape is not None and len(shape) == 3 else (height, width, channels)
    same = facts is not None and tuple(facts.graph.inputs[0].output_shapes[0][1:]) == shape
    x = inputs = clone_input(facts.graph.inputs[0].operation).output if facts and same else keras.Input(shape)
    if shape[-1] == 1 and channels == 3:
        x = layers.Concatenate(name="grey_to_rgb")([x, x, x])
    if height is not None and tuple(shape[:2]) != (height, width):
        x = layers.Resizing(height, width, name="resize")(x)
    least, largest = input_range
    scale = backbone.scale if preprocess is True else preprocess or None
    if scale is not None and (least, largest) != (0.0, 255.0):
        x = layers.Rescaling(255.0 / (largest - least), offset=-255.0 * least / (largest - least), name="to_255")(x)
    if scale == "caffe":
        # Weights that came from Caffe take the channels in the order of OpenCV.
        x = keras.ops.flip(x, axis=-1)
    for layer in scaling_layers(scale) if isinstance(scale, str) else scale or ():
        x = layer(x)
    return inputs, _in_structure_of(backbone.model, x)


def _in_structure_of(model: Any, x: Any) -> Any:
    """One tensor as the model takes it: networks of KerasHub may want it in a dict."""
    functional = functional_form(model)
    return x if functional is None else keras.tree.pack_sequence_as(input_structure(functional), [x])


def _pooled(features: Any) -> Any:
    """One vector per sample."""
    if isinstance(features, dict):
        if "pooled_output" in features:
            return features["pooled_output"]
        raise ValueError(
            "`backbone` must give one tensor, or a dict with a `pooled_output`. "
            f"Received: a dict with {', '.join(map(str, features))}"
        )
    poolings = {4: layers.GlobalAveragePooling2D, 3: layers.GlobalAveragePooling1D}
    rank = len(features.shape)
    return poolings[rank](name="pool")(features) if rank in poolings else features


def _new_head(task: str, outputs: int | None) -> list[Any]:
    return [layers.Dropout(_HEAD_DROPOUT), layers.Dense(outputs, activation=TASKS[task], name="head")]


def _carry_head(facts: Facts, old: Sequence[Any], new: Sequence[Any]) -> None:
    fresh = []
    for before, after in zip(old, new, strict=True):
        if not isinstance(before, keras.Layer):
            continue
        if [v.shape for v in before.variables] == [v.shape for v in after.variables]:
            after.set_weights(before.get_weights())
        else:
            fresh.append(after.name)
        after.trainable = before.trainable
    if fresh and facts.model.trained is not None:
        warnings.warn(
            f"The features have another size now, so these layers of the head begin anew: {', '.join(fresh)}.",
            stacklevel=3,
        )
