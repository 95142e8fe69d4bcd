"""Everything a Keras layer must do, checked on one class with given arguments."""

import copy
import json
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops, tree

from keras_normpack.autodiff import outputs_and_gradients
from keras_normpack.testing.case import Arrays, Case, Shape
from keras_normpack.testing.closeness import assert_close, computes_in_float64, float64, tolerance

_POLICIES = ("float64", "float32", "mixed_float16", "mixed_bfloat16")


def check_layer(
    layer_class: type[keras.layers.Layer],
    init_kwargs: Mapping[str, Any],
    input_shape: Shape | list[Shape],
    *,
    input_dtype: str = "float32",
    dynamic_axes: Sequence[int] = (),
    expected: Callable[[Arrays, Mapping[str, np.ndarray]], Arrays] | None = None,
) -> None:
    """Checks that a layer behaves as Keras's own layers do.

    Checked are: config round trip through JSON; saving to `.keras`, loading in safe mode and cloning with equal
    outputs; float64, float32, mixed float16 and mixed bfloat16 with outputs in the compute dtype near the float64 ones;
    batches of another size than the first; `compute_output_shape` and symbolic against real outputs; gradients to
    inputs and weights against central differences in float64, where the backend has it; one step of `fit`, plain and
    compiled, that leaves every weight finite and changes each trainable one; freezing; a mask that comes out as it went
    in, where the layer claims to support masking; outputs against a formula, where one is given.

    Args:
        layer_class: The class to check.
        init_kwargs: Arguments to make the layer with. Layers among them are made anew for every check.
        input_shape: Shape of the inputs with the batch, such as `(2, 8, 8, 3)`; the batch at least 2. A list of shapes
            for a layer that is called on a list of inputs.
        input_dtype: Dtype of the inputs; integers are drawn from 0 to 3.
        dynamic_axes: Axes other than the batch that shall be of unknown size when the model is built.
        expected: Computes the outputs at inference in NumPy float64 from the inputs and the weights by path within the
            layer, such as `{"gamma": …}`; the weights are drawn from [0.5, 1.5). Inputs are a list where `input_shape`
            is one; several outputs are returned as a list.

    Raises:
        AssertionError: If a check fails; the message names it.

    Example:
    >>> check_layer(keras.layers.Rescaling, {"scale": 2.0}, (2, 3), expected=lambda inputs, weights: 2 * inputs)
    >>> check_layer(keras.layers.Add, {}, [(2, 3), (2, 3)], expected=lambda inputs, weights: inputs[0] + inputs[1])
    """
    case = Case(layer_class, init_kwargs, input_shape, input_dtype, expected, tuple(dynamic_axes))
    for check in _LAYER_CHECKS:
        try:
            check(case)
        except Exception as error:
            title = check.__name__.strip("_").replace("_", " ")
            raise AssertionError(f"{case.name} fails the check of {title}: {error}") from error


def _config_round_trip(case: Case) -> None:
    layer = case.make()
    for key, value in case.init_kwargs.items():
        if isinstance(value, bool | int | float):
            kept = layer.get_config().get(key)
            assert kept == value, f"expected {key}={value!r} in the config. Received: {kept!r}"
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(layer)))
    # A copy, since `from_config` of some layers takes what it needs out.
    again = keras.saving.deserialize_keras_object(copy.deepcopy(config), safe_mode=True)
    assert type(again) is case.layer_class, f"expected the class back. Received: {type(again)}"
    config_again = json.loads(json.dumps(keras.saving.serialize_keras_object(again)))
    assert _without_identities(config_again) == _without_identities(config), "the config changed"


def _without_identities(config: Any) -> Any:
    """Takes out the memory addresses by which Keras marks objects that are shared."""
    if isinstance(config, dict):
        return {key: _without_identities(value) for key, value in config.items() if key != "shared_object_id"}
    if isinstance(config, list):
        return [_without_identities(value) for value in config]
    return config


def _saving_loading_and_cloning(case: Case) -> None:
    layer = case.make()
    model = case.model(layer)
    _randomize(layer)
    desired = model.predict(case.inputs(), verbose=0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        loaded = keras.saving.load_model(path, safe_mode=True)
    tree.map_structure(np.testing.assert_array_equal, loaded.predict(case.inputs(), verbose=0), desired)
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    tree.map_structure(np.testing.assert_array_equal, clone.predict(case.inputs(), verbose=0), desired)


def _dtypes(case: Case) -> None:
    reference = case.make("float64")
    desired = tree.flatten(reference(case.inputs()))
    for policy in _POLICIES:
        layer = case.make(policy)
        layer.build(case.input_shape)
        layer.set_weights(reference.get_weights())
        for actual, exact in zip(tree.flatten(layer(case.inputs())), desired, strict=True):
            dtype = keras.backend.standardize_dtype(actual.dtype)
            assert dtype == layer.compute_dtype or (policy == "float64" and not computes_in_float64()), (
                f"expected outputs in {layer.compute_dtype} under {policy}. Received: {dtype}"
            )
            _assert_outputs_close(actual, exact, tolerance(layer.compute_dtype), f"outputs under {policy}")


def _other_batch_sizes(case: Case) -> None:
    layer = case.make()
    model = case.model(layer)
    for batch in (case.batch_size + 1, 1):
        inputs = case.inputs(batch)
        _assert_outputs_close(model.predict(inputs, verbose=0), layer(inputs), 1e-5, f"outputs for a batch of {batch}")


def _output_shape(case: Case) -> None:
    layer = case.make()
    outputs = layer(case.inputs())
    computed = layer.compute_output_shape(case.input_shape)
    shapes = [tuple(shape) for shape in computed] if tree.is_nested(outputs) else [tuple(computed)]
    actual = [tuple(output.shape) for output in tree.flatten(outputs)]
    assert shapes == actual, f"expected {actual}. Received: {shapes}"
    for symbol, output in zip(tree.flatten(layer(case.symbolic_inputs())), tree.flatten(outputs), strict=True):
        assert symbol.shape[0] is None, f"a symbolic call gives the batch size {symbol.shape[0]}"
        assert len(symbol.shape) == len(output.shape), f"a symbolic call gives {symbol.shape}"
        for size, real in zip(symbol.shape[1:], output.shape[1:], strict=True):
            assert size in (real, None) if case.dynamic_axes else size == real, f"a symbolic call gives {symbol.shape}"
        dtype = keras.backend.standardize_dtype(output.dtype)
        assert symbol.dtype == dtype, f"a symbolic call gives {symbol.dtype}, a real one {dtype}"


def _gradients(case: Case) -> None:
    if not computes_in_float64():
        return
    layer = case.make("float64")
    layer.build(case.input_shape)
    _randomize(layer)
    generator = np.random.default_rng(3)
    inputs = tree.flatten(case.inputs())
    differentiable = [array.astype("float64") for array in inputs] if case.takes_floats else []
    values = [*differentiable, *(ops.convert_to_numpy(variable) for variable in layer.trainable_variables)]
    if not values:
        return
    weights: list[Any] = []

    def weighted_sum(*arguments: Any) -> Any:
        floats, trainable = arguments[: len(differentiable)], arguments[len(differentiable) :]
        tensors = list(floats) or inputs
        outputs, _ = layer.stateless_call(
            list(trainable),
            [variable.value for variable in layer.non_trainable_variables],
            tensors if isinstance(case.input_shape, list) else tensors[0],
        )
        flat = tree.flatten(outputs)
        if not weights:
            weights.extend(generator.normal(size=output.shape) for output in flat)
        return sum(ops.sum(output * weight) for output, weight in zip(flat, weights, strict=True))

    tensors = [ops.convert_to_tensor(value) for value in values]
    _, gradients = outputs_and_gradients(weighted_sum, tensors, ops.ones((), "float64"))
    step = 1e-6
    for position, gradient in enumerate(gradients):
        direction = generator.normal(size=values[position].shape)
        moved = [
            weighted_sum(
                *(
                    ops.convert_to_tensor(value + sign * step * direction) if other == position else tensor
                    for other, (value, tensor) in enumerate(zip(values, tensors, strict=True))
                )
            )
            for sign in (1, -1)
        ]
        difference = (float64(moved[0]) - float64(moved[1])) / (2 * step)
        what = f"gradient to argument {position} of {len(differentiable)} inputs and the weights"
        assert_close(np.sum(gradient * direction), difference, 1e-6, what, least_scale=1.0)


def _training(case: Case) -> None:
    generator = np.random.default_rng(1)
    # torch compiles for minutes, and Keras does not do so by itself.
    for jit_compile in (False,) if keras.backend.backend() == "torch" else (False, True):
        layer = case.make()
        model = case.model(layer)
        before = [ops.convert_to_numpy(variable) for variable in model.trainable_variables]
        targets = tree.map_structure(lambda output: generator.normal(size=output.shape), layer(case.inputs()))
        model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=jit_compile)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The model does not have any trainable weights")
            loss = model.fit(case.inputs(), targets, batch_size=case.batch_size, verbose=0).history["loss"][0]
        assert np.isfinite(loss), f"the loss is {loss}"
        for variable, old in zip(model.trainable_variables, before, strict=True):
            changed = np.any(ops.convert_to_numpy(variable) != old)
            assert changed, f"a training step does not reach weight {variable.path}"
        for variable in model.variables:
            assert np.all(np.isfinite(float64(variable))), f"weight {variable.path} is not finite after a step"


def _freezing(case: Case) -> None:
    layer = case.make()
    layer.build(case.input_shape)
    layer.trainable = False
    assert not layer.trainable_variables, f"weights left: {[variable.path for variable in layer.trainable_variables]}"


class _MaskProbe(keras.layers.Layer):
    """Hands on the mask that reaches it as numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.supports_masking = True

    def call(self, inputs: Any, mask: Any = None) -> Any:
        assert mask is not None, "the mask is lost"
        return ops.cast(mask, "float32")


def _masking(case: Case) -> None:
    layer = case.make()
    takes_sequence = case.takes_floats and not isinstance(case.input_shape, list) and len(case.input_shape) == 3
    if not layer.supports_masking or not takes_sequence:
        return
    inputs = case.inputs()
    inputs[0, -1] = 0.0
    probed = _MaskProbe()(layer(keras.layers.Masking()(ops.convert_to_tensor(inputs))))
    np.testing.assert_array_equal(ops.convert_to_numpy(probed), np.any(inputs != 0, axis=-1))


def _formula(case: Case) -> None:
    if case.expected is None:
        return
    layer = case.make("float64")
    layer.build(case.input_shape)
    _randomize(layer)
    prefix = f"{layer.path}/" if layer.path else ""
    weights = {variable.path.removeprefix(prefix): ops.convert_to_numpy(variable) for variable in layer.variables}
    inputs = case.inputs()
    if case.takes_floats:
        inputs = tree.map_structure(lambda array: array.astype("float64"), inputs)
    _assert_outputs_close(layer(inputs), case.expected(inputs, weights), tolerance("float64"), "outputs")


_LAYER_CHECKS = (
    _config_round_trip,
    _output_shape,
    _dtypes,
    _other_batch_sizes,
    _saving_loading_and_cloning,
    _gradients,
    _training,
    _freezing,
    _masking,
    _formula,
)


def _randomize(layer: Any) -> None:
    generator = np.random.default_rng(2)
    for variable in layer.variables:
        if keras.backend.is_float_dtype(variable.dtype):
            variable.assign(generator.uniform(0.5, 1.5, variable.shape))


def _assert_outputs_close(actual: Any, desired: Any, allowed_share: float, what: str) -> None:
    for one, other in zip(tree.flatten(actual), tree.flatten(desired), strict=True):
        assert_close(float64(one), float64(other), allowed_share, what)
