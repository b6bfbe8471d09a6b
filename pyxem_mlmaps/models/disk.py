"""The disk model: images of diffraction disks in, positions, their σ and a misfit out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pyxem_mlmaps.models.disk_calibration import calibrated
from pyxem_mlmaps.models.disk_card import CALIBRATIONS, DiskCard
from pyxem_mlmaps.models.disk_chain import ChainResult, DiskChain, Targets
from pyxem_mlmaps.models.published import PublishedNetwork
from pyxem_mlmaps.models.self_test import SelfTest
from pyxem_mlmaps.models.shareable import Shareable
from pyxem_mlmaps.training.disk_conditions import DiskConditions

__all__ = ["DiskModel", "DiskOptics", "DiskPrediction"]

Float = NDArray[np.floating]

MEASURED_ON = 48
"""Images of a call that radius and edge are measured on."""
LARGEST_SIGMA = 0.5
"""Radii. A disk known no better than this was not found: its misfit is raised above 1."""


class DiskOptics(NamedTuple):
    """What all disks of an instrument share: radius and standard deviation of the edge, px.

    An edge of 0 means that it could not be measured, and the radius is the one assumed.
    """

    radius: float
    edge: float


class DiskPrediction(NamedTuple):
    """What a model says of n disks: arrays (n,), NaN where there is no answer. Lengths in px.

    ``misfit`` is 1 for the worst 0.5 % of disks like those it was trained on: above 1, do not
    trust the position. ``presence`` is the probability that there is a disk at all.
    """

    y: Float
    x: Float
    sigma_y: Float
    sigma_x: Float
    misfit: Float
    presence: Float


@dataclass(frozen=True, eq=False, repr=False)
class DiskModel(Shareable):
    """Trained networks that locate diffraction disks, and their card.

    ``pyxem_mlmaps.load_model("disks")`` gives the one that ships with the package;
    :func:`pyxem_mlmaps.train_disk_model` trains another, or this one further.

    Parameters
    ----------
    network
        A :class:`DiskChain`, or a :class:`PublishedNetwork`.
    card
        What the model is.
    self_test
        What a model that was loaded from a file must answer to a fixed input; see
        :func:`pyxem_mlmaps.check_model`. None: never saved, or changed since.

    Examples
    --------
    >>> import numpy as np, pyxem_mlmaps as mlmaps
    >>> model = mlmaps.load_model("disks")
    >>> y, x = np.indices((61, 61)) - 30
    >>> disk = 50 * np.clip(15.5 - np.hypot(y - 1.2, x + 2.7), 0, 1)
    >>> found = model.predict(disk[None], radius=15)
    >>> bool(abs(found.y[0] - 1.2) < 0.1 and abs(found.x[0] + 2.7) < 0.1)
    True
    """

    network: DiskChain | PublishedNetwork
    card: DiskCard
    self_test: SelfTest | None = None

    @property
    def conditions(self) -> DiskConditions:
        """What it was trained under."""
        return DiskConditions.from_dict(self.card.conditions)

    @property
    def radius_range(self) -> tuple[float, float]:
        """Smallest and largest disk radius, px."""
        return self.conditions.radius

    def predict(
        self,
        sub_images: ArrayLike,
        radius: ArrayLike,
        edge: float | None = None,
        g_vectors: ArrayLike | None = None,
    ) -> DiskPrediction:
        """Positions of disks, one in each sub-image.

        Parameters
        ----------
        sub_images
            (n, h, w), or one (h, w): counts in any scale, at least 1.2 disk radii on each side of
            the middle. Other disks may look in.
        radius
            Disk radius in px, one or (n,); it need be known to about a pixel.
        edge
            Standard deviation of the blurred edge of the disks, px, where it and the radius are
            known well. None measures both on the images of this call, which come from one
            instrument where one ``radius`` is given; 0 leaves them open, so that the answer for
            one image does not depend on the others.
        g_vectors
            (n, 2) place of each disk from the direct beam, (y, x) px, as far as it is known: the
            contrast varies along it more than across it. None, or NaN: not known.

        Returns
        -------
        DiskPrediction
            y and x from the centre pixel ((h - 1) / 2, (w - 1) / 2). NaN where pixels within about
            1.75 radii of it are not finite.

        Raises
        ------
        TypeError, ValueError
            For complex data, images of another shape, or a radius that the model does not cover.
        """
        data = np.asarray(sub_images)
        if np.iscomplexobj(data):
            raise TypeError("sub_images are complex; give intensities (real counts).")
        if data.ndim == 2:
            data = data[None]
        if data.ndim != 3 or min(data.shape[1:]) < 3:
            raise ValueError(
                f"sub_images have shape {np.shape(sub_images)}; (n, h, w) with h and w of at "
                "least 3 px are needed."
            )
        n, height, width = data.shape
        radii = _one_each("radius", radius, n)
        middle = np.array([(height - 1) / 2, (width - 1) / 2])
        smallest = float(middle.min())
        if n and smallest < 1.2 * radii.max():
            raise ValueError(
                f"sub_images of {height} × {width} px are too small for radius="
                f"{radii.max():g} px: at least {2 * 1.2 * radii.max():.0f} px are needed, "
                "better 4 radii."
            )
        places, window = np.tile(middle, (n, 1)), float(middle.max())
        if g_vectors is not None:
            g_vectors = _checked_places(g_vectors, n)
        if edge is None:
            edge = 0.0
            if np.ndim(radius) == 0 and n:
                some = np.unique(np.linspace(0, n - 1, min(n, MEASURED_ON)).astype(int))
                known = None if g_vectors is None else g_vectors[some]
                radius, edge = self.measure_optics(
                    data[some], np.arange(len(some)), places[some], float(radius), window, known
                )
                radii = np.full(n, radius)
        found = self.locate(data, np.arange(n), places, radii, window, edge, g_vectors)
        return found._replace(y=found.y - middle[0], x=found.x - middle[1])

    def locate(
        self,
        patterns: ArrayLike,
        pattern_of: ArrayLike,
        centres: ArrayLike,
        radius: ArrayLike,
        half_window: float,
        edge: ArrayLike = 0.0,
        g_vectors: ArrayLike | None = None,
        near: NDArray[np.bool_] | None = None,
    ) -> DiskPrediction:
        """Positions of many disks in whole patterns, read in place.

        Parameters
        ----------
        patterns
            (n, ky, kx).
        pattern_of
            (m,) which pattern a disk belongs to.
        centres
            (m, 2) where it is expected, (y, x) px; it may be up to 0.45 radii off.
        radius
            px, one or (m,).
        half_window
            Pixels farther than this from the expected centre, on either axis, are not looked at.
        edge
            Standard deviation of the disks' blurred edge, px, one or (m,), where it and the
            radius are known well (:meth:`measure_optics`); 0: not known.
        g_vectors
            (m, 2) place of each disk from the direct beam, as in :meth:`predict`.
        near
            (m,) which disks are within 0.05 radii or so of ``centres``: only their edges are read,
            in half the time. None: nothing is known.

        Returns
        -------
        DiskPrediction
            y and x in px of the pattern.

        Raises
        ------
        ValueError
            If the model does not cover the radius.
        """
        centres = np.ascontiguousarray(centres, dtype=np.float64).reshape(-1, 2)
        patterns, targets, usable = self._targets(
            patterns, pattern_of, centres, radius, half_window, edge, g_vectors
        )
        return self._prediction(self._read(patterns, targets, near), targets, usable)

    @property
    def takes_near(self) -> bool:
        """Whether disks whose place is nearly known cost less."""
        return isinstance(self.network, DiskChain)

    def measure_optics(
        self,
        patterns: ArrayLike,
        pattern_of: ArrayLike,
        centres: ArrayLike,
        radius: float,
        half_window: float,
        g_vectors: ArrayLike | None = None,
        near: NDArray[np.bool_] | None = None,
    ) -> DiskOptics:
        """Radius and edge that many disks of one instrument share.

        Every disk says what it knows of the two; the weighted mean of what agrees is far better
        known than from any one of them, and tells edge from contrast in all of them.

        Parameters
        ----------
        patterns, pattern_of, centres, radius, half_window, g_vectors, near
            As in :meth:`locate`; some hundred bright disks are enough.

        Returns
        -------
        DiskOptics
            With the edge 0 and the given radius where the disks do not agree, or know too little.
        """
        patterns, targets, usable = self._targets(
            patterns, pattern_of, centres, radius, half_window, 0.0, g_vectors
        )
        result = self._read(patterns, targets, near)
        found = self._prediction(result, targets, usable)
        sigma = np.maximum(found.sigma_y, found.sigma_x)
        with np.errstate(invalid="ignore"):
            good = (found.presence > 0.5) & (found.misfit < 1.5) & (sigma < 0.1 * targets.radius)
        good &= result.edge_precision > 0
        growth = shared_mean(
            result.growth[good], result.covariance[good, 2, 2], 0.01 * radius + 0.1
        )
        blur = shared_mean(result.log_edge[good], 1 / result.edge_precision[good], 0.25)
        unknown = DiskOptics(float(radius), 0.0)
        if growth is None or blur is None:
            return unknown
        if growth[1] > 0.015 + 0.0015 * radius or blur[1] > 0.04:  # as exact as training tells it
            return unknown
        measured = float(radius) + growth[0]
        low, high = self.radius_range
        if not 0.95 * low <= measured <= 1.05 * high:
            return unknown
        return DiskOptics(measured, float(np.exp(blur[0])))

    def to_keras(self) -> Any:
        """The networks as one ``keras.Model``, on scaled features."""
        return self.network.to_keras()

    def _read(
        self,
        patterns: NDArray[np.float32],
        targets: Targets,
        near: NDArray[np.bool_] | None,
    ) -> ChainResult:
        if near is None or not self.takes_near:
            return self.network(patterns, targets)
        return self.network(patterns, targets, near)

    def _check_radius(self, radii: Float) -> None:
        low, high = self.radius_range
        if len(radii) and not (0.95 * low <= radii.min() and radii.max() <= 1.05 * high):
            far = radii.min() if not 0.95 * low <= radii.min() else radii.max()
            raise ValueError(
                f"radius={far:g} px is not covered by this model ({low:g} to {high:g} px). Rebin "
                "the patterns if disks are larger; if they are smaller, no model can place them "
                "well, but train_disk_model(conditions=DiskConditions(radius=...)) can try."
            )

    def _targets(
        self,
        patterns: ArrayLike,
        pattern_of: ArrayLike,
        centres: Float,
        radius: ArrayLike,
        half_window: float,
        edge: ArrayLike,
        g_vectors: ArrayLike | None,
    ) -> tuple[NDArray[np.float32], Targets, NDArray[np.bool_]]:
        """Native patterns, the targets, and which of them have a centre within the detector."""
        patterns = np.ascontiguousarray(patterns, dtype=np.float32)
        m = len(centres)
        radii, edges = _one_each("radius", radius, m), _one_each("edge", edge, m)
        if not np.all(edges >= 0):
            raise ValueError(f"edge={edge!r}: px, zero (not known) or more, is needed.")
        self._check_radius(radii)
        size = np.array(patterns.shape[1:])
        finite = np.isfinite(centres).all(axis=1)
        safe = np.where(finite[:, None], centres, 0.0)
        first = np.clip(np.ceil(safe - half_window), 0, size - 2).astype(np.int64)
        last = np.clip(np.floor(safe + half_window), first + 1, size - 1).astype(np.int64)
        inside = np.all((safe >= first - 0.5) & (safe <= last + 0.5), axis=1)
        box = np.stack([first[:, 0], last[:, 0], first[:, 1], last[:, 1]], axis=1)
        pattern_of = np.ascontiguousarray(pattern_of, dtype=np.int64)
        if pattern_of.shape != (m,):
            raise ValueError(
                f"pattern_of has shape {pattern_of.shape}; ({m},) is needed: for each centre the "
                "number of the pattern that it is looked for in."
            )
        strange = (pattern_of < 0) | (pattern_of >= len(patterns))
        if strange.any():
            raise ValueError(
                f"pattern_of holds {int(pattern_of[strange][0])}; 0 to {len(patterns) - 1} is "
                f"allowed for {len(patterns)} patterns."
            )
        g = np.full((m, 2), np.nan)
        if g_vectors is not None:
            g[:] = _checked_places(g_vectors, m)
        return patterns, Targets(pattern_of, safe, radii, edges, g, box), finite & inside

    def _prediction(
        self, result: ChainResult, targets: Targets, usable: NDArray[np.bool_]
    ) -> DiskPrediction:
        variance = result.covariance[:, [0, 1], [0, 1]]
        sigma = np.sqrt(np.maximum(variance, 1e-12))
        misfit = np.sqrt(result.chi_square)
        known, placed = targets.edge > 0, np.isfinite(targets.g).all(axis=1)
        entries = self.card.calibration
        for name, (optics, place) in CALIBRATIONS.items():
            rows = (known == optics) & (placed == place)
            entry = entries.get(name, entries.get("unknown"))
            if entry and rows.any():
                sigma[rows], misfit[rows] = calibrated(
                    entry, sigma[rows], misfit[rows], targets.radius[rows], targets.edge[rows]
                )
        lost = sigma.max(axis=1, initial=0) > LARGEST_SIGMA * targets.radius
        misfit = np.where(lost, np.maximum(misfit, 2.0), misfit)
        good = usable & result.valid
        columns = [*result.position.T, *sigma.T, misfit, result.presence]
        return DiskPrediction(*(np.where(good, c, np.nan) for c in columns))


def _one_each(name: str, values: ArrayLike, n: int) -> Float:
    """(n,) of one number or n."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise TypeError(f"{name}={values!r}: px, one number or ({n},), is needed.") from None
    if array.shape not in ((), (1,), (n,)):
        raise ValueError(f"{name} has shape {array.shape}; one number or ({n},) is needed.")
    return np.array(np.broadcast_to(array, (n,)))


def _checked_places(g_vectors: ArrayLike, m: int) -> Float:
    places = np.asarray(g_vectors, dtype=np.float64)
    if places.shape != (m, 2):
        raise ValueError(
            f"g_vectors has shape {places.shape}; ({m}, 2) is needed, (y, x) px from the direct "
            "beam for each disk."
        )
    return places


def shared_mean(
    values: Float, variance: Float, largest_spread: float
) -> tuple[float, float] | None:
    """Robust weighted mean of what several disks say of one number, and its σ.

    None where fewer than five say anything, or where they scatter by more than ``largest_spread``
    beyond what their variances explain: then it is not one number.
    """
    if len(values) < 5:
        return None
    spread = 0.0
    for _ in range(4):
        weight = 1 / (variance + spread**2 + 1e-12)
        mean = float(np.sum(weight * values) / np.sum(weight))
        for _ in range(5):  # Cauchy weights: a wrong disk says little
            robust = weight / (1 + (values - mean) ** 2 * weight / 9)
            mean = float(np.sum(robust * values) / np.sum(robust))
        ratio = np.median((values - mean) ** 2 * weight) / 0.455
        spread = float(np.sqrt(max(ratio - 1, 0) / np.median(weight) + spread**2))
    if spread > largest_spread:
        return None
    return mean, float(1 / np.sqrt(np.sum(robust)))
