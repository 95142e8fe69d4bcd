"""N109: a deep Transformer, normalized behind its additions, trained without warm-up."""

from __future__ import annotations

from collections.abc import Iterator

import keras
from keras import layers

from advisor.facts import Facts
from advisor.rules.base import Case, Requirement, Rule
from advisor.rules.finding import Finding, Severity
from advisor.rules.normalization.attention_blocks import attention_blocks
from advisor.rules.registry import rule

# The depth at which Xiong et al. 2020 measured what it costs.
FEWEST_BLOCKS = 6
# The largest rate that Devlin et al. 2019, appendix A.3, advise for fine-tuning; they train from scratch at 1e-4, with
# 10,000 steps of warm-up.
HARMLESS_RATE = 5e-5


def _encoder(learning_rate: object, *, blocks: int = 6, behind: bool = True, compiled: bool = True) -> keras.Model:
    inputs = x = keras.Input((4, 8))
    for _ in range(blocks):
        y = x if behind else layers.LayerNormalization()(x)
        x = layers.Add()([x, layers.MultiHeadAttention(1, 4)(y, y)])
        x = layers.LayerNormalization()(x) if behind else x
    model = keras.Model(inputs, layers.Dense(2)(x))
    if compiled:
        model.compile(keras.optimizers.Adam(learning_rate), "mse")
    return model


def _warmed_up() -> keras.optimizers.schedules.LearningRateSchedule:
    return keras.optimizers.schedules.CosineDecay(0.0, 10_000, warmup_target=1e-3, warmup_steps=1000)


@rule
class PostNormWithoutWarmup(Rule):
    """A deep Transformer, normalized behind its additions, trained without warm-up.

    What it does:
        Counts the attentions that are normalized behind their additions and nowhere else. With 6 or more of them it
        looks at the learning rate the model is compiled with: a constant, or a schedule that never rises to twice its
        first value, of more than 5e-5 at the start. A callback may warm it up, too, which the model does not know.

    Why it matters:
        Behind the additions, the normalizations make the gradients of the last layers large at the start, at any depth,
        while Adam's averages rest on few steps yet. On IWSLT14, German to English, the Transformer with 6 layers
        reaches a BLEU of 8.45 without warm-up and about 34 with it; normalized before each part it reaches as much
        without.

    Example:
        ```python
        for _ in range(6):
            x = layers.LayerNormalization()(x + layers.MultiHeadAttention(8, 64)(x, x))
        model.compile(keras.optimizers.Adam(1e-3), ...)
        ```

    Fix:
        None is made: moving the normalizations changes the model. Either normalize before each part and once behind the
        last block, or let the rate rise over the first thousands of steps.
    """

    code = "N109"
    name = "post-norm-without-warmup"
    severity = Severity.WARNING
    requires = frozenset({Requirement.COMPILE})
    references = ("xiong-2020", "devlin-2019")

    VALID = (
        Case("warm-up", lambda: _encoder(_warmed_up())),
        Case("a learning rate for fine-tuning", lambda: _encoder(2e-5)),
        Case("normalized before each attention", lambda: _encoder(1e-3, behind=False)),
        Case("not deep", lambda: _encoder(1e-3, blocks=4)),
    )
    INVALID = (
        Case("a constant learning rate", lambda: _encoder(1e-3)),
        Case(
            "a schedule that only falls",
            lambda: _encoder(keras.optimizers.schedules.CosineDecay(1e-3, 10_000)),
        ),
    )

    def check(self, facts: Facts) -> Iterator[Finding]:
        rate = facts.model.learning_rate
        if rate is None or rate.warmup or rate.initial <= HARMLESS_RATE:
            return
        parts = [block.part for block in attention_blocks(facts) if block.part and block.part.is_post_norm]
        trained = [part for part in parts if part.norms[0].trainable]
        if len(trained) >= FEWEST_BLOCKS:
            yield self.finding(
                *(part.norms[0] for part in trained),
                message=(
                    f"{len(trained)} attentions are normalized behind their additions, and training starts at the "
                    f"learning rate {rate.initial:g}, without warm-up, unless a callback sees to it"
                ),
                why=(
                    "Gradients near the output are large at the start then. Normalize before each part instead, as in "
                    "`x = x + attention(norm(x))`, with one normalization behind the last block; or warm up: "
                    "`keras.optimizers.schedules.CosineDecay(0.0, decay_steps, warmup_target="
                    f"{rate.peak:g}, warmup_steps=4000)`."
                ),
            )
