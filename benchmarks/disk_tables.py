"""Markdown tables of the disk figures."""

from __future__ import annotations

from typing import Any

A_COLUMNS = ("15 dB", "30 dB", "15-30 dB", "100", "1000", "10000", "100000", "no noise")
DOSES = ("100", "1000", "10000", "100000")


def print_tables(figures: dict[str, Any]) -> None:
    """Print whatever parts there are."""
    for part, show in (
        ("A", _geometry_a), ("radius", _misjudged), ("B", _geometry_b), ("lines", _lines),
        ("crystals", _crystals), ("time", _time),
    ):  # fmt: skip
        if part in figures:
            show(figures[part], figures.get("bound", {}))
    if "A" not in figures and "bound" in figures:
        _bounds(figures["bound"])
    rows = [[name, *values.values()] for name, values in figures["settings"].items()]
    _table("Settings", ("method", "A", "B", "weights of the lattice fit"), rows)
    for name, reason in figures["left out"].items():
        print(f"Left out: {name}: {reason}\n")


def _geometry_a(part: dict[str, Any], bound: dict[str, Any]) -> None:
    part = dict(part)
    contrast = part.pop("contrast 10/50/90 %")
    rows = _bound_row(bound.get("A"), A_COLUMNS, "rms")
    for name, values in part.items():
        rows.append([name, *(_with_failures(values.get(c)) for c in A_COLUMNS)])
    _table(
        "Geometry A: RMSE in px per axis of what did not fail (failures: none or > 3 px off)",
        ("method", *A_COLUMNS),
        rows,
    )
    print(f"Contrast std/mean within the disks, 10/50/90 %: {_numbers(contrast)}\n")
    rows = [
        [name, *(f"{v[c]['bias_y']:+.3f}, {v[c]['bias_x']:+.3f}" for c in A_COLUMNS if c in v)]
        for name, v in part.items()
    ]
    _table("Geometry A: mean error (y, x), px", ("method", *A_COLUMNS), rows)
    rows = [
        [name, *(f"{100 * v[c]['within']:.1f}" for c in A_COLUMNS[:-1])]
        for name, v in part.items()
        if "within" in v["1000"]
    ]
    if rows:
        _table("Geometry A: errors within 1σ, %", ("method", *A_COLUMNS[:-1]), rows)


def _misjudged(part: dict[str, Any], bound: dict[str, Any]) -> None:
    columns = ("R - 1", "R", "R + 1", "edge 0.5", "edge 1.6")
    known = bound.get("A")
    if known:
        known = {**{c: known["100000"] for c in columns[:3]}, **known}
    rows = _bound_row(known, columns, "rms")
    for name, values in part.items():
        worst = max(values[c]["all_rmse"] for c in columns) / values["R"]["all_rmse"]
        rows.append([name, *(_with_failures(values[c]) for c in columns), f"{worst:.2f}"])
    rows = [row if len(row) == len(columns) + 2 else [*row, ""] for row in rows]
    _table(
        "Geometry A at 10⁵ electrons, radius told wrong by 1 px, other edge widths (set: 1.0): px",
        ("method", *columns, "worst / R"),
        rows,
    )


def _geometry_b(part: dict[str, Any], bound: dict[str, Any]) -> None:
    rows = _bound_row(bound.get("B"), DOSES, "rms")
    for name, values in part.items():
        cells = [
            f"{v['sigma']:.3f}" + (f" (lost {100 * v['lost']:.0f} %)" if v["lost"] else "")
            for v in values.values()
        ]
        rows.append([name, *cells])
    _table("Geometry B: RMS error of e_xx, e_yy, e_xy, %", ("method", *DOSES), rows)


def _lines(part: dict[str, Any], _: dict[str, Any]) -> None:
    rows = []
    for name, values in part.items():
        cells = [
            f"{v['rms']:.3f} / {v['p-p']:.3f} / {v['largest p-p']:.3f}" for v in values.values()
        ]
        rows.append([name, *cells])
    _table(
        "False strain at constant lattice, noise-free, %: rms / p-p (means of the components) / "
        "largest p-p",
        ("method", "tilt 0 to 5 mrad", "thickness 30 to 100 nm"),
        rows,
    )


def _crystals(part: dict[str, Any], _: dict[str, Any]) -> None:
    for material, values in part.items():
        values = dict(values)
        contrast = values.pop("contrast 10/50/90 %")
        columns = list(next(iter(values.values())))
        rows = [
            [name, *(f"{v[c]:.3f}" if c in v else "" for c in columns)]
            for name, v in values.items()
        ]
        _table(f"{material}: A px, B %; contrast {_numbers(contrast)}", ("method", *columns), rows)


def _time(part: dict[str, Any], _: dict[str, Any]) -> None:
    rows = [
        [
            name,
            f"{1e3 * v['disk']:.3f}",
            f"{v['disk / Hough']:.3f}" if "disk / Hough" in v else "",
            f"{1e3 * v['pattern']:.1f}" if "pattern" in v else "",
            f"{1e3 * v['scan']:.1f}" if "scan" in v else "",
        ]
        for name, v in part.items()
    ]
    columns = ("method", "ms per disk (121 × 121)", "/ Hough", "ms per pattern (B)", "320 at once")
    _table("Time, one core", columns, rows)


def _bounds(bound: dict[str, Any]) -> None:
    for name, values in bound.items():
        rows = [[average, *(f"{v.get(average, float('nan')):.4f}" for v in values.values())]
                for average in ("rms", "median", "information")]  # fmt: skip
        _table(f"Bound {name}", ("average", *values), rows)


def _bound_row(bound: dict[str, Any] | None, columns: tuple[str, ...], key: str) -> list[list[str]]:
    if not bound:
        return []
    return [["Cramér-Rao bound", *(f"{bound[c][key]:.3f}" if c in bound else "" for c in columns)]]


def _with_failures(values: dict[str, float] | None) -> str:
    if values is None:
        return ""
    failed = f" ({100 * values['failures']:.2g} %)" if values["failures"] else ""
    return f"{values['rmse']:.3f}{failed}"


def _numbers(values: list[float]) -> str:
    return "/".join(f"{v:.2f}" for v in values)


def _table(title: str, columns: tuple[str, ...], rows: list[list[Any]]) -> None:
    print(f"### {title}\n")
    print("| " + " | ".join(columns) + " |")
    print("|" + "---|" * len(columns))
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |")
    print()
