"""`WeightNormalization` around recurrent layers, around their cells, and inside or around `Bidirectional`."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_normpack import WeightNormalization
from tests.keras_normpack.layers.linear_layers import numpy, randomize

SEQUENCES = np.random.default_rng(0).normal(size=(4, 5, 3)).astype("float32")
MASK = np.arange(5) < np.array([[5], [3], [4], [1]])
CELLS = [layers.SimpleRNNCell, layers.GRUCell, layers.LSTMCell]
LAYERS = [layers.SimpleRNN, layers.GRU, layers.LSTM]
each_layer = pytest.mark.parametrize("kind", LAYERS, ids=lambda kind: kind.__name__)
each_cell = pytest.mark.parametrize("kind", CELLS, ids=lambda kind: kind.__name__)


def wrapped(layer, inputs=SEQUENCES):
    """A wrapper with weights drawn anew, and the plain layer with the kernels it should compute."""
    wrapper = WeightNormalization(layer)
    wrapper(inputs)
    randomize(wrapper)
    plain = type(layer).from_config(layer.get_config())
    plain(inputs)
    lengths = [variable for variable in wrapper.variables if variable.name.endswith("_g")]
    values = layer.get_weights()
    kernels = [index for index, variable in enumerate(layer.weights) if variable.name.endswith("kernel")]
    for index, length in zip(kernels, lengths, strict=True):
        others = tuple(range(values[index].ndim - 1))
        values[index] = numpy(length) * values[index] / np.sqrt((values[index] ** 2).sum(others))
    plain.set_weights(values)
    return wrapper, plain


def assert_same(actual, desired):
    for ours, theirs in zip(keras.tree.flatten(actual), keras.tree.flatten(desired), strict=True):
        np.testing.assert_allclose(numpy(ours), numpy(theirs), rtol=1e-4, atol=1e-5)


@each_layer
@pytest.mark.parametrize(
    "options", [{}, {"return_sequences": True, "return_state": True, "go_backwards": True}, {"unroll": True}], ids=str
)
def test_each_column_of_both_kernels_has_its_length(kind, options):
    wrapper, plain = wrapped(kind(4, **options))
    assert [variable.name for variable in wrapper.trainable_variables[:2]] == ["kernel_g", "recurrent_g"]
    assert wrapper.g is wrapper.trainable_variables[1]
    assert wrapper.v is wrapper.layer.cell.recurrent_kernel
    for arguments in ({}, {"mask": MASK}):
        assert_same(wrapper(SEQUENCES, **arguments), plain(SEQUENCES, **arguments))
    assert_same(wrapper.remove()(SEQUENCES), plain(SEQUENCES))
    assert np.abs(numpy(wrapper.layer(SEQUENCES)[0]) - numpy(plain(SEQUENCES)[0])).max() > 1e-3


@each_layer
def test_wrapping_alone_changes_nothing_and_the_batch_starts_nothing(kind):
    layer = kind(4)
    plain = numpy(layer(SEQUENCES))
    wrapper = WeightNormalization(layer)
    assert_same(wrapper(SEQUENCES, training=True), plain)
    assert wrapper.data_init
    with pytest.raises(ValueError, match=r"recurrent layer, which cannot be initialized from data.*Received: a batch"):
        wrapper.initialize(SEQUENCES)


def test_convolutional_recurrent_layers():
    images = np.random.default_rng(0).normal(size=(2, 3, 5, 4, 2)).astype("float32")
    wrapper, plain = wrapped(layers.ConvLSTM2D(3, 2, return_sequences=True), images)
    assert_same(wrapper(images), plain(images))
    assert_same(wrapper.remove()(images), plain(images))


def test_initial_states_are_handed_on_eagerly_and_in_a_model():
    wrapper, plain = wrapped(layers.LSTM(4, return_state=True))
    states = [keras.ops.ones((4, 4)), -keras.ops.ones((4, 4))]
    assert_same(wrapper(SEQUENCES, initial_state=states), plain(SEQUENCES, initial_state=states))
    inputs = [keras.Input((5, 3)), keras.Input((4,)), keras.Input((4,))]
    model = keras.Model(inputs, wrapper(inputs[0], initial_state=inputs[1:]))
    assert_same(model([keras.ops.convert_to_tensor(SEQUENCES), *states]), plain(SEQUENCES, initial_state=states))


@pytest.mark.parametrize("make", [lambda layer: layer, layers.Bidirectional], ids=["alone", "bidirectional"])
def test_states_are_carried_from_batch_to_batch_and_reset(make):
    wrapper, plain = wrapped(make(layers.GRU(4, stateful=True)))
    wrapper.reset_state()
    plain.reset_state()
    outputs = [numpy(wrapper(SEQUENCES)) for _ in range(2)]
    assert np.abs(outputs[0] - outputs[1]).max() > 1e-3
    assert_same(outputs, [numpy(plain(SEQUENCES)) for _ in range(2)])


def test_dropout_is_drawn_anew_in_every_call():
    wrapper, _ = wrapped(layers.LSTM(4, dropout=0.5, recurrent_dropout=0.5))
    first, second = (numpy(wrapper(SEQUENCES, training=True)) for _ in range(2))
    assert (first != second).any()


@each_cell
def test_cells_are_wrapped_inside_rnn(kind):
    rnn = layers.RNN(WeightNormalization(kind(4)), return_sequences=True, return_state=True)
    rnn(SEQUENCES)
    randomize(rnn)
    plain = layers.RNN(rnn.cell.remove(), return_sequences=True, return_state=True)
    for arguments in ({}, {"mask": MASK}):
        assert_same(rnn(SEQUENCES, **arguments), plain(SEQUENCES, **arguments))


def test_a_wrapped_cell_trains_with_dropout(tmp_path):
    inputs = keras.Input((5, 3))
    cell = WeightNormalization(layers.GRUCell(4, dropout=0.5, recurrent_dropout=0.3, use_bias=False, seed=1))
    rnn = layers.RNN(cell, return_sequences=True)
    model = keras.Model(inputs, rnn(inputs))
    before = [numpy(variable) for variable in model.trainable_variables]
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.fit(SEQUENCES, np.ones((4, 5, 4)), verbose=0)
    assert all((numpy(new) != old).any() for new, old in zip(model.trainable_variables, before, strict=True))
    first, second = (numpy(rnn(SEQUENCES, training=True)) for _ in range(2))
    assert (first != second).any()
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    assert_same(loaded(SEQUENCES), model(SEQUENCES))


def test_the_dropout_mask_of_a_wrapped_cell_is_the_same_at_every_step():
    """With a recurrent kernel of length 0 each output is a function of its input alone; the same input at each step."""
    rnn = layers.RNN(WeightNormalization(layers.SimpleRNNCell(4, dropout=0.5, seed=1)), return_sequences=True)
    constant = np.repeat(SEQUENCES[:, :1], 5, axis=1)
    rnn(constant)
    rnn.cell.g.assign(np.zeros(4))
    outputs = numpy(rnn(constant, training=True))
    np.testing.assert_allclose(outputs, np.repeat(outputs[:, :1], 5, axis=1), atol=1e-6)
    assert np.abs(outputs - numpy(rnn(constant))).max() > 1e-3


def test_cells_are_wrapped_one_by_one_in_a_stack():
    rnn = layers.RNN([WeightNormalization(layers.LSTMCell(4, dropout=0.5)), WeightNormalization(layers.GRUCell(3))])
    rnn(SEQUENCES, training=True)
    randomize(rnn)
    plain = layers.RNN([cell.remove() for cell in rnn.cell.cells])
    assert_same(rnn(SEQUENCES), plain(SEQUENCES))


@pytest.mark.parametrize("kind", [layers.GRU, layers.LSTM], ids=lambda kind: kind.__name__)
def test_around_bidirectional(kind):
    wrapper, plain = wrapped(layers.Bidirectional(kind(4, return_sequences=True)))
    names = [variable.name for variable in wrapper.trainable_variables[:4]]
    assert names == ["forward_kernel_g", "forward_recurrent_g", "backward_kernel_g", "backward_recurrent_g"]
    for arguments in ({}, {"mask": MASK}):
        assert_same(wrapper(SEQUENCES, **arguments), plain(SEQUENCES, **arguments))
    assert_same(wrapper.remove()(SEQUENCES), plain(SEQUENCES))


@pytest.mark.parametrize("options", [{}, {"return_sequences": True}, {"return_state": True}], ids=str)
def test_inside_bidirectional(options, tmp_path):
    inputs = keras.Input((5, 3))
    both = layers.Bidirectional(WeightNormalization(layers.LSTM(4, use_cudnn=False, **options)))
    model = keras.Model(inputs, both(inputs))
    randomize(model)
    plain = layers.Bidirectional(both.forward_layer.remove(), backward_layer=both.backward_layer.remove())
    plain.build(SEQUENCES.shape)
    plain.set_weights([*both.forward_layer.remove().get_weights(), *both.backward_layer.remove().get_weights()])
    assert (both.backward_layer.go_backwards, both.forward_layer.go_backwards) == (True, False)
    assert both.forward_layer.use_cudnn is False
    assert both.forward_layer.layer is not both.backward_layer.layer
    for arguments in ({}, {"mask": MASK}):
        assert_same(both(SEQUENCES, **arguments), plain(SEQUENCES, **arguments))
    model.save(tmp_path / "model.keras")
    for copy in (keras.saving.load_model(tmp_path / "model.keras", safe_mode=True), keras.models.clone_model(model)):
        copy.set_weights(model.get_weights())
        assert_same(copy(SEQUENCES), model(SEQUENCES))


def test_a_bidirectional_model_trains_every_weight():
    inputs = keras.Input((None, 3))
    outputs = layers.Bidirectional(WeightNormalization(layers.GRU(4, use_bias=False)))(layers.Masking()(inputs))
    model = keras.Model(inputs, outputs)
    before = [numpy(variable) for variable in model.trainable_variables]
    assert len(before) == 8
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.fit(SEQUENCES, np.ones((4, 8)), verbose=0)
    assert all((numpy(new) != old).any() for new, old in zip(model.trainable_variables, before, strict=True))


def test_a_wrapper_around_another_layer_has_no_recurrent_attributes():
    wrapper = WeightNormalization(layers.Dense(4))
    assert not any(hasattr(wrapper, name) for name in ("state_size", "go_backwards", "stateful", "reset_state"))
    with pytest.raises(ValueError, match="state_size"):
        layers.RNN(wrapper)
