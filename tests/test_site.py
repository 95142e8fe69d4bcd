"""The docs site: every page is in its contents, every public name on it, and it is built without a warning."""

import importlib
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
CONTENTS = (DOCS / "_toc.yml").read_text("utf-8")
# The command line and its demo, and parts of `keras_normpack` whose names stand at its top as well.
NOT_BY_THEMSELVES = {
    "advisor.cli",
    "advisor.demo",
    "keras_normpack.callbacks",
    "keras_normpack.layers",
    "keras_normpack.regularizers",
}


def public_modules():
    for package in ("advisor", "keras_normpack"):
        for file in [ROOT / package / "__init__.py", *sorted((ROOT / package).glob("*/__init__.py"))]:
            module = ".".join(file.parent.relative_to(ROOT).parts)
            if "__all__" in file.read_text("utf-8") and module not in NOT_BY_THEMSELVES:
                yield module


PUBLIC = list(public_modules())


def names_of(module):
    return [name for name in importlib.import_module(module).__all__ if not name.startswith("__")]


def test_every_page_is_in_the_contents():
    entries = set(re.findall(r"- (?:file|glob): (\S+)", CONTENTS)) | {"index"}
    pages = {str(page.relative_to(DOCS).with_suffix("")) for page in DOCS.rglob("*.md")}
    assert [page for page in sorted(pages) if page not in entries and f"{Path(page).parent}/*" not in entries] == []


@pytest.mark.parametrize("module", sorted(NOT_BY_THEMSELVES - {"advisor.cli", "advisor.demo"}))
def test_names_of_the_parts_stand_at_the_top(module):
    assert sorted(set(names_of(module)) - set(names_of("keras_normpack"))) == []


@pytest.mark.parametrize("module", PUBLIC)
def test_every_public_name_is_on_a_page_of_the_api(module):
    listed, module_at = set(), None
    for page in (DOCS / "api").glob("*.md"):
        for directive, name in re.findall(r"^\.\. ([a-z:]+):: (\S+)$", page.read_text("utf-8"), re.MULTILINE):
            match directive:
                case "automodule" if name == module:
                    listed |= set(names_of(module))
                case "currentmodule":
                    module_at = name
                case _ if module_at == module:
                    listed.add(name)
    assert sorted(set(names_of(module)) - listed) == []


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, built as CI builds it."""
    pytest.importorskip("sphinx")
    target = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "docs", str(target)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-4000:]
    return target


class Page(HTMLParser):
    """What a page can be linked at, and what it links to and loads."""

    def __init__(self, text):
        super().__init__()
        self.anchors, self.links, self.loaded = set(), [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        if "id" in attributes:
            self.anchors.add(attributes["id"])
        if tag == "a" and "href" in attributes:
            self.links.append(attributes["href"])
        if tag in ("img", "script", "iframe", "source") and attributes.get("src"):
            self.loaded.append(attributes["src"])
        if tag == "link" and attributes.get("rel") in ("stylesheet", "preload", "icon", "preconnect"):
            self.loaded.append(attributes["href"])


@pytest.mark.slow
@pytest.mark.xdist_group("site")  # built once
def test_no_link_of_the_site_is_broken(site):
    pages = {page: Page(page.read_text("utf-8")) for page in site.rglob("*.html")}
    broken = []
    for page, content in pages.items():
        for link in content.links:
            parts = urlsplit(link)
            if parts.scheme:
                continue
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            anchor = unquote(parts.fragment)
            if not target.exists() or (anchor and target in pages and anchor not in pages[target].anchors):
                broken.append(f"{page.relative_to(site)}: {link}")
    assert len(pages) > 100
    assert broken == []


@pytest.mark.slow
@pytest.mark.xdist_group("site")  # built once
def test_the_site_loads_nothing_from_elsewhere(site):
    for page in site.rglob("*.html"):
        assert [source for source in Page(page.read_text("utf-8")).loaded if urlsplit(source).netloc] == []
    for style in site.rglob("*.css"):
        assert re.findall(r"(?:@import|url\()\s*[\"']?(?:https?:)?//", style.read_text("utf-8")) == []


@pytest.mark.slow
@pytest.mark.xdist_group("site")  # built once
def test_the_inventory_of_the_site_has_every_public_name(site):
    from sphinx.util.inventory import InventoryFile

    written = InventoryFile.loads((site / "objects.inv").read_bytes(), uri="").data
    known = {name for kind, objects in written.items() if kind.startswith("py:") for name in objects}
    assert [
        f"{module}.{name}" for module in PUBLIC for name in names_of(module) if f"{module}.{name}" not in known
    ] == []


@pytest.mark.slow
@pytest.mark.xdist_group("site")  # built once
def test_docstrings_are_read_by_their_sections(site):
    text = (site / "api" / "advise.html").read_text("utf-8")
    assert "Parameters" in text
    assert "Raises" in text
    assert '<span class="gp">&gt;&gt;&gt; </span>' in text  # an example, set as code
    shown = re.sub(r"<[^>]+>", "", text)
    assert "Args:" not in shown
    assert "`" not in shown
    layers = (site / "api" / "normalization.html").read_text("utf-8")
    assert "BatchNormalization" in layers
    assert "(*args, **kwargs)" not in re.sub(r"<[^>]+>", "", layers)  # the arguments of the constructor are shown
