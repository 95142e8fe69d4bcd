"""The pages: their Python prints what they show, links lead somewhere, commands exist, pictures are what is drawn."""

import doctest
import json
import pkgutil
import re
import shlex
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers
from typer.main import get_command
from typer.testing import CliRunner

import keras_normpack
from advisor.cli import app
from advisor.rules import registry
from docs.drawings.pictures import PICTURES

DOCS = Path(__file__).parents[1] / "docs"
TECHNIQUES = sorted(page for page in (DOCS / "techniques").glob("*.md") if page.name != "README.md")
PAGES = [*TECHNIQUES, DOCS / "techniques" / "README.md", DOCS / "migration.md"]
GUIDES = sorted(page for page in (DOCS / "guides").glob("*.md") if page.name != "README.md")
# Read from top to bottom, each block going on from the one before, with what is printed below it.
STORIES = [
    *(DOCS / f"{name}.md" for name in ("index", "writing_a_rule", "writing_a_layer", "watching", "tuner")),
    *GUIDES,
]
TRAINING = {"tables", "transfer_learning", "mobile", "tuner"}
START = DOCS / "start.md"
# Their blocks follow each other too, and begin with a model and data that the reader has.
GOING_ON = [DOCS / f"{name}.md" for name in ("race", "export", "ci")]
OTHERS = [
    DOCS / name
    for name in (
        "claims.md",
        "benchmarks.md",
        "speed.md",
        "architecture.md",
        "comparison.md",
        "guides/README.md",
        "api/README.md",
    )
]
READ = [*PAGES, *STORIES, START, *GOING_ON, *OTHERS]
HEADINGS = ["Formula", "What is averaged", "When to use it", "Example", "What the advisor says", "Sources"]


def name_of(page):
    return str(page.relative_to(DOCS))


def python_of(page):
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    return [pytest.param(block, id=f"{name_of(page)}-{number}") for number, block in enumerate(blocks)]


@pytest.mark.parametrize("block", [block for page in PAGES for block in python_of(page)])
def test_the_python_runs(block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "docs", "exec"), {})


def steps_of(page):
    """Python with what it prints, and command lines, in the order they are read."""
    text = page.read_text("utf-8")
    told = re.compile(
        r"^```python\n(?P<python>.*?)^```\n(?:\n```text\n(?P<printed>.*?)^```)?"
        r"|^ {4,}(?P<command>keras-advisor [^\n]*)$",
        re.DOTALL | re.MULTILINE,
    )
    return [step.groupdict() for step in told.finditer(text.replace("\\\n", ""))]


def walk_through(page, capsys):
    """Run a page from top to bottom; returns the exit codes of its commands."""
    names, exit_codes = {"__name__": page.stem}, {}
    for step in steps_of(page):
        if step["command"]:
            _, name, *arguments = shlex.split(step["command"])
            exit_codes[name] = CliRunner().invoke(app, [name, *arguments]).exit_code
            continue
        capsys.readouterr()
        exec(compile(step["python"], page.name, "exec"), names)
        printed = capsys.readouterr().out
        options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
        shown = step["printed"] or ""
        assert doctest.OutputChecker().check_output(shown, printed, options), (
            f"{page.name} shows\n{shown}\nand got\n{printed}"
        )
    return exit_codes


@pytest.fixture
def own_rules(monkeypatch):
    """Rules that a page declares are forgotten behind it."""
    monkeypatch.setattr(registry, "_rules", dict(registry.all_rules()))


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, id=name_of(page), marks=[pytest.mark.slow] * (page.stem in TRAINING)) for page in STORIES],
)
@pytest.mark.usefixtures("own_rules")
def test_a_page_runs_from_top_to_bottom(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    steps = [step for step in steps_of(page) if step["python"]]
    assert any(step["printed"] for step in steps) or page.stem == "writing_a_layer"
    walk_through(page, capsys)


@pytest.mark.slow
def test_five_minutes_end_with_a_file_for_the_phone(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert walk_through(START, capsys) == {"check": 1, "fix": 0, "export": 0, "rules": 0}
    assert all((tmp_path / name).stat().st_size > 0 for name in ("digits.tflite", "better.keras", "better.tflite"))


@pytest.mark.slow
@pytest.mark.parametrize("page", GOING_ON, ids=name_of)
def test_a_page_goes_on_from_what_the_reader_has(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    data = [(random.normal(size=(count, 6)).astype("float32"), random.integers(0, 2, count)) for count in (64, 32)]

    def network(units):
        model = keras.Sequential([keras.Input((6,)), layers.Dense(units, "relu"), layers.Dense(2, "softmax")])
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    names = {"model": network(4), "wider": network(8), "train": data[0], "validation": data[1]}
    for step in steps_of(page):
        if step["python"]:
            exec(compile(step["python"], page.name, "exec"), names)


COMMANDS = [step["command"] for page in READ for step in steps_of(page) if step["command"]]


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_line_has_the_arguments_it_shows(line):
    _, name, *arguments = shlex.split(line)
    command = get_command(app).commands[name]
    assert command.make_context(name, arguments).info_name == name


@pytest.mark.parametrize("page", READ, ids=name_of)
def test_a_module_to_run_is_there(page):
    for module in re.findall(r"python -m (benchmarks[\w.]*)", page.read_text("utf-8")):
        place = DOCS.parent / module.replace(".", "/")
        assert place.with_suffix(".py").is_file() or (place / "__main__.py").is_file(), module


def results(name):
    return json.loads((DOCS.parent / "benchmarks" / "results" / f"{name}.json").read_text("utf-8"))


def percent(values, digits=0):
    return f"{100 * sum(values) / len(values):.{digits}f}"


def test_the_figures_of_the_guides_are_what_was_measured():
    told = {page.stem: " ".join(page.read_text("utf-8").split()) for page in [*GUIDES, START]}
    demo = results("demo")["figures"]
    assert (
        f"from {percent(demo['as_written'], 1)} to {percent(demo['n112_alone'], 1)} %" in told["image_classification"]
    )
    assert f"it is {percent(demo['as_written'], 1)} % and {percent(demo['as_advised'], 1)} %" in told["start"]

    two, four = ((row["fixed"], row["without"]) for row in results("missing_norms")["rows"] if row["rule"] == "N108")
    assert f"{percent(two[0])} % of the test images right with" in told["text_and_sequences"]
    assert (
        f"and {percent(two[1])} % without; four layers, {percent(four[0])} and {percent(four[1])} %"
        in told["text_and_sequences"]
    )

    (raw,) = (row["mean"] for row in results("inputs")["rows"] if row["inputs"] == "as they come")
    (scaled,) = (row["mean"] for row in results("inputs")["rows"] if row["inputs"] == "z")
    assert f"{raw['wine']:.1f} % of the wines as they come and for {scaled['wine']:.1f} %" in told["tables"]
    assert f"{raw['breast cancer']:.1f} and {scaled['breast cancer']:.1f} % on breast cancer" in told["tables"]

    for row in results("transfer")["rows"]:
        if row["per_class"] == 20:
            arm = row["arm"].replace("live batch norm", "batch normalization of the backbone live")
            assert f"| {arm} | {percent(row['accuracies'])} % |" in told["transfer_learning"]

    times = {(row["network"], row["norm"]): row for row in results("export")["norms"]["rows"]}
    for norm in ("batch", "group", "instance", "layer"):
        cells = [
            f"{times[network, norm][column]:.2f} ×"
            for network in ("narrow", "separable")
            for column in ("keras_to_folded_batch_norm", "to_folded_batch_norm")
        ]
        assert f"| {norm} | {' | '.join(cells)} |" in told["mobile"]
    recurrent = {row["network"]: row["to_keras_export_1"] for row in results("export")["networks"]["rows"]}
    assert (
        f"take {recurrent['LSTM']:.2f} times the time of Keras's export (LSTM) and {recurrent['GRU']:.2f} times"
        in told["mobile"]
    )
    by_precision = {row["precision"]: row for row in results("quantization")["mobilenet_v2"]}
    int8, size = by_precision["int8"], by_precision["int8"]["size_bytes"] / by_precision["float32"]["size_bytes"]
    assert (
        f"takes {int8['latency_to_float32']:.2f} of the time of float32 and {size:.0%}".replace("%", " %")
        in told["mobile"]
    )


@pytest.mark.parametrize("page", TECHNIQUES, ids=name_of)
def test_a_technique_has_every_part(page):
    text = page.read_text("utf-8")
    assert [heading for heading in HEADINGS if f"\n## {heading}" not in text] == []
    assert "](pictures/" in text
    assert python_of(page)


@pytest.mark.parametrize("page", READ, ids=name_of)
def test_links_lead_somewhere(page):
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text("utf-8"))
    assert targets
    assert [name for name in targets if "://" not in name and not (page.parent / name).exists()] == []


@pytest.mark.parametrize("page", READ, ids=name_of)
def test_names_of_the_packages_exist(page):
    for path in sorted(set(re.findall(r"`((?:keras|keras_normpack|advisor)\.[\w.]+)", page.read_text("utf-8")))):
        assert pkgutil.resolve_name(path) is not None


def test_the_index_lists_every_page():
    listed = re.findall(r"\]\((\w+\.md)\)", (DOCS / "techniques" / "README.md").read_text("utf-8"))
    assert {page.name for page in TECHNIQUES} <= set(listed)


def test_everything_public_is_on_a_page():
    text = "".join(page.read_text("utf-8") for page in PAGES)
    assert [name for name in keras_normpack.__all__ if name not in text and name != "__version__"] == []


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_what_its_code_draws(name):
    committed = (DOCS / "techniques" / "pictures" / f"{name}.svg").read_text("utf-8")
    assert committed == PICTURES[name]().render(), "run `python -m docs.drawings`"


def test_every_picture_is_shown():
    shown = {name for page in PAGES for name in re.findall(r"\]\(pictures/(\w+)\.svg\)", page.read_text("utf-8"))}
    assert shown == set(PICTURES)
    assert {file.stem for file in (DOCS / "techniques" / "pictures").iterdir()} == set(PICTURES)
