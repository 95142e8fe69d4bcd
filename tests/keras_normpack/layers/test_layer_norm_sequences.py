"""Recurrent layers with layer normalization do with masks, states, directions and dropout what Keras's own do."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_normpack import LayerNormGRUCell, LayerNormLSTMCell
from tests.keras_normpack.layers.recurrent_formulas import (
    EXACT,
    KIND_NAMES,
    KINDS,
    TOLERANCE,
    gru_layer,
    lstm_layer,
    randomize,
    run,
    simple_layer,
    weights_of,
)

MAKERS = [lstm_layer, gru_layer, simple_layer]
each_kind = pytest.mark.parametrize("make", MAKERS, ids=KIND_NAMES)


def sequences(batch=3, time=6, seed=0):
    return np.random.default_rng(seed).normal(size=(batch, time, 5)).astype(EXACT)


def built(make, **options):
    layer = make(dtype=EXACT, **options)
    layer.build((3, 6, 5))
    return randomize(layer)


def results(layer, *arguments, **options):
    return [ops.convert_to_numpy(output) for output in keras.tree.flatten(layer(*arguments, **options))]


def assert_equal(actual, desired):
    for one, other in zip(actual, desired, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=TOLERANCE)


@each_kind
@pytest.mark.parametrize(("unroll", "backwards"), [(False, False), (False, True), (True, False)])
def test_masked_steps_carry_the_state_over(make, unroll, backwards):
    inputs, mask = sequences(), np.ones((3, 6), bool)
    mask[0, [1, 4]] = mask[1, 3:] = False
    layer = built(make, return_state=True, unroll=unroll, go_backwards=backwards)
    actual = results(layer, inputs, mask=mask)
    for sample in range(3):
        alone = results(
            built(make, return_state=True, go_backwards=backwards), inputs[sample : sample + 1, mask[sample]]
        )
        assert_equal([values[sample : sample + 1] for values in actual], alone)


@each_kind
def test_padding_changes_nothing_and_gets_no_output_of_its_own(make):
    inputs, mask = sequences(), np.arange(6) < np.array([[6], [4], [2]])
    layer = built(make, return_sequences=True, return_state=True)
    outputs, *states = results(layer, inputs, mask=mask)
    other_padding = np.where(mask[..., None], inputs, 1e3).astype(EXACT)
    assert_equal(results(layer, other_padding, mask=mask), [outputs, *states])
    np.testing.assert_array_equal(outputs[2, 2:], np.repeat(outputs[2, 1:2], 4, axis=0))


@each_kind
def test_a_mask_of_an_earlier_layer_arrives_and_goes_on(make):
    inputs = sequences()
    inputs[1, 4:] = 0.0
    layer = make(return_sequences=True, dtype=EXACT)
    masked = layer(keras.layers.Masking(dtype=EXACT)(ops.convert_to_tensor(inputs)))
    desired = layer(ops.convert_to_tensor(inputs), mask=np.any(inputs != 0, axis=-1))
    np.testing.assert_array_equal(*map(ops.convert_to_numpy, (masked, desired)))


@each_kind
def test_two_stateful_batches_are_one_long_sequence(make):
    inputs = sequences()
    layer = built(make, stateful=True, return_sequences=True)
    halves = [results(layer, inputs[:, half])[0] for half in (slice(0, 3), slice(3, 6))]
    desired = results(built(make, return_sequences=True), inputs)
    assert_equal([np.concatenate(halves, axis=1)], desired)
    layer.reset_state()
    assert_equal(results(layer, inputs), desired)


@each_kind
def test_an_initial_state_goes_on_where_another_call_ended(make):
    inputs = sequences()
    layer = built(make, return_state=True)
    _, *states = results(layer, inputs[:, :4])
    assert_equal(results(layer, inputs[:, 4:], initial_state=states), results(layer, inputs))


@each_kind
@pytest.mark.parametrize("masked", [False, True])
def test_bidirectional_is_one_run_in_either_direction(make, masked):
    inputs, mask = sequences(), None
    if masked:
        mask = np.arange(6) < np.array([[6], [4], [2]])
    layer = keras.layers.Bidirectional(make(dtype=EXACT, return_sequences=True), dtype=EXACT)
    layer.build((3, 6, 5))
    randomize(layer)
    halves = []
    for direction, backwards in ((layer.forward_layer, False), (layer.backward_layer, True)):
        alone = make(dtype=EXACT, return_sequences=True, go_backwards=backwards, zero_output_for_mask=True)
        alone.build((3, 6, 5))
        alone.set_weights(direction.get_weights())
        outputs = results(alone, inputs, mask=mask)[0]
        halves.append(outputs[:, ::-1] if backwards else outputs)
    assert_equal(results(layer, inputs, mask=mask), [np.concatenate(halves, axis=-1)])


@each_kind
def test_loop_and_unrolled_steps_agree(make):
    inputs = sequences()
    options = {"return_sequences": True, "return_state": True}
    assert_equal(results(built(make, unroll=True, **options), inputs), results(built(make, **options), inputs))


@each_kind
def test_any_number_of_steps(make):
    inputs = keras.Input((None, 5), dtype=EXACT)
    layer = built(make)
    model = keras.Model(inputs, layer(inputs))
    for time in (1, 4, 6):
        assert_equal(results(model, sequences(time=time)), results(layer, sequences(time=time)))


@pytest.mark.parametrize(("make", "step"), KINDS, ids=KIND_NAMES)
def test_dropout_is_drawn_once_for_all_steps_and_gates(make, step):
    inputs = sequences()
    layer = built(make, dropout=0.4, recurrent_dropout=0.3, seed=7, return_sequences=True)
    # A cell with the same seed draws the same masks, that of the inputs first.
    twin = built(make, dropout=0.4, recurrent_dropout=0.3, seed=7).cell
    keep_inputs = ops.convert_to_numpy(twin.get_dropout_mask(ops.ones((3, 5), EXACT)))
    keep_state = ops.convert_to_numpy(twin.get_recurrent_dropout_mask(ops.ones((3, 4), EXACT)))
    np.testing.assert_allclose(np.unique(keep_inputs), [0, 1 / 0.6], rtol=1e-6)
    np.testing.assert_allclose(np.unique(keep_state), [0, 1 / 0.7], rtol=1e-6)
    weights = weights_of(layer.cell)
    desired = run(step, weights, inputs, keep_inputs=keep_inputs, keep_state=keep_state)[0]
    assert_equal(results(layer, inputs, training=True), [desired])
    anew = results(layer, inputs, training=True)[0]
    assert np.abs(anew - desired).max() > 1e-3
    assert_equal(results(layer, inputs), [run(step, weights, inputs)[0]])


@each_kind
def test_dropout_is_drawn_in_float32_under_mixed_precision(make):
    layer = make(dtype="mixed_float16", dropout=0.5, recurrent_dropout=0.5)
    step = ops.ones((2, 5), "float16")
    for mask in (layer.cell.get_dropout_mask(step), layer.cell.get_recurrent_dropout_mask(step)):
        assert keras.backend.standardize_dtype(mask.dtype) == "float32"
    outputs = make(dtype="mixed_float16", dropout=0.5, recurrent_dropout=0.5)(sequences(), training=True)
    assert keras.backend.standardize_dtype(outputs.dtype) == "float16"


def test_stacked_cells_train_with_dropout():
    cells = [LayerNormLSTMCell(4, dropout=0.2), LayerNormGRUCell(3, recurrent_dropout=0.2)]
    model = keras.Sequential([keras.Input((6, 5)), keras.layers.RNN(cells)])
    model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=False)
    before = [ops.convert_to_numpy(weight) for weight in model.trainable_weights]
    model.fit(sequences(4), np.ones((4, 3)), batch_size=4, verbose=0)
    for weight, old in zip(model.trainable_weights, before, strict=True):
        assert np.any(ops.convert_to_numpy(weight) != old), weight.path


@each_kind
@pytest.mark.parametrize("options", [{}, {"return_sequences": True, "return_state": True}])
def test_computed_shapes_are_the_real_ones(make, options):
    layer = make(**options)
    computed = layer.compute_output_shape((3, 6, 5))
    shapes = computed if options else [computed]
    assert [tuple(shape) for shape in shapes] == [output.shape for output in results(layer, sequences())]
