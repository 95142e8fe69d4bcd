"""Models to draw, and a Chromium to open pages in."""

import shutil

import keras
import pytest
from keras import layers

from advisor import advise


def siamese() -> keras.Model:
    """A nested model called twice, another one, and two outputs."""
    image = x = keras.Input((8, 8, 3))
    for number in range(2):
        x = layers.Conv2D(8, 3, padding="same", name=f"conv{number}")(x)
        x = layers.BatchNormalization(name=f"bn{number}")(x)
        x = layers.ReLU(name=f"relu{number}")(x)
    encoder = keras.Model(image, layers.GlobalAveragePooling2D(name="pool")(x), name="encoder")
    left, right = keras.Input((8, 8, 3), name="left"), keras.Input((8, 8, 3), name="right")
    difference = layers.Subtract(name="difference")([encoder(left), encoder(right)])
    dropped = layers.Dropout(0.5, name="drop")(difference)
    vector = hidden = keras.Input((8,))
    hidden = layers.Dense(16, name="wide")(hidden)
    hidden = layers.BatchNormalization(name="norm")(hidden)
    head = keras.Model(vector, layers.Activation("relu", name="act")(hidden), name="head")
    features = head(dropped)
    same = layers.Dense(1, activation="sigmoid", name="same")(features)
    kind = layers.Dense(5, activation="softmax", name="kind")(features)
    return keras.Model([left, right], [same, kind], name="siamese")


def residual(blocks: int) -> keras.Model:
    """Residual blocks without names, as people write them."""
    image = x = keras.Input((16, 16, 8))
    for _ in range(blocks):
        shortcut = x
        x = layers.Conv2D(8, 3, padding="same")(x)
        x = layers.BatchNormalization()(x)
        x = layers.ReLU()(x)
        x = layers.Conv2D(8, 3, padding="same")(x)
        x = layers.BatchNormalization()(x)
        x = layers.ReLU()(layers.Add()([x, shortcut]))
    return keras.Model(image, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)), name="residual")


@pytest.fixture(scope="session")
def siamese_advice():
    return advise(siamese(), batch_size=2, epochs=20, steps_per_epoch=100)


@pytest.fixture(scope="session")
def siamese_rewrite(siamese_advice):
    return siamese_advice.rewrite()


@pytest.fixture(scope="session")
def chromium():
    """A browser; without one the tests that open pages are skipped."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.skip("no Chromium is installed")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()
