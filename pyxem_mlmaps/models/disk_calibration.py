"""What a disk network says of its own uncertainty, corrected by disks that training never saw."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["calibrated", "check_calibration", "fit_calibration"]

Float = NDArray[np.floating]

ONE_SIGMA = 0.6827
MISFIT_QUANTILE = 0.995
BINS = {"sigma": 12, "misfit": 8, "radius": 6, "edge": 6}
"""What a disk's σ is corrected by, one after the other, and into how many parts each is cut: its
own logarithm, that of the raw misfit, of the radius, and of the edge's blur over the radius."""
PASSES = 3
"""Each correction is fitted to what the others leave."""


def fit_calibration(
    error: Float, sigma: Float, misfit: Float, radius: Float, edge: Float
) -> dict[str, Any]:
    """Factors on σ that bring 68 % of the errors within it, and the misfit that few exceed.

    Parameters
    ----------
    error, sigma
        (n, 2) in y and x, px.
    misfit
        (n,) raw.
    radius, edge
        (n,) as told to the network, px; edge 0 where it is not known.

    Returns
    -------
    dict
        ``factors``: tables ``by`` a key of :data:`BINS`, ascending ``nodes`` and a ``factor`` at
        each; ``misfit``: ``nodes`` of log σ and the ``limit`` that 99.5 % stay below. Empty
        without disks.
    """
    if len(error) == 0:
        return {}
    left = np.abs(error) / sigma
    known = _covariates(sigma, misfit, radius, edge)
    parts = {name: _parts(known[name], count) for name, count in BINS.items()}
    middles = {name: [np.median(known[name][part]) for part in parts[name]] for name in BINS}
    tables = {name: (np.unique(middles[name]), 1.0) for name in BINS}
    for _ in range(PASSES):
        for name, (nodes, factor) in tables.items():
            step = [max(np.quantile(left[part], ONE_SIGMA), 1e-3) for part in parts[name]]
            step = np.interp(nodes, middles[name], step) if len(nodes) > 1 else np.ones(1)
            tables[name] = (nodes, factor * step)
            left = left / np.interp(known[name], nodes, step)
    overall = max(float(np.quantile(left, ONE_SIGMA)), 1e-3)
    factors = [
        {"by": name, "nodes": nodes.tolist(), "factor": factor.tolist()}
        for name, (nodes, factor) in tables.items()
        if len(nodes) > 1 or name == "sigma"
    ]
    factors[0]["factor"] = [f * overall for f in factors[0]["factor"]]
    log_sigma = known["sigma"].mean(axis=1)
    limits = {}
    for part in _parts(log_sigma, BINS["sigma"]):
        limits[float(np.median(log_sigma[part]))] = float(
            max(np.quantile(misfit[part], MISFIT_QUANTILE), 1e-6)
        )
    return {
        "factors": factors,
        "misfit": {"nodes": list(limits), "limit": list(limits.values())},
    }


def calibrated(
    entry: dict[str, Any], sigma: Float, misfit: Float, radius: Float, edge: Float
) -> tuple[Float, Float]:
    """σ (n, 2) and misfit (n,) as :func:`fit_calibration` corrects them."""
    known = _covariates(sigma, misfit, radius, edge)
    limit = np.interp(
        known["sigma"].mean(axis=1), entry["misfit"]["nodes"], entry["misfit"]["limit"]
    )
    corrected = sigma
    for table in entry["factors"]:
        corrected = corrected * np.interp(known[table["by"]], table["nodes"], table["factor"])
    return corrected, misfit / limit


def check_calibration(entry: Any) -> None:
    """Raise unless ``entry`` is what :func:`fit_calibration` returns.

    Raises
    ------
    ValueError
        Saying what is missing: an entry from a foreign file never reaches the model.
    """
    if entry == {}:
        return
    if not isinstance(entry, dict) or set(entry) != {"factors", "misfit"}:
        raise ValueError("calibration needs the entries 'factors' and 'misfit'.")
    if not isinstance(entry["factors"], list):
        raise ValueError("calibration: factors must be a list of tables.")
    for table in entry["factors"]:
        if not isinstance(table, dict) or table.get("by") not in BINS:
            raise ValueError(f"calibration: a table of factors must be by one of {tuple(BINS)}.")
        _check_table(table, "factor")
    _check_table(entry["misfit"], "limit")


def _check_table(table: Any, name: str) -> None:
    if not isinstance(table, dict):
        raise ValueError(f"calibration: a table needs 'nodes' and {name!r}.")
    nodes, values = (np.asarray(table.get(key), dtype=float) for key in ("nodes", name))
    ok = nodes.ndim == 1 and nodes.shape == values.shape and len(nodes) > 0
    ok = ok and np.all(np.isfinite([nodes, values])) and np.all(np.diff(nodes) > 0)
    if not (ok and np.all(values > 0)):
        raise ValueError(f"calibration: nodes must ascend, with as many positive {name}s.")


def _covariates(sigma: Float, misfit: Float, radius: Float, edge: Float) -> dict[str, Float]:
    """(n, 2) of each key of :data:`BINS`."""

    def twice(values: Float) -> Float:
        return np.repeat(np.asarray(values, dtype=float)[:, None], 2, axis=1)

    blur = np.where(np.asarray(edge) > 0, edge, 1.0) / np.where(np.asarray(edge) > 0, radius, 1.0)
    return {
        "sigma": np.log(sigma),
        "misfit": twice(np.log(np.maximum(misfit, 1e-6))),
        "radius": twice(np.log(radius)),
        "edge": twice(np.log(blur)),
    }


def _parts(values: Float, count: int) -> list[Any]:
    """Index arrays of parts of equal size, ascending; none of a single value alone."""
    if values.size < 4 * count or np.ptp(values) == 0:
        return [np.unravel_index(np.arange(values.size), values.shape)] if values.size else []
    order = np.argsort(values, axis=None, kind="stable")
    return [np.unravel_index(part, values.shape) for part in np.array_split(order, count)]
