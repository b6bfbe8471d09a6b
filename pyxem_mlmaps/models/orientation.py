"""The orientation model: disk intensities in, tilt, thickness, their σ and a misfit out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pyxem_mlmaps.models.card import ModelCard
from pyxem_mlmaps.models.refine import Fit, fit_patterns
from pyxem_mlmaps.models.search import CoarseSearch
from pyxem_mlmaps.simulation.spline import LibrarySpline
from pyxem_mlmaps.simulation.template import LatticeTemplate
from pyxem_mlmaps.specs import NoiseModel
from pyxem_mlmaps.training.network import Network, build_keras
from pyxem_mlmaps.training.samples import background_templates, normalise

__all__ = ["OrientationModel", "OrientationPrediction"]

Float = NDArray[np.floating]

SLACK = 0.5
"""Grid steps by which a fit may leave the library before it counts as held at the border."""
BORDER_MISFIT = 2.0


class OrientationPrediction(NamedTuple):
    """What a model says of n patterns: nine arrays of shape (n,), NaN where there is no answer.

    Tilts and their σ in degrees, thickness and its σ in nm. ``misfit`` is 1 for the worst 0.1 %
    of patterns that the library does explain: above 1, do not trust the point.
    """

    tilt_x: Float
    tilt_y: Float
    thickness: Float
    sigma_tilt_x: Float
    sigma_tilt_y: Float
    sigma_thickness: Float
    misfit: Float

    def stack(self) -> Float:
        """(n, 7) in the order of the fields."""
        return np.stack(self, axis=-1)


@dataclass(frozen=True, eq=False)
class OrientationModel:
    """A trained network, the library it was trained on, and its card.

    Made by :func:`pyxem_mlmaps.train_orientation_model` or :func:`pyxem_mlmaps.load_model`.

    Parameters
    ----------
    network
        The dense network.
    spline
        The interpolated library, mean disk 1; the refinement fits patterns to it.
    card
        What the model is.

    Examples
    --------
    >>> import numpy as np, pyxem_mlmaps as mlmaps
    >>> tilt = np.linspace(-0.1, 0.1, 6)
    >>> x, y = np.meshgrid(tilt, tilt, indexing="ij")
    >>> disks = np.stack([2 + np.sin(9 * x + 7 * n) + np.cos(11 * y - n) for n in range(8)], -1)
    >>> disks = disks[:, :, None] * np.linspace(1, np.arange(2, 10) / 3, 4)
    >>> indices = [(n // 4, n % 4) for n in range(8)]
    >>> library = mlmaps.RockingLibrary(disks, tilt, tilt, [50, 55, 60, 65], indices)
    >>> model = mlmaps.train_orientation_model(library, steps=64, show_progressbar=False)
    >>> model.predict(3000 * disks[2, 3, 1][None]).tilt_x.shape
    (1,)
    """

    network: Network
    spline: LibrarySpline
    card: ModelCard

    def __post_init__(self) -> None:
        n_disk = self.card.n_disk
        if len(self.network.input_mean) != n_disk or self.spline.coefficients.shape[3] != n_disk:
            raise ValueError(
                f"the card speaks of {n_disk} disks, the network takes "
                f"{len(self.network.input_mean)} and the library holds "
                f"{self.spline.coefficients.shape[3]}."
            )

    def __repr__(self) -> str:
        return str(self.card)

    def __reduce__(self) -> tuple[Any, tuple[bytes]]:
        """Pickled as card and arrays; see :mod:`pyxem_mlmaps.models.packed`."""
        from pyxem_mlmaps.models.packed import pack, unpack

        return unpack, (pack(self),)

    @property
    def indices(self) -> NDArray[np.int64]:
        """(n_disk, 2 or 3)."""
        return np.array(self.card.indices)

    @property
    def noise(self) -> NoiseModel:
        """The noise it was trained with."""
        return NoiseModel.from_dict(self.card.noise)

    @property
    def positions(self) -> Float:
        """(n_disk, 2) disk positions in any unit: vectors where known, else disk numbers."""
        return disk_positions(self.card.vectors, self.indices)

    def to_keras(self) -> Any:
        """The network as a ``keras.Model`` (scaled inputs and outputs)."""
        model = build_keras(self.card.n_disk, self.network.hidden)
        weights: list[NDArray] = []
        for kernel, bias in zip(self.network.kernels, self.network.biases, strict=True):
            weights += [kernel, bias]
        model.set_weights(weights)
        return model

    def lattice_template(self) -> LatticeTemplate:
        """What :meth:`DiskLattice.from_signal` needs to know of the crystal."""
        if self.card.vectors is None or self.card.mean_intensity is None:
            raise ValueError(
                "this model's library was made from arrays without reciprocal lattice vectors; "
                "call DiskLattice.from_signal without the model, or give the lattice."
            )
        return LatticeTemplate(
            indices=self.indices,
            vectors=np.array(self.card.vectors),
            mean_intensity=np.array(self.card.mean_intensity),
        )

    def predict(
        self, intensities: ArrayLike, refine: bool = True, batch_size: int = 4096
    ) -> OrientationPrediction:
        """Tilt and thickness of many patterns.

        Parameters
        ----------
        intensities
            (n, n_disk) disk intensities, in any positive scale, in the order of ``indices``.
            NaN marks a disk that was not measured. A pattern whose intensities do not sum to a
            positive number, or with fewer than half of its disks, gets NaN throughout.
        refine
            Whether the network's answer is the start of a fit to the interpolated library, which
            reaches the noise limit. False gives the bare network.
        batch_size
            Patterns held in memory at once.

        Returns
        -------
        OrientationPrediction

        Raises
        ------
        TypeError, ValueError
            For complex data or another number of disks than the model's.
        """
        data = np.asarray(intensities)
        if np.iscomplexobj(data):
            raise TypeError("intensities are complex; give disk intensities (real counts).")
        if data.ndim != 2 or data.shape[1] != self.card.n_disk:
            raise ValueError(
                f"intensities have shape {data.shape}; this model takes (n, {self.card.n_disk}), "
                "one column for each of its disks (model.indices)."
            )
        result = np.full((len(data), 7), np.nan)
        for first in range(0, len(data), batch_size):
            part = slice(first, first + batch_size)
            result[part] = self._predict_batch(np.asarray(data[part], dtype=float), refine)
        return OrientationPrediction(*result.T)

    def plot(self, **kwargs: Any) -> Any:
        """Draw the training curve; see :func:`pyxem_mlmaps.plotting.plot_training`."""
        from pyxem_mlmaps.plotting import plot_training

        return plot_training(self, **kwargs)

    def save(self, path: str | Path) -> None:
        """Write the model: weights, library, card. See :func:`pyxem_mlmaps.load_model`."""
        from pyxem_mlmaps.models.io import save_model

        save_model(self, Path(path))

    def _predict_batch(self, data: Float, refine: bool) -> Float:
        result = np.full((len(data), 7), np.nan)
        unit = normalise(data)
        enough = np.isfinite(unit).sum(axis=1) >= max(self.card.n_disk / 2, 1)
        usable = np.flatnonzero(enough)
        if not len(usable):
            return result
        unit = unit[usable]
        parameters, sigma = self.network(unit)
        stage = "refined" if refine else "bare"
        calibration = self.card.calibration.get(stage, {"sigma": [1, 1, 1], "misfit": 1.0})
        if self.card.thickness[0] == self.card.thickness[1]:
            parameters[:, 2] = self.card.thickness[0]
        start = (parameters - self.spline.start) / self.spline.step
        if refine:
            fit = self._fit_all(unit, start)
            parameters = fit.units * self.spline.step + self.spline.start
            level = self._noise_level(fit.chi_square, calibration)
            sigma = np.sqrt(fit.variance * level[:, None]) * self.spline.step
        else:
            fit = self._fit(unit, start, max_steps=0)
        misfit = np.sqrt(fit.chi_square) / calibration["misfit"]
        outside = (
            (start < -1) | (start > self.spline.size) if not refine else fit.at_border[:, None]
        )
        misfit = np.where(outside.any(axis=1), np.maximum(misfit, BORDER_MISFIT), misfit)
        sigma = sigma * np.array(calibration["sigma"])
        if self.card.thickness[0] == self.card.thickness[1]:
            sigma[:, 2] = np.nan
        result[usable] = np.column_stack([parameters, sigma, misfit])
        return result

    @cached_property
    def _fit_model(self) -> tuple[Float, Float, Float]:
        return fit_model(self.noise, self.positions)

    @cached_property
    def _search(self) -> CoarseSearch:
        return CoarseSearch.of(self.spline, self._fit_model[2])

    def _fit(self, unit: Float, start: Float, max_steps: int = 15) -> Fit:
        templates, precision, noise = self._fit_model
        return fit_patterns(
            unit, start, self.spline.coefficients, templates, precision, noise, SLACK, max_steps
        )

    def _fit_all(self, unit: Float, start: Float) -> Fit:
        """Fit from the network's answer; where that explains nothing, search the library."""
        fit = self._fit(unit, start)
        limit = self.card.calibration.get("search_above", np.inf)
        poor = np.flatnonzero(~(fit.chi_square <= limit) | fit.at_border)
        if not len(poor):
            return fit
        fields = [np.array(f) for f in fit]
        for other_start in self._search.starts(unit[poor]):
            other = self._fit(unit[poor], other_start)
            better = other.chi_square < fields[2][poor] * 0.999
            better &= ~other.at_border | fields[3][poor]
            for mine, theirs in zip(fields, other, strict=True):
                mine[poor[better]] = theirs[better]
        return Fit(*fields)

    def _noise_level(self, chi_square: Float, calibration: dict[str, Any]) -> Float:
        """Factor on the assumed noise variance: measured by the fit, within the noise model."""
        low, high = calibration.get("level", (1.0, 1.0))
        return np.maximum(np.clip(chi_square, low, high), chi_square / calibration["misfit"] ** 2)

    def with_card(self, **changes: Any) -> OrientationModel:
        """A copy with some fields of the card changed."""
        return replace(self, card=replace(self.card, **changes))


def disk_positions(vectors: ArrayLike | None, indices: ArrayLike) -> Float:
    """(n_disk, 2) positions for background forms and neighbours."""
    if vectors is not None:
        return np.asarray(vectors, dtype=float)
    indices = np.asarray(indices, dtype=float)
    if indices.shape[1] == 2:
        return indices
    _, _, axes = np.linalg.svd(indices - indices.mean(axis=0), full_matrices=False)
    return indices @ axes[:2].T


def fit_model(noise: NoiseModel, positions: Float) -> tuple[Float, Float, Float]:
    """Background templates, precision of their amplitudes, and (poisson, white, model error).

    In units of the mean disk. A range of noise stands for its geometric (model error: arithmetic)
    mean; the fit's own χ² then tells the level of each pattern.
    """
    n_disk = len(positions)
    poisson = 0.0
    if noise.dose is not None:
        poisson = n_disk / float(np.sqrt(noise.dose[0] * noise.dose[1]))
    white = float(np.sqrt(noise.white[0] * noise.white[1]))
    error = float(np.mean(noise.model_error))
    floor = 1e-4  # keeps the weights finite for a noise-free model
    values = np.array([poisson, max(white, floor), error])
    if noise.background[1] == 0:
        return np.zeros((0, n_disk)), np.zeros(0), values
    templates = background_templates(positions)
    amplitude = np.full(len(templates), 0.5 * noise.background[1])
    return templates, amplitude**-2.0, values
