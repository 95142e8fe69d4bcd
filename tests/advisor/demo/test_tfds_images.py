import tempfile
import time

import numpy as np
import pytest
import tensorflow_datasets as tfds

from advisor.demo import DemoDataError, load_images
from advisor.demo.tfds_images import SIDE, tfds_images

COUNT, CLASSES = 20, 3


@pytest.fixture(autouse=True)
def own_temporary_folder(tmp_path_factory, monkeypatch):
    """TFDS leaves an empty temporary folder for every set it prepares."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("temporary")))


class Pictures(tfds.core.GeneratorBasedBuilder):
    """Images in one piece, of sizes that differ."""

    VERSION = tfds.core.Version("1.0.0")
    SHAPE = (None, None, 3)
    SPLITS = ("train",)

    def _info(self):
        features = {
            "image": tfds.features.Image(shape=self.SHAPE),
            "label": tfds.features.ClassLabel(num_classes=CLASSES),
        }
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(features), supervised_keys=("image", "label")
        )

    def _split_generators(self, dl_manager):
        return {split: self._generate_examples() for split in self.SPLITS}

    def _generate_examples(self):
        for index in range(COUNT):
            shape = [size or 5 + index for size in self.SHAPE]
            yield index, {"image": np.full(shape, index, "uint8"), "label": index % (CLASSES - 1)}


class SplitPictures(Pictures):
    """Images of one size, with a test part."""

    SHAPE = (6, 4, 1)
    SPLITS = ("train", "test")


class TestOnlyPictures(SplitPictures):
    """Nothing to train on."""

    __test__ = False
    SPLITS = ("test",)


class DistantPictures(SplitPictures):
    """Files on a host that no name server knows, by RFC 2606."""

    url_infos = {"https://pictures.invalid/all.zip": None}  # noqa: RUF012


class Numbers(Pictures):
    """Labels without images."""

    def _info(self):
        features = {"size": tfds.features.Scalar(np.float32), "label": tfds.features.ClassLabel(num_classes=CLASSES)}
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(features), supervised_keys=("size", "label")
        )


def test_a_set_with_a_test_part_keeps_its_values_and_splits(tmp_path):
    (images, labels), (test_images, test_labels), classes = tfds_images("split_pictures", str(tmp_path))
    assert images.shape == test_images.shape == (COUNT, 6, 4, 1)
    assert images.dtype == np.float32
    np.testing.assert_array_equal(np.sort(images[:, 0, 0, 0]), np.arange(COUNT, dtype="float32") / np.float32(255))
    np.testing.assert_array_equal(labels, np.round(images[:, 0, 0, 0] * 255) % (CLASSES - 1))
    assert len(test_labels) == COUNT
    assert classes == CLASSES  # also those that no sample has


def test_a_set_in_one_piece_with_differing_sizes_is_split_and_scaled(tmp_path):
    (images, labels), (test_images, _), _ = tfds_images("pictures", str(tmp_path))
    assert images.shape[1:] == test_images.shape[1:] == (SIDE, SIDE, 3)
    assert (len(images), len(labels), len(test_images)) == (16, 16, 4)
    seen = np.concatenate([images, test_images])[:, 0, 0, 0] * 255
    np.testing.assert_array_equal(np.sort(np.round(seen)), np.arange(COUNT))


def test_no_more_than_the_wanted_samples_are_read(tmp_path):
    data = load_images("tfds:split_pictures", data_dir=str(tmp_path), samples=10)
    assert data.sizes == (9, 1, COUNT)
    assert (data.image_shape, data.classes) == ((6, 4, 1), CLASSES)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("tfds:no_such_pictures", "cannot open 'no_such_pictures'"),
        ("tfds:numbers", "no image classification set"),
        ("tfds:test_only_pictures", "must have a split 'train'. Received: test"),
        ("nonsense", "must be 'digits' or 'tfds:NAME'"),
        ("digits:more", "must be 'digits' or 'tfds:NAME'"),
        ("tfds:", "must be 'digits' or 'tfds:NAME'"),
    ],
)
def test_data_that_cannot_be_had_is_named_in_one_line(source, words, tmp_path):
    with pytest.raises(DemoDataError) as raised:
        load_images(source, data_dir=str(tmp_path))
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_host_out_of_reach_fails_at_once_and_leaves_nothing(tmp_path, monkeypatch):
    for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    start = time.perf_counter()
    with pytest.raises(DemoDataError, match=r"no address for pictures\.invalid.*--data-dir"):
        tfds_images("distant_pictures", str(tmp_path))
    assert time.perf_counter() - start < 30
    assert not list(tmp_path.iterdir())


def test_a_set_that_is_damaged_is_named_with_the_remedy(tmp_path):
    tfds_images("split_pictures", str(tmp_path))
    for file in tmp_path.rglob("*tfrecord*"):
        file.write_bytes(b"no record")
    with pytest.raises(DemoDataError, match=r"Delete .*1\.0\.0"):
        tfds_images("split_pictures", str(tmp_path))


def test_too_few_samples_are_an_error():
    with pytest.raises(ValueError, match="Received: samples=1"):
        load_images("digits", samples=1)


def test_few_samples_keep_all_classes():
    assert load_images("digits", samples=2).classes == 10
