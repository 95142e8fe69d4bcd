"""Public conformance checks: what every layer and every kernel of the pack must do, and yours may be held to.

Both checks raise `AssertionError` naming the check and the layer or kernel that failed, and return nothing.
"""

import json
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_normpack import kernels
from keras_normpack.autodiff import outputs_and_gradients

# Largest difference from the float64 result, as a share of its largest value.
_TOLERANCES = {"float64": 1e-9, "float32": 1e-5, "float16": 5e-3, "bfloat16": 4e-2}
_POLICIES = ("float64", "float32", "mixed_float16", "mixed_bfloat16")


@dataclass(frozen=True)
class _Case:
    layer_class: type[keras.layers.Layer]
    init_kwargs: Mapping[str, Any]
    input_shape: tuple[int, ...]
    input_dtype: str
    expected: Callable[[np.ndarray, Mapping[str, np.ndarray]], np.ndarray] | None
    dynamic_axes: tuple[int, ...]

    @property
    def name(self) -> str:
        return (
            f"{self.layer_class.__name__}({', '.join(f'{key}={value!r}' for key, value in self.init_kwargs.items())})"
        )

    @property
    def takes_floats(self) -> bool:
        return "float" in self.input_dtype

    def make(self, policy: str = "float32") -> Any:
        arguments = {
            key: _with_policy(value, policy) if isinstance(value, keras.layers.Layer) else value
            for key, value in self.init_kwargs.items()
        }
        return self.layer_class(**{**arguments, "dtype": policy})

    def inputs(self, batch: int | None = None) -> np.ndarray:
        shape = (batch or self.input_shape[0], *self.input_shape[1:])
        generator = np.random.default_rng(0)
        if self.takes_floats:
            return generator.normal(1.0, 2.0, shape).astype(self.input_dtype)
        return generator.integers(0, 4, shape).astype(self.input_dtype)

    def model(self, layer: Any) -> Any:
        shape = [None if axis in self.dynamic_axes else size for axis, size in enumerate(self.input_shape)]
        inputs = keras.Input(tuple(shape[1:]), dtype=self.input_dtype)
        return keras.Model(inputs, layer(inputs))


def check_layer(
    layer_class: type[keras.layers.Layer],
    init_kwargs: Mapping[str, Any],
    input_shape: tuple[int, ...],
    *,
    input_dtype: str = "float32",
    dynamic_axes: Sequence[int] = (),
    expected: Callable[[np.ndarray, Mapping[str, np.ndarray]], np.ndarray] | None = None,
) -> None:
    """Checks that a layer behaves as Keras's own layers do.

    Checked are: config round trip through JSON; saving to `.keras`, loading in safe mode and cloning with equal
    outputs; float64, float32, mixed float16 and mixed bfloat16 with outputs in the compute dtype near the float64 ones;
    batches of another size than the first; `compute_output_shape` and symbolic against real outputs; one step of `fit`,
    plain and compiled, that leaves every weight finite and changes each trainable one; freezing; a mask that comes out
    as it went in, where the layer claims to support masking; outputs against a formula, where one is given.

    Args:
        layer_class: The class to check.
        init_kwargs: Arguments to make the layer with. Layers among them are made anew for every check.
        input_shape: Shape of the inputs with the batch, such as `(2, 8, 8, 3)`; the batch at least 2.
        input_dtype: Dtype of the inputs; integers are drawn from 0 to 3.
        dynamic_axes: Axes other than the batch that shall be of unknown size when the model is built.
        expected: Computes the outputs at inference in NumPy float64 from the inputs and the weights by path within the
            layer, such as `{"gamma": …}`; the weights are drawn from [0.5, 1.5).

    Raises:
        AssertionError: If a check fails; the message names it.

    Example:
    >>> check_layer(keras.layers.Rescaling, {"scale": 2.0}, (2, 3), expected=lambda inputs, weights: 2 * inputs)
    """
    case = _Case(layer_class, init_kwargs, input_shape, input_dtype, expected, tuple(dynamic_axes))
    for check in _LAYER_CHECKS:
        try:
            check(case)
        except Exception as error:
            title = check.__name__.strip("_").replace("_", " ")
            raise AssertionError(f"{case.name} fails the check of {title}: {error}") from error


def check_kernel(
    operation: str,
    shapes: Sequence[tuple[int, ...]],
    *,
    axis: int = -1,
    dtypes: Sequence[str] = ("float32", "float16", "bfloat16"),
    epsilon: float = 1e-3,
) -> None:
    """Checks every kernel the current backend has for an operation against the operation's reference.

    The reference is computed in float64 on the same, rounded inputs. Outputs and the gradients to inputs, gamma and
    beta are compared, whether or not the kernel would be chosen for the shape.

    Args:
        operation: Name of the operation, such as `"batch_normalization"`.
        shapes: Shapes of the inputs.
        axis: The channel axis.
        dtypes: Dtypes of the inputs.
        epsilon: Added to the variance.

    Raises:
        AssertionError: If a kernel differs from the reference; the message names kernel, shape, dtype and result.

    Example:
    >>> check_kernel("batch_normalization", [(4, 5, 5, 3)])
    """
    for kernel in kernels.kernels(operation):
        for shape in shapes:
            for dtype in dtypes:
                _compare_with_reference(kernel, shape, dtype, axis, epsilon)


def _compare_with_reference(
    kernel: kernels.Kernel, shape: tuple[int, ...], dtype: str, axis: int, epsilon: float
) -> None:
    generator = np.random.default_rng(0)
    inputs = ops.cast(generator.normal(1.0, 2.0, shape), dtype)
    cotangent = ops.cast(generator.normal(size=shape), dtype)
    gamma, beta = generator.uniform(0.5, 1.5, (2, shape[axis]))

    def results(function: Callable[..., Any], computed_in: str, weights_in: str) -> list[np.ndarray]:
        outputs, gradients = outputs_and_gradients(
            lambda *arguments: function(*arguments, axis=axis, epsilon=epsilon),
            [ops.cast(inputs, computed_in), ops.cast(gamma, weights_in), ops.cast(beta, weights_in)],
            ops.cast(cotangent, computed_in),
        )
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        return [_float64(value) for value in (*outputs, *gradients)]

    actual = results(kernel.function, dtype, "float32")
    desired = results(kernels.reference(kernel.operation), "float64", "float64")
    for position, (ours, theirs) in enumerate(zip(actual, desired, strict=True)):
        what = f"{kernel.operation} on {shape} {dtype}, result {position}"
        # Gradients cancel where few values are averaged; inputs and cotangents, which are rounded too, are about 1.
        _assert_close(ours, theirs, _TOLERANCES[dtype], what, least_scale=1.0)


def _config_round_trip(case: _Case) -> None:
    layer = case.make()
    for key, value in case.init_kwargs.items():
        if isinstance(value, bool | int | float):
            kept = layer.get_config().get(key)
            assert kept == value, f"expected {key}={value!r} in the config. Received: {kept!r}"
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(layer)))
    again = keras.saving.deserialize_keras_object(config, safe_mode=True)
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


def _saving_loading_and_cloning(case: _Case) -> None:
    layer = case.make()
    model = case.model(layer)
    _randomize(layer)
    desired = model.predict(case.inputs(), verbose=0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        loaded = keras.saving.load_model(path, safe_mode=True)
    np.testing.assert_array_equal(loaded.predict(case.inputs(), verbose=0), desired)
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    np.testing.assert_array_equal(clone.predict(case.inputs(), verbose=0), desired)


def _dtypes(case: _Case) -> None:
    reference = case.make("float64")
    desired = _float64(reference(case.inputs()))
    for policy in _POLICIES:
        layer = case.make(policy)
        layer.build(case.input_shape)
        layer.set_weights(reference.get_weights())
        outputs = layer(case.inputs())
        dtype = keras.backend.standardize_dtype(outputs.dtype)
        assert dtype == layer.compute_dtype, (
            f"expected outputs in {layer.compute_dtype} under {policy}. Received: {dtype}"
        )
        _assert_close(_float64(outputs), desired, _TOLERANCES[layer.compute_dtype], f"outputs under {policy}")


def _other_batch_sizes(case: _Case) -> None:
    layer = case.make()
    model = case.model(layer)
    for batch in (case.input_shape[0] + 1, 1):
        inputs = case.inputs(batch)
        _assert_close(
            model.predict(inputs, verbose=0), _float64(layer(inputs)), 1e-5, f"outputs for a batch of {batch}"
        )


def _output_shape(case: _Case) -> None:
    layer = case.make()
    outputs = layer(case.inputs())
    computed = tuple(layer.compute_output_shape(case.input_shape))
    assert computed == tuple(outputs.shape), f"expected {tuple(outputs.shape)}. Received: {computed}"
    symbolic = layer(keras.Input(batch_shape=(None, *case.input_shape[1:]), dtype=case.input_dtype))
    assert tuple(symbolic.shape) == (None, *outputs.shape[1:]), f"a symbolic call gives {symbolic.shape}"
    assert symbolic.dtype == outputs.dtype or symbolic.dtype == layer.compute_dtype, f"symbolic dtype {symbolic.dtype}"


def _training(case: _Case) -> None:
    for jit_compile in (False, "auto"):
        layer = case.make()
        model = case.model(layer)
        before = [np.array(variable) for variable in model.trainable_variables]
        targets = np.random.default_rng(1).normal(size=model(case.inputs()).shape)
        model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=jit_compile)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The model does not have any trainable weights")
            loss = model.fit(case.inputs(), targets, batch_size=case.input_shape[0], verbose=0).history["loss"][0]
        assert np.isfinite(loss), f"the loss is {loss}"
        for variable, old in zip(model.trainable_variables, before, strict=True):
            assert np.any(np.array(variable) != old), f"a training step does not reach weight {variable.path}"
        for variable in model.variables:
            assert np.all(np.isfinite(_float64(variable))), f"weight {variable.path} is not finite after a step"


def _freezing(case: _Case) -> None:
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


def _masking(case: _Case) -> None:
    layer = case.make()
    if not layer.supports_masking or not case.takes_floats or len(case.input_shape) != 3:
        return
    inputs = case.inputs()
    inputs[0, -1] = 0.0
    probed = _MaskProbe()(layer(keras.layers.Masking()(ops.convert_to_tensor(inputs))))
    np.testing.assert_array_equal(ops.convert_to_numpy(probed), np.any(inputs != 0, axis=-1))


def _formula(case: _Case) -> None:
    if case.expected is None:
        return
    layer = case.make("float64")
    layer.build(case.input_shape)
    _randomize(layer)
    prefix = f"{layer.path}/" if layer.path else ""
    weights = {variable.path.removeprefix(prefix): np.array(variable) for variable in layer.variables}
    inputs = case.inputs().astype("float64") if case.takes_floats else case.inputs()
    _assert_close(_float64(layer(inputs)), case.expected(inputs, weights), _TOLERANCES["float64"], "outputs")


_LAYER_CHECKS = (
    _config_round_trip,
    _output_shape,
    _dtypes,
    _other_batch_sizes,
    _saving_loading_and_cloning,
    _training,
    _freezing,
    _masking,
    _formula,
)


def _with_policy(layer: Any, policy: str) -> Any:
    return type(layer).from_config({**layer.get_config(), "dtype": policy})


def _randomize(layer: Any) -> None:
    generator = np.random.default_rng(2)
    for variable in layer.variables:
        if keras.backend.is_float_dtype(variable.dtype):
            variable.assign(generator.uniform(0.5, 1.5, variable.shape))


def _float64(tensor: Any) -> np.ndarray:
    return ops.convert_to_numpy(ops.cast(tensor, "float64"))


def _assert_close(
    actual: np.ndarray, desired: np.ndarray, tolerance: float, what: str, least_scale: float = 1e-3
) -> None:
    assert actual.shape == desired.shape, f"{what}: expected shape {desired.shape}. Received: {actual.shape}"
    difference = float(np.max(np.abs(actual - desired), initial=0.0))
    allowed = tolerance * max(float(np.max(np.abs(desired), initial=0.0)), least_scale)
    assert difference <= allowed, f"{what}: expected a difference of at most {allowed:.3g}. Received: {difference:.3g}"
