"""Rules from outside the package: declared by a program, or by an installed plugin."""

import textwrap

import keras
import pytest
from typer.testing import CliRunner

from advisor import advise
from advisor.cli import app
from advisor.report import to_text
from advisor.rules import Reference, Rule, Severity, all_rules, broken_plugins, registry, rule

SOURCE = Reference("own-2026", "What we found ourselves", "We 2026", "https://example.org/own")

PLUGIN = """
    from advisor.rules import Rule, Severity, rule

    @rule
    class {name}(Rule):
        code, name, severity = "{code}", "{kebab}", Severity.INFO

        def check(self, facts):
            yield self.finding("head", message="found by {kebab}", why="it can")
"""


@pytest.fixture(autouse=True)
def rules_as_before():
    all_rules()
    before = dict(registry._rules)
    yield
    registry._rules.clear()
    registry._rules.update(before)
    registry._load_plugins.cache_clear()


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Installs a plugin as pip does: a module, and the metadata that names it in the entry-point group."""
    monkeypatch.syspath_prepend(tmp_path)

    def installed(module, source, attribute=""):
        (tmp_path / f"{module}.py").write_text(textwrap.dedent(source), "utf-8")
        metadata = tmp_path / f"{module}-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n", "utf-8")
        entry = f"[{registry.ENTRY_POINT_GROUP}]\n{module} = {module}{attribute}\n"
        (metadata / "entry_points.txt").write_text(entry, "utf-8")
        registry._load_plugins.cache_clear()

    return installed


def model():
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="head")])


def declared(code, name="of-ones-own"):
    class Own(Rule):
        severity = Severity.WARNING
        references = (SOURCE,)

        def check(self, facts):
            yield self.finding("head", message="found", why="it can")

    Own.code, Own.name = code, name
    return Own


def test_a_declared_rule_runs_with_the_others_and_cites_its_own_source():
    rule(declared("X801"))
    (finding,) = advise(model(), select="X801").findings
    assert (finding.code, finding.layer, finding.references) == ("X801", "head", (SOURCE,))
    assert "https://example.org/own" in to_text(advise(model(), select="X8").examination)


def test_declared_again_it_takes_the_place_of_the_one_before():
    rule(declared("X802", "the-first"))
    rule(declared("X802", "the-second"))
    assert all_rules()["X802"].name == "the-second"


def test_a_crash_is_reported_and_the_others_run():
    own = declared("X803")
    own.check = lambda self, facts: 1 / 0
    rule(own)
    softmax = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, activation="softmax")])
    advice = advise(softmax)
    assert [(failure.code, failure.error) for failure in advice.failures] == [
        ("X803", "ZeroDivisionError: division by zero")
    ]
    assert "H601" in {finding.code for finding in advice.findings}


@pytest.mark.parametrize("code", ["N101", "N999", "D801"])
def test_the_letters_of_this_package_are_refused(code):
    before = all_rules()
    with pytest.raises(ValueError, match=f"X is free for rules of your own. Received: '{code}'"):
        rule(declared(code))
    assert all_rules() == before


def test_no_rule_of_this_package_has_the_letter_for_own_ones():
    assert not [code for code, known in all_rules().items() if code.startswith("X") and registry._is_own(type(known))]


def test_a_code_that_another_rule_has_is_refused():
    rule(declared("X804"))
    other = declared("X804")
    other.__module__ = "another.module"
    with pytest.raises(ValueError, match=r"the code X804 belongs to .*Own; take another one. Received: another"):
        rule(other)


@pytest.mark.parametrize("code", ["X1", "x801", "X8010", 801])
def test_malformed_codes_are_refused(code):
    with pytest.raises((ValueError, TypeError)):
        rule(declared(code))


def test_a_rule_without_a_code_is_told_what_it_lacks():
    class Bare(Rule):
        def check(self, facts):
            yield from ()

    with pytest.raises(TypeError, match=r"must have a code, a name and a severity. Received: Bare without"):
        rule(Bare)


@pytest.mark.parametrize("attribute", ["", ":Named"])
def test_the_rules_of_a_plugin_run(install, attribute):
    module = f"plugin_of_{'a_class' if attribute else 'a_module'}"
    install(module, PLUGIN.format(name="Named", code="X805", kebab=module.replace("_", "-")), attribute)
    (finding,) = advise(model(), select="X805").findings
    assert finding.message == f"found by {module.replace('_', '-')}"


def test_a_plugin_that_cannot_be_imported_is_reported_and_sinks_nothing(install):
    install("plugin_that_breaks", "import a_module_that_nobody_has")
    install("plugin_that_works", PLUGIN.format(name="Works", code="X806", kebab="works"))
    advice = advise(model())
    assert "X806" in {finding.code for finding in advice.findings}
    (failure,) = advice.failures
    assert failure.code == "plugin_that_breaks"
    assert failure.error.startswith("ModuleNotFoundError: No module named 'a_module_that_nobody_has'")
    assert "plugin_that_breaks" in to_text(advice.examination)


def test_the_list_of_rules_says_which_plugin_is_missing(install):
    install("plugin_not_listed", "1 / 0")
    listed = CliRunner().invoke(app, ["rules", "N101"])
    assert listed.exit_code == 0
    assert "the rules of the plugin plugin_not_listed are missing: ZeroDivisionError: division by zero" in listed.stderr


def test_a_plugin_that_takes_a_code_of_this_package_is_reported(install):
    install("plugin_that_takes", PLUGIN.format(name="Taker", code="N101", kebab="taker"))
    assert all_rules()["N101"].name == "bias-before-norm"
    (broken,) = broken_plugins()
    assert "must not begin with the letters of a family of this package" in broken.error


def test_two_plugins_cannot_share_a_code_even_under_one_class_name(install):
    install("plugin_one", PLUGIN.format(name="Same", code="X807", kebab="one"))
    install("plugin_two", PLUGIN.format(name="Same", code="X807", kebab="two"))
    (broken,) = broken_plugins()
    assert "the code X807 belongs to plugin_" in broken.error
