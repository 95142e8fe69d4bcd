"""Takes the picture of the report for the README: `python -m docs.drawings.report` from the top of the repository.

The report is that of the demo's model on the digits; the picture is the top of its page in a headless Chromium, which
must be installed.
"""

import shutil
import tempfile
from pathlib import Path

import keras
from playwright.sync_api import sync_playwright

from advisor import advise
from advisor.demo.data import load_images
from advisor.demo.model import handwritten_cnn

PICTURE = Path(__file__).parents[1] / "report.png"
WIDTH, HEIGHT = 1100, 1500
BATCH_SIZE, EPOCHS = 8, 12


def write_report(path: Path) -> None:
    """Write the report of the demo's model."""
    images = load_images("digits", batch_size=BATCH_SIZE)
    keras.utils.set_random_seed(0)
    model = handwritten_cnn(images.image_shape, images.classes)
    advice = advise(model, batch_size=BATCH_SIZE, data=images.train, validation_data=images.validation, epochs=EPOCHS)
    advice.save_html(path)


def take_picture(report: Path, picture: Path) -> None:
    """Write the top of a page to a PNG file."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        page.goto(report.as_uri())
        page.screenshot(path=picture)
        browser.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.html"
        write_report(report)
        take_picture(report, PICTURE)
    print(PICTURE)
