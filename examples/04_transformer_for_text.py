"""A Transformer that tells praise from blame, written without normalization.

Two attention blocks over the words of film reviews (IMDB). `advise` sees attention without normalization (N111), puts
layer normalization where each block begins, and lets training stop when the validation loss rises. You will see the
test accuracy and the loss of both, and how many epochs each ran.

The reviews are downloaded the first time: python -c "import tensorflow_datasets as tfds; tfds.load('imdb_reviews')"

    python examples/04_transformer_for_text.py [--epochs 6] [--reviews 4000] [--seeds 2]
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
from _data import reviews
from _table import print_means
from keras import layers

from advisor import advise

WORDS, LENGTH, WIDTH, BATCH_SIZE = 4000, 96, 32, 32


def build() -> keras.Model:
    words = keras.Input((LENGTH,), dtype="int32")
    x = layers.Embedding(WORDS, WIDTH, mask_zero=True)(words)
    for _ in range(2):
        x = layers.Add()([x, layers.MultiHeadAttention(4, WIDTH // 4)(x, x)])
        hidden = layers.Dense(2 * WIDTH, activation="relu")(x)
        x = layers.Add()([x, layers.Dense(WIDTH)(hidden)])
    x = layers.GlobalAveragePooling1D()(x)
    model = keras.Model(words, layers.Dense(1, activation="sigmoid")(x))
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--reviews", type=int, default=4000)
    parser.add_argument("--seeds", type=int, default=2)
    arguments = parser.parse_args()
    texts = reviews(arguments.reviews)
    vectorize = layers.TextVectorization(WORDS, output_sequence_length=LENGTH)
    vectorize.adapt(list(texts[0][0]))
    train, choose, test = ((np.asarray(vectorize(list(x))).astype("int32"), y) for x, y in texts)
    run = {"batch_size": BATCH_SIZE, "epochs": arguments.epochs, "validation_data": choose, "verbose": 0}

    accuracies: dict[str, list[float]] = {"as written": [], "as advised": []}
    losses: dict[str, list[float]] = {"as written": [], "as advised": []}
    epochs: dict[str, list[float]] = {"as written": [], "as advised": []}
    for seed in range(arguments.seeds):
        keras.utils.set_random_seed(seed)
        written = build()
        advice = advise(
            written, batch_size=BATCH_SIZE, epochs=arguments.epochs, data=train, validation_data=choose, seed=seed
        )
        if seed == 0:
            print(advice)
            print(advice.plan)
        keras.utils.set_random_seed(seed)
        advised, history = advice.fit(train, **run)
        keras.utils.set_random_seed(seed)
        plain = written.fit(*train, **run)
        for name, model, ran in (("as written", written, plain), ("as advised", advised, history)):
            results = model.evaluate(*test, verbose=0, return_dict=True)
            accuracies[name].append(results["accuracy"])
            losses[name].append(results["loss"])
            epochs[name].append(len(ran.epoch))
    print_means("Test accuracy", accuracies)
    print_means("Test loss", losses, "{:.3f}")
    print_means("Epochs", epochs, "{:.0f}")


if __name__ == "__main__":
    main()
