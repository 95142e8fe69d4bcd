"""Networks that are normalized well by design: the rules have nothing to say about them."""

from collections import Counter

import keras
import pytest

from advisor.facts import TrainingFacts, gather_facts
from advisor.graph import read_graph
from advisor.graph.keras_internals import deferred_variables
from advisor.rules import select_rules


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ResNet50", {"N101": 53}),
        ("MobileNetV2", {}),
        ("EfficientNetB0", {}),
        ("DenseNet121", {}),
        ("ConvNeXtTiny", {}),
        ("VGG16", {"N105": 1}),
    ],
)
def test_only_what_is_wrong_is_found(name, expected):
    with deferred_variables():
        model = getattr(keras.applications, name)(weights=None)
    facts = gather_facts(read_graph(model), trained=False)
    found = Counter(finding.code for rule in select_rules("N") for finding in rule.check(facts))
    assert found == expected


@pytest.mark.parametrize("name", ["MobileNetV2", "DenseNet121", "ConvNeXtTiny"])
@pytest.mark.parametrize(("run", "code"), [(TrainingFacts(32, replicas=8), "N103"), (TrainingFacts(2), "N102")])
def test_at_a_small_batch_every_batch_normalization_is_found_once(name, run, code):
    with deferred_variables():
        model = getattr(keras.applications, name)(weights=None)
    facts = gather_facts(read_graph(model), trained=False, training=run)
    found = Counter(finding.code for rule in select_rules("N") for finding in rule.check(facts))
    expected = len(list(facts.batch_norms()))
    assert found == ({code: expected} if expected else {})
