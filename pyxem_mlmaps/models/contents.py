"""What a model file holds beside its card: plain arrays, by name, checked before use."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps.models.card import ModelCard
from pyxem_mlmaps.models.disk import DiskModel
from pyxem_mlmaps.models.disk_card import DiskCard
from pyxem_mlmaps.models.disk_chain import DiskChain
from pyxem_mlmaps.models.orientation import OrientationModel
from pyxem_mlmaps.models.published import PublishedNetwork
from pyxem_mlmaps.simulation.spline import LibrarySpline
from pyxem_mlmaps.training.disk_network import (
    CoarseNetwork,
    StripNetwork,
    coarse_shapes,
    strip_shapes,
)
from pyxem_mlmaps.training.disk_published import published_shapes
from pyxem_mlmaps.training.network import Network

__all__ = ["assemble_disk", "assemble_orientation", "disk_arrays", "orientation_arrays"]

Arrays = dict[str, NDArray[Any]]
SCALINGS = ("input_mean", "input_scale", "output_mean", "output_scale")
CHAIN = ("coarse", "first", "last")


def orientation_arrays(model: OrientationModel) -> Arrays:
    """Everything of an orientation model but its card."""
    arrays = {
        "coefficients": model.spline.coefficients,
        "start": model.spline.start,
        "step": model.spline.step,
        "size": np.asarray(model.spline.size, dtype=np.int64),
    }
    arrays |= {name: getattr(model.network, name) for name in SCALINGS}
    for index, (kernel, bias) in enumerate(
        zip(model.network.kernels, model.network.biases, strict=True)
    ):
        arrays[f"kernel_{index}"], arrays[f"bias_{index}"] = kernel, bias
    return arrays


def assemble_orientation(card: ModelCard, arrays: Arrays) -> OrientationModel:
    """The inverse of :func:`orientation_arrays`.

    Raises
    ------
    ValueError
        If arrays are missing, not known, or do not fit the card.
    """
    n_layer = len(card.hidden) + 1
    needed = {"coefficients", "start", "step", "size", *SCALINGS}
    needed |= {f"{kind}_{i}" for kind in ("kernel", "bias") for i in range(n_layer)}
    _check_names(arrays, needed)
    network = Network(
        kernels=tuple(arrays[f"kernel_{i}"] for i in range(n_layer)),
        biases=tuple(arrays[f"bias_{i}"] for i in range(n_layer)),
        **{name: arrays[name] for name in SCALINGS},
    )
    if network.hidden != list(card.hidden):
        raise ValueError(f"the card states layers {card.hidden}, the file has {network.hidden}.")
    for name in ("start", "step", "size", "output_mean", "output_scale"):
        if arrays[name].shape != (3,):
            raise ValueError(f"{name} has shape {arrays[name].shape}, not (3,).")
    if network.input_scale.shape != network.input_mean.shape:
        raise ValueError("input_mean and input_scale are of different length.")
    spline = LibrarySpline(*(arrays[n] for n in ("coefficients", "start", "step", "size")))
    if spline.coefficients.ndim != 4 or not np.array_equal(
        np.asarray(spline.coefficients.shape[:3]), np.asarray(spline.size) + 2
    ):
        raise ValueError(
            f"the library's coefficients have shape {spline.coefficients.shape} for "
            f"{spline.size.tolist()} grid points."
        )
    return OrientationModel(network, spline, card)


def disk_arrays(model: DiskModel) -> Arrays:
    """Everything of a disk model but its card."""
    if isinstance(model.network, PublishedNetwork):
        return {f"published_{i}": w for i, w in enumerate(model.network.weights)}
    arrays = {}
    for name in CHAIN:
        part = getattr(model.network, name)
        arrays |= {f"{name}_{i}": w for i, w in enumerate(part.weights)}
        arrays |= {f"{name}_mean": part.mean, f"{name}_scale": part.scale}
    return arrays


def assemble_disk(card: DiskCard, arrays: Arrays) -> DiskModel:
    """The inverse of :func:`disk_arrays`.

    Raises
    ------
    ValueError
        If arrays are missing, not known, or not of the architecture's shapes.
    """
    if card.architecture == "yuan2021":
        names = [f"published_{i}" for i in range(len(published_shapes()))]
        _check_names(arrays, set(names))
        return DiskModel(PublishedNetwork(tuple(arrays[n] for n in names)), card)
    shapes = {"coarse": coarse_shapes(), **{part: strip_shapes(part) for part in CHAIN[1:]}}
    names = {part: [f"{part}_{i}" for i in range(len(s))] for part, s in shapes.items()}
    scalings = {f"{part}_{kind}" for part in CHAIN for kind in ("mean", "scale")}
    _check_names(arrays, scalings | {n for part in names.values() for n in part})
    networks = []
    for part in CHAIN:
        mean, scale = arrays[f"{part}_mean"], arrays[f"{part}_scale"]
        if not np.all(scale > 0):
            raise ValueError(f"{part}_scale is not positive throughout.")
        make = CoarseNetwork if part == "coarse" else StripNetwork
        networks.append(make(tuple(arrays[n] for n in names[part]), mean, scale))
    return DiskModel(DiskChain(*networks), card)


def _check_names(arrays: Arrays, needed: set[str]) -> None:
    missing, unknown = sorted(needed - set(arrays)), sorted(set(arrays) - needed)
    if missing or unknown:
        raise ValueError(
            f"it does not hold what its card says: missing {missing}, not known {unknown}."
        )
