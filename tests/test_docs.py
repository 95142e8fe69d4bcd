"""The technique and migration pages: their Python runs, links lead somewhere, pictures are what is drawn."""

import pkgutil
import re
from pathlib import Path

import pytest

import keras_normpack
from docs.drawings.pictures import PICTURES

DOCS = Path(__file__).parents[1] / "docs"
TECHNIQUES = sorted(page for page in (DOCS / "techniques").glob("*.md") if page.name != "README.md")
PAGES = [*TECHNIQUES, DOCS / "techniques" / "README.md", DOCS / "migration.md"]
# Their examples go on from a model and data that the reader has.
OTHERS = [DOCS / name for name in ("race.md", "export.md", "claims.md", "architecture.md")]
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


@pytest.mark.parametrize("page", TECHNIQUES, ids=name_of)
def test_a_technique_has_every_part(page):
    text = page.read_text("utf-8")
    assert [heading for heading in HEADINGS if f"\n## {heading}" not in text] == []
    assert "](pictures/" in text
    assert python_of(page)


@pytest.mark.parametrize("page", [*PAGES, *OTHERS], ids=name_of)
def test_links_lead_somewhere(page):
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text("utf-8"))
    assert targets
    assert [name for name in targets if "://" not in name and not (page.parent / name).exists()] == []


@pytest.mark.parametrize("page", [*PAGES, *OTHERS], ids=name_of)
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
