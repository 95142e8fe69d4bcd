"""Sampled inputs: structure, range and determinism, and models that accept them."""

import keras
import numpy as np
import pytest
from keras import layers

from advisor.graph.sampling import sample_inputs


def test_shapes_dtypes_and_structure_are_those_of_the_model():
    image = keras.Input((4, 4, 3), name="image")
    flag = keras.Input((2,), dtype="bool", name="flag")
    half = keras.Input((5,), dtype="float16", name="half")
    flat = layers.Concatenate()([layers.Flatten()(image), keras.ops.cast(flag, "float32"), half])
    model = keras.Model({"image": image, "others": [flag, half]}, layers.Dense(1)(flat))
    sampled = sample_inputs(model, batch_size=3)
    assert sampled["image"].shape == (3, 4, 4, 3)
    assert [array.dtype.name for array in sampled["others"]] == ["bool", "float16"]
    assert model(sampled).shape == (3, 1)


def test_equal_seeds_give_equal_inputs_and_others_do_not():
    model = keras.Sequential([keras.Input((6,)), layers.Dense(2)])
    first, again, other = (sample_inputs(model, 8, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert abs(first.mean()) < 1 < first.std() * 2


def test_a_sequential_with_nested_model_and_a_fixed_batch_size():
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    model = keras.Sequential([keras.Input(batch_shape=(5, 4)), inner])
    assert sample_inputs(model, batch_size=2).shape == (5, 4)


@pytest.mark.parametrize(
    "build",
    [
        lambda: keras.applications.MobileNetV2(
            weights=None, include_top=False, input_shape=(None, None, 3), alpha=0.35
        ),
        lambda: keras.Sequential([keras.Input((None, 3)), layers.Conv1D(2, 15), layers.LSTM(2)]),
        lambda: keras.Sequential([keras.Input((None, None, 1)), layers.Conv2D(1, 40), layers.Conv2D(1, 90)]),
    ],
    ids=["image", "series", "large kernels"],
)
def test_axes_of_unknown_size_get_one_the_model_accepts(build):
    model = build()
    outputs = model(sample_inputs(model))
    assert 0 not in outputs.shape


def test_a_model_no_size_fits_is_refused():
    x = keras.Input((None, 3))
    y = layers.Reshape((11, 3))(layers.Cropping1D(3)(x))
    with pytest.raises(ValueError, match="Received: input shapes"):
        sample_inputs(keras.Model(x, y))


def test_integers_stay_in_the_vocabulary_that_reads_them():
    class Positions(layers.Layer):
        def __init__(self):
            super().__init__()
            self.tokens, self.positions = layers.Embedding(50, 2), layers.Embedding(7, 2)

        def call(self, x):
            return self.tokens(x) + self.positions(x)

    wide = keras.Input((7,), dtype="int32")
    narrow = keras.Input((4, 2))
    merged = layers.Concatenate(axis=1)([Positions()(wide), layers.Embedding(9, 2)(layers.Flatten()(narrow))])
    model = keras.Model([wide, narrow], merged)
    first, second = sample_inputs(model, batch_size=64)
    assert (first.min(), first.max()) == (0, 6)
    assert (second.min(), second.max(), second.dtype) == (0, 8, np.float32)


def test_sequences_end_in_padding_where_zeros_are_masked():
    model = keras.Sequential([keras.Input((8,)), layers.Embedding(20, 3, mask_zero=True), layers.GRU(2)])
    tokens = sample_inputs(model, batch_size=4)
    assert (tokens[:, :6] > 0).all()
    assert (tokens[1::2, 6:] == 0).all()
    assert (tokens[::2] > 0).all()


def test_images_that_a_rescaling_reads_have_the_range_of_bytes():
    model = keras.Sequential([keras.Input((8, 8, 3)), layers.RandomFlip(), layers.Rescaling(1 / 255), layers.Flatten()])
    images = sample_inputs(model)
    assert images.dtype == np.float32
    assert images.min() >= 0
    assert 200 < images.max() <= 255
    categories = keras.Sequential([keras.Input((1,), dtype="int32"), layers.CategoryEncoding(num_tokens=3)])
    assert set(sample_inputs(categories, 50).ravel()) == {0, 1, 2}


def test_integers_of_unknown_meaning_are_flags():
    model = keras.Sequential([keras.Input((30,), dtype="int64"), layers.Dense(1)])
    assert set(sample_inputs(model).ravel()) == {0, 1}


def test_strings_are_words_that_the_model_knows():
    lookup = keras.Sequential([keras.Input((2,), dtype="string"), layers.StringLookup(vocabulary=["x", "yy"])])
    words = sample_inputs(lookup, 20)
    assert words.shape == (20, 2)
    assert set(words.ravel()) == {"x", "yy"}
    text = keras.Sequential([keras.Input((), dtype="string"), layers.TextVectorization(vocabulary=["x", "yy"])])
    sentences = sample_inputs(text, 5)
    assert sentences.shape == (5,)
    assert text(sentences).shape == (5, 6)
    hashing = keras.Sequential([keras.Input((2,), dtype="string"), layers.Hashing(4)])
    assert hashing(sample_inputs(hashing)).shape == (2, 2)


def test_numbers_of_a_lookup_are_those_it_knows():
    lookup = layers.IntegerLookup(vocabulary=[7, 9], num_oov_indices=0)
    model = keras.Sequential([keras.Input((3,), dtype="int64"), lookup, layers.Embedding(2, 4)])
    numbers = sample_inputs(model, 20)
    assert set(numbers.ravel()) == {7, 9}


def test_what_cannot_be_sampled_is_refused_with_the_reason():
    with pytest.raises(ValueError, match="batch_size=0"):
        sample_inputs(keras.Sequential([keras.Input((1,))]), batch_size=0)
    with pytest.raises(ValueError, match="call it on data"):
        sample_inputs(keras.Sequential([layers.Dense(1)]))
