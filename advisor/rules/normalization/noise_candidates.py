"""The batch normalizations whose noise matters: those that no other rule takes out for another reason."""

from __future__ import annotations

from collections.abc import Iterator

from advisor.facts import Facts, LayerFacts
from advisor.rules.normalization.attention_blocks import batch_norms_in_attention
from advisor.rules.normalization.batch_statistics import has_no_variance
from advisor.rules.normalization.choice import has_instance_statistics
from advisor.rules.normalization.image_translation import translates_images
from advisor.rules.normalization.self_normalizing import batch_norms_of_selu
from advisor.rules.normalization.surroundings import on_recurrent_sequence, on_unmasked_padding


def noise_candidates(facts: Facts) -> Iterator[LayerFacts]:
    """Batch normalizations that normalize with statistics of the batch, where a batch normalization belongs.

    Frozen and renormalized ones do not use the batch's statistics as they are. A place without variance is the matter
    of N104, recurrent sequences of N107, attention blocks of N110, unmasked padding of N113, translated images of N115,
    SELU networks of N116.

    Args:
        facts: What is known of model and run.

    Yields:
        Each layer once, in topological order.
    """
    translates = translates_images(facts)
    elsewhere = {*batch_norms_in_attention(facts), *batch_norms_of_selu(facts)}
    for norm in facts.batch_norms():
        if norm.config["renorm"] or not norm.trainable or norm in elsewhere:
            continue
        if translates and has_instance_statistics(norm):
            continue
        if has_no_variance(facts, norm) or on_recurrent_sequence(facts, norm) or on_unmasked_padding(facts, norm):
            continue
        yield norm
