import re

import matplotlib.style
import pytest

from benchmarks import claims
from benchmarks.claims.page import DOCS, render
from benchmarks.claims.records import record_of


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    folder = tmp_path_factory.mktemp("docs")
    with matplotlib.style.context("ggplot"):
        # Whatever style somebody has set, the pictures have their own.
        render(claims.CLAIMS, folder)
    return folder


def test_the_page_is_what_the_figures_make(rendered):
    assert (DOCS / "claims.md").read_text("utf-8") == (rendered / "claims.md").read_text("utf-8")


@pytest.mark.parametrize("claim", claims.CLAIMS, ids=lambda claim: claim.code)
def test_every_claim_was_measured_in_full_and_its_picture_is_what_the_figures_make(claim, rendered):
    record = record_of(claim)
    assert record is not None
    assert not record["quick"]
    assert not record["seeds"] or len(record["seeds"]) >= 5
    published, drawn = ((folder / f"claims/{claim.code}.svg").read_text("utf-8") for folder in (DOCS, rendered))
    assert _drawn_by(published) != _drawn_by(drawn) or published == drawn


def _drawn_by(picture):
    """Another version of Matplotlib may draw the same figures in another way."""
    return re.search(r"Matplotlib v[\w.]+", picture).group()


def test_the_pictures_are_of_the_claims():
    assert {path.stem for path in (DOCS / "claims").iterdir()} == {claim.code for claim in claims.CLAIMS}
