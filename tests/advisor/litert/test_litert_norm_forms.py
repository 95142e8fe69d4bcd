"""The forms of normalizations, run in LiteRT, against their formulas in float64 and against the layers."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_normpack
from advisor.litert.calls import LayerCall
from advisor.litert.conversion import convert_function
from advisor.litert.forms import forms_of
from advisor.litert.interpreter import LiteRTModel
from advisor.litert.operators import operator_table

TOLERANCE = 1e-5


@dataclass(frozen=True)
class Case:
    layer: Any
    shapes: tuple[tuple[int, ...], ...]
    formula: Any
    form: int = 0

    @property
    def id(self):
        return f"{type(self.layer).__name__}-{'x'.join(map(str, self.shapes[0]))}-{self.layer.name}-{self.form}"


def per_channel(values, rank, axis):
    return np.asarray(values, "float64").reshape([-1 if other == axis % rank else 1 for other in range(rank)])


def affine(y, layer, axis=-1):
    if layer.gamma is not None:
        y = y * per_channel(layer.gamma, y.ndim, axis)
    return y if layer.beta is None else y + per_channel(layer.beta, y.ndim, axis)


def positions(x, axis=-1):
    return tuple(other for other in range(1, x.ndim) if other != axis % x.ndim)


def standardized(x, axes, epsilon):
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + epsilon)


def group(layer, x, groups=None):
    axis = layer.axis % x.ndim
    groups = groups or layer.groups
    shape = [*x.shape[:axis], groups, x.shape[axis] // groups, *x.shape[axis + 1 :]]
    split = x.reshape(shape)
    axes = tuple(other for other in range(1, split.ndim) if other != axis)
    return affine(standardized(split, axes, layer.epsilon).reshape(x.shape), layer, axis)


def instance(layer, x):
    return affine(standardized(x, positions(x, layer.axis), layer.epsilon), layer, layer.axis)


def layer_norm(layer, x):
    axes = tuple(axis % x.ndim for axis in layer.axis)
    lined_up = [size if axis in axes else 1 for axis, size in enumerate(x.shape)]
    y = standardized(x, axes, layer.epsilon)
    if layer.gamma is not None:
        y = y * np.asarray(layer.gamma, "float64").reshape(lined_up)
    return y if layer.beta is None else y + np.asarray(layer.beta, "float64").reshape(lined_up)


def batch(layer, x):
    mean, variance = np.asarray(layer.moving_mean, "float64"), np.asarray(layer.moving_variance, "float64")
    return affine((x - mean) / np.sqrt(variance + layer.epsilon), layer)


def of_inputs(layer, x):
    return (x - np.asarray(layer.mean, "float64")) / np.sqrt(np.asarray(layer.variance, "float64"))


def filter_response(layer, x):
    epsilon = layer.epsilon + (0.0 if layer.eps_learned is None else abs(float(layer.eps_learned[0])))
    return affine(x / np.sqrt((x**2).mean(positions(x), keepdims=True) + epsilon), layer)


def global_response(layer, x):
    norms = np.sqrt((x**2).sum(positions(x), keepdims=True))
    return affine(x * (norms / (norms.mean(-1, keepdims=True) + layer.epsilon)), layer) + x


def reversible(layer, x):
    deviation = np.sqrt(x.var(1, keepdims=True) + layer.epsilon)
    level = x[:, -1:] if layer.subtract_last else x.mean(1, keepdims=True)
    return affine((x - level) / deviation, layer), np.concatenate([level, deviation], 1)


def conditional(layer, x, condition):
    projection = layer.projection
    mapped = condition @ np.asarray(projection.kernel, "float64")
    if projection.use_bias:
        mapped = mapped + np.asarray(projection.bias, "float64")
    gamma, beta = (per(part, x.ndim, layer.axis) for part in np.split(mapped, 2, axis=-1))
    of_layer = instance if isinstance(layer.layer, keras_normpack.InstanceNormalization) else group
    return of_layer(layer.layer, x) * (1 + gamma) + beta


def per(values, rank, axis):
    sizes = [values.shape[0], *(values.shape[1] if other == axis % rank else 1 for other in range(1, rank))]
    return values.reshape(sizes)


def tanh(layer, x):
    return affine(np.tanh(float(layer.alpha) * x), layer)


def tlu(layer, x):
    return np.maximum(x, np.asarray(layer.alpha, "float64") * x + np.asarray(layer.tau, "float64"))


GN, LN, BN = layers.GroupNormalization, layers.LayerNormalization, layers.BatchNormalization
MAP, WIDE, SERIES, VOLUME = (1, 14, 14, 16), (2, 5, 7, 24), (2, 50, 12), (1, 4, 5, 6, 8)
CASES = (
    Case(GN(4), (MAP,), group),
    Case(GN(4), (MAP,), group, form=1),
    Case(GN(6, scale=False), (WIDE,), group, form=1),
    Case(GN(4), (VOLUME,), group, form=1),
    Case(GN(-1), (WIDE,), group, form=1),
    Case(keras_normpack.InstanceNormalization(scale=False, center=False), (VOLUME,), instance, form=1),
    Case(GN(8, epsilon=1e-6), (WIDE,), group),
    Case(GN(3, center=False), (SERIES,), group),
    Case(GN(2, scale=False), (VOLUME,), group),
    Case(GN(1), (WIDE,), group),
    Case(GN(-1), (MAP,), group),
    Case(GN(-1, center=False, scale=False), (WIDE,), group),
    Case(GN(2, axis=1), ((2, 6, 9, 8),), group),
    Case(keras_normpack.GroupNormalization(4), (WIDE,), group),
    Case(keras_normpack.GroupNormalization(-1), (SERIES,), lambda layer, x: group(layer, x, x.shape[-1])),
    Case(keras_normpack.InstanceNormalization(), (WIDE,), instance),
    Case(keras_normpack.InstanceNormalization(axis=1, scale=False, epsilon=1e-5), ((2, 6, 9, 8),), instance),
    Case(keras_normpack.InstanceNormalization(), (VOLUME,), instance),
    Case(LN(), (WIDE,), layer_norm),
    Case(LN(), (WIDE,), layer_norm, form=1),
    Case(LN(center=False), (MAP,), layer_norm),
    Case(LN(scale=False), (MAP,), layer_norm),
    Case(LN(epsilon=1e-6), ((1, 128, 64),), layer_norm),
    Case(LN(center=False, scale=False), (SERIES,), layer_norm),
    Case(LN(), ((3, 40),), layer_norm),
    Case(LN(axis=(1, 2, 3)), (WIDE,), layer_norm),
    Case(LN(axis=[1, 3]), (MAP,), layer_norm),
    Case(LN(axis=2), (WIDE,), layer_norm),
    Case(LN(), (VOLUME,), layer_norm),
    Case(keras_normpack.LayerNormalization(), (MAP,), layer_norm),
    Case(BN(), (WIDE,), batch),
    Case(BN(center=False, epsilon=1e-2), (MAP,), batch),
    Case(keras_normpack.BatchNormalization(scale=False), (WIDE,), batch),
    Case(
        layers.Normalization(mean=[120.0, 110.0, 90.0], variance=[3000.0, 2900.0, 3100.0]), ((2, 9, 8, 3),), of_inputs
    ),
    Case(keras_normpack.FilterResponseNormalization(), (WIDE,), filter_response),
    Case(keras_normpack.FilterResponseNormalization(learned_epsilon=True, center=False), (SERIES,), filter_response),
    Case(keras_normpack.FilterResponseNormalization(axis=[1, 2], scale=False), (MAP,), filter_response),
    Case(keras_normpack.GlobalResponseNormalization(), (WIDE,), global_response),
    Case(keras_normpack.GlobalResponseNormalization(center=False, scale=False), (SERIES,), global_response),
    Case(keras_normpack.ReversibleInstanceNormalization(), ((2, 48, 5),), reversible),
    Case(keras_normpack.ReversibleInstanceNormalization(subtract_last=True), ((2, 48, 5),), reversible),
    Case(
        keras_normpack.ConditionalNormalization(keras_normpack.InstanceNormalization()),
        (WIDE, (2, 6)),
        conditional,
    ),
    Case(
        keras_normpack.ConditionalNormalization(GN(4, center=False, scale=False), use_bias=False),
        (MAP, (1, 6)),
        conditional,
    ),
    Case(keras_normpack.DynamicTanh(), (WIDE,), tanh),
    Case(keras_normpack.TLU(affine=True), (WIDE,), tlu),
)


def build(layer, shapes, seed=0):
    """The layer with weights that are none of 0 and 1."""
    tensors = [keras.KerasTensor(shape) for shape in shapes]
    if not layer.built:
        layer(tensors[0] if len(tensors) == 1 else tensors)
    rng = np.random.default_rng(seed)
    for weight in layer.weights:
        if "int" not in str(weight.dtype):
            positive = any(word in weight.path for word in ("gamma", "variance", "scale"))
            weight.assign(rng.uniform(0.5, 1.5, weight.shape) if positive else rng.normal(0, 0.4, weight.shape))
    return layer


def described(layer, shapes):
    specs = [keras.KerasTensor(shape) for shape in shapes]
    return LayerCall(layer, specs[0] if len(specs) == 1 else specs)


def fitting(layer, *shapes):
    build(layer, shapes)
    return [form for form in forms_of(layer) if form.fits(described(layer, shapes))]


def converted(layer, shapes, compute):
    names = [f"input_{index}" for index in range(len(shapes))]

    def serve(**inputs):
        values = [inputs[name] for name in names]
        outputs = keras.tree.flatten(compute(layer, values[0] if len(values) == 1 else values, None))
        return {f"output_{index}": tf.identity(y) for index, y in enumerate(outputs)}

    specs = {name: tf.TensorSpec(shape, "float32", name) for name, shape in zip(names, shapes, strict=True)}
    return convert_function(tf.function(serve, autograph=False).get_concrete_function(**specs))


def own(layer, inputs, mask):
    return layer.call(inputs)


def operators(layer, *shapes, form=0):
    forms = fitting(layer, *shapes)
    return operator_table(converted(layer, shapes, forms[form].compute))


# Around 0, and ten deviations away from it, where mean(x²) - mean(x)² would lose its digits.
DISTRIBUTIONS = ((0.0, 1.0), (15.0, 1.5))


@pytest.fixture(scope="module")
def runs():
    """Inputs and outputs of every case for both distributions; all cases are in one model, converted once."""
    forms = [fitting(case.layer, *case.shapes)[case.form] for case in CASES]
    names = [[f"input_{n}_{m}" for m in range(len(case.shapes))] for n, case in enumerate(CASES)]

    def serve(**inputs):
        outputs = {}
        for n, (case, form) in enumerate(zip(CASES, forms, strict=True)):
            values = [inputs[name] for name in names[n]]
            computed = keras.tree.flatten(form.compute(case.layer, values[0] if len(values) == 1 else values, None))
            outputs.update({f"output_{n}_{m}": tf.identity(y) for m, y in enumerate(computed)})
        return outputs

    specs = {
        name: tf.TensorSpec(shape, "float32", name)
        for n, case in enumerate(CASES)
        for name, shape in zip(names[n], case.shapes, strict=True)
    }
    model = LiteRTModel(convert_function(tf.function(serve, autograph=False).get_concrete_function(**specs)))
    rng = np.random.default_rng(1)
    feeds = [
        {name: rng.normal(mean, deviation, spec.shape).astype("float32") for name, spec in specs.items()}
        for mean, deviation in DISTRIBUTIONS
    ]
    results = [(feed, model(feed)) for feed in feeds]
    return [
        [
            (
                [feed[name] for name in names[n]],
                [outputs[key] for key in sorted(outputs) if key.split("_")[1] == str(n)],
            )
            for feed, outputs in results
        ]
        for n in range(len(CASES))
    ]


@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda number: CASES[number].id)
def test_form_computes_the_formula_and_what_the_layer_computes(runs, number):
    case = CASES[number]
    for inputs, received in runs[number]:
        wanted = keras.tree.flatten(case.formula(case.layer, *(x.astype("float64") for x in inputs)))
        by_keras = keras.tree.flatten(own(case.layer, inputs[0] if len(inputs) == 1 else inputs, None))
        assert len(received) == len(wanted)
        for y, expected, of_layer in zip(received, wanted, by_keras, strict=True):
            assert y.shape == expected.shape
            assert np.abs(y - expected).max() <= TOLERANCE * np.abs(expected).max()
            assert np.abs(y - np.asarray(of_layer)).max() <= TOLERANCE * np.abs(expected).max()


@pytest.mark.parametrize(
    ("layer", "constant"),
    [(GN(4), 7.0), (GN(-1), 7.0), (LN(), 7.0), (keras_normpack.GlobalResponseNormalization(), 0.0)],
    ids=["group", "instance", "layer", "response"],
)
def test_a_constant_map_stays_finite(layer, constant):
    form = fitting(layer, MAP)[0]
    x = np.full(MAP, constant, "float32")
    received = LiteRTModel(converted(layer, (MAP,), form.compute))({"input_0": x})["output_0"]
    expected = np.broadcast_to(np.asarray(layer.beta), MAP)
    np.testing.assert_allclose(received, expected, atol=1e-4)


def test_operators_of_group_and_instance_normalization():
    # Passes over the map: mean, squared difference and its mean, product, sum. Only values per channel are reshaped.
    group_norm = operators(GN(4), (1, 28, 28, 32))
    assert group_norm["RESHAPE"] == 4
    assert group_norm["MEAN"] == 4
    assert sum(group_norm.values()) <= 18
    expected = {"MUL": 3, "ADD": 2, "MEAN": 2, "RSQRT": 1, "SQUARED_DIFFERENCE": 1, "SUB": 1}
    for layer in (GN(-1), keras_normpack.InstanceNormalization()):
        assert operators(layer, (1, 28, 28, 32)) == expected
        assert operators(layer, (1, 28, 28, 32), form=1) == {**expected, "MUL": 6}


def test_only_few_channels_are_spread_along_rows():
    for shape, count in (((1, 8, 8, 64), 2), ((1, 8, 8, 65), 1), ((1, 8, 64), 1)):
        assert len(fitting(GN(-1), *[shape])) == count
    assert len(fitting(GN(4, axis=1), (1, 8, 8, 64))) == 1


def test_operators_of_layer_normalization():
    images, series = (1, 14, 14, 32), (1, 50, 32)
    in_one_pass = {"MEAN": 2, "MUL": 2, "ADD": 1, "DEPTHWISE_CONV_2D": 1, "RSQRT": 1, "SUB": 1}
    assert operators(LN(), images) == in_one_pass
    assert operators(LN(center=False), images) == in_one_pass
    in_two = {"MUL": 3, "ADD": 2, "MEAN": 2, "RSQRT": 1, "SUB": 1}
    assert operators(LN(), series) == in_two
    assert operators(LN(), images, form=1) == in_two


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (BN(), {"DEPTHWISE_CONV_2D": 1}),
        (layers.Normalization(mean=[1.0] * 16, variance=[4.0] * 16), {"DEPTHWISE_CONV_2D": 1}),
        (keras_normpack.TLU(affine=True), {"DEPTHWISE_CONV_2D": 1, "MAXIMUM": 1}),
        (keras_normpack.DynamicTanh(), {"DEPTHWISE_CONV_2D": 1, "MUL": 1, "TANH": 1}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_constants_per_channel_take_one_operator(layer, expected):
    assert operators(layer, MAP) == expected


@pytest.mark.parametrize("layer", [BN(), LN(), GN(4)], ids=["batch", "layer", "group"])
def test_a_relu_that_follows_costs_no_operator(layer):
    form = fitting(layer, MAP)[0]
    alone = converted(layer, (MAP,), form.compute)
    followed = converted(layer, (MAP,), lambda *call: keras.ops.relu(form.compute(*call)))
    assert operator_table(followed) == operator_table(alone)


def test_conditional_normalization_passes_over_the_map_as_often_as_the_one_within():
    condition = keras_normpack.ConditionalNormalization(keras_normpack.InstanceNormalization())
    form = fitting(condition, (1, 28, 28, 32), (1, 6))[0]
    table = operator_table(converted(condition, ((1, 28, 28, 32), (1, 6)), form.compute))
    plain = operator_table(converted(condition, ((1, 28, 28, 32), (1, 6)), own))
    assert sum(table.values()) <= sum(plain.values())
    assert table["MEAN"] == 2


@pytest.mark.parametrize(
    ("layer", "shapes"),
    [
        (GN(4), ((2, 16),)),
        (LN(axis=[-1, 1]), ((1, 4, 4, 4),)),
        (BN(axis=1), ((1, 4, 4, 4),)),
        (BN(), ((2, 16),)),
        (layers.Normalization(axis=None, mean=1.0, variance=2.0), ((1, 4, 4, 4),)),
        (layers.Normalization(mean=[1.0] * 4, variance=[2.0] * 4, invert=True), ((1, 4, 4, 4),)),
        (layers.Normalization(mean=[1000.0] * 4, variance=[2.0] * 4), ((1, 4, 4, 4),)),
        (keras_normpack.FilterResponseNormalization(axis=[1]), ((1, 4, 4, 4),)),
        (keras_normpack.GlobalResponseNormalization(axis=1), ((1, 4, 4, 4),)),
        (keras_normpack.ConditionalNormalization(LN()), ((1, 4, 4, 4), (1, 6))),
        (keras_normpack.ConditionalNormalization(GN(2)), ((1, 4, 4, 4), (1, 4, 4, 6))),
        (keras_normpack.TLU(), ((1, 4, 4, 4),)),
        (keras_normpack.DynamicTanh(scale=False), ((1, 4, 4, 4),)),
        (layers.RMSNormalization(), ((1, 4, 4, 4),)),
        (layers.UnitNormalization(), ((1, 4, 4, 4),)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, keras.Layer) else None,
)
def test_what_a_form_cannot_do_is_left_to_the_layer(layer, shapes):
    assert fitting(layer, *shapes) == []


def test_scaling_by_the_variance_alone_is_left_to_the_layer():
    with pytest.warns(UserWarning, match="rms_scaling"):
        layer = LN(rms_scaling=True)
    assert fitting(layer, MAP) == []


@pytest.mark.parametrize(
    "layer", [keras_normpack.GroupNormalization(2), keras_normpack.InstanceNormalization()], ids=["group", "instance"]
)
def test_positions_that_a_mask_hides_are_left_to_the_layer(layer):
    build(layer, (SERIES,))
    call = LayerCall(layer, keras.KerasTensor(SERIES), keras.KerasTensor(SERIES[:2], "bool"))
    assert not any(form.fits(call) for form in forms_of(layer))


@pytest.mark.parametrize("base", [GN, LN, BN, keras_normpack.InstanceNormalization], ids=lambda base: base.__name__)
def test_a_subclass_has_no_forms(base):
    class Other(base):
        pass

    assert forms_of(base()) != ()
    assert forms_of(Other()) == ()
