"""Every example runs on real data and prints what it promises; the notebook, too, and it is committed without noise."""

import json
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
SCRIPTS = sorted(EXAMPLES.glob("[0-9]*.py"))
NOTEBOOK = EXAMPLES / "from_advise_to_phone.ipynb"


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs the example of a number as a script, in this process, and gives what it prints."""

    def printed(number, *arguments):
        (script,) = EXAMPLES.glob(f"{number}_*.py")
        monkeypatch.syspath_prepend(EXAMPLES)
        monkeypatch.setattr(sys, "argv", [str(script), *map(str, arguments)])
        runpy.run_path(str(script), run_name="__main__")
        return capsys.readouterr().out

    return printed


def means(text, title):
    """The means that stand under a title, by the name before them."""
    _, _, rest = text.partition(f"\n{title}\n")
    assert rest, f"nothing is printed under {title!r}"
    rows = rest.split("\n\n")[0].splitlines()
    found = [re.match(r"  (.+?)\s+([\d.]+)%?(?:   by seed.*)?$", row) for row in rows]
    return {match[1]: float(match[2]) for match in found if match}


def need(*names):
    """Skips where none of these lies in the folder of data, since the example would download it."""
    sys.path.insert(0, str(EXAMPLES))
    try:
        from _data import FOLDER
    finally:
        sys.path.remove(str(EXAMPLES))
    if not any((FOLDER / name).exists() for name in names):
        pytest.skip(f"{' or '.join(names)} is not in {FOLDER}; the example would download it")


@pytest.mark.slow
def test_small_batch(run, tmp_path):
    output = tmp_path / "digits.tflite"
    text = run("01", "--epochs", 1, "--output", output)
    assert "N112" in text
    assert re.search(r"as written: [\d.]+% of the test digits\nas advised: [\d.]+%", text)
    assert output.stat().st_size > 0


@pytest.mark.slow
def test_large_batch(run):
    text = run("02", "--epochs", 6, "--seeds", 1)
    accuracy = means(text, "Test accuracy")
    assert "N112" in text
    # The averages of the model as written are still those it started with.
    assert accuracy["as written"] < 50 < accuracy["as advised"]
    assert "ghost batches of 32" in accuracy


@pytest.mark.slow
def test_lstm(run):
    text = run("03", "--epochs", 2, "--seeds", 1)
    accuracy = means(text, "Test accuracy")
    assert "N108" in text
    assert accuracy["as advised"] > accuracy["as written"]
    assert accuracy["LayerNormLSTM"] > accuracy["as written"]


@pytest.mark.slow
def test_transformer(run):
    need("npz/imdb.npz", "imdb_reviews")
    text = run("04", "--epochs", 1, "--reviews", 400, "--seeds", 1)
    assert "N111" in text
    assert set(means(text, "Test accuracy")) == set(means(text, "Test loss")) == {"as written", "as advised"}


@pytest.mark.slow
def test_style_transfer(run, tmp_path):
    import keras

    output = tmp_path / "style.png"
    text = run("05", "--steps", 20, "--output", output)
    distances = re.findall(r"from the style ([\d.]+), once painted ([\d.]+)", text)
    assert len(distances) == 2
    assert keras.utils.load_img(output).size == (3 * 640, 2 * 424)


@pytest.mark.slow
def test_weight_normalization(run):
    text = run("06", "--epochs", 2, "--seeds", 1)
    accuracy = means(text, "Test accuracy")
    assert accuracy["weight normalization, rate 0.01"] > accuracy["plain, rate 0.01"]
    assert float(re.search(r"outputs differ by at most ([\de.+-]+)", text)[1]) < 1e-5


@pytest.mark.slow
def test_feature_selection(run):
    text = run("07", "--epochs", 30, "--seeds", 1)
    assert "R306" in text
    assert means(text, "Kept of the 60 shuffled columns")["no penalty"] == 60
    assert means(text, "Kept of the 60 shuffled columns")["group lasso of 0.02"] < 6
    assert means(text, "Kept of the 30 real columns")["group lasso of 0.02"] > 3
    assert "Left by the group lasso of 0.02: " in text


@pytest.mark.slow
def test_augmentation(run):
    pytest.importorskip("skimage")
    text = run("08", "--epochs", 50, "--seeds", 1)
    assert "RandomFlip(mode='horizontal')" in text
    assert set(means(text, "Test accuracy with 10 images of each class")) == {"as they are", "augmented"}


@pytest.mark.slow
def test_specaugment(run):
    need("npz/fsdd.npz", "spoken_digit")
    text = run("09", "--epochs", 20, "--seeds", 1)
    assert "keras_normpack.SpecAugment(time_warp=0" in text
    assert set(means(text, "Test accuracy on a speaker never heard")) == {"as they are", "SpecAugment"}


@pytest.mark.slow
def test_transfer(run):
    need("cifar10")
    need("weights/mobilenet_v2_imagenet.weights.h5")
    text = run("10", "--epochs", 4)
    accuracy = means(text, "Test accuracy with 20 images of each class")
    assert "A404" in text
    assert accuracy["MobileNetV2 under the same head"] > accuracy["from scratch"]


@pytest.mark.slow
def test_early_stopping(run):
    text = run("11", "--epochs", 40, "--seeds", 1)
    assert "T505" in text
    assert "overfitting: `val_loss` was best in epoch" in text
    epochs = means(text, "Epochs")
    assert epochs["as advised"] < epochs["first run"] == 40
    errors = means(text, "Mean error on test patients (of a score from 25 to 346)")
    assert errors["as advised"] < errors["first run"]


@pytest.mark.slow
def test_int8(run, tmp_path):
    text = run("12", "--epochs", 2, "--output", tmp_path)
    sizes = {name: (tmp_path / f"digits_{name}.tflite").stat().st_size for name in ("float32", "dynamic", "int8")}
    assert sizes["int8"] < sizes["float32"] / 2
    assert re.search(rf"int8 +{sizes['int8']} +\d+%", text)
    assert "layers that lose most" in text


@pytest.mark.slow
def test_race(run):
    pytest.importorskip("ray")
    text = run("13", "--epochs", 1, "--budget", "3 trials", "--seeds", 1)
    assert "only-N112" in text
    assert "original" in text


def test_own_rule(run):
    from advisor.rules import registry

    try:
        text = run("14", "--epochs", 2, "--seeds", 1)
    finally:
        registry._rules.pop("X101", None)
    assert text.startswith("X101 conforms")
    assert "X101  warning   conv2d" in text
    assert set(means(text, "Test accuracy")) == {"as written", "with the fix of X101"}


def test_migration(run):
    text = run("15", "--epochs", 2, "--seeds", 1)
    differences = re.findall(r"differs from .* by at most ([\de.+-]+)", text)
    assert len(differences) == 2
    assert all(float(difference) < 1e-4 for difference in differences)
    assert set(means(text, "Test accuracy")) == {"last weights", "average of the last quarter"}


def test_every_example_is_run_and_listed():
    numbers = {script.name[:2] for script in SCRIPTS}
    assert set(re.findall(r'run\("(\d\d)"', Path(__file__).read_text("utf-8"))) == numbers
    listed = (EXAMPLES / "README.md").read_text("utf-8")
    assert [script.name for script in [*SCRIPTS, NOTEBOOK] if f"]({script.name})" not in listed] == []


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_an_example_explains_its_arguments(script):
    """The command in its docstring names every argument, with the value it has by default where that is a number."""
    text = script.read_text("utf-8")
    declared = dict(re.findall(r'add_argument\("(--[\w-]+)".*?default=([\d.]+)?', text))
    named = dict(re.findall(r"\[(--[\w-]+) ([^\]]+)\]", text.split('"""')[1]))
    assert set(named) == set(declared)
    assert {name: named[name] for name, default in declared.items() if default} == {
        name: default for name, default in declared.items() if default
    }


@pytest.mark.nightly
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_an_example_runs_in_full_as_a_user_starts_it(script):
    needed = {
        "04": lambda: need("npz/imdb.npz", "imdb_reviews"),
        "08": lambda: pytest.importorskip("skimage"),
        "09": lambda: need("npz/fsdd.npz", "spoken_digit"),
        "10": lambda: (need("cifar10"), need("weights/mobilenet_v2_imagenet.weights.h5")),
        "13": lambda: pytest.importorskip("ray"),
    }
    needed.get(script.name[:2], lambda: None)()
    result = subprocess.run(
        [sys.executable, str(script)], cwd=EXAMPLES.parent, capture_output=True, text=True, check=False, timeout=900
    )
    assert result.returncode == 0, result.stderr[-2000:]
    assert re.search(r"\d+(\.\d+)?%|distance of its statistics", result.stdout)


def test_the_notebook_is_committed_without_noise():
    cells = [cell for cell in json.loads(NOTEBOOK.read_text("utf-8"))["cells"] if cell["cell_type"] == "code"]
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert outputs
    assert not [output for output in outputs if output.get("name") == "stderr" or output["output_type"] == "error"]
    assert not [cell for cell in cells if cell["metadata"]]
    assert "site-packages" not in NOTEBOOK.read_text("utf-8")


@pytest.mark.slow
def test_the_notebook_runs(tmp_path, monkeypatch):
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    monkeypatch.syspath_prepend(EXAMPLES)
    # The kernel is a process of its own, which must find the packages of this checkout.
    monkeypatch.setenv("PYTHONPATH", str(EXAMPLES.parent))
    from _notebook import executed

    notebook = nbformat.read(NOTEBOOK, as_version=4)
    settings = next(cell for cell in notebook.cells if "EPOCHS, BATCH_SIZE = 12" in cell.source)
    settings.source = settings.source.replace("EPOCHS, BATCH_SIZE = 12", "EPOCHS, BATCH_SIZE = 3")
    shown = [output for cell in executed(notebook, tmp_path).cells for output in cell.get("outputs", [])]
    printed = "".join(output.get("text", "") for output in shown)
    assert "N112 lagging-moving-averages" in printed
    assert re.search(r"as advised: [\d.]+% of the test digits", printed)
    assert "INFO:" not in printed
    assert sum("image/png" in output.get("data", {}) for output in shown) == 2
    assert (tmp_path / "digits_int8.tflite").stat().st_size > 0
