import pytest

from benchmarks import claims
from benchmarks.claims.page import DOCS, render
from benchmarks.claims.records import record_of


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    folder = tmp_path_factory.mktemp("docs")
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
    picture = f"claims/{claim.code}.svg"
    assert (DOCS / picture).read_bytes() == (rendered / picture).read_bytes()
