"""Figures of this run beside those that were kept before: a table and a picture.

``python benchmarks/compare.py`` compares ``results/*.json`` with what is committed, and writes
``results/compared.md`` and ``results/compared.png``. ``run.py`` calls it at its end.
"""

from __future__ import annotations

import json
import math
import subprocess
from pathlib import Path

from common import RESULTS, ROOT

CHANGED = 1.1
"""Ratios beyond this are marked."""


def numbers(figures, name=""):
    """{name: value} of all numbers in nested dicts and lists."""
    if isinstance(figures, bool) or figures is None:
        return {}
    if isinstance(figures, (int, float)):
        return {name: float(figures)} if math.isfinite(figures) else {}
    if isinstance(figures, dict):
        items = figures.items()
    elif isinstance(figures, list):
        items = enumerate(figures)
    else:
        return {}
    found = {}
    for key, value in items:
        found |= numbers(value, f"{name} · {key}" if name else str(key))
    return found


def kept(path: Path) -> dict[str, float] | None:
    """The figures of the committed file, or None."""
    inside = path.relative_to(ROOT.parent).as_posix()
    found = subprocess.run(
        ["git", "show", f"HEAD:{inside}"], cwd=ROOT.parent, capture_output=True, text=True
    )
    return numbers(json.loads(found.stdout)["figures"]) if found.returncode == 0 else None


def compare() -> list[tuple[str, str, float | None, float]]:
    """(part, figure, before, now) of everything that was measured."""
    rows = []
    for path in sorted(RESULTS.glob("*.json")):
        before = kept(path) or {}
        for name, value in numbers(json.loads(path.read_text())["figures"]).items():
            rows.append((path.stem, name, before.get(name), value))
    return rows


def write(rows) -> list[tuple[str, float]]:
    """The table; returns name and ratio of what changed."""
    lines = ["| part | figure | before | now | ratio |", "|---|---|---|---|---|"]
    changed = []
    for part, name, before, now in rows:
        ratio = now / before if before else None
        mark = ""
        if ratio is not None and ratio > 0 and not 1 / CHANGED <= ratio <= CHANGED:
            mark = "**"
            changed.append((f"{part}: {name}", ratio))
        shown = "–" if ratio is None else f"{mark}{ratio:.2f}{mark}"
        old = "–" if before is None else f"{before:.4g}"
        lines.append(f"| {part} | {name} | {old} | {now:.4g} | {shown} |")
    (RESULTS / "compared.md").write_text("\n".join(lines) + "\n")
    return changed


def draw(changed) -> None:
    """Ratios of what changed, on a logarithmic axis."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    changed = sorted(changed, key=lambda pair: pair[1])
    figure, axes = plt.subplots(
        figsize=(9, 1.2 + 0.22 * max(len(changed), 1)), layout="constrained"
    )
    axes.axvspan(1 / CHANGED, CHANGED, color="0.9")
    axes.axvline(1, color="0.5", lw=1)
    axes.plot([ratio for _, ratio in changed], range(len(changed)), "o", color="C0")
    axes.set_yticks(range(len(changed)), [name for name, _ in changed], fontsize=7)
    axes.set(
        xscale="log",
        xlabel="now / before",
        title=f"Figures that changed by more than {CHANGED - 1:.0%}",
    )
    if not changed:
        axes.text(1, 0, "none", ha="center", va="center")
    figure.savefig(RESULTS / "compared.png", dpi=150)


if __name__ == "__main__":
    rows = compare()
    changed = write(rows)
    draw(changed)
    print(f"{len(rows)} figures, {len(changed)} changed by more than {CHANGED - 1:.0%}:")
    for name, ratio in changed:
        print(f"  {ratio:5.2f}  {name}")
