import keras
import pytest
from keras import layers

import keras_normpack
from advisor import advise
from advisor.facts import gather_facts
from advisor.graph import read_graph
from advisor.rules.normalization.image_translation import translates_images
from advisor.testing import structure
from tests.advisor import architectures

LEFT_ALONE = [
    architectures.unet_segmentation,
    architectures.dncnn,
    architectures.autoencoder,
    architectures.srgan_generator,
    architectures.dcgan_generator,
    architectures.patch_discriminator,
]


def _translates(model, task=None):
    return translates_images(gather_facts(read_graph(model), task=task))


@pytest.mark.parametrize("build", [architectures.cyclegan, architectures.pix2pix])
@pytest.mark.parametrize("batch_size", [None, 1, 4, 32])
def test_translators_get_instance_normalization_at_any_batch_size(build, batch_size):
    model = build()
    found = advise(model, select="N102,N115", batch_size=batch_size, trained=False, verbose=0)
    fixed = found.apply()
    wide = [layer for layer in fixed.layers if isinstance(layer, keras_normpack.InstanceNormalization)]
    assert len(wide) == {architectures.cyclegan: 9, architectures.pix2pix: 5}[build]
    if build is architectures.cyclegan:
        assert structure(fixed) == structure(build(keras_normpack.InstanceNormalization))


@pytest.mark.parametrize("task", [None, "generation", "image_to_image"])
@pytest.mark.parametrize("build", LEFT_ALONE)
def test_other_networks_between_images_are_left_alone(build, task):
    if build is architectures.unet_segmentation and task:
        assert _translates(build(), task), "its user says that it is none"
    else:
        assert not _translates(build(), task)


@pytest.mark.parametrize("loss", ["mae", "mse"])
def test_a_pixel_wise_loss_wants_the_contrast_unless_the_task_is_given(loss):
    model = architectures.cyclegan()
    model.compile("adam", loss)
    assert not _translates(model)
    assert _translates(model, "image_to_image")


def test_sizes_left_open():
    images = keras.Input((None, None, 3))
    x = architectures.conv_norm(images, 8, strides=2)
    x = layers.Add()([x, architectures.conv_norm(x, 8)])
    model = keras.Model(images, layers.Conv2D(3, 7, activation="tanh", padding="same")(architectures.up(x, 8)))
    assert len(advise(model, select="N115", trained=False, verbose=0).findings) == 3


def test_channels_first():
    images = keras.Input((3, 16, 16))
    first = {"data_format": "channels_first", "padding": "same"}
    x = layers.Conv2D(8, 3, 2, **first)(images)
    x = layers.Add()([x, layers.BatchNormalization(axis=1)(layers.Conv2D(8, 3, **first)(x))])
    x = layers.UpSampling2D(data_format="channels_first")(x)
    model = keras.Model(images, layers.Conv2D(3, 7, activation="tanh", **first)(x))
    (finding,) = advise(model, select="N115", trained=False, verbose=0).findings
    assert "axis=1" in finding.fix.title
