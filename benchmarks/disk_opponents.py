"""Disk finders, this package's and other people's, behind one interface.

A method gets windows with one disk each, or whole patterns with the lattice that they are expected
on, and the disk radius; it answers with positions and, where it can, their σ.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, fields
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.special import erfc

import pyxem_mlmaps as mlmaps

Float = NDArray[np.floating]


class Positions(NamedTuple):
    """(..., 2) centres (y, x) in px, NaN where there is no answer, and their σ or None."""

    centres: Float
    sigma: Float | None = None


class Method(Protocol):
    """What finds disks."""

    def windows(self, images: Float, radius: float) -> Positions:
        """(n, h, w) windows -> (n, 2) from the centre pixel ((h-1)/2, (w-1)/2)."""

    def patterns(self, patterns: Float, lattice: mlmaps.DiskLattice) -> Positions:
        """(n, ky, kx) patterns -> (n, n_disk, 2) absolute, disks in the lattice's order."""


def settings(method: Any) -> str:
    """The settings of a method in words, for the table."""
    shown = [f"{f.name}={getattr(method, f.name)}" for f in fields(method)]
    return ", ".join(s for s in shown if not s.startswith("model="))


class InWindows:
    """Whole patterns by windows of 27 × 27 px round the expected positions (for 7 px disks)."""

    def patterns(self, patterns: Float, lattice: mlmaps.DiskLattice) -> Positions:
        half = int(np.ceil(lattice.radius)) + 6
        corners = np.round(lattice.positions).astype(int) - half
        size = np.arange(2 * half + 1)
        rows = corners[:, 0, None, None] + size[:, None]
        columns = corners[:, 1, None, None] + size
        images = np.asarray(patterns)[:, rows, columns]
        found = self.windows(images.reshape(-1, len(size), len(size)), lattice.radius)
        shape = (len(patterns), len(lattice), 2)
        sigma = None if found.sigma is None else found.sigma.reshape(shape)
        return Positions(found.centres.reshape(shape) + corners + half, sigma)


@dataclass(frozen=True)
class Package:
    """This package: ``predict`` on windows, ``ml_disk_positions`` on patterns, measuring radius
    and edge included."""

    model: Any

    def windows(self, images: Float, radius: float, edge: float | None = None) -> Positions:
        q = self.model.predict(images, radius=radius, edge=edge)
        return Positions(np.stack([q.y, q.x], -1), np.stack([q.sigma_y, q.sigma_x], -1))

    def patterns(self, patterns: Float, lattice: mlmaps.DiskLattice) -> Positions:
        from pyxem.signals import Diffraction2D

        signal = Diffraction2D(np.ascontiguousarray(patterns, dtype=np.float32))
        vectors = signal.ml_disk_positions(
            self.model, lattice, absent="nan", num_workers=1, show_progressbar=False
        )
        table = np.stack([np.asarray(rows, dtype=float) for rows in vectors.data.ravel()])
        return Positions(table[..., :2], table[..., 3:5])


@dataclass(frozen=True)
class CircularHough(InWindows):
    """scikit-image: Canny edges, ``hough_circle`` at the known radius, smoothed accumulator,
    parabola through its maximum, looked for within half of the window."""

    canny: float = 2.0
    quantiles: tuple[float, float] = (0.8, 0.9)
    smooth: float = 1.0
    radii: tuple[int, ...] = (0,)

    def windows(self, images: Float, radius: float) -> Positions:
        from skimage.feature import canny
        from skimage.transform import hough_circle

        low, high = self.quantiles
        radii = [round(radius) + d for d in self.radii]
        centre = (np.array(images.shape[1:]) - 1) / 2
        centres = np.full((len(images), 2), np.nan)
        for i, image in enumerate(images):
            edges = canny(
                image.astype(float), self.canny, low_threshold=low, high_threshold=high,
                use_quantiles=True,
            )  # fmt: skip
            votes = hough_circle(edges, radii).sum(axis=0)
            centres[i] = _peak(gaussian_filter(votes, self.smooth)) - centre
        return Positions(centres)


@dataclass(frozen=True)
class PhaseCorrelation(InWindows):
    """scikit-image ``phase_cross_correlation`` with a blurred disk."""

    edge: float = 1.0
    upsampling: int = 20

    def windows(self, images: Float, radius: float) -> Positions:
        from skimage.registration import phase_cross_correlation

        template = blurred_disk(images.shape[1:], radius, self.edge)
        shifts = [
            phase_cross_correlation(
                template, image, upsample_factor=self.upsampling, normalization="phase"
            )[0]
            for image in images
        ]
        return Positions(-np.asarray(shifts, dtype=float))


@dataclass(frozen=True)
class Py4DSTEM:
    """``find_Bragg_disks`` with a synthetic probe; its trench from ``trench`` (radii) outwards."""

    power: float = 1.0
    edge: float = 2.0
    trench: tuple[float, float] | None = (1.0, 1.3)
    sigma: float = 2.0
    subpixel: str = "multicorr"
    upsampling: int = 16

    def windows(self, images: Float, radius: float) -> Positions:
        shape = np.array(images.shape[1:])
        border = int(min(shape) // 2 - min(shape) // 4)
        found = self._find(images, radius, 1, border, 0)
        centres = np.full((len(images), 2), np.nan)
        for i, points in enumerate(found):
            if len(points.data):
                centres[i] = points.data["qx"][0], points.data["qy"][0]
        return Positions(centres - (shape - 1) / 2)

    def patterns(self, patterns: Float, lattice: mlmaps.DiskLattice) -> Positions:
        spacing = lattice.smallest_distance
        found = self._find(patterns, lattice.radius, 2 * len(lattice), 2, 0.5 * spacing)
        expected = lattice.positions
        centres = np.full((len(patterns), len(lattice), 2), np.nan)
        for i, points in enumerate(found):
            at = np.stack([points.data["qx"], points.data["qy"]], axis=-1)
            distance = np.hypot(*(at[:, None] - expected[None]).transpose(2, 0, 1))
            nearest = distance.argmin(axis=0)
            near = distance.min(axis=0) < 6
            centres[i, near] = at[nearest[near]]
        return Positions(centres)

    def _find(self, images: Float, radius: float, peaks: int, border: int, spacing: float) -> Any:
        import py4DSTEM
        from py4DSTEM.braggvectors.diskdetection import find_Bragg_disks

        shape = images.shape[1:]
        # its grid of the probe is centred at n/2, whatever the parity of n
        probe = py4DSTEM.Probe.generate_synthetic_probe(radius, self.edge, shape)
        origin = tuple(n / 2 for n in shape)
        if self.trench is None:
            kernel = probe.get_kernel(mode="flat", origin=origin)
        else:
            radii = tuple(t * radius for t in self.trench)
            kernel = probe.get_kernel(mode="sigmoid", origin=origin, radii=radii)
        return find_Bragg_disks(
            np.asarray(images, dtype=np.float64), kernel, corrPower=self.power,
            sigma_cc=self.sigma, subpixel=self.subpixel, upsample_factor=self.upsampling,
            minRelativeIntensity=0, minPeakSpacing=spacing, edgeBoundary=border,
            maxNumPeaks=peaks,
        )  # fmt: skip


class Py4DSTEMInWindows(InWindows, Py4DSTEM):
    """The same in windows round the expected positions."""


@dataclass(frozen=True)
class Blobfinder:
    """LiberTEM-blobfinder ``process_frames_fast``; it takes the logarithm of gain × counts + 1."""

    match: str = "RadialGradient"
    upsample: bool | int = False
    gain: float = 1.0
    grow: float = 0.0

    def windows(self, images: Float, radius: float) -> Positions:
        centre = np.array(images.shape[1:]) // 2
        search = min(images.shape[1:]) // 2
        found = self._run(images, centre[None], radius, search)
        return Positions(found[:, 0] - (np.array(images.shape[1:]) - 1) / 2)

    def patterns(self, patterns: Float, lattice: mlmaps.DiskLattice) -> Positions:
        peaks = np.round(lattice.positions).astype(int)
        return Positions(self._run(patterns, peaks, lattice.radius, lattice.radius + 6))

    def _run(self, frames: Float, peaks: NDArray, radius: float, search: float) -> Float:
        from libertem_blobfinder.common import patterns
        from libertem_blobfinder.common.correlation import process_frames_fast

        pattern = getattr(patterns, self.match)(radius=radius + self.grow, search=search)
        frames = np.asarray(frames, dtype=np.float32) * np.float32(self.gain)
        return process_frames_fast(pattern, frames, peaks, upsample=self.upsample)[1].astype(float)


@dataclass(frozen=True)
class Pyxem(InWindows):
    """``template_match_disk``, ``get_diffraction_vectors``, ``subpixel_refine`` by the centre of
    mass of the match."""

    square: int = 6
    grow: int = 0

    def windows(self, images: Float, radius: float) -> Positions:
        import dask
        from pyxem.signals import Diffraction2D

        quiet = {"show_progressbar": False}
        with warnings.catch_warnings(), dask.config.set(scheduler="synchronous"):
            warnings.simplefilter("ignore")
            signal = Diffraction2D(np.asarray(images, dtype=np.float32))
            match = signal.template_match_disk(disk_r=round(radius) + self.grow, **quiet)
            border = min(images.shape[1:]) // 4
            vectors = match.get_diffraction_vectors(
                method="local_max", num_peaks=1, min_distance=1, exclude_border=border,
                get_intensity=False, **quiet,
            )  # fmt: skip
            refined = vectors.subpixel_refine(
                match, method="center-of-mass", square_size=self.square, **quiet
            )
        centres = np.full((len(images), 2), np.nan)
        for i, row in enumerate(refined.data):
            if len(np.atleast_2d(row)):
                centres[i] = np.atleast_2d(row)[0, :2]
        return Positions(centres - (np.array(images.shape[1:]) - 1) / 2)


def blurred_disk(shape: tuple[int, int], radius: float, edge: float) -> Float:
    """A flat disk at the centre pixel, its edge an error function of width ``edge`` px."""
    y, x = (np.arange(n) - (n - 1) / 2 for n in shape)
    return 0.5 * erfc((np.hypot(y[:, None], x) - radius) / (np.sqrt(2) * edge))


def _peak(values: Float) -> Float:
    """(y, x) of the maximum within the middle half, by parabolas through its neighbours."""
    height, width = values.shape
    top, left = height // 4, width // 4
    middle = values[top : height - top, left : width - left]
    y, x = np.array(np.unravel_index(middle.argmax(), middle.shape)) + (top, left)
    peak = []
    for line, at in ((values[y - 1 : y + 2, x], y), (values[y, x - 1 : x + 2], x)):
        curvature = line[0] - 2 * line[1] + line[2]
        peak.append(at + (0.5 * (line[0] - line[2]) / curvature if curvature < 0 else 0.0))
    return np.array(peak)
