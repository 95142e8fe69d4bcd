"""Findings to a rewritten model: rounds of planning, rebuilding and verifying until nothing fixable is left."""

from __future__ import annotations

import difflib
import os
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from advisor.graph import ModelGraph, read_graph
from advisor.graph.keras_internals import variable_paths
from advisor.graph.source_code import by_hand, plain_arguments
from advisor.graph.stored_model import load_values
from advisor.progress import Say, silence
from advisor.rewrite.errors import RewriteError, UncopyableError
from advisor.rewrite.planner import merged_edits, plan_round
from advisor.rewrite.rebuild import Rebuilt, rebuild
from advisor.rewrite.saving import save_model
from advisor.rewrite.verify import difference_of, outputs_of, tolerance
from advisor.rewrite.weights import WeightOrigin
from advisor.rules import Finding

Examine = Callable[[Any], Sequence[Finding]]
"""Looks at a model again and returns its findings."""

MAX_ROUNDS = 12


@dataclass(frozen=True)
class Applied:
    """A fix that is in the rewritten model.

    Attributes:
        finding: What it mended.
        round: The rebuild it went into, counted from 1.
        difference: Relative difference of its round at inference; None for unverified fixes and those that change the
            function.
    """

    finding: Finding
    round: int
    difference: float | None = None


@dataclass(frozen=True)
class Skipped:
    """A fix that is not in the rewritten model, and why."""

    finding: Finding
    reason: str


@dataclass(frozen=True, eq=False)
class Rewrite:
    """The outcome of a rewrite.

    Attributes:
        structure: The rewritten model, its values perhaps still in a file; the original itself, with a warning, where
            it cannot even be copied.
        applied: Fixes that are in it, in order.
        skipped: Fixes that are not, with reasons.
        weight_map: Where each of its variables got its value, by variable path.
        parity: Largest relative difference at inference that a round of exact fixes made; None when unverified or when
            there were none.
        notes: What else to know about the model, a sentence each, such as a class that had to be given up.
    """

    original: Any = field(repr=False)
    structure: Any
    applied: tuple[Applied, ...]
    skipped: tuple[Skipped, ...]
    weight_map: Mapping[str, WeightOrigin] = field(repr=False)
    parity: float | None
    notes: tuple[str, ...] = ()

    @property
    def model(self) -> Any:
        """The rewritten model, in memory as a whole."""
        return load_values(self.structure)

    def save(self, path: str | os.PathLike[str], progress: Say = silence) -> None:
        """Write the rewritten model to a `.keras` file; what is still in another file is not taken into memory.

        Args:
            path: The file to write.
            progress: Called with a line of text, and with how much of the whole is written, 0 to 1, whenever something
                more has been done.

        Raises:
            OSError: If the file cannot be written.
        """
        save_model(self.structure, path, progress)

    @cached_property
    def diff(self) -> str:
        """The layers before and after, as a unified diff."""
        before, after = (layer_lines(read_graph(model)) for model in (self.original, self.structure))
        return "\n".join(difflib.unified_diff(before, after, "before", "after", lineterm="", n=2))


def layer_lines(graph: ModelGraph) -> list[str]:
    """One line per leaf: path, class, and the plain arguments that differ from their defaults."""
    return [
        f"{node.path}: {type(node.operation).__name__}({_arguments(node.operation) if node.is_layer else ''})"
        for node in graph.leaves()
    ]


def _arguments(layer: Any) -> str:
    try:
        arguments = plain_arguments(layer)
    except Exception:
        return "…"  # a hand-written layer that does not tell them
    return ", ".join(f"{name}={value!r}" for name, value in arguments.items())


def rewrite(
    model: Any,
    findings: Sequence[Finding],
    examine: Examine,
    *,
    allowed: Callable[[Finding], str | None],
    sample: Callable[[], Any] | None,
    say: Say = silence,
) -> Rewrite:
    """Apply the fixes of findings.

    Args:
        model: The model; it stays as it is.
        findings: What was found in it.
        examine: Looks at a rewritten model again.
        allowed: Says why a finding's fix must not be applied, or None where it may.
        sample: Makes inputs on which exact fixes are verified; None leaves verification out.
        say: Told what is being done.

    Returns:
        The rewritten model with what was done and what was not.
    """
    return _Rewriting(model, examine, allowed, sample, say).run(findings)


class _Rewriting:
    """The state of one rewrite while it goes through its rounds."""

    def __init__(
        self,
        model: Any,
        examine: Examine,
        allowed: Callable[[Finding], str | None],
        sample: Callable[[], Any] | None,
        say: Say,
    ) -> None:
        self._original = model
        self._current = model
        self._examine = examine
        self._allowed = allowed
        self._sample = sample
        self._say = say
        self._inputs: Any = None
        self._expected: Any = None
        self._applied: list[Applied] = []
        self._rolled_back: dict[tuple[str, tuple[str, ...]], Skipped] = {}
        self._done: set[tuple[str, tuple[str, ...], str]] = set()
        self._weight_maps: list[Mapping[str, WeightOrigin]] = []
        self._parity: float | None = None
        self._notes: list[str] = []
        self._round = 0

    def run(self, findings: Sequence[Finding]) -> Rewrite:
        while self._round < MAX_ROUNDS:
            candidates = [finding for finding in findings if self._is_candidate(finding)]
            if not candidates:
                break
            # Exact fixes first and alone, so that they are verified against a model nothing else has changed.
            exact = [finding for finding in candidates if finding.fix and finding.fix.safety == "exact"]
            self._round += 1
            self._say(f"Rewriting the model, round {self._round}: {_codes(exact or candidates)}")
            if self._apply_round(exact or candidates, verify=bool(exact)):
                self._say(f"Examining the model after round {self._round}")
                findings = self._examine(self._current)
        return Rewrite(
            original=self._original,
            structure=self._result(),
            applied=tuple(self._applied),
            skipped=tuple(self._left(findings)),
            weight_map=_composed(self._weight_maps),
            parity=self._parity,
            notes=tuple(self._notes),
        )

    def _is_candidate(self, finding: Finding) -> bool:
        if finding.fix is None or self._allowed(finding) is not None or _key(finding) in self._rolled_back:
            return False
        return (*_key(finding), finding.fix.title) not in self._done

    def _apply_round(self, candidates: Sequence[Finding], *, verify: bool) -> bool:
        """Apply what fits together and give up on what fails; whether the model is another one now."""
        verify = verify and self._sample is not None
        if verify:
            failure = self._compute_expected()
            if failure is not None:
                self._give_up(candidates, f"it could not be verified, since the model does not run: {failure}")
                return False
        graph = read_graph(self._current)
        plan = plan_round(candidates, graph)
        accepted, rebuilt, difference = self._largest_sound_part(graph, plan.accepted, verify)
        if rebuilt is None:
            return False
        self._current = rebuilt.model
        self._weight_maps.append(rebuilt.weight_map)
        self._notes.extend(rebuilt.notes)
        if difference is not None:
            self._parity = max(self._parity or 0.0, difference)
        for finding in accepted:
            assert finding.fix is not None
            self._applied.append(Applied(finding, self._round, difference))
            self._done.add((*_key(finding), finding.fix.title))
        return True

    def _compute_expected(self) -> str | None:
        """Run the model of this round on the inputs that its fixes are verified on; why it does not run, or None."""
        assert self._sample is not None
        try:
            if self._inputs is None:
                self._inputs = self._sample()
            self._expected = outputs_of(self._current, self._inputs)
        except Exception as error:
            # Layers the advisor has never seen may take other values than those drawn, or other hardware.
            return f"{error} Give `advise` data that it runs on, or use `rewrite(verify=False)`."
        return None

    def _give_up(self, findings: Iterable[Finding], reason: str) -> None:
        graph = read_graph(self._current)
        for finding in findings:
            assert finding.fix is not None
            code = by_hand(finding.fix.edits, graph)
            self._rolled_back[_key(finding)] = Skipped(finding, f"{reason} By hand: {code}")

    def _largest_sound_part(
        self, graph: ModelGraph, findings: Sequence[Finding], verify: bool
    ) -> tuple[Sequence[Finding], Rebuilt | None, float | None]:
        """Rebuild with all the fixes; where that fails, find the culprits by halving and leave them out."""
        if not findings:
            return (), None, None
        try:
            rebuilt, difference, reason = self._attempt(graph, findings, verify)
        except UncopyableError as error:
            # No part of the fixes would fare better.
            self._give_up(findings, str(error))
            return (), None, None
        if reason is None:
            return findings, rebuilt, difference
        if len(findings) == 1:
            self._give_up(findings, reason)
            return (), None, None
        middle = len(findings) // 2
        first, *_ = self._largest_sound_part(graph, findings[:middle], verify)
        second, *_ = self._largest_sound_part(graph, findings[middle:], verify)
        sound = [*first, *second]
        rebuilt, difference, reason = self._attempt(graph, sound, verify) if sound else (None, None, None)
        if reason is not None:
            # Sound apart but not together: the second half waits for the next round.
            return self._largest_sound_part(graph, first or second, verify)
        return sound, rebuilt, difference

    def _attempt(
        self, graph: ModelGraph, findings: Sequence[Finding], verify: bool
    ) -> tuple[Rebuilt | None, float | None, str | None]:
        try:
            rebuilt = rebuild(graph, merged_edits(findings))
            if not verify:
                return rebuilt, None, None
            difference = difference_of(self._expected, outputs_of(rebuilt.model, self._inputs))
        except UncopyableError:
            raise
        except RewriteError as error:
            return None, None, str(error)
        except Exception as error:
            # A rule's computation of weights may fail on a layer it has never seen; the other fixes must not suffer.
            return None, None, f"its fix failed: {type(error).__name__}: {error}."
        if difference > tolerance(self._current):
            reason = (
                f"rolled back: the outputs differ by {difference:.1e} relative to the largest, "
                f"more than {tolerance(self._current):.0e}."
            )
            return None, difference, reason
        return rebuilt, difference, None

    def _result(self) -> Any:
        if self._current is not self._original:
            return self._current
        try:
            rebuilt = rebuild(read_graph(self._original))
        except RewriteError as error:
            warnings.warn(f"{error} The model itself is returned, not a copy.", stacklevel=4)
            paths = variable_paths(self._original).values()
            self._weight_maps.append({path: WeightOrigin("kept", path) for path in paths})
            return self._original
        self._weight_maps.append(rebuilt.weight_map)
        return rebuilt.model

    def _left(self, findings: Sequence[Finding]) -> Iterable[Skipped]:
        for finding in findings:
            if finding.refusal is not None:
                yield Skipped(finding, finding.refusal)
            elif finding.fix is not None:
                rolled_back = self._rolled_back.get(_key(finding))
                reason = rolled_back.reason if rolled_back else self._allowed(finding)
                yield Skipped(finding, reason or self._unsettled(finding))

    def _unsettled(self, finding: Finding) -> str:
        assert finding.fix is not None
        if (*_key(finding), finding.fix.title) in self._done:
            return "its fix was applied before and did not settle it"
        return f"its turn did not come in {MAX_ROUNDS} rounds; apply the advice on the result again"


def _codes(findings: Iterable[Finding]) -> str:
    return ", ".join(sorted({finding.code for finding in findings}))


def _key(finding: Finding) -> tuple[str, tuple[str, ...]]:
    return finding.code, finding.layers


def _composed(maps: Sequence[Mapping[str, WeightOrigin]]) -> Mapping[str, WeightOrigin]:
    """Weight maps of one rebuild after the other as one, from the first model to the last."""
    if not maps:
        return {}
    composed = dict(maps[0])
    for following in maps[1:]:
        composed = {path: _through(composed, origin) for path, origin in following.items()}
    return composed


def _through(before: Mapping[str, WeightOrigin], origin: WeightOrigin) -> WeightOrigin:
    if origin.origin == "kept" and origin.source is not None and origin.source in before:
        return before[origin.source]
    return origin
