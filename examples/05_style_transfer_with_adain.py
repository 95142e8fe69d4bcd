"""Style transfer with adaptive instance normalization, between two photographs that come with scikit-learn.

An encoder turns a photograph into feature maps; `AdaptiveInstanceNormalization` gives the content's maps the mean and
deviation of the style's; a decoder paints them. Both are trained here on patches of the two photographs, the decoder
so that what it paints has the style's statistics and the content's shapes (Huang & Belongie 2017). You will see how far
the painted picture is from the style and from the content, and the pictures in `style_transfer.png`.

    pip install pillow                  # reads and writes pictures
    python examples/05_style_transfer_with_adain.py [--steps 400] [--output style_transfer.png]
"""

import argparse
import os
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
from keras import layers, ops
from sklearn.datasets import load_sample_images

from keras_normpack import AdaptiveInstanceNormalization

PATCH, BATCH_SIZE, STYLE_WEIGHT = 64, 8, 10.0
MARGIN = 16
"""Pixels mirrored around a photograph before it is painted, as the padding of convolutions shows at the rim."""


def encoder() -> keras.Model:
    inputs = x = keras.Input((None, None, 3))
    for filters in (32, 64):
        x = layers.Conv2D(filters, 4, strides=2, padding="same", activation="leaky_relu")(x)
    return keras.Model(inputs, layers.Conv2D(128, 3, padding="same")(x), name="encoder")


def decoder() -> keras.Model:
    inputs = x = keras.Input((None, None, 128))
    for filters in (64, 32):
        x = layers.Conv2D(filters, 3, padding="same", activation="leaky_relu")(x)
        x = layers.UpSampling2D(interpolation="bilinear")(x)
    return keras.Model(inputs, layers.Conv2D(3, 3, padding="same", activation="sigmoid")(x), name="decoder")


def statistics(maps: keras.KerasTensor) -> keras.KerasTensor:
    mean, variance = ops.moments(maps, axes=(1, 2))
    return ops.concatenate([mean, ops.sqrt(variance + 1e-5)], axis=-1)


class StyleTransfer(keras.Model):
    """Paints the first picture in the style of the second."""

    def __init__(self, encoder: keras.Model, decoder: keras.Model) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.adain = AdaptiveInstanceNormalization()

    def call(self, pictures):
        content, style = (self.encoder(one) for one in pictures)
        target = self.adain([content, style])
        painted = self.decoder(target)
        again = self.encoder(painted)
        self.add_loss(ops.mean(ops.square(again - target)))
        self.add_loss(STYLE_WEIGHT * ops.mean(ops.square(statistics(again) - statistics(style))))
        return painted


def patches(photograph: np.ndarray, number: int, generator: np.random.Generator) -> np.ndarray:
    height, width, _ = photograph.shape
    rows, columns = (generator.integers(0, size - PATCH, number) for size in (height, width))
    return np.stack([photograph[y : y + PATCH, x : x + PATCH] for y, x in zip(rows, columns, strict=True)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--output", type=Path, default=Path(tempfile.gettempdir()) / "style_transfer.png")
    arguments = parser.parse_args()
    keras.utils.set_random_seed(0)
    generator = np.random.default_rng(0)
    # 424 rows and 640 columns: whole numbers of the encoder's strides.
    temple, flower = (image[:424].astype("float32") / 255 for image in load_sample_images().images)
    number = BATCH_SIZE * arguments.steps

    # First the encoder learns to see: with a decoder of its own, to paint what it was shown.
    seeing = encoder()
    autoencoder = keras.Sequential([seeing, decoder()])
    autoencoder.compile(keras.optimizers.Adam(1e-3), "mae")
    shown = np.concatenate([patches(one, number // 2, generator) for one in (temple, flower)])
    autoencoder.fit(shown, shown, batch_size=BATCH_SIZE, verbose=0)

    # Then a decoder learns to paint what AdaIN makes of it, each photograph in the style of the other and in its own.
    seeing.trainable = False
    transfer = StyleTransfer(seeing, autoencoder.layers[-1])
    transfer.compile(keras.optimizers.Adam(1e-3))
    shuffled = shown[generator.permutation(len(shown))]
    transfer.fit([shown, shuffled], batch_size=BATCH_SIZE, verbose=0)

    rows = []
    for name, content, style in (("temple", temple, flower), ("flower", flower, temple)):
        painted = paint(transfer, content, style)
        of_style, of_content, of_painted = (statistics(seeing(one[None])) for one in (style, content, painted))
        before, after = (float(ops.norm(one - of_style)) for one in (of_content, of_painted))
        print(f"{name}: distance of its statistics from the style {before:.2f}, once painted {after:.2f}")
        rows.append(np.concatenate([content, style, painted], axis=1))
    keras.utils.save_img(arguments.output, 255 * np.concatenate(rows), scale=False)
    print(f"content, style and what was painted: {arguments.output}")


def paint(transfer: keras.Model, content: np.ndarray, style: np.ndarray) -> np.ndarray:
    around = np.pad(content, ((MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0)), mode="reflect")
    return transfer.predict([around[None], style[None]], verbose=0)[0, MARGIN:-MARGIN, MARGIN:-MARGIN]


if __name__ == "__main__":
    main()
