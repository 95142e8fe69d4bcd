"""Every rule, those of plugins included, against its own cases and the laws; and the catalogue as a whole."""

import pytest

from advisor.rules import all_rules, reference, select_rules
from advisor.testing import check_rule

EXPECTED = """
N101 N102 N104 N105 N106 N107 N112 N114 D201 D203 D204 D206 R301 R305 T501 H602 E701
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
    codes = [rule.code for rule in select_rules("N,D203", ignore=["N10"])]
    assert codes == ["D203", "N112", "N114"]


@pytest.mark.parametrize("codes", ["Z", "N999", ["N101", "nonsense"], [""]])
def test_unknown_codes_are_named(codes):
    with pytest.raises(ValueError, match="there is no rule"):
        select_rules(codes)
