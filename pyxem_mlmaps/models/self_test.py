"""A fixed input and the answer to it, kept in a model's file: does the model still say the same?

The answers are compared within :data:`TOLERANCE`, not to the bit. Networks compute in single
precision (relative rounding 6e-8), and the order of their sums follows the processor: other BLAS
kernels, wider vector instructions, fused multiply-add. Sums of some hundred terms then differ by
1e-6 or so, and fits, which end at another point of their last step, by up to fifty times that.
``tests/models/test_check.py`` measures it with other kernels and instructions. That the numbers of
a model are those that were saved is told to the bit by :attr:`SelfTest.sha256`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfc

if TYPE_CHECKING:
    from pyxem_mlmaps.models.disk import DiskModel
    from pyxem_mlmaps.models.orientation import OrientationModel

__all__ = [
    "INPUTS",
    "OUTPUTS",
    "TOLERANCE",
    "SelfTest",
    "answers",
    "check_fits",
    "deviation",
    "make_self_test",
]

Float = NDArray[np.floating]
Arrays = Mapping[str, NDArray[Any]]

TOLERANCE = 3e-4
"""Of the library's range (tilt, thickness), the disk's radius (position), σ itself, misfit 1."""
INPUTS = {"orientation": ("intensities",), "disk": ("images", "radius", "edge", "places")}
OUTPUTS = {"orientation": ("bare", "refined"), "disk": ("disks",)}
PATTERNS = 16
MOST_DISKS = 8
LARGEST_STACK = 2**20
"""Pixels of all images together."""


@dataclass(frozen=True, eq=False)
class SelfTest:
    """What a model was asked when it was saved, and what it said.

    Parameters
    ----------
    inputs
        Orientation: ``intensities`` (n, n_disk). Disks: ``images`` (n, h, h) counts, ``radius``,
        ``edge`` (n,) and ``places`` (n, 2) from the direct beam, px, NaN where not told.
    outputs
        Orientation: ``bare`` and ``refined`` (n, 7). Disks: ``disks`` (n, 6). Columns as in
        :class:`OrientationPrediction` and :class:`DiskPrediction`.
    sha256
        :func:`~pyxem_mlmaps.models.packed.digest` of the model that answered.
    versions
        Of the packages that it answered with.

    Raises
    ------
    ValueError
        If arrays are missing, too many, or do not fit each other.
    """

    inputs: Arrays
    outputs: Arrays
    sha256: str
    versions: Mapping[str, str]

    def __post_init__(self) -> None:
        if not isinstance(self.sha256, str) or not isinstance(self.versions, dict):
            raise ValueError("self-test: its record is not valid.")
        kind = "disk" if "images" in self.inputs else "orientation"
        if set(self.inputs) != set(INPUTS[kind]) or set(self.outputs) != set(OUTPUTS[kind]):
            raise ValueError(
                f"self-test: it holds {sorted([*self.inputs, *self.outputs])}; "
                f"{[*INPUTS[kind], *OUTPUTS[kind]]} are needed."
            )
        first = self.inputs[INPUTS[kind][0]]
        n = len(first) if first.ndim > 1 else 0
        for name, array in {**self.inputs, **self.outputs}.items():
            shape = array.shape
            fits = shape == _shape(name, n, shape) and 1 <= n <= 64
            if name == "images":
                fits &= shape[1] == shape[2]
            if not fits or array.dtype.kind not in "fiu" or np.isinf(array).any():
                raise ValueError(f"self-test: {name} is {array.dtype} of shape {shape}.")


def make_self_test(model: OrientationModel | DiskModel) -> SelfTest:
    """Ask ``model`` what a file of it is to remember. The same model gives the same test."""
    from importlib.metadata import version

    from pyxem_mlmaps._version import __version__
    from pyxem_mlmaps.models.disk import DiskModel
    from pyxem_mlmaps.models.packed import digest

    inputs = _disks(model) if isinstance(model, DiskModel) else _patterns(model)
    versions = {"pyxem_mlmaps": __version__, "numpy": np.__version__, "numba": version("numba")}
    return SelfTest(inputs, answers(model, inputs), digest(model), versions)


def check_fits(model: OrientationModel | DiskModel) -> None:
    """Raise ``ValueError`` if the model's self-test speaks of another number of disks."""
    if model.self_test is not None and "intensities" in model.self_test.inputs:
        found = model.self_test.inputs["intensities"].shape[1]
        if found != model.card.n_disk:
            raise ValueError(f"its self-test has {found} of {model.card.n_disk} disks.")


def answers(model: OrientationModel | DiskModel, inputs: Arrays) -> dict[str, Float]:
    """What the model says of the inputs of a :class:`SelfTest`."""
    if "images" not in inputs:
        data = np.asarray(inputs["intensities"], dtype=float)
        return {
            name: model.predict(data, refine=name == "refined").stack()
            for name in OUTPUTS["orientation"]
        }
    images = inputs["images"]
    n, size = images.shape[:2]
    middle = np.full((n, 2), (size - 1) / 2)
    found = model.locate(
        images, np.arange(n), middle, inputs["radius"], size, inputs["edge"], inputs["places"]
    )
    return {"disks": np.stack(found, axis=1)}


def deviation(model: OrientationModel | DiskModel, test: SelfTest) -> float:
    """Largest difference between what the model says and what it said, as a share of its scale.

    Infinite where one has an answer and the other has none.
    """
    found = answers(model, test.inputs)
    worst = 0.0
    for name, then in test.outputs.items():
        now = found[name]
        if not np.array_equal(np.isnan(now), np.isnan(then)):
            return np.inf
        difference = np.abs(now - then) / _scale(model, test, np.asarray(then, dtype=float))
        worst = max(worst, float(np.nanmax(difference, initial=0)))
    return worst


def _scale(model: Any, test: SelfTest, then: Float) -> Float:
    """What one unit of each answer is worth, broadcast to (n, columns)."""
    scale = np.maximum(np.nanmax(np.abs(then), axis=0, initial=0), 1e-12) * np.ones_like(then)
    if "images" in test.inputs:
        scale[:, :2] = np.asarray(test.inputs["radius"])[:, None]
        scale[:, 4] = np.maximum(scale[:, 4], 1)
    else:
        scale[:, 6] = np.maximum(scale[:, 6], 1)
        for column, name in enumerate(("tilt_x", "tilt_y", "thickness")):
            low, high = getattr(model.card, name)
            if high > low:
                scale[:, column] = high - low
    return scale


def _patterns(model: OrientationModel) -> dict[str, NDArray[Any]]:
    """Patterns of the library, as noisy as the mean of training, at places all over it."""
    from pyxem_mlmaps.models.orientation import fit_model

    rng = np.random.default_rng(0)
    spline = model.spline
    last = np.asarray(spline.size) - 1
    units = last * (0.1 + 0.8 * rng.random((PATTERNS, 3)))
    expected = np.asarray(spline(spline.start + units * spline.step), dtype=float)
    poisson, white, error = fit_model(model.noise, model.positions)[2]
    positive = np.maximum(expected, 0)
    sigma = np.sqrt(poisson * positive + white**2 + (error * positive) ** 2)
    return {"intensities": np.float32(expected + sigma * rng.standard_normal(expected.shape))}


def _disks(model: DiskModel) -> dict[str, NDArray[Any]]:
    """Disks with a smooth contrast, without noise, at the small end of the model's radii."""
    rng = np.random.default_rng(0)
    low, high = model.radius_range
    small = min(max(7.0, low), high)
    large = min(1.5 * small, high)
    size = 2 * int(2 * large) + 1
    n = max(min(MOST_DISKS, LARGEST_STACK // size**2), 1)
    radius = np.linspace(small, large, n)
    edge = np.clip(0.7, model.conditions.edge[0], model.conditions.edge[1])
    y, x = np.indices((size, size)) - (size - 1) / 2
    images = np.empty((n, size, size), dtype=np.uint8)
    for image, r in zip(images, radius, strict=True):
        shift = r * rng.uniform(-0.25, 0.25, 2)
        dy, dx = (y - shift[0]) / r, (x - shift[1]) / r
        slope, turn = rng.uniform(1, 3), rng.uniform(0, 2 * np.pi)
        inside = 140 + 60 * np.cos(slope * (dy * np.cos(turn) + dx * np.sin(turn)))
        blur = np.sqrt(2 * (edge**2 + 1 / 12))
        image[:] = np.rint(5 + inside * 0.5 * erfc((np.hypot(dy, dx) - 1) * r / blur))
    known = np.arange(n) % 2 == 1
    placed = np.arange(n) % 4 >= 2
    places = np.where(placed[:, None], 6.0 * radius[:, None] * [0.6, -0.8], np.nan)
    return {
        "images": images,
        "radius": radius,
        "edge": np.where(known, edge, 0.0),
        "places": places,
    }


def _shape(name: str, n: int, found: tuple[int, ...]) -> tuple[int, ...] | None:
    """The shape an array of that name must have; what is free is taken from what was found."""
    if name == "intensities":
        return (n, *found[1:2])
    if name == "images":
        return (n, *found[1:3]) if len(found) == 3 else None
    columns = {"bare": 7, "refined": 7, "disks": 6, "places": 2}.get(name)
    return (n,) if columns is None else (n, columns)
