"""Every rule, those of plugins included, against its own cases and the laws; and the catalogue as a whole."""

import pytest

from advisor.rules import all_rules, reference, select_rules
from advisor.testing import check_rule

EXPECTED = """
N101 N102 N103 N104 N105 N106 N107 N108 N109 N110 N111 N112 N113 N114 N115 N116 N117 N118 N119
D201 D202 D203 D204 D205 D206 D207 D208
R301 R302 R303 R304 R305 R306 R307
A401 A402 A403 A404 A405 A406
T501 T502 T503 T504 T505 T506 T507
H601 H602 H603 H604 H605 H606 H607 H608
E701 E702 E703 E704 E705
"""


@pytest.mark.parametrize("code", sorted(all_rules()))
def test_rule_conforms(code):
    check_rule(code)


def test_the_catalogue_is_complete():
    assert set(EXPECTED.split()) <= set(all_rules())


@pytest.mark.parametrize("code", sorted(all_rules()))
def test_references_resolve(code):
    rule = all_rules()[code]
    for key in rule.references:
        assert reference(key).url.startswith("https://")


def test_names_are_unique():
    names = [rule.name for rule in all_rules().values()]
    assert len(names) == len(set(names))


def test_a_prefix_selects_a_family_and_ignore_wins():
    codes = [rule.code for rule in select_rules("E,D203", ignore=["E70"])]
    assert codes == ["D203"]
    codes = [rule.code for rule in select_rules("E,D203", ignore="E702 E703 E704 E705")]
    assert codes == ["D203", "E701"]


@pytest.mark.parametrize("codes", ["Z", "N999", ["N101", "nonsense"], [""]])
def test_unknown_codes_are_named(codes):
    with pytest.raises(ValueError, match="there is no rule"):
        select_rules(codes)
