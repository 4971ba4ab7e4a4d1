"""Results as a table and as JSON."""

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.peers import FLOOR, OURS, RELEASED
from benchmarks.rows.base import Group, Row

NOTHING = "–"
FAILED = "failed"


@dataclass
class Results:
    """Every figure of every repetition, by row and supervisor, and what went wrong."""

    figures: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    failures: dict[tuple[str, str], str] = field(default_factory=dict)

    def add(self, row: str, peer: str, figure: float) -> None:
        """Keep one figure."""
        self.figures.setdefault((row, peer), []).append(figure)

    def median(self, row: str, peer: str) -> float | None:
        """The median over the repetitions; None where nothing was measured."""
        figures = self.figures.get((row, peer))
        return statistics.median(figures) if figures else None


def rounded(figure: float) -> str:
    """A figure with the digits that it deserves."""
    if figure == 0 or abs(figure) >= 100:
        return f"{figure:,.0f}"
    return f"{figure:.3g}" if abs(figure) >= 0.001 else f"{figure:.1g}"


def _ratio(ours: float | None, other: float | None) -> str:
    return NOTHING if ours is None or not other else rounded(ours / other)


def _best(row: Row, peers: Sequence[str], results: Results) -> float | None:
    """The best figure of another supervisor; the floor is none."""
    figures = [results.median(row.key, peer) for peer in peers if peer not in (OURS, FLOOR)]
    known = [figure for figure in figures if figure is not None]
    if not known:
        return None
    return max(known) if row.higher else min(known)


def _cells(group: Group, row: Row, peers: Sequence[str], results: Results) -> list[str]:
    cells = [f"{row.title} [{row.unit}]" if row.unit else row.title, row.goal]
    for peer in peers:
        figure = results.median(row.key, peer)
        if figure is not None:
            cells.append(rounded(figure))
        else:
            cells.append(FAILED if (group.name, peer) in results.failures else NOTHING)
    ours = results.median(row.key, OURS)
    others = (results.median(row.key, RELEASED), _best(row, peers, results), results.median(row.key, FLOOR))
    return cells + [_ratio(ours, other) for other in others]


def table(groups: Sequence[Group], peers: Sequence[str], results: Results) -> str:
    """Medians and ratios, one line a row, and below it why cells are empty that should not be."""
    lines = [["what", "goal", *peers, "/circus", "/best", "/floor"]]
    lines += [_cells(group, row, peers, results) for group in groups for row in group.rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    text = []
    for line in lines:
        left = [cell.ljust(width) for cell, width in zip(line[:2], widths[:2], strict=True)]
        right = [cell.rjust(width) for cell, width in zip(line[2:], widths[2:], strict=True)]
        text.append("  ".join(left + right).rstrip())
    text.insert(1, "  ".join("-" * width for width in widths))
    text += [f"failed: {group}, {peer}: {reason}" for (group, peer), reason in results.failures.items()]
    return "\n".join(text)


def write_json(path: Path, heading: Sequence[str], results: Results) -> None:
    """All single figures, for whoever wants to compare two runs."""
    figures: dict[str, dict[str, list[float]]] = {}
    for (row, peer), values in results.figures.items():
        figures.setdefault(row, {})[peer] = values
    failures = [{"group": group, "peer": peer, "reason": why} for (group, peer), why in results.failures.items()]
    path.write_text(json.dumps({"about": list(heading), "figures": figures, "failures": failures}, indent=1) + "\n")
