"""The candidates of a race: from what was found in a model, or as the user names them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

import keras

from advisor.facts import Facts, Kind, gather_facts
from advisor.graph import Configure, Edit, InsertAfter, InsertBefore, Replace, Wrap, read_graph
from advisor.graph.keras_internals import compile_arguments
from advisor.race.candidate import Candidate
from advisor.race.result import LeftOut
from advisor.race.schedule import ORIGINAL
from advisor.rewrite import Rewrite, rebuild, replace_norm, rewrite
from advisor.rewrite.compile_state import carry_compile_state
from advisor.rewrite.errors import RewriteError
from advisor.rewrite.recipes.targets import facts_of, first_calls
from advisor.rules import Finding
from advisor.rules.augmentation.a401_unaugmented_images import suitable_augmentation
from advisor.rules.normalization.batch_statistics import PLAIN_MOMENTA, settled_momentum
from advisor.training import TrainingPlan, make_plan

DROPOUT_RATES = (0.0, 0.2, 0.5)
WEIGHT_DECAYS = (0.0, 1e-4, 1e-3, 1e-2)


class Examined(Protocol):
    """What candidates need to know of a model's examination."""

    @property
    def facts(self) -> Facts:
        """What is known of model, data and run."""


class Advised(Protocol):
    """What candidates need of an `Advice`."""

    @property
    def model(self) -> Any:
        """The model that was examined."""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was found in it."""

    @property
    def examination(self) -> Examined:
        """The whole examination."""

    @property
    def plan(self) -> TrainingPlan:
        """How to train the model as advised."""

    def rewrite(self) -> Rewrite:
        """The model as advised, with an account of what was done."""


@dataclass(frozen=True, eq=False)
class Field:
    """Who could take part.

    Attributes:
        candidates: The original first, then the others, the most promising first; no two are the same.
        left_out: What could not be built, or is the same as another, with the reason.
    """

    candidates: tuple[Candidate, ...]
    left_out: tuple[LeftOut, ...]


@dataclass(frozen=True, eq=False)
class Idea:
    """A candidate that has yet to be built.

    Attributes:
        name: Short name in kebab case, such as `norm-group`.
        title: What a person would call it.
        build: Makes the model; raises where it cannot.
        plan: How it is trained.
        codes: Codes of the findings it rests on.
    """

    name: str
    title: str
    build: Callable[[], Any]
    plan: TrainingPlan | None
    codes: tuple[str, ...] = ()


def candidates_of(advice: Advised) -> Field:
    """The candidates that the findings suggest.

    These are the original; the model as advised; each change of the advice alone; and, on the model as advised, its
    alternatives: other normalizations, dropout rates and weight decays, and augmentation on or off.

    Args:
        advice: The advice on a model.

    Returns:
        The candidates, and what could not be built.

    Example:
    >>> import keras
    >>> from advisor import advise
    >>> from keras import layers
    >>> stack = [layers.Conv2D(16, 3), layers.BatchNormalization(), layers.ReLU(), layers.Flatten()]
    >>> model = keras.Sequential([keras.Input((8, 8, 1)), *stack, layers.Dense(10, activation="softmax")])
    >>> model.compile("adam", "sparse_categorical_crossentropy")
    >>> field = candidates_of(advise(model, batch_size=4))
    >>> [candidate.name for candidate in field.candidates][:3]
    ['original', 'as-advised', 'only-N102']
    """
    facts = advice.examination.facts
    trained = facts.model.trained is not None
    bare = bare_plan(advice)
    original = Candidate(ORIGINAL, "the original", advice.model, bare, keeps_weights=trained)
    advised = advice.rewrite().model
    ideas = [
        Idea("as-advised", "the model as advised", lambda: advised, advice.plan, _codes(advice.findings)),
        *_fixes_alone(advice, bare),
        *_normalizations(advised, advice.plan, facts),
        *_changes_of_the_run_alone(advice),
        *_augmentations(advised, advice.plan, facts),
        *_dropout_rates(advised, advice.plan, facts),
        *_weight_decays(advised, advice.plan, facts),
    ]
    candidates, left_out = [original], []
    for idea in ideas:
        try:
            candidate = Candidate(idea.name, idea.title, idea.build(), idea.plan, idea.codes, trained)
        except (RewriteError, ValueError, TypeError) as error:
            left_out.append(LeftOut(idea.name, idea.title, f"it could not be built: {error}"))
            continue
        candidates.append(candidate)
    return _distinct(candidates, left_out)


def bare_plan(advice: Advised) -> TrainingPlan | None:
    """How a model is trained as it was written: not by any plan, but for a loss where it has none."""
    if compile_arguments(advice.model):
        return None
    return TrainingPlan(objective=advice.plan.objective, unclear=advice.plan.unclear)


def named_candidates(advice: Advised, given: Mapping[str, Any]) -> Field:
    """The candidates that a user names, and the original.

    Args:
        advice: The advice on the original.
        given: By name, models, or pairs of a model and a `TrainingPlan`. A model that is not compiled is compiled as
            the original.

    Returns:
        The candidates.

    Raises:
        TypeError: If something else is given.
        ValueError: If a name cannot be that of a file, or a model has other outputs than the original.
    """
    facts = advice.examination.facts
    bare = bare_plan(advice)
    trained = facts.model.trained is not None
    candidates = [Candidate(ORIGINAL, "the original", advice.model, bare, keeps_weights=trained)]
    for name, value in given.items():
        model, plan = value if isinstance(value, tuple) and len(value) == 2 else (value, None)
        _check(name, model, plan, advice.model)
        graph = read_graph(model)
        if not compile_arguments(model):
            model = rebuild(graph).model
            carry_compile_state(advice.model, model, (), {})
            plan = plan if plan is not None or bare is None else bare
        looks_trained = gather_facts(graph).model.trained is not None
        candidates.append(Candidate(name, name, model, plan, keeps_weights=looks_trained))
    return _distinct(candidates, [])


def _check(name: Any, model: Any, plan: Any, original: Any) -> None:
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9][\w.-]*", name) or name == ORIGINAL:
        raise ValueError(
            "names in `candidates` must be letters, digits, '-', '_' and '.', and not 'original', which takes part "
            f"anyway. Received: {name!r}"
        )
    if not isinstance(model, keras.Model) or not (plan is None or isinstance(plan, TrainingPlan)):
        raise TypeError(
            f"`candidates[{name!r}]` must be a keras.Model or a pair of one and a TrainingPlan. "
            f"Received: {type(model).__name__}" + ("" if plan is None else f" and {type(plan).__name__}")
        )
    if not model.built:
        raise ValueError(f"`candidates[{name!r}]` must be built; give it a `keras.Input`. Received: `{model.name}`")
    ours, theirs = (keras.tree.map_structure(lambda y: tuple(y.shape), m.outputs) for m in (model, original))
    if ours != theirs:
        raise ValueError(
            f"`candidates[{name!r}]` must have the outputs of the original, {theirs}. Received: outputs {ours}"
        )


def _distinct(candidates: Sequence[Candidate], left_out: Sequence[LeftOut]) -> Field:
    """Each candidate once; of equal ones the first."""
    first: dict[str, Candidate] = {}
    same = []
    for candidate in candidates:
        kept = first.setdefault(candidate.fingerprint, candidate)
        if kept is not candidate:
            same.append(LeftOut(candidate.name, candidate.title, f"it is the same as {kept.name}"))
    return Field(tuple(first.values()), (*left_out, *same))


def _codes(findings: Sequence[Finding]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(finding.code for finding in findings if finding.fix or finding.plan))


def _fixes_alone(advice: Advised, bare: TrainingPlan | None) -> Iterator[Idea]:
    """Each code that changes the model alone, with what it changes of the run."""
    for code, (fixed, planned) in _by_code(advice.findings).items():
        if fixed:
            plan = make_plan(planned, advice.examination.facts) if planned else bare
            build = partial(_with_fixes, advice.model, fixed)
            yield Idea(f"only-{code}", _title(code, fixed, planned), build, plan, (code,))


def _changes_of_the_run_alone(advice: Advised) -> Iterator[Idea]:
    """Each code that changes nothing but the run, alone."""
    for code, (fixed, planned) in _by_code(advice.findings).items():
        if planned and not fixed:
            plan = make_plan(planned, advice.examination.facts)
            yield Idea(f"only-{code}", _title(code, fixed, planned), lambda: advice.model, plan, (code,))


def _by_code(findings: Sequence[Finding]) -> dict[str, tuple[list[Finding], list[Finding]]]:
    """For each code its findings that change how the model trains, and those that change the run.

    A fix that is exact does neither by itself: the model computes what it computed before.
    """
    return {
        code: (
            [f for f in findings if f.code == code and f.fix is not None and f.fix.safety == "retrain"],
            [f for f in findings if f.code == code and f.plan],
        )
        for code in _codes(findings)
    }


def _title(code: str, fixed: Sequence[Finding], planned: Sequence[Finding]) -> str:
    edits = [edit for finding in fixed if finding.fix for edit in finding.fix.edits]
    changes = [change.kind.replace("_", " ") for finding in planned for change in finding.plan]
    nouns = dict.fromkeys(noun for noun in (*map(_noun, edits), *changes) if noun)
    return f"{' and '.join(list(nouns)[:2]) or (fixed[0].name if fixed else code)} alone ({code})"


def _noun(edit: Edit) -> str | None:
    """What an edit brings, in a word: a layer, a setting; None where it brings nothing by itself."""
    match edit:
        case Replace(spec=spec):
            return spec.cls.__name__
        case InsertBefore(specs=specs) | InsertAfter(specs=specs):
            return specs[0].cls.__name__ if specs else None
        case Configure(changes=changes):
            plain = {name: value for name, value in changes.items() if isinstance(value, (str, int, float))}
            return next((f"{name} of {value}" for name, value in plain.items()), next(iter(changes), None))
        case Wrap(wrapper=wrapper):
            return wrapper.__name__
    return None


def _with_fixes(model: Any, findings: Sequence[Finding]) -> Any:
    done = rewrite(model, findings, lambda changed: (), allowed=lambda finding: None, sample=None)
    if not done.applied:
        raise RewriteError(done.skipped[0].reason if done.skipped else "its fix could not be applied")
    return done.model


_NORMS: tuple[tuple[str, str, type[keras.Layer], dict[str, Any]], ...] = (
    ("group", "GroupNormalization", keras.layers.GroupNormalization, {}),
    ("batch", "BatchNormalization", keras.layers.BatchNormalization, {}),
    ("layer", "LayerNormalization", keras.layers.LayerNormalization, {}),
    ("renorm", "batch renormalization", keras.layers.BatchNormalization, {"renorm": True}),
)


def _normalizations(advised: Any, plan: TrainingPlan, known: Facts) -> Iterator[Idea]:
    facts = gather_facts(read_graph(advised))
    paths = [layer.path for layer in first_calls(facts, facts.of_kind(Kind.NORM))]
    if not paths:
        return
    steps = known.training.total_steps
    # Moving averages of a short run must follow faster than by default; else another defect would be raced.
    momentum = PLAIN_MOMENTA[0] if steps is None else settled_momentum(steps)
    following = {} if momentum == PLAIN_MOMENTA[0] else {"momentum": momentum}
    for name, title, cls, arguments in _NORMS:
        given = {**arguments, **following} if cls is keras.layers.BatchNormalization else arguments
        build = partial(replace_norm, advised, cls, layers=paths, **given)
        yield Idea(f"norm-{name}", f"the advice with {title} throughout", build, plan)


def _dropout_rates(advised: Any, plan: TrainingPlan, known: Facts) -> Iterator[Idea]:
    facts = gather_facts(read_graph(advised))
    layers = [facts.graph.nodes[layer.path] for layer in first_calls(facts, facts.of_kind(Kind.DROPOUT))]
    paths = [node.path for node in layers if isinstance(node.operation, keras.layers.Dropout)]
    if not paths:
        return
    for rate in DROPOUT_RATES:

        def build(rate: float = rate) -> Any:
            return rebuild(facts_of(advised).graph, [Configure(path, {"rate": rate}) for path in paths]).model

        name = f"dropout-{rate:g}" if rate else "without-dropout"
        title = f"the advice with dropout of {rate:g}" if rate else "the advice without dropout"
        yield Idea(name, title, build, plan)


def _weight_decays(advised: Any, plan: TrainingPlan, facts: Facts) -> Iterator[Idea]:
    for decay in WEIGHT_DECAYS:
        if not decay and not plan.weight_decay and not facts.model.weight_decay:
            continue
        name = f"weight-decay-{decay:g}" if decay else "without-weight-decay"
        title = f"the advice with weight decay of {decay:g}" if decay else "the advice without weight decay"
        yield Idea(name, title, lambda: advised, replace(plan, weight_decay=decay))


def _augmentations(advised: Any, plan: TrainingPlan, known: Facts) -> Iterator[Idea]:
    if plan.augmentation or plan.mixing:
        classes = plan.classes if plan.label_smoothing is not None else None
        without = replace(plan, augmentation=(), mixing=None, classes=classes)
        yield Idea("without-augmentation", "the advice without augmentation", lambda: advised, without)
        return
    changes = () if known.data is None or known.data.prepares_itself else suitable_augmentation(known.data)
    has_own = any(gather_facts(read_graph(advised)).of_kind(Kind.AUGMENTATION))
    if changes and plan.input_rank is not None and known.model.task == "classification" and not has_own:
        changed = replace(plan, augmentation=changes)
        yield Idea("with-augmentation", "the advice with augmentation", lambda: advised, changed)


ALTERNATIVES: Mapping[str, Callable[[Any, TrainingPlan, Facts], Iterator[Idea]]] = {
    "normalization": _normalizations,
    "dropout": _dropout_rates,
    "weight_decay": _weight_decays,
    "augmentation": _augmentations,
}
"""By what they change: alternatives to a model and the plan it is trained by, given what is known beside them."""
