"""The training curve of either kind of model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pyxem_mlmaps._layout import FigSize, log_tick_values, page_style, split_figsize
from pyxem_mlmaps._panels import CURVES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_training"]

_NEEDED = ("step", "learning_rate", "error_tilt_x", "error_tilt_y", "error_thickness")
_ONE_SIGMA = 0.683
_UNITS = {"coarse": "radii", "edge": "strip half widths", "fine edge": "strip half widths"}


@page_style
def plot_training(
    history: Mapping[str, Sequence[float]] | Sequence[Mapping[str, Any]] | Any,
    figsize: FigSize = None,
) -> Figure:
    """Draw how the errors fell during training.

    Parameters
    ----------
    history
        An ``OrientationModel`` or a ``DiskModel``, or what stands in ``card.training["history"]``:
        lists ``step``, ``learning_rate`` and the root-mean-square validation errors
        ``error_tilt_x``, ``error_tilt_y`` (degrees) and ``error_thickness`` (nm); for a disk model
        a list of rounds with ``stage``, ``round`` and their errors.
    figsize
        Width and height in inches, or the width alone.

    Returns
    -------
    figure
        Tilt, thickness and learning rate on logarithmic scales. For a disk model the median error
        of a position coordinate, how many errors lie within σ, and how many windows are rightly
        told to hold a disk or none, a curve for each network of the chain.

    Raises
    ------
    ValueError
        If the model's card holds no history, or a list is missing.

    Examples
    --------
    >>> from pyxem_mlmaps.plotting import plot_training
    >>> history = {"step": [1, 10, 100], "learning_rate": [1e-3, 1e-3, 1e-4]}
    >>> errors = {"error_tilt_x": [0.1, 0.01, 2e-3], "error_tilt_y": [0.1, 0.02, 2e-3]}
    >>> figure = plot_training({**history, **errors, "error_thickness": [5, 1, 0.2]})
    """
    card = getattr(history, "card", None)
    if card is not None:
        history = card.training.get("history")
    if not history:
        raise ValueError(
            "history: this model keeps no training history. Give one that was trained with "
            "train_orientation_model or train_disk_model."
        )
    if isinstance(history, Mapping):
        return _tilt_curves(history, figsize)
    return _disk_curves(history, figsize)


def _tilt_curves(history: Mapping[str, Sequence[float]], figsize: FigSize) -> Figure:
    missing = [name for name in _NEEDED if name not in history]
    if missing:
        raise ValueError(f"history: {missing} missing, it must hold the lists {list(_NEEDED)}.")
    figure, axes = _three_panels(figsize)
    step = np.asarray(history["step"], dtype=float)
    panels = (
        ("RMS tilt error (°)", {"error_tilt_x": "tilt x", "error_tilt_y": "tilt y"}),
        ("RMS thickness error (nm)", {"error_thickness": "thickness"}),
        ("Learning rate", {"learning_rate": "learning rate"}),
    )
    for ax, (title, curves) in zip(axes, panels, strict=True):
        for (name, label), colour in zip(curves.items(), CURVES, strict=False):
            values = np.asarray(history[name], dtype=float)
            ax.plot(step, values, label=label, color=colour, marker=".", markersize=4)
        _dress(ax, title, "Step", step)
        ax.set_yscale("log")
        _plain_numbers(ax)
        if len(curves) > 1:
            ax.legend(frameon=False, fontsize="small")
    return figure


def _disk_curves(history: Sequence[Mapping[str, Any]], figsize: FigSize) -> Figure:
    figure, axes = _three_panels(figsize)
    stages = list(dict.fromkeys(str(row["stage"]) for row in history))
    all_rounds = np.array([row["round"] for row in history], dtype=float)
    error_name = "median" if any("median" in row for row in history) else "rms"
    panels = (
        (f"{error_name.upper() if error_name == 'rms' else 'Median'} error", error_name, 1.0),
        ("Errors within σ (%)", "within", 100.0),
        ("Disk or none, rightly told (%)", "presence", 100.0),
    )
    for ax, (title, name, factor) in zip(axes, panels, strict=True):
        for stage, colour in zip(stages, CURVES, strict=False):
            rows = [row for row in history if row["stage"] == stage and name in row]
            if not rows:
                continue
            unit = f" ({_UNITS.get(stage, 'radii')})" if name == error_name else ""
            rounds, values = [r["round"] for r in rows], [factor * r[name] for r in rows]
            style = {"color": colour, "marker": ".", "markersize": 4 if len(rows) < 30 else 0}
            ax.plot(rounds, values, label=f"{stage}{unit}", **style)
        _dress(ax, title, "Round", all_rounds)
        if not ax.lines:
            ax.remove()
        elif name == error_name:
            ax.set_yscale("log")
            _plain_numbers(ax)
            ax.legend(frameon=False, fontsize="small")
        elif name == "within":
            ax.axhline(100 * _ONE_SIGMA, color="0.4", linestyle="--", linewidth=0.8)
    return figure


def _three_panels(figsize: FigSize) -> tuple[Figure, list[Axes]]:
    """Beside each other where each has 2 inches, else one below the other."""
    import matplotlib.pyplot as plt

    width, height = split_figsize(10.0 if figsize is None else figsize)
    rows, columns = (1, 3) if width >= 6 else (3, 1)
    if height is None:
        height = min(3.2, 0.35 * width) if rows == 1 else 1.5 * width
    figure, grid = plt.subplots(
        rows, columns, figsize=(width, height), squeeze=False, layout="constrained"
    )
    return figure, list(grid.flat)


def _dress(ax: Axes, title: str, label: str, x: np.ndarray) -> None:
    ax.set_title(title, fontsize="medium")
    ax.set_xlabel(label)
    ax.tick_params(labelsize="small")
    if x.size and x.min() > 0 and x.max() > 10 * x.min():
        ax.set_xscale("log")
    ax.grid(which="major", alpha=0.3)


def _plain_numbers(ax: Axes) -> None:
    """0.02 instead of a power of ten on a logarithmic scale."""
    low, high = ax.get_ylim()
    ticks = log_tick_values(low, high)
    ax.set_yticks(ticks, labels=[f"{tick:g}" for tick in ticks])
    ax.minorticks_off()
