"""Recurrent cells with layer normalization against the paper's equations and Keras's cells."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_normpack import LayerNormGRU, LayerNormGRUCell, LayerNormLSTM, LayerNormLSTMCell, LayerNormSimpleRNNCell
from keras_normpack.testing import check_layer
from tests.keras_normpack.layers.recurrent_formulas import (
    EXACT,
    TOLERANCE,
    gru_step,
    lstm_step,
    randomize,
    run,
    simple_step,
    weights_of,
)

CELLS = [LayerNormLSTMCell, LayerNormGRUCell, LayerNormSimpleRNNCell]


def rectify(x):
    return np.maximum(x, 0.0)


def formula(step, backwards=False, **options):
    def compute(inputs, weights):
        of_the_cell = {path.split("/", 1)[1]: value for path, value in weights.items()}
        return run(step, of_the_cell, inputs[:, ::-1] if backwards else inputs, **options)[0]

    return compute


@pytest.mark.parametrize(
    ("layer_class", "arguments", "expected"),
    [
        (LayerNormLSTM, {}, formula(lstm_step)),
        (
            LayerNormLSTM,
            {"norm_carry": True, "activation": "relu", "use_bias": False, "unroll": True},
            formula(lstm_step, norm_carry=True, activation=rectify),
        ),
        (
            LayerNormGRU,
            {"go_backwards": True, "kernel_regularizer": "l2"},
            formula(gru_step, backwards=True),
        ),
    ],
)
def test_layers_conform_and_follow_their_equations(layer_class, arguments, expected):
    arguments = {"units": 4, "return_sequences": True, **arguments}
    check_layer(
        layer_class, arguments, (2, 3, 5), expected=expected, dynamic_axes=() if "unroll" in arguments else (1,)
    )


@keras.saving.register_keras_serializable(package="tests")
class KerasLayer(keras.layers.RNN):
    """Keras's layer, but for taking the cell out of the config it is made from."""

    @classmethod
    def from_config(cls, config, custom_objects=None):
        return super().from_config(dict(config), custom_objects)


def test_the_simple_cell_conforms_in_keras_own_layer_and_follows_its_equation():
    cell = LayerNormSimpleRNNCell(4, gamma_regularizer="l2", name="cell")
    arguments = {"cell": cell, "return_sequences": True}
    check_layer(KerasLayer, arguments, (2, 3, 5), expected=formula(simple_step))


NORMS = {
    LayerNormLSTMCell: ["kernel_norm", "recurrent_norm", "state_norm"],
    LayerNormGRUCell: ["kernel_norm", "recurrent_norm", "candidate_kernel_norm", "candidate_recurrent_norm"],
}


@pytest.mark.parametrize("cell_class", NORMS)
def test_weights_of_gated_cells_come_in_the_order_of_tensorflow_addons(cell_class):
    cell = cell_class(3)
    cell.build((None, 2))
    norms = [f"{norm}/{name}" for norm in NORMS[cell_class] for name in ("gamma", "beta")]
    assert list(weights_of(cell)) == ["kernel", "recurrent_kernel", "bias", *norms]


def test_weights_of_the_simple_cell_come_in_the_order_of_tensorflow_addons():
    cell = LayerNormSimpleRNNCell(3)
    cell.build((None, 2))
    assert list(weights_of(cell)) == ["kernel", "recurrent_kernel", "bias", "layernorm/gamma"]


def test_the_forget_gate_starts_open_as_in_keras():
    cell = LayerNormLSTMCell(2)
    cell.build((None, 3))
    np.testing.assert_array_equal(weights_of(cell)["bias"], [0, 0, 1, 1, 0, 0, 0, 0])


@pytest.mark.parametrize(
    ("cell_class", "keras_class"),
    [
        (LayerNormLSTMCell, keras.layers.LSTMCell),
        (LayerNormGRUCell, keras.layers.GRUCell),
        (LayerNormSimpleRNNCell, keras.layers.SimpleRNNCell),
    ],
)
@pytest.mark.parametrize("use_bias", [True, False])
def test_a_step_whose_gamma_and_beta_undo_the_norm_is_keras_own(cell_class, keras_class, use_bias):
    generator = np.random.default_rng(0)
    inputs, *states = (generator.normal(size=(1, size)).astype(EXACT) for size in (5, 4, 4))
    theirs = keras_class(4, use_bias=use_bias, dtype=EXACT)
    states = states if isinstance(theirs.state_size, list) else states[:1]
    theirs.build((1, 5))
    randomize(theirs)
    if keras_class is keras.layers.SimpleRNNCell:
        # Its norm has no beta but the bias, so the sum shall have the mean 0.
        for kernel in (theirs.kernel, theirs.recurrent_kernel):
            kernel.assign(kernel - keras.ops.mean(kernel, axis=-1, keepdims=True))
    ours = cell_class(4, use_bias=use_bias, dtype=EXACT)
    ours.build((1, 5))
    ours.set_weights([*theirs.get_weights(), *ours.get_weights()[len(theirs.weights) :]])
    desired, desired_states = theirs(inputs, states)
    undo_norms(ours, inputs, states, desired_states)
    actual, actual_states = ours(inputs, states)
    for one, other in zip([actual, *actual_states], [desired, *desired_states], strict=True):
        np.testing.assert_allclose(*map(keras.ops.convert_to_numpy, (one, other)), rtol=0, atol=TOLERANCE)


def undo_norms(cell, inputs, states, new_states):
    """Sets gamma to the deviation and beta to the mean of what each norm will see."""
    weights = weights_of(cell)
    from_inputs, from_state = inputs @ weights["kernel"], states[0] @ weights["recurrent_kernel"]
    if isinstance(cell, LayerNormSimpleRNNCell):
        summed = from_inputs + from_state
        cell.layernorm.gamma.assign(np.full(4, np.sqrt(summed.var() + cell.layernorm.epsilon)))
        return
    seen = {"kernel_norm": from_inputs, "recurrent_norm": from_state}
    if isinstance(cell, LayerNormGRUCell):
        seen = {name: product[:, :8] for name, product in seen.items()}
        seen |= {"candidate_kernel_norm": from_inputs[:, 8:], "candidate_recurrent_norm": from_state[:, 8:]}
    else:
        seen["state_norm"] = keras.ops.convert_to_numpy(new_states[1])
    for name, values in seen.items():
        norm = getattr(cell, name)
        norm.gamma.assign(np.full(values.shape[-1], np.sqrt(values.var() + norm.epsilon)))
        norm.beta.assign(np.full(values.shape[-1], values.mean()))


@pytest.mark.parametrize("cell_class", [LayerNormLSTMCell, LayerNormGRUCell])
@given(scales=st.tuples(st.floats(0.01, 100), st.floats(0.01, 100)), seed=st.integers(0, 99))
@settings(max_examples=10)
def test_gated_cells_do_not_feel_the_scale_of_their_kernels(cell_class, scales, seed):
    generator = np.random.default_rng(seed)
    cell = cell_class(4, norm_epsilon=1e-12, dtype=EXACT)
    inputs = generator.normal(size=(3, 5)).astype(EXACT)
    states = [generator.normal(size=(3, 4)).astype(EXACT) for _ in keras.tree.flatten(cell.state_size)]
    cell.build((3, 5))
    randomize(cell, seed)
    before = keras.ops.convert_to_numpy(cell(inputs, states)[0])
    for kernel, scale in zip((cell.kernel, cell.recurrent_kernel), scales, strict=True):
        kernel.assign(kernel * scale)
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(cell(inputs, states)[0]), before, rtol=0, atol=max(1e-6, TOLERANCE)
    )


@pytest.mark.parametrize("make", [LayerNormLSTM, LayerNormGRU])
def test_statistics_are_float32_under_mixed_precision(make):
    # Squares of the summed inputs overflow float16, whose largest value is 65504.
    inputs = np.random.default_rng(0).normal(0.0, 2000.0, (2, 4, 8)).astype("float16")
    layer = make(6, dtype="mixed_float16", return_sequences=True)
    outputs = layer(inputs)
    exact = make(6, dtype=EXACT, return_sequences=True)
    exact.build(inputs.shape)
    exact.set_weights(layer.get_weights())
    assert keras.backend.standardize_dtype(outputs.dtype) == "float16"
    assert all(weight.dtype == "float32" for weight in layer.weights)
    desired = keras.ops.convert_to_numpy(exact(inputs.astype(EXACT)))
    np.testing.assert_allclose(keras.ops.convert_to_numpy(outputs), desired, atol=5e-3)


WRONG = [
    ({"units": 0}, "`units`"),
    ({"units": 2.0}, "`units`"),
    ({"units": 2, "dropout": 1.0}, "`dropout`"),
    ({"units": 2, "recurrent_dropout": -0.1}, "`recurrent_dropout`"),
    ({"units": 2, "norm_epsilon": 0.0}, "`norm_epsilon`"),
]


@pytest.mark.parametrize(("arguments", "named"), WRONG)
@pytest.mark.parametrize(
    "made", [LayerNormLSTMCell, LayerNormGRUCell, LayerNormSimpleRNNCell, LayerNormLSTM, LayerNormGRU]
)
def test_wrong_arguments_raise_when_the_layer_is_made(made, arguments, named):
    if made is LayerNormSimpleRNNCell:
        named = named.replace("norm_epsilon", "layernorm_epsilon")
        arguments = {key.replace("norm_epsilon", "layernorm_epsilon"): value for key, value in arguments.items()}
    with pytest.raises(ValueError, match=f"{named} of {made.__name__}.*Received: "):
        made(**arguments)


@pytest.mark.parametrize("made", CELLS)
def test_an_unknown_number_of_features_raises_when_the_cell_is_built(made):
    with pytest.raises(ValueError, match=f"{made.__name__} 'cell' needs a known number of channels.*Received: "):
        made(2, name="cell").build((None, None))


@pytest.mark.parametrize(
    ("ours", "theirs", "added", "gone"),
    [
        (LayerNormLSTM, keras.layers.LSTM, {"norm_carry"}, set()),
        (LayerNormGRU, keras.layers.GRU, set(), {"reset_after"}),
    ],
)
def test_layers_have_the_arguments_and_properties_of_keras_own(ours, theirs, added, gone):
    layer, peer = ours(3), theirs(3)
    norms = {"norm_gamma_initializer", "norm_beta_initializer", "norm_epsilon", *added}
    assert set(layer.get_config()) == (set(peer.get_config()) - gone) | norms
    for name in set(peer.get_config()) - gone - {"dtype", "name", "seed"}:
        assert layer.get_config()[name] == peer.get_config()[name], name
    for name in vars(theirs):
        if isinstance(vars(theirs)[name], property) and name not in gone:
            assert hasattr(layer, name), name
