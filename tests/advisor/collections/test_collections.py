"""The laws hold on architectures of the literature, typed as their papers give them."""

import pytest

from advisor.testing import check_laws, randomize_weights
from tests.advisor.collections import classifiers, images, relations, sequences

FAMILIES = (classifiers, images, sequences, relations)
FAST = {name: build for family in FAMILIES for name, build in family.FAST.items()}
SLOW = {name: build for family in FAMILIES for name, build in family.SLOW.items()}


@pytest.mark.parametrize("name", FAST)
def test_laws(name):
    check_laws(randomize_weights(FAST[name]()), trained=False, batch_size=64)


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_laws_on_the_rest(name):
    check_laws(randomize_weights(SLOW[name]()), trained=False, batch_size=64)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*FAST, *SLOW])
def test_laws_on_trained_models_at_batch_size_one(name):
    check_laws(randomize_weights({**FAST, **SLOW}[name]()), trained=True, batch_size=1)
