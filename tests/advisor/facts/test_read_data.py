"""Data facts from everything `fit` takes, and the clear refusal of what does not fit."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from advisor.facts.read_data import first_inputs, read_data
from advisor.graph import read_graph

GENERATOR = np.random.default_rng(0)
IMAGES = GENERATOR.uniform(size=(50, 8, 8, 1)).astype("float32")
LABELS = np.arange(50) % 3


def classifier(shape=(8, 8, 1), units=3, loss=None, activation=None):
    model = keras.Sequential(
        [keras.Input(shape, name="x"), layers.Flatten(), layers.Dense(units, activation, name="head")]
    )
    if loss:
        model.compile("sgd", loss)
    return read_graph(model)


def two_inputs(as_dict=False):
    image, extra = keras.Input((8, 8, 1), name="image"), keras.Input((2,), name="extra")
    merged = layers.Concatenate()([layers.Flatten()(image), extra])
    inputs = {"image": image, "extra": extra} if as_dict else [image, extra]
    return read_graph(keras.Model(inputs, layers.Dense(3, name="head")(merged)))


class Batches(keras.utils.PyDataset):
    def __init__(self, x, y, size):
        super().__init__()
        self.x, self.y, self.size = x, y, size

    def __len__(self):
        return -(-len(self.x) // self.size)

    def __getitem__(self, index):
        rows = slice(index * self.size, (index + 1) * self.size)
        return self.x[rows], self.y[rows]


class DataLoader:
    """Has the form of torch's loader, whose default collate function gives lists."""

    def __init__(self, x, y, size):
        self.dataset, self.size = list(zip(x, y, strict=True)), size

    def __iter__(self):
        for start in range(0, len(self.dataset), self.size):
            x, y = zip(*self.dataset[start : start + self.size], strict=True)
            yield [np.stack(x), np.stack(y)]


DataLoader.__module__ = "torch.utils.data.dataloader"


class Frame:
    """Has the form of a pandas object."""

    def __init__(self, values):
        self.values, self.shape = values, values.shape

    def to_numpy(self):
        return self.values


def test_arrays():
    facts = read_data((IMAGES, LABELS), classifier(), batch_size=16, look_at=40)
    assert (facts.samples, facts.batch_size, facts.classes, facts.modality) == (50, None, 3, "image")
    assert (facts.looked_at, [len(x) for x, _ in facts.batches]) == (40, [16, 16])
    (image,) = facts.inputs
    assert (image.shape, image.dtype) == ((8, 8, 1), "float32")
    assert 0 <= image.minimum < 0.01 < 0.99 < image.maximum <= 1
    assert image.mean == pytest.approx(0.5, abs=0.02)
    assert image.deviation == pytest.approx(12**-0.5, abs=0.01)
    assert (facts.target.shape, facts.target.maximum) == ((), 2)


def test_the_seed_chooses_the_rows_and_pairs_stay_together():
    marked = np.broadcast_to(np.arange(50.0)[:, None, None, None], IMAGES.shape)
    facts = [read_data((marked, LABELS), classifier(), batch_size=10, look_at=20, seed=seed) for seed in (0, 0, 1)]
    rows = [np.concatenate([x[:, 0, 0, 0] for x, _ in fact.batches]) for fact in facts]
    np.testing.assert_array_equal(rows[0], rows[1])
    assert not np.array_equal(rows[0], rows[2])
    assert len(set(rows[0])) == 20
    for x, y in facts[0].batches:
        np.testing.assert_array_equal(x[:, 0, 0, 0] % 3, y)


def test_a_small_array_makes_one_short_batch():
    facts = read_data((IMAGES[:5], LABELS[:5]), classifier(), batch_size=16)
    assert [len(x) for x, _ in facts.batches] == [5]


@pytest.mark.parametrize("weights", [(), (np.ones(50),)])
def test_tuples_with_and_without_sample_weights(weights):
    assert read_data((IMAGES, LABELS, *weights), classifier()).classes == 3


def test_inputs_alone():
    facts = read_data(IMAGES, classifier())
    assert (facts.target, facts.classes, facts.samples) == (None, None, 50)
    assert facts.batches[0][1] is None


def test_pandas_and_sparse_matrices():
    from scipy.sparse import csr_matrix

    graph = classifier((4,))
    table = GENERATOR.normal(size=(30, 4))
    for x in (Frame(table), csr_matrix(table)):
        facts = read_data((x, Frame(LABELS[:30])), graph, look_at=30)
        assert (facts.samples, facts.modality, facts.classes) == (30, "tabular", 3)
        np.testing.assert_allclose(facts.batches[0][0], table)


@pytest.mark.parametrize("as_dict", [False, True])
def test_several_inputs_as_list_and_dict(as_dict):
    extra = GENERATOR.normal(size=(50, 2))
    graph = two_inputs(as_dict)
    by_name = {"extra": extra, "image": IMAGES}
    forms = [by_name] if as_dict else [[IMAGES, extra], by_name]
    for x in forms:
        facts = read_data((x, LABELS), graph)
        kept = facts.batches[0][0]
        image = kept["image"] if as_dict else kept[0]
        assert image.shape == (32, 8, 8, 1)
        assert {array.shape for array in facts.inputs} == {(8, 8, 1), (2,)}
        assert facts.inputs[[node.name for node in graph.inputs].index("extra")].shape == (2,)


def test_tf_data_is_not_consumed_and_counted():
    dataset = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)).batch(8)
    facts = read_data(dataset, classifier(), batch_size=5, look_at=20)
    assert (facts.batch_size, facts.looked_at, facts.samples, facts.counted) == (8, 24, 50, 50)
    assert [len(x) for x, _ in facts.batches] == [5, 5, 5, 5]
    assert facts.classes == 3
    np.testing.assert_array_equal(np.concatenate([y for _, y in facts.batches]), LABELS[:20])
    assert sum(len(x) for x, _ in dataset) == 50


def test_tf_data_of_unknown_and_infinite_length():
    dataset = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)).batch(8)
    endless = read_data(dataset.repeat(), classifier(), look_at=20)
    assert (endless.samples, endless.counted, endless.complete) == (None, 24, False)
    unknown = read_data(dataset.filter(lambda x, y: True), classifier(), look_at=20)
    assert (unknown.samples, unknown.counted, unknown.complete) == (50, 50, True)


def test_a_long_stream_is_read_on_no_further_than_said(monkeypatch):
    monkeypatch.setattr("advisor.facts.data_source.READ_ON_SAMPLES", 32)
    dataset = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)).batch(8)
    facts = read_data(dataset, classifier(), look_at=20)
    assert (facts.samples, facts.looked_at, facts.counted, facts.complete) == (56, 24, 32, False)
    monkeypatch.setattr("advisor.facts.data_source.READ_ON_SECONDS", -1.0)
    assert read_data(dataset, classifier(), look_at=20).counted == 24


def test_tfds_dictionaries_are_explained():
    dataset = tf.data.Dataset.from_tensor_slices({"image": IMAGES, "label": LABELS}).batch(8)
    with pytest.raises(ValueError, match=r"\(sample\['image'\], sample\['label'\]\).*as_supervised=True"):
        read_data(dataset, classifier())


def test_single_samples_need_a_batch():
    dataset = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS))
    with pytest.raises(ValueError, match=r"\.batch\(batch_size\)"):
        read_data(dataset, classifier())
    # Grey images without their last axis look like single samples by rank alone.
    batched = tf.data.Dataset.from_tensor_slices((IMAGES[..., 0], LABELS)).batch(8)
    assert read_data(batched, classifier()).inputs[0].shape == (8, 8, 1)


def test_py_dataset_is_looked_at_all_over():
    asked = []

    class Sorted(Batches):
        def __getitem__(self, index):
            asked.append(index)
            return super().__getitem__(index)

    order = np.sort(LABELS)
    facts = read_data(Sorted(IMAGES, order, 5), classifier(), look_at=15)
    assert (facts.samples, facts.batch_size, facts.looked_at) == (50, 5, 15)
    assert {y for _, ys in facts.batches for y in ys} == {0, 1, 2}
    assert sorted(set(asked)) == [0, 4, 9]


def test_torch_loader():
    facts = read_data(DataLoader(IMAGES, LABELS, 8), classifier(), look_at=20)
    assert (facts.samples, facts.batch_size, facts.looked_at, facts.classes) == (50, 8, 24, 3)


def test_an_iterable_that_starts_anew_is_read():
    facts = read_data(Rounds(), classifier())
    assert (facts.samples, facts.batch_size) == (50, 25)


class Rounds:
    def __iter__(self):
        return iter([(IMAGES[:25], LABELS[:25]), (IMAGES[25:], LABELS[25:])])


def test_generators_are_refused_unread():
    def batches():
        yield IMAGES, LABELS

    generator = batches()
    with pytest.raises(TypeError, match=r"only once.*Received: data of type generator"):
        read_data(generator, classifier())
    assert len(list(generator)) == 1


def test_batches_of_different_lengths_are_kept_as_they_came():
    model = keras.Sequential(
        [keras.Input((None,)), layers.Embedding(9, 2), layers.GlobalAveragePooling1D(), layers.Dense(3)]
    )
    parts = [(np.ones((4, length), "int32"), LABELS[:4]) for length in (3, 5)]
    dataset = tf.data.Dataset.from_generator(
        lambda: iter(parts), output_signature=(tf.TensorSpec((4, None), tf.int32), tf.TensorSpec((4,), tf.int64))
    )
    facts = read_data(dataset, read_graph(model), batch_size=2)
    assert [x.shape for x, _ in facts.batches] == [(4, 3), (4, 5)]
    assert facts.inputs[0].shape == (None,)
    assert facts.modality == "tokens"


@pytest.mark.parametrize(
    ("shape", "modality"),
    [((8, 8, 3), "image"), ((28, 28), "image"), ((40, 3), "series"), ((20,), "tabular"), ((4, 8, 8, 1), "unknown")],
)
def test_modality(shape, modality):
    assert read_data(np.abs(GENERATOR.normal(size=(6, *shape))), classifier(shape)).modality == modality


def test_a_square_with_negative_values_is_a_series():
    assert read_data(GENERATOR.normal(size=(6, 12, 12)), classifier((12, 12))).modality == "series"


@pytest.mark.parametrize(
    ("y", "units", "loss", "classes"),
    [
        (LABELS, 5, None, 3),
        (LABELS[:, None].astype("float32"), 3, None, 3),
        (keras.utils.to_categorical(LABELS), 3, "categorical_crossentropy", 3),
        (keras.utils.to_categorical(LABELS), 3, None, 3),
        (LABELS > 0, 1, "binary_crossentropy", 2),
        (LABELS * 7, 1, "mse", None),
        (GENERATOR.normal(size=(50, 4)), 4, "mse", None),
        (np.ones((50, 3)), 3, "binary_crossentropy", None),
    ],
    ids=["indices", "column", "one-hot", "uncompiled", "binary", "counts", "regression", "multi-label"],
)
def test_classes(y, units, loss, classes):
    assert read_data((IMAGES, y), classifier(units=units, loss=loss)).classes == classes


def test_classes_of_a_data_set_seen_in_part_are_those_of_the_head():
    dataset = tf.data.Dataset.from_tensor_slices((IMAGES, np.sort(LABELS))).batch(8)
    assert read_data(dataset, classifier(units=3), look_at=8).classes == 3


def test_labels_of_a_segmentation():
    x = keras.Input((8, 8, 1))
    graph = read_graph(keras.Model(x, layers.Conv2D(4, 1)(x)))
    masks = GENERATOR.integers(0, 4, (50, 8, 8, 1))
    assert read_data((IMAGES, masks), graph).classes == 4
    with pytest.raises(ValueError, match=r"labels must be 0 to 3.*from 1 to 4; count them from 0"):
        read_data((IMAGES, masks + 1), graph)


def test_targets_of_several_outputs_are_checked_each():
    x = keras.Input((4,))
    outputs = {"kind": layers.Dense(3, name="kind")(x), "size": layers.Dense(1, name="size")(x)}
    graph = read_graph(keras.Model(x, outputs))
    table = GENERATOR.normal(size=(50, 4))
    facts = read_data((table, {"size": np.arange(50.0), "kind": LABELS}), graph)
    assert facts.classes == 3
    with pytest.raises(ValueError, match=r"Output `kind` has 3 units.*Received: labels from 1 to 3"):
        read_data((table, {"size": np.arange(50.0), "kind": LABELS + 1}), graph)


def test_ignored_classes_and_losses_of_ones_own_are_no_mistake():
    labels = np.where(LABELS == 2, 255, LABELS)
    ignoring = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=255)
    assert read_data((IMAGES, labels), classifier(loss=ignoring)).samples == 50

    def own(y_true, y_pred):
        return keras.ops.mean(y_pred)

    assert read_data((IMAGES, LABELS - 1), classifier(loss=own)).samples == 50


@pytest.mark.parametrize(
    ("x", "y", "graph", "message"),
    [
        (IMAGES[:, :4], LABELS, classifier(), r"`x` takes samples of shape \(8, 8, 1\).*Received: .*\(4, 8, 1\)"),
        (IMAGES.reshape(50, 64), LABELS, classifier(), r"reshape\(\(-1, 8, 8, 1\)\)"),
        (np.moveaxis(np.repeat(IMAGES, 3, 3), -1, 1), LABELS, classifier((8, 8, 3)), "move the axes"),
        ([IMAGES, LABELS], None, classifier(), r"1 input \(x\).*Received: 2 arrays.*tuple \(x, y\)"),
        (IMAGES, LABELS, two_inputs(), r"2 inputs \(image, extra\).*Received: 1 array"),
        (
            {"image": IMAGES, "other": IMAGES},
            LABELS,
            two_inputs(),
            r"Received: a dict with the keys \['image', 'other'\]",
        ),
        (IMAGES, LABELS, two_inputs(as_dict=True), "takes a dict of inputs"),
        (IMAGES.astype(str), LABELS, classifier(), "takes values of dtype float32.*Received: an array of dtype <U"),
        (IMAGES, LABELS[:9], classifier(), r"Received: \[50, 9\] rows"),
        (IMAGES[:0], LABELS[:0], classifier(), "at least one sample"),
        (IMAGES, LABELS.astype(str), classifier(), "Targets must be numbers"),
        (IMAGES, LABELS, classifier(units=2), "labels must be 0 to 1. Received: labels from 0 to 2"),
        (IMAGES, LABELS - 1, classifier(), "Received: labels from -1 to 1"),
        (
            IMAGES,
            LABELS,
            classifier(units=1, loss="binary_crossentropy"),
            "binary labels.*Received: labels from 0 to 2",
        ),
        (IMAGES, LABELS, classifier(units=1, activation="sigmoid"), "binary labels.*Received: labels from 0 to 2"),
        (IMAGES, LABELS, classifier(loss="categorical_crossentropy"), "one-hot of that width.*to_categorical"),
        (
            *(IMAGES, keras.utils.to_categorical(LABELS, 3)),
            *(classifier(loss="sparse_categorical_crossentropy"), "must be class indices.*CategoricalCrossentropy"),
        ),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else "",
)
def test_data_that_does_not_fit_is_refused(x, y, graph, message):
    with pytest.raises(ValueError, match=message):
        read_data((x, y) if y is not None else x, graph)


def test_nan_and_infinite_values_are_counted_wherever_they_are():
    x, y = IMAGES.copy(), LABELS.astype("float32")
    x[7, 0, 0, 0], x[11, 0, 0, 0], x[3, 0, 0, 0] = np.nan, np.nan, np.inf
    facts = read_data((x, y), classifier(), look_at=1)
    assert (facts.inputs[0].missing, facts.inputs[0].infinite, facts.inputs[0].values) == (2, 1, 3200)
    y[49] = np.nan
    facts = read_data((IMAGES, y), classifier(), look_at=1)
    assert (facts.target.missing, facts.target.infinite, facts.classes) == (1, 0, 3)
    image = [node.name for node in two_inputs(as_dict=True).inputs].index("image")
    facts = read_data(({"image": x, "extra": np.ones((50, 2))}, LABELS), two_inputs(as_dict=True))
    assert [(each.missing, each.infinite) for each in facts.inputs] == [
        (2, 1) if i == image else (0, 0) for i in (0, 1)
    ]
    dataset = tf.data.Dataset.from_tensor_slices((x, LABELS)).batch(10)
    assert read_data(dataset, classifier(), look_at=10).inputs[0].missing == 2


def test_figures_and_batches_leave_out_what_is_no_number():
    x, y = IMAGES.copy(), LABELS.astype("float32")
    x[7, 0, 0, 0], x[3, 0, 0, 0], y[5] = np.nan, np.inf, np.nan
    facts = read_data((x, y), classifier(), batch_size=10)
    assert 0 <= facts.inputs[0].minimum < facts.inputs[0].maximum <= 1
    assert facts.inputs[0].mean == pytest.approx(0.5, abs=0.02)
    assert sum(len(labels) for _, labels in facts.batches) == 40  # four batches of the 47 samples that are left
    assert all(np.isfinite(images).all() and np.isfinite(labels).all() for images, labels in facts.batches)
    nothing = read_data((np.full_like(IMAGES, np.nan), LABELS), classifier())
    assert (nothing.batches, nothing.inputs[0].missing) == ((), 3200)
    assert np.isnan(nothing.inputs[0].mean)


def test_features_are_told_of_one_by_one():
    table = GENERATOR.normal([1.0, 50.0], [0.5, 20.0], size=(400, 2))
    table[0, 0] = np.nan
    (facts,) = read_data(table, classifier((2,)), look_at=400).inputs
    np.testing.assert_allclose(facts.feature_means, np.nanmean(table, axis=0))
    np.testing.assert_allclose(facts.feature_deviations, np.nanstd(table, axis=0))


def test_classes_are_counted_in_arrays_and_streams():
    labels = np.repeat([0, 1, 2], [40, 8, 2])
    dataset = tf.data.Dataset.from_tensor_slices((IMAGES, labels)).batch(5)
    for data in ((IMAGES, labels), (IMAGES, np.eye(3)[labels]), dataset):
        facts = read_data(data, classifier(), look_at=10)
        assert (facts.class_counts, facts.complete, facts.samples_per_class) == ((40, 8, 2), True, 50 / 3)
    assert read_data((IMAGES, GENERATOR.normal(size=50)), classifier(units=1)).class_counts is None
    ignoring = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=255)
    assert read_data((IMAGES, np.where(labels == 2, 255, labels)), classifier(loss=ignoring)).class_counts[:2] == (
        40,
        8,
    )


def test_equal_samples_are_found_within_and_between_data():
    repeated = np.concatenate([IMAGES, IMAGES[:4]])
    dataset = tf.data.Dataset.from_tensor_slices(repeated.astype("float64")).batch(6)
    one, other = read_data(repeated, classifier(), look_at=10), read_data(dataset, classifier(), look_at=10)
    half = read_data(IMAGES[45:], classifier())
    assert (one.fingerprints.repeated, other.fingerprints.repeated, half.fingerprints.repeated) == (4, 4, 0)
    assert other.fingerprints.shared_with(one.fingerprints) == 54
    assert half.fingerprints.shared_with(one.fingerprints) == 5
    assert one.fingerprints.shared_with(half.fingerprints) == 5
    extra = GENERATOR.normal(size=(50, 2))
    together = [
        read_data({"image": IMAGES, "extra": e}, two_inputs(as_dict=True)).fingerprints for e in (extra, -extra)
    ]
    assert together[0].shared_with(together[1]) == 0


@pytest.mark.parametrize(("side", "left", "right"), [("end", 0, 3), ("start", 3, 0)])
def test_padding_of_tokens(side, left, right):
    model = keras.Sequential([keras.Input((8,)), layers.Embedding(9, 2), layers.GlobalAveragePooling1D()])
    tokens = np.pad(np.full((20, 5), 4), ((0, 0), (left, right)))
    tokens[0] = np.pad([4, 4], (left * 2, right * 2)) if left or right else tokens[0]
    (facts,) = read_data(tokens, read_graph(model)).inputs
    assert (facts.padding.side, facts.padding.shortest, facts.padding.longest) == (side, 2, 5)
    assert facts.padding.share == pytest.approx((19 * 3 + 6) / 160)


def test_values_whose_sum_overflows_are_finite():
    huge = np.full((4, 3), np.finfo("float64").max)
    assert read_data(huge, classifier((3,))).samples == 4


def test_tokens_outside_the_vocabulary_are_refused():
    model = keras.Sequential([keras.Input((5,)), layers.Embedding(10, 2), layers.Flatten(), layers.Dense(3)])
    tokens = np.full((50, 5), 9)
    assert read_data((tokens, LABELS), read_graph(model)).modality == "tokens"
    with pytest.raises(ValueError, match=r"input_dim=10, so it takes 0 to 9. Received: values from 9 to 10"):
        read_data((np.r_[tokens, [[10] * 5]], np.r_[LABELS, 0]), read_graph(model))


def test_a_subclassed_model_takes_data_as_it_is():
    class Hidden(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(3)

        def call(self, x):
            return self.dense(x)

    facts = read_data((IMAGES[:, 0, :, 0], LABELS), read_graph(Hidden()))
    assert (facts.modality, facts.classes, facts.samples) == ("tabular", 3, 50)


def test_first_inputs_keep_the_structure_of_the_data():
    assert first_inputs((IMAGES, LABELS)).shape == (2, 8, 8, 1)
    extra = np.ones((50, 2))
    shapes = keras.tree.map_structure(np.shape, first_inputs(({"a": IMAGES, "b": [extra]}, LABELS)))
    assert shapes == {"a": (2, 8, 8, 1), "b": [(2, 2)]}
    dataset = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)).batch(8)
    assert first_inputs(dataset).shape == (8, 8, 8, 1)


@pytest.mark.parametrize("argument", ["batch_size", "look_at"])
def test_counts_below_one_are_refused(argument):
    with pytest.raises(ValueError, match=f"Received: {argument}=0"):
        read_data((IMAGES, LABELS), classifier(), **{argument: 0})


def test_other_things_are_refused():
    with pytest.raises(TypeError, match="Received: int"):
        read_data(3, classifier())
    with pytest.raises(ValueError, match="a tuple of 4"):
        read_data((IMAGES,) * 4, classifier())
    with pytest.raises(ValueError, match="without batches"):
        read_data(tf.data.Dataset.from_tensor_slices((IMAGES[:0], LABELS[:0])).batch(3), classifier())


@pytest.mark.parametrize("batched", [False, True])
def test_ragged_tensors_are_padded_and_sparse_ones_filled(batched):
    ragged = tf.ragged.constant([[1, 2], [3], [4, 5, 6], [1]])
    sparse = tf.sparse.from_dense(np.eye(4, dtype="float32"))
    words = keras.Sequential([keras.Input((None,), dtype="int32"), layers.Embedding(7, 2), layers.LSTM(2)])
    counts = keras.Sequential([keras.Input((4,), sparse=True), layers.Dense(2)])
    for model, x in ((words, ragged), (counts, sparse)):
        pair = (x, np.zeros((4, 2)))
        data = tf.data.Dataset.from_tensor_slices(pair).batch(4) if batched else pair
        facts = read_data(data, read_graph(model), batch_size=4)
        expected = ragged.to_tensor() if model is words else np.eye(4)
        (seen,) = [inputs for inputs, _ in facts.batches]
        np.testing.assert_array_equal(np.sort(seen, axis=0), np.sort(expected, axis=0))
