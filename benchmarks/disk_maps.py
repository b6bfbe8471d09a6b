"""Plane-wave maps behind the disk benchmarks and the disk images cut from them.

Maps I_g(tilt, thickness) of several crystals (dynamical, with absorption and thermal motion), read
by SciPy's cubic interpolation. A pixel (dy, dx) from the disk's centre shows the map at
tilt - u/k0, u its reciprocal offset, so contrast moves with the disk and the disk's centre is that
of the aperture. The edge is 0.5·erfc(d / √2 s), d the distance beyond the radius and
s² = edge² + 1/12 (the pixel's own width), so positions are exact at every sub-pixel shift.
"""

from __future__ import annotations

import functools
import hashlib
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates, spline_filter1d
from scipy.special import erfc

import pyxem_mlmaps as mlmaps

Float = NDArray[np.floating]


@dataclass(frozen=True)
class Material:
    """A crystal in a zone and the beam on it; angles in mrad, energy in keV, thickness in nm.

    ``solver`` is "pyxem_mlmaps" or "py4DSTEM", an independent Bloch-wave code (hundreds of times
    slower, so fewer tilts).
    """

    name: str
    zone: tuple[int, int, int]
    energy: float
    convergence: float
    g_max: float
    reflections: int = 37
    largest_tilt: float = 10.0
    thickness: tuple[float, float] = (30.0, 100.0)
    solver: str = "pyxem_mlmaps"


SILICON = Material("Si", (1, 1, 0), 300, 1.35, 2.5)
MATERIALS = {
    "Si [110]": SILICON,
    "UO2 [001]": Material("UO2", (0, 0, 1), 200, 1.8, 2.5),
    "Ti [0001]": Material("Ti", (0, 0, 1), 200, 2.0, 2.5),
    "SrTiO3 [110]": Material("SrTiO3", (1, 1, 0), 300, 1.4, 2.5),
    "Cu [112]": Material("Cu", (1, 1, 2), 200, 2.6, 2.5),
    "Si [110] by py4DSTEM": Material(
        "Si", (1, 1, 0), 300, 1.35, 1.6, largest_tilt=3.0, solver="py4DSTEM"
    ),
}
"""Silicon is the set of the tables; the others are crystals for "never trained on", and one is
silicon by an independent code."""


class Disk(NamedTuple):
    """One disk of sum 1 on its box: ``image`` (h, w) from ``corner`` (y, x)."""

    image: Float
    corner: tuple[int, int]
    contrast: float

    def add_to(self, image: Float, total: float) -> None:
        """Add with this sum; what lies beyond the image is lost."""
        y, x = self.corner
        height, width = self.image.shape
        top, left = max(-y, 0), max(-x, 0)
        bottom = min(height, image.shape[0] - y)
        right = min(width, image.shape[1] - x)
        image[y + top : y + bottom, x + left : x + right] += (
            total * self.image[top:bottom, left:right]
        )


@dataclass(frozen=True, eq=False)
class Maps:
    """Plane-wave maps of a material as spline coefficients (n_x, n_y, n_t, n_disk).

    ``start`` and ``step`` are (3,): tilt x, tilt y in mrad, thickness in nm; ``vectors``
    (n_disk, 2) are (ky, kx) in units of the disk radius.
    """

    material: Material
    coefficients: NDArray[np.float32]
    start: Float
    step: Float
    vectors: Float
    miller: NDArray[np.integer]

    def crop(self, disk: int, where: Float, y: Float, x: Float) -> Float:
        """Intensities at offsets (y, x) from the centre, in units of the disk radius.

        ``where`` is (3,): tilt x, tilt y (mrad), thickness (nm).
        """
        alpha = self.material.convergence
        points = np.stack(
            [where[0] - alpha * x, where[1] - alpha * y, np.full(np.shape(x), where[2])]
        )
        at = (points - self.start.reshape(3, *[1] * np.ndim(x))) / self.step.reshape(
            3, *[1] * np.ndim(x)
        )
        values = map_coordinates(
            self.coefficients[..., disk], at, order=3, prefilter=False, mode="mirror"
        )
        return np.maximum(values, 0)

    def disk(self, disk: int, where: Float, centre: Float, radius: float, edge: float) -> Disk:
        """Render one disk of sum 1 at ``centre`` (y, x) px."""
        blur = np.sqrt(edge**2 + 1 / 12)
        reach = radius + 4 * blur
        corner = np.floor(np.asarray(centre) - reach).astype(int)
        size = int(2 * reach) + 3
        y = corner[0] + np.arange(size)[:, None] - centre[0]
        x = corner[1] + np.arange(size)[None, :] - centre[1]
        distance = np.hypot(y, x)
        near = np.nonzero(distance < reach)
        values = self.crop(
            disk, where, np.broadcast_to(y, distance.shape)[near] / radius,
            np.broadcast_to(x, distance.shape)[near] / radius,
        )  # fmt: skip
        image = np.zeros((size, size))
        image[near] = values * 0.5 * erfc((distance[near] - radius) / (np.sqrt(2) * blur))
        inside = values[distance[near] < radius]
        contrast = inside.std() / inside.mean()
        return Disk(image / image.sum(), (int(corner[0]), int(corner[1])), float(contrast))

    def intensities(self, where: Float) -> Float:
        """(n_disk,) mean over the aperture at one tilt and thickness."""
        grid = (np.arange(24) + 0.5) / 12 - 1
        y, x = np.meshgrid(grid, grid, indexing="ij")
        inside = np.hypot(y, x) < 1
        n_disk = self.coefficients.shape[-1]
        return np.array([self.crop(d, where, y[inside], x[inside]).mean() for d in range(n_disk)])


@functools.lru_cache(maxsize=8)
def maps(material: str) -> Maps:
    """Simulated once and kept in the system's temporary folder under a key of its parameters."""
    if material not in MATERIALS:
        raise ValueError(f"material={material!r}: {', '.join(MATERIALS)} are there.")
    chosen = MATERIALS[material]
    key = repr((asdict(chosen), mlmaps.__version__, "maps 2"))
    name = f"{chosen.name}-{hashlib.sha256(key.encode()).hexdigest()[:16]}.npz"
    path = Path(tempfile.gettempdir()) / "mlmaps-disk-sets" / name
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        partial = path.with_suffix(".partial.npz")
        np.savez(partial, **_spline(chosen))
        partial.rename(path)
    with np.load(path) as stored:
        return Maps(chosen, **{k: stored[k] for k in stored.files})


def simulate(material: Material) -> mlmaps.RockingLibrary:
    """Rocking library with its plane-wave maps, a little wider than the tilts of the sets."""
    low, high = material.thickness
    beam = mlmaps.Beam(material.energy, material.convergence)
    return mlmaps.simulate_rocking(
        _crystal(material.name), beam, zone_axis=material.zone,
        tilt_range=float(np.degrees(1.02e-3 * material.largest_tilt)), tilt_step=0.02,
        thickness=np.arange(low, high + 1, 2.5), reflections=material.reflections,
        g_max=material.g_max, show_progressbar=False,
    )  # fmt: skip


def _spline(material: Material) -> dict[str, Any]:
    values, first, step, depth, vectors, miller = (
        _from_py4dstem(material) if material.solver == "py4DSTEM" else _from_library(material)
    )
    values = np.asarray(values, dtype=np.float32)
    for axis in range(3):
        values = spline_filter1d(values, order=3, axis=axis, output=np.float32, mode="mirror")
    aperture = mlmaps.Beam(material.energy, material.convergence).aperture_radius
    first, step = (1e3 * np.radians(v) for v in (first, step))
    return {
        "coefficients": values,
        "start": np.array([first, first, material.thickness[0]]),
        "step": np.array([step, step, depth]),
        "vectors": vectors / aperture,
        "miller": miller,
    }


def _from_library(material: Material) -> tuple[Any, ...]:
    library = simulate(material)
    step = library.tilt_x[1] - library.tilt_x[0]
    margin = (library.maps.shape[0] - len(library.tilt_x)) // 2
    first = library.tilt_x[0] - margin * step
    return library.maps, first, step, 2.5, library.vectors, library.indices


def _from_py4dstem(material: Material) -> tuple[Any, ...]:
    from disk_oracle import STEP, plane_wave_maps

    beam = mlmaps.Beam(material.energy, material.convergence)
    tilt = float(np.degrees(1e-3 * (material.largest_tilt + 1.08 * material.convergence))) + STEP
    miller = maps("Si [110]").miller
    values, axis, vectors = plane_wave_maps(
        _crystal(material.name), material.zone, beam, material.g_max, tilt,
        np.arange(material.thickness[0], material.thickness[1] + 1, 5.0), miller,
    )  # fmt: skip
    return values, axis[0], STEP, 5.0, vectors, miller


def _crystal(name: str) -> Any:
    from ase.build import bulk
    from ase.spacegroup import crystal

    if name == "UO2":
        basis = [(0, 0, 0), (0.25, 0.25, 0.25)]
        return crystal(("U", "O"), basis, spacegroup=225, cellpar=[5.471] * 3 + [90] * 3)
    if name == "SrTiO3":
        basis = [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0)]
        return crystal(("Sr", "Ti", "O"), basis, spacegroup=221, cellpar=[3.905] * 3 + [90] * 3)
    return bulk(name, cubic=True) if name in ("Si", "Cu") else bulk(name)
