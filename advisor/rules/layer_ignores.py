"""Rules that a user does not want to hear of at some layers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from advisor.graph import ModelGraph
from advisor.graph.source_code import by_hand
from advisor.rules.finding import Finding
from advisor.rules.registry import as_codes, matching_codes


@dataclass(frozen=True)
class LayerIgnores:
    """Which rules are silent at which layers.

    Attributes:
        codes: Codes of rules by the pattern of the paths they are silent at; `*` and `?` are wildcards, and `*` crosses
            the slashes between nested models.

    Example:
    >>> ignores = layer_ignores({"backbone/*": "N102"})
    >>> ignores.covers("N102", "backbone/block1/norm"), ignores.covers("N102", "head_norm")
    (True, False)
    """

    codes: tuple[tuple[str, frozenset[str]], ...] = ()

    def covers(self, code: str, path: str) -> bool:
        """Whether the rule is silent at the layer."""
        return any(code in codes and fnmatchcase(path, pattern) for pattern, codes in self.codes)

    def divide(self, findings: Iterable[Finding], graph: ModelGraph) -> tuple[list[Finding], list[Finding]]:
        """The findings to report, and those ignored.

        A finding is ignored when the rule is silent at all its layers. Where it is so at some of them only, the finding
        stays, and its fix, which would change them too, is refused.

        Args:
            findings: What the rules found.
            graph: Graph of the model they are about.

        Returns:
            Both, in order.
        """
        kept: list[Finding] = []
        ignored: list[Finding] = []
        for finding in findings:
            silent = [path for path in finding.layers if self.covers(finding.code, path)]
            if silent and len(silent) == len(finding.layers):
                ignored.append(finding)
            else:
                kept.append(_refused(finding, silent, graph) if silent and finding.fix else finding)
        return kept, ignored


NOTHING_IGNORED = LayerIgnores()


def layer_ignores(patterns: Mapping[str, str | Sequence[str]] | None) -> LayerIgnores:
    """Layer ignores as a user writes them.

    Args:
        patterns: Codes or prefixes of codes by the pattern of paths, such as `{"backbone/*": "N102,D"}`; None for none.

    Returns:
        The ignores.

    Raises:
        TypeError: If it is no mapping of strings.
        ValueError: If a code matches no rule, or a pattern is empty.
    """
    if patterns is None:
        return NOTHING_IGNORED
    if not isinstance(patterns, Mapping) or not all(isinstance(pattern, str) for pattern in patterns):
        raise TypeError(
            "`per_layer_ignores` must map patterns of layer paths to codes, like {'backbone/*': 'N102'}. "
            f"Received: per_layer_ignores={patterns!r}"
        )
    if not all(patterns):
        raise ValueError(f"a pattern of `per_layer_ignores` must name a layer, or be '*'. Received: {patterns!r}")
    return LayerIgnores(
        tuple((pattern, frozenset(matching_codes(as_codes(codes)))) for pattern, codes in patterns.items())
    )


def _refused(finding: Finding, silent: Sequence[str], graph: ModelGraph) -> Finding:
    assert finding.fix is not None
    names = ", ".join(f"`{path}`" for path in silent)
    code = by_hand(finding.fix.edits, graph)
    reason = f"{finding.code} is ignored at {names}, which its fix would change. By hand: {code}"
    return replace(finding, fix=None, refusal=reason)
