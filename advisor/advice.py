"""`advise(model)`: look at a model, say what is wrong, and offer what mends it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from advisor.facts import TASKS, DataFacts, Facts, gather_facts, training_facts
from advisor.facts.probes import Probe, ProbeFailure, make_mobile_probes, make_probes
from advisor.facts.read_data import read_data
from advisor.facts.replicas import replicas_of
from advisor.graph import read_graph
from advisor.graph.sampling import sample_inputs
from advisor.graph.stored_model import load_values
from advisor.loading import ready_model
from advisor.output_files import checked_target, write_text
from advisor.progress import Say, silence, working
from advisor.rewrite import Rewrite, rewrite
from advisor.rules import Finding, LayerIgnores, Rule, as_codes, layer_ignores, select_rules
from advisor.rules.examination import Examination, NotRun, RuleFailure, examine
from advisor.training import TrainingPlan, make_plan

if TYPE_CHECKING:
    from advisor.export import ExportReport
    from advisor.race import RaceResult

SAFETIES = ("exact", "retrain")
TARGETS = (None, "mobile")


def advise(
    model: keras.Model | str | os.PathLike[str],
    *,
    batch_size: int | None = None,
    data: Any = None,
    validation_data: Any = None,
    steps_per_epoch: int | None = None,
    epochs: int | None = None,
    replicas: int | None = None,
    history: Any = None,
    task: str | None = None,
    target: str | None = None,
    trained: bool | None = None,
    select: str | Iterable[str] | None = None,
    ignore: str | Iterable[str] | None = None,
    per_layer_ignores: Mapping[str, str | Sequence[str]] | None = None,
    seed: int = 0,
    probe_seconds: float = 20,
    safe_mode: bool = True,
    verbose: int | str = "auto",
) -> Advice:
    """Examine a model before it is trained or shipped.

    The more is known, the more rules can run: the structure alone, then the batch size and the length of the run, then
    the data, on which the rules measure instead of guess. The model is only read.

    Args:
        model: A built model, or one that `data` builds (it is built in a copy), or the path of a `.keras` file. Of a
            file the structure is read, and weights only as something needs them, so that it may be larger than memory.
        batch_size: Samples per optimizer step, all replicas together.
        data: Training data, whatever `fit` takes: arrays, `(x, y)`, `tf.data.Dataset`, `PyDataset`, torch `DataLoader`.
            A few batches are looked at, and as many more counted as come in two seconds; nothing is consumed.
        validation_data: Validation data in the same forms; compared with the training data.
        steps_per_epoch: Optimizer steps per epoch; samples ÷ batch size by default.
        epochs: Planned epochs.
        replicas: Data-parallel replicas among which each batch is split; those of the `tf.distribute` strategy that the
            model was made in, or that is in scope, by default.
        history: What an earlier `fit` returned, its `.history`, or the path of the file of a `CSVLogger`.
        task: `"classification"`, `"regression"`, `"segmentation"`, `"detection"`, `"image_to_image"`, `"generation"` or
            `"sequence"`; inferred from outputs and losses when None.
        target: None, or `"mobile"` for a model that is to run on a phone.
        trained: Whether the weights are trained and must be protected; inferred when None.
        select: Codes or prefixes of the rules to run; all when None.
        ignore: Codes or prefixes of the rules to leave out.
        per_layer_ignores: Codes or prefixes of the rules to leave out at some layers, by the pattern of their paths:
            `{"backbone/*": "N102,D"}`.
        seed: Seed of everything drawn at random.
        probe_seconds: About how many seconds the measurements on the data may take, all together, at least 0; as many
            again for those in LiteRT with `target="mobile"`.
        safe_mode: Whether to refuse a file with Python code in it (a Lambda layer), which loading it would run.
        verbose: 0 silent, 1 with a line that says what is going on and how long it will take, 2 with a line per step,
            as a log needs it, `"auto"` with 1 on a terminal and 0 elsewhere. It holds for what the advice does, too.

    Returns:
        The advice.

    Raises:
        TypeError: If `model` is neither a Keras model nor a path.
        ValueError: If an argument is out of range, a rule code is unknown, the model is not built and no data builds
            it, or the data does not fit the model. NaN and infinite values in it are a finding (H606), not an error.
        FileNotFoundError: If there is no file at the path of the model or the history.

    Example:
    >>> import keras
    >>> from advisor import advise
    >>> layers = [
    ...     keras.layers.Conv2D(8, 3, name="conv"),
    ...     keras.layers.BatchNormalization(name="norm"),
    ...     keras.layers.ReLU(),
    ...     keras.layers.GlobalAveragePooling2D(),
    ...     keras.layers.Dense(10, activation="softmax"),
    ... ]
    >>> model = keras.Sequential([keras.Input((8, 8, 1)), *layers])
    >>> advice = advise(model)
    >>> [(finding.code, finding.layer) for finding in advice.findings]
    [('N101', 'conv')]
    >>> advice.apply().get_layer("conv").use_bias
    False
    """
    rules = select_rules(select, ignore)
    ignores = layer_ignores(per_layer_ignores)
    _check_choices(task, target, trained, seed, probe_seconds, verbose)
    planned: dict[str, Any] = {
        "batch_size": batch_size,
        "steps_per_epoch": steps_per_epoch,
        "epochs": epochs,
        "replicas": replicas,
    }
    # Checked before the model and the data are touched, and again below with what the data adds.
    training_facts(**planned, history=history, data_batch_size=None, samples=None)
    with working("Reading the model", verbose):
        model = ready_model(model, data, safe_mode=safe_mode)
        graph = read_graph(model)
    with working("Looking at the data", verbose):
        seen = None if data is None else read_data(data, graph, batch_size=batch_size, seed=seed)
        validation = (
            None if validation_data is None else read_data(validation_data, graph, batch_size=batch_size, seed=seed)
        )
    training = training_facts(
        **{**planned, "replicas": replicas_of(model) if replicas is None else replicas},
        history=history,
        data_batch_size=seen.batch_size if seen else None,
        samples=seen.samples if seen else None,
    )
    look = _Look(
        rules=tuple(rules),
        ignores=ignores,
        known={
            "data": seen,
            "validation": validation,
            "training": training,
            "target": target,
            "task": task,
            "trained": trained,
        },
        seed=seed,
        probe_seconds=probe_seconds,
        verbose=verbose,
    )
    with working("Examining the model", verbose) as say:
        return Advice(structure=model, examination=look(model, say), _look=look)


def _check_choices(task: Any, target: Any, trained: Any, seed: Any, probe_seconds: Any, verbose: Any) -> None:
    if task is not None and task not in TASKS:
        raise ValueError(f"`task` must be None or one of {', '.join(TASKS)}. Received: task={task!r}")
    if target not in TARGETS:
        raise ValueError(f"`target` must be None or 'mobile'. Received: target={target!r}")
    if trained not in (None, True, False):
        raise ValueError(f"`trained` must be None, True or False. Received: trained={trained!r}")
    if not (isinstance(seed, (int, np.integer)) and seed >= 0):
        raise ValueError(f"`seed` must be a whole number of at least 0. Received: seed={seed!r}")
    if verbose not in (0, 1, 2, "auto"):
        raise ValueError(f"`verbose` must be 0, 1, 2 or 'auto'. Received: verbose={verbose!r}")
    if not (isinstance(probe_seconds, (int, float)) and probe_seconds >= 0):
        raise ValueError(f"`probe_seconds` must be a number of at least 0. Received: probe_seconds={probe_seconds!r}")


@dataclass(frozen=True)
class _Look:
    """One way of looking at a model: the rules, and what is known beside it. The same for every round of a rewrite."""

    rules: tuple[Rule, ...]
    ignores: LayerIgnores
    known: dict[str, Any]
    seed: int
    probe_seconds: float
    verbose: int | str

    def __call__(self, model: keras.Model, say: Say = silence) -> Examination:
        graph = read_graph(model)
        data: DataFacts | None = self.known["data"]
        probes: dict[str, Probe] = {}
        not_measured: list[ProbeFailure] = []
        if self.known["target"] == "mobile":
            probes |= make_mobile_probes(graph, probe_seconds=self.probe_seconds, say=say, failed=not_measured.append)
        if data is not None:
            probes |= make_probes(
                graph,
                data,
                batch_size=self.known["training"].replica_batch,
                seed=self.seed,
                probe_seconds=self.probe_seconds,
                say=say,
                failed=not_measured.append,
            )
        examination = examine(gather_facts(graph, **self.known, probes=probes), self.rules, self.ignores, say)
        return replace(examination, not_measured=tuple(not_measured))

    def protecting(self, facts: Facts) -> _Look:
        """The same look, with the verdict on whether the model is trained held fast."""
        return replace(self, known={**self.known, "trained": facts.model.trained is not None})


@dataclass(frozen=True, eq=False)
class Advice:
    """What was found in a model, and what can be done about it.

    Attributes:
        structure: The model that was examined, its weights perhaps still in the file they were to be read from.
        examination: Findings, rules that did not run, rules and probes that failed, and the facts they read.
    """

    structure: Any
    examination: Examination
    _look: _Look = field(repr=False)

    @property
    def model(self) -> Any:
        """The model that was examined, in memory as a whole; nothing here changes it."""
        return load_values(self.structure)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was found: errors first, then warnings, then offers."""
        return self.examination.findings

    @property
    def not_run(self) -> tuple[NotRun, ...]:
        """Rules that could not run, and what they lack."""
        return self.examination.not_run

    @property
    def not_measured(self) -> tuple[ProbeFailure, ...]:
        """Probes in which the model did not run on the data, so that rules went by its structure."""
        return self.examination.not_measured

    @property
    def ignored(self) -> tuple[Finding, ...]:
        """What was found at layers at which the rule is ignored."""
        return self.examination.ignored

    @property
    def failures(self) -> tuple[RuleFailure, ...]:
        """Rules that crashed."""
        return self.examination.failures

    def apply(
        self,
        safety: str | Sequence[str] | None = None,
        select: str | Iterable[str] | None = None,
        ignore: str | Iterable[str] | None = None,
    ) -> Any:
        """A new model with the fixes applied and the weights carried over.

        Args:
            safety: `"exact"`, `"retrain"` or both; None means both, but only exact fixes on a model that looks trained.
            select: Codes or prefixes of the findings to mend; all when None.
            ignore: Codes or prefixes to leave alone.

        Returns:
            The rewritten model, or a copy where nothing was to be done.

        Raises:
            ValueError: If `safety` or a code is unknown.
        """
        return self.rewrite(safety, select, ignore).model

    def rewrite(
        self,
        safety: str | Sequence[str] | None = None,
        select: str | Iterable[str] | None = None,
        ignore: str | Iterable[str] | None = None,
        *,
        verify: bool = True,
    ) -> Rewrite:
        """As `apply`, with the account of what was done: fixes applied and skipped, weights, parity, diff.

        Args:
            safety: As in `apply`.
            select: As in `apply`.
            ignore: As in `apply`.
            verify: Whether to compare outputs after exact fixes and roll back what changed them.

        Returns:
            The rewrite. After each round of fixes the new model is measured again, for up to `probe_seconds`.

        Raises:
            ValueError: If `safety` or a code is unknown.
        """
        facts = self.examination.facts
        look = self._look.protecting(facts)
        allowed = _permission(safety, select, ignore, facts.model.trained)
        with working("Rewriting the model", look.verbose) as say:
            return rewrite(
                self.structure,
                self.findings,
                lambda model: look(model).findings,
                allowed=allowed,
                sample=self._sample if verify else None,
                say=say,
            )

    @cached_property
    def plan(self) -> TrainingPlan:
        """How to train the rewritten model: callbacks, optimizer, loss, augmentation."""
        return make_plan(self.findings, self.examination.facts)

    @property
    def callbacks(self) -> list[Any]:
        """Fresh callbacks for `fit`."""
        return self.plan.callbacks

    def fit(self, x: Any = None, y: Any = None, *more: Any, **arguments: Any) -> tuple[Any, Any]:
        """Rewrite the model, compile it by the plan and train it.

        Args:
            x: As in `Model.fit`; `(x, y)` and `(x, y, sample_weight)` of arrays are accepted too.
            y: As in `Model.fit`.
            *more: What follows in `Model.fit` by position: batch size, epochs, verbose, callbacks.
            **arguments: All further arguments of `Model.fit`; callbacks are added to the plan's, as in `plan.fit`.

        Returns:
            The trained model and its `History`.
        """
        model = self.apply()
        self.plan.compile(model)
        return model, self.plan.fit(model, x, y, *more, **arguments)

    def export(self, path: str | os.PathLike[str], format: str = "tflite", **arguments: Any) -> ExportReport:
        """Write the examined model for use: folded, checked, and timed where it is TFLite.

        The data that `advise` was given verifies it, the validation data where there is any, and gives the ranges of a
        model in int8.

        Args:
            path: The file to write, or the folder of a SavedModel.
            format: `"tflite"`, `"onnx"` or `"saved_model"`.
            **arguments: Arguments of `advisor.export.export_tflite`, `export_onnx` or `export_saved_model`; data given
                here counts instead of that of `advise`.

        Returns:
            The report, with `to_json`, `to_html` and `save_html`.

        Raises:
            OSError: If nothing can be written where `path` says.
            ExportError: As the function of the format raises it.
        """
        from advisor.export import export_model
        from advisor.litert.quantization import CALIBRATED

        facts = self.examination.facts
        known: dict[str, Any] = {"verify_data": _batches_alike(facts.validation or facts.data)}
        if arguments.get("quantize") in CALIBRATED:
            known["representative_data"] = _batches_alike(facts.data or facts.validation)
        return export_model(self.model, path, format=format, **known | arguments)

    def race(
        self,
        data: Any,
        validation_data: Any,
        *,
        budget: str | float = "5m",
        seeds: int = 3,
        engine: str = "local",
        candidates: Mapping[str, Any] | None = None,
        directory: str | os.PathLike[str] | None = None,
        resume: bool = True,
        verbose: int | str = "auto",
    ) -> RaceResult:
        """Train the model as written, as advised, and its alternatives against each other, and say what is better.

        Candidates are the original, the model as advised, each change of the advice alone, and other normalizations,
        dropout rates, weight decays, and augmentation on or off. Successive halving gives most of the budget to the
        best of them: all are trained over a third of the epochs, the best third of those over all epochs, and the best
        three and the original with all seeds. Half of the validation samples decide who goes on and when a training
        stops; the figures of the result rest on the other half. Epochs and batch size are those given to `advise`.

        Args:
            data: Training data with labels, whatever `fit` takes.
            validation_data: Validation data with labels, likewise.
            budget: `"5m"`, `"90s"`, `"1h"`, a number of seconds, or `"20 trials"`, trainings over all epochs. What the
                budget leaves out is listed in the result.
            seeds: Seeds of the final, at least 1. With a single one, no difference is claimed.
            engine: `"local"`, with Optuna, or `"ray"` for a cluster.
            candidates: Models by name, or pairs of a model and a `TrainingPlan`, instead of those of the findings. The
                original takes part in any case.
            directory: Folder for the study and the trained models; None keeps neither.
            resume: Whether trainings done by an earlier race in the same folder count.
            verbose: 0 silent, 1 or 2 with the race as it goes on, `"auto"` with it on a terminal.

        Returns:
            The ranking, with differences from the original and their 95 % intervals, and the winner's trained model.
            Interrupted by Ctrl-C, what is known by then.

        Raises:
            ImportError: If the engine is not installed.
            RewriteError: If the model cannot be copied, with which each training begins.
            TypeError: If data or a candidate is of a kind that cannot be used.
            ValueError: If an argument is out of range, there are no labels, or the loss of the model is not known.

        Example:
        >>> import keras, numpy as np
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, activation="softmax")])
        >>> model.compile("sgd", "sparse_categorical_crossentropy")
        >>> x = np.random.default_rng(0).normal(size=(80, 2))
        >>> data = x, (x[:, 0] > 0).astype(int)
        >>> wider = keras.Sequential([keras.Input((2,)), keras.layers.Dense(8), keras.layers.Dense(2, "softmax")])
        >>> result = advise(model, epochs=1).race(data, data, budget="2 trials", seeds=1, candidates={"wider": wider})
        >>> sorted(standing.name for standing in result.standings)
        ['original', 'wider']

        References:
            Jamieson & Talwalkar 2016, arXiv:1502.07943, on successive halving.
        """
        from advisor.race import race

        return race(
            self,
            data,
            validation_data,
            budget=budget,
            seeds=seeds,
            engine=engine,
            candidates=candidates,
            directory=directory,
            resume=resume,
            verbose=verbose,
        )

    def to_dict(self) -> dict[str, Any]:
        """The advice as plain data, in the versioned schema of the JSON report."""
        from advisor.report import to_dict

        return to_dict(self.examination, self.plan)

    def to_json(self, indent: int | None = 2) -> str:
        """The advice as JSON, in the versioned schema of the JSON report."""
        from advisor.report import to_json

        return to_json(self.examination, self.plan, indent=indent)

    def save_html(
        self,
        path: str | os.PathLike[str],
        *,
        rewrite: Rewrite | None = None,
        race: RaceResult | None = None,
        export: ExportReport | None = None,
        verbose: int | str = "auto",
    ) -> None:
        """Write the report as one HTML file that needs no other: the model before and after, findings, plan, results.

        Args:
            path: The file to write; must end in `.html`.
            rewrite: What `rewrite` returned; made here when None.
            race: What `race` returned, to be shown too.
            export: What `export` returned, likewise.
            verbose: As in `advise`.

        Raises:
            OSError: If the file cannot be written.
            ValueError: If its name does not end in `.html`.

        Example:
        >>> import keras, tempfile
        >>> from pathlib import Path
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2), keras.layers.Softmax()])
        >>> page = Path(tempfile.mkdtemp()) / "report.html"
        >>> advise(model).save_html(page)
        >>> page.read_text("utf-8")[:15]
        '<!doctype html>'
        """
        from advisor.report import to_html

        target = checked_target(path, suffix=".html")
        rewrite = rewrite or self._own_rewrite()
        with working("Drawing the report", verbose):
            write_text(target, to_html(self.examination, self.plan, rewrite, race=race, export=export))

    def plot(
        self,
        to_file: str | os.PathLike[str] = "advice.svg",
        show_shapes: bool = False,
        show_dtype: bool = False,
        show_layer_names: bool = True,
        rankdir: str = "TB",
        expand_nested: bool = False,
        dpi: float = 200,
        show_layer_activations: bool = False,
        show_trainable: bool = False,
        *,
        what: str = "both",
        expand_blocks: bool = False,
        rewrite: Rewrite | None = None,
    ) -> None:
        """Draw the model before and after, as in the report; arguments as in `keras.utils.plot_model`.

        Args:
            to_file: The file to write; `.svg`, `.png` or `.pdf` says in which format.
            show_shapes: Whether to tell shapes.
            show_dtype: Whether to tell dtypes.
            show_layer_names: Whether to tell names.
            rankdir: `"TB"` from top to bottom, or `"BT"`, `"LR"`, `"RL"`.
            expand_nested: Whether nested models are drawn with what is in them.
            dpi: Dots per inch of a PNG; the drawing has 72 pixels to the inch.
            show_layer_activations: Whether to tell activations.
            show_trainable: Whether to tell which layers are trained.
            what: `"both"`, `"before"` or `"after"`.
            expand_blocks: Whether the blocks that long models fold into are drawn with what is in them.
            rewrite: What `rewrite` returned; made here when None.

        Raises:
            OSError: If the file cannot be written.
            ValueError: If an argument is none of these.

        Example:
        >>> import keras, tempfile
        >>> from pathlib import Path
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2), keras.layers.Softmax()])
        >>> picture = Path(tempfile.mkdtemp()) / "advice.svg"
        >>> advise(model).plot(picture, show_shapes=True)
        >>> "(None, 4)" in picture.read_text("utf-8")
        True
        """
        from advisor.report.html.drawing_text import Shown
        from advisor.report.html.page import draw_both
        from advisor.report.html.pictures import checked_picture, draw_picture

        target = checked_picture(to_file, what=what, rankdir=rankdir, dpi=dpi)
        if what != "before":
            rewrite = rewrite or self._own_rewrite()
        draw_picture(
            draw_both(self.examination.facts.graph, rewrite, self.examination),
            target,
            what=what,
            shown=Shown(show_shapes, show_dtype, show_layer_names, show_layer_activations, show_trainable),
            rankdir=rankdir,
            expand_nested=expand_nested,
            expand_blocks=expand_blocks,
            dpi=dpi,
        )

    def _own_rewrite(self) -> Rewrite | None:
        """The rewrite; None where no finding asks for one."""
        return self.rewrite() if any(finding.fix or finding.refusal for finding in self.findings) else None

    def __str__(self) -> str:
        from advisor.report import to_text

        return to_text(self.examination)

    def _repr_html_(self) -> str:
        from advisor.report import to_short_html

        return to_short_html(self.examination)

    def _sample(self) -> Any:
        data = self.examination.facts.data
        if data is not None and data.batches:
            return keras.tree.map_structure(lambda array: array[:2], data.batches[0][0])
        return sample_inputs(self.structure, batch_size=2, seed=self._look.seed)


def _batches_alike(data: DataFacts | None) -> Iterator[Any] | None:
    """The batches that were looked at, as far as their samples have the shape of the first one's; None without any."""
    if data is None or not data.batches:
        return None

    def shapes(batch: Any) -> list[tuple[int, ...]]:
        return [np.shape(array)[1:] for array in keras.tree.flatten(batch)]

    return (batch for batch in data.batches if shapes(batch) == shapes(data.batches[0]))


def _permission(
    safety: str | Sequence[str] | None,
    select: str | Iterable[str] | None,
    ignore: str | Iterable[str] | None,
    trained: str | None,
) -> Callable[[Finding], str | None]:
    wanted = SAFETIES if safety is None else as_codes(safety)
    unknown = set(wanted) - set(SAFETIES)
    if unknown or not wanted:
        raise ValueError(f"`safety` must be None or among {', '.join(SAFETIES)}. Received: safety={safety!r}")
    codes = {rule.code for rule in select_rules(select, ignore)}

    def allowed(finding: Finding) -> str | None:
        assert finding.fix is not None
        if finding.code not in codes:
            return "not selected"
        if finding.fix.safety not in wanted:
            return f"its fix is `{finding.fix.safety}`, and only {', '.join(wanted)} fixes were asked for"
        if safety is None and trained is not None and finding.fix.safety == "retrain":
            return f"the model looks trained ({trained}); ask for it with safety='retrain'"
        return None

    return allowed
