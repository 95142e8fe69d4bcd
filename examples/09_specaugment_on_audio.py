"""SpecAugment on spoken digits, tested on a speaker whom the network has never heard.

Three hundred recordings become log-mel spectrograms, and a CNN learns which digit is said. For a run whose length it
does not know, `advise` hears few recordings of each class (A403) and plans `SpecAugment`, which masks bands of time and
frequency; told that the run is short, it does not. You will see both, and the test accuracy of a short run with and
without the bands. They cost accuracy there, as claim C19 of docs/claims.md found as well: made for long training on
many recordings, they are a thing to measure before they are believed.

The recordings are downloaded the first time: python -c "import tensorflow_datasets as tfds; tfds.load('spoken_digit')"

    python examples/09_specaugment_on_audio.py [--epochs 30] [--seeds 3]
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
from _data import Part, spoken_digits
from _table import print_means
from keras import layers

from advisor import advise

RECORDINGS, BATCH_SIZE = 300, 32


def spectrograms(part: Part) -> Part:
    """Log-mel spectrograms, 49 steps of 32 frequencies, of mean 0 and deviation 1 each."""
    mel = layers.MelSpectrogram(
        fft_length=256, sequence_stride=166, sampling_rate=8000, num_mel_bins=32, min_freq=50, max_freq=4000
    )
    waves, labels = part
    found = np.asarray(mel(waves)).transpose(0, 2, 1)
    mean, deviation = found.mean(axis=(1, 2), keepdims=True), found.std(axis=(1, 2), keepdims=True)
    return ((found - mean) / deviation).astype("float32"), labels


def build() -> keras.Model:
    model = keras.Sequential([keras.Input((49, 32)), layers.Reshape((49, 32, 1))])
    for filters in (16, 32, 64):
        model.add(layers.Conv2D(filters, 3, padding="same", use_bias=False))
        model.add(layers.BatchNormalization(momentum=0.9))
        model.add(layers.ReLU())
        model.add(layers.MaxPooling2D())
    model.add(layers.GlobalAveragePooling2D())
    model.add(layers.Dense(10, activation="softmax"))
    model.compile(keras.optimizers.Adam(0.002), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    run = {"epochs": arguments.epochs, "verbose": 0}

    accuracies: dict[str, list[float]] = {"as they are": [], "SpecAugment": []}
    for seed in range(arguments.seeds):
        train, _, test = (spectrograms(part) for part in spoken_digits(RECORDINGS, seed))
        keras.utils.set_random_seed(seed)
        plain = build()
        known = {"batch_size": BATCH_SIZE, "data": train, "select": "A403", "seed": seed}
        advice = advise(plain, **known)
        if seed == 0:
            print(advice)
            print(advice.plan)
            print(f"In {arguments.epochs} epochs:\n{advise(plain, epochs=arguments.epochs, **known)}")
        keras.utils.set_random_seed(seed)
        augmented, _ = advice.fit(train, **run)
        keras.utils.set_random_seed(seed)
        plain.fit(*train, batch_size=BATCH_SIZE, **run)
        for values, model in zip(accuracies.values(), (plain, augmented), strict=True):
            values.append(model.evaluate(*test, verbose=0, return_dict=True)["accuracy"])
    print_means("Test accuracy on a speaker never heard", accuracies)


if __name__ == "__main__":
    main()
