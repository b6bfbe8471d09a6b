"""Train a disk model, or train one further on one's own crystal; calibrate it, write its card."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps._progress import wants_progress
from pyxem_mlmaps.models.disk import DiskModel, DiskPrediction
from pyxem_mlmaps.models.disk_calibration import fit_calibration
from pyxem_mlmaps.models.disk_card import ARCHITECTURES, CALIBRATIONS, DiskCard
from pyxem_mlmaps.models.disk_chain import DiskChain
from pyxem_mlmaps.models.published import PublishedNetwork
from pyxem_mlmaps.simulation.library import RockingLibrary
from pyxem_mlmaps.training.disk_conditions import DiskConditions
from pyxem_mlmaps.training.disk_contrast import ContrastBank, contrast_bank
from pyxem_mlmaps.training.disk_loop import PER_ROUND, train_coarse, train_strip
from pyxem_mlmaps.training.disk_network import CoarseNetwork, StripNetwork, fit_edges
from pyxem_mlmaps.training.disk_published import train_published
from pyxem_mlmaps.training.disk_samples import DiskImages, DiskSampler, coarse_of, strips_of

__all__ = ["train_disk_model"]

Float = NDArray[np.floating]
SHARES = (0.05, 0.07, 0.88)
"""Of the samples, for the coarse and the two strip networks."""
DEFAULT_SAMPLES = {"new": 3_440_640, "further": 204_800, "yuan2021": 120_000}
FINE_TUNE_RATE = 0.005
VALIDATION = 12288


def train_disk_model(
    library: RockingLibrary | Sequence[RockingLibrary],
    conditions: DiskConditions | None = None,
    start: DiskModel | None = None,
    architecture: str = "edge",
    samples: int | None = None,
    seed: int = 0,
    show_progressbar: bool | None = None,
) -> DiskModel:
    """Train networks that locate diffraction disks, whatever the contrast inside.

    Disks are cropped from the plane-wave maps of the library at random thickness and tilt, their
    edge rendered analytically at a sub-pixel position, with everything around them that an
    experiment adds (:class:`DiskConditions`); every one is different. The model is then
    calibrated on disks that training never saw: 68 % of the errors lie within its σ.

    Parameters
    ----------
    library
        One or several, with plane-wave maps (``simulate_rocking(..., keep_maps=True)``).
    conditions
        What the disks may look like. None: radii of 4 to 60 px, 30 to 10⁷ electrons a disk.
    start
        A model to train further, as ``load_model("disks")``: a few minutes fit it to one's own
        crystal. Its conditions are kept where none are given.
    architecture
        "edge", or "yuan2021" for the published network.
    samples
        Disks to show to the networks; each image is shown twice, from other starts and mirrored.
        None: 3.4 million (ten minutes on two cores), two hundred thousand to train further,
        120,000 for "yuan2021". The model that ships has seen 20 million.
    seed
        The same seed gives the same model on the same machine and versions.
    show_progressbar
        As in HyperSpy.

    Returns
    -------
    DiskModel
        With its errors on disks that training never saw in ``model.card``.

    Raises
    ------
    ValueError
        If a library has no plane-wave maps or no beam, the architecture is not known or not that
        of ``start``, or fewer than three rounds of 8192 samples are asked for.

    Examples
    --------
    >>> import pyxem_mlmaps as mlmaps
    >>> library = mlmaps.simulate_rocking("my.cif", mlmaps.Beam(200, 2.0), (1, 1, 0),
    ...     thickness=range(30, 100, 5))  # doctest: +SKIP
    >>> model = mlmaps.train_disk_model(library, start=mlmaps.load_model("disks"))  # doctest: +SKIP
    >>> s.ml_disk_positions(model)  # doctest: +SKIP
    """
    libraries = [library] if isinstance(library, RockingLibrary) else list(library)
    if architecture not in ARCHITECTURES:
        raise ValueError(f"architecture={architecture!r}: one of {ARCHITECTURES} is allowed.")
    if start is not None and start.card.architecture != architecture:
        raise ValueError(
            f"start is a {start.card.architecture!r} model; architecture={architecture!r} was "
            "asked for."
        )
    if start is not None and architecture == "yuan2021":
        raise ValueError("start: the published network is not trained further; leave start out.")
    if conditions is None:
        conditions = DiskConditions() if start is None else start.conditions
    kind = architecture if architecture == "yuan2021" else ("new" if start is None else "further")
    samples = DEFAULT_SAMPLES[kind] if samples is None else int(samples)
    rounds = samples // PER_ROUND
    if rounds < 3:
        raise ValueError(f"samples={samples}: at least {3 * PER_ROUND} are needed.")
    libraries = [each.compute(show_progressbar=show_progressbar) for each in libraries]
    bank = contrast_bank(libraries, seed=seed)
    sampler = DiskSampler(bank, conditions)
    with _Bar(rounds, show_progressbar) as bar:
        if architecture == "yuan2021":
            network = PublishedNetwork(train_published(sampler, samples, seed, bar.stage("epoch")))
        else:
            network = _train_chain(sampler, rounds, seed, start, bar)
    card = _card(architecture, conditions, libraries, seed, samples, start, bar.history)
    return _validated(DiskModel(network, card), bank, seed)


def _train_chain(
    sampler: DiskSampler, rounds: int, seed: int, start: DiskModel | None, bar: _Bar
) -> DiskChain:
    parts = [max(int(round(s * rounds)), 1) for s in SHARES[:2]]
    parts.append(max(rounds - sum(parts), 1))
    old = (None,) * 3 if start is None else (start.network.coarse, *_strips(start.network))
    rate = {} if start is None else {"learning_rate": FINE_TUNE_RATE}
    options = {"seed": seed, **rate}
    coarse = train_coarse(sampler, parts[0], start=old[0], on_round=bar.stage("coarse"), **options)
    first = train_strip(
        sampler, 0, lambda images: coarse_starts(images, coarse), parts[1], start=old[1],
        on_round=bar.stage("edge"), **options,
    )  # fmt: skip
    last = train_strip(
        sampler, 1, lambda images: strip_starts(images, coarse, first), parts[2], start=old[2],
        on_round=bar.stage("fine edge"), **options,
    )  # fmt: skip
    return DiskChain(coarse, first, last)


def _strips(chain: DiskChain) -> tuple[StripNetwork, StripNetwork]:
    return chain.first, chain.last


def coarse_starts(images: DiskImages, coarse: CoarseNetwork) -> Float:
    """(n, 2) positions from the coarse network, px from the window's centre."""
    return coarse(coarse_of(images))[:, :2].astype(float) * images.told_radius[:, None]


def strip_starts(images: DiskImages, coarse: CoarseNetwork, first: StripNetwork) -> Float:
    """(n, 2) positions from the coarse and the first strip network."""
    start = coarse_starts(images, coarse)
    strips, half, _ = strips_of(images, start, 0)
    return start + fit_edges(*first(strips)).shift[:, :2] * half[:, None]


def _card(
    architecture: str,
    conditions: DiskConditions,
    libraries: list[RockingLibrary],
    seed: int,
    samples: int,
    start: DiskModel | None,
    history: list[dict[str, Any]],
) -> DiskCard:
    from importlib.metadata import version

    from pyxem_mlmaps._version import __version__

    crystals = [] if start is None else list(start.card.crystals)
    for each in libraries:
        crystals.append(
            {
                "name": (each.crystal or {}).get("name", "?"),
                "zone_axis": each.parameters.get("zone_axis"),
                "energy": float(each.beam.energy),
                "convergence_angle": float(each.beam.convergence_angle),
                "thickness": [float(each.thickness[0]), float(each.thickness[-1])],
            }
        )
    return DiskCard(
        architecture=architecture,
        conditions=conditions.to_dict(),
        crystals=crystals,
        seed=int(seed),
        training={"samples": samples, "further": start is not None, "history": history},
        versions={
            "pyxem_mlmaps": __version__,
            "keras": version("keras"),
            "tensorflow": version("tensorflow"),
            "numpy": np.__version__,
        },
    )


def predict_images(model: DiskModel, images: DiskImages) -> DiskPrediction:
    """The model's answer for rendered windows, px from their centres."""
    columns = np.empty((len(images.size), 6))
    low, high = model.radius_range
    radius = np.clip(images.told_radius, low, high)  # a user is held to the model's range
    for size in np.unique(images.size):
        rows = np.flatnonzero(images.size == size)
        pixels = [images.pixels[a : a + size**2] for a in images.first[rows]]
        stack = np.stack(pixels).reshape(-1, size, size)
        middle = np.full((len(rows), 2), (size - 1) / 2)
        found = model.locate(
            stack, np.arange(len(rows)), middle, radius[rows], size,
            images.told_edge[rows], images.told_g[rows],
        )  # fmt: skip
        columns[rows] = np.column_stack(found) - [*middle[0], 0, 0, 0, 0]
    return DiskPrediction(*columns.T)


def _validated(model: DiskModel, bank: ContrastBank, seed: int) -> DiskModel:
    """The model with σ and misfit scaled on one set of disks and judged on another."""
    rng = np.random.default_rng([seed, 41])
    images = DiskSampler(bank, model.conditions).images(3 * VALIDATION, rng)
    calibration = {
        name: _calibration(predict_images(model, asked), asked)
        for name, asked in _askings(model, images, rng)
    }
    model = model.with_card(calibration=calibration)
    rows = []
    for electrons in (1e2, 1e3, 1e4, 1e5, 1e6):
        values = {"electrons": [electrons] * 2, "white_share": 0.0, "blank": 0.0}
        sampler = DiskSampler(bank, DiskConditions.from_dict(model.card.conditions | values))
        images = sampler.images(VALIDATION // 4, rng)
        for name, asked in _askings(model, images, rng):
            row = _judged(predict_images(model, asked), images)
            rows.append({"electrons": electrons, "optics": name, **row})
    return model.with_card(validation=rows)


def _askings(
    model: DiskModel, images: DiskImages, rng: np.random.Generator
) -> Iterator[tuple[str, DiskImages]]:
    """The same images with more or less told of them; the published network listens to nothing."""
    n = len(images.size)
    for name, (optics, place) in CALIBRATIONS.items():
        if name == "unknown" or model.card.architecture != "yuan2021":
            yield name, images.with_known(np.full(n, optics), np.full(n, place), rng)


def _judged(found: DiskPrediction, images: DiskImages) -> dict[str, float]:
    error = np.column_stack([found.y, found.x]) - images.centre
    sigma = np.column_stack([found.sigma_y, found.sigma_x])
    seen = (found.presence > 0.5) & np.isfinite(found.y)
    error, sigma = error[seen], sigma[seen]
    return {
        "rms": float(np.sqrt(np.mean(error**2))) if len(error) else -1.0,
        "median": float(np.median(np.abs(error))) if len(error) else -1.0,
        "within_one_sigma": float(np.mean(np.abs(error) <= sigma)) if len(error) else -1.0,
        "misfit_above_one": float(np.mean(found.misfit[seen] > 1)) if len(error) else -1.0,
        "found": float(seen.mean()),
    }


def _calibration(found: DiskPrediction, images: DiskImages) -> dict[str, Any]:
    """From the raw answers for disks that are there."""
    error = np.column_stack([found.y, found.x]) - images.centre
    sigma = np.column_stack([found.sigma_y, found.sigma_x])
    good = np.isfinite(error).all(axis=1) & images.present & (found.presence > 0.5)
    values = (error, sigma, found.misfit, images.told_radius, images.told_edge)
    return fit_calibration(*(v[good] for v in values))


class _Bar:
    """A progress bar over all rounds that names the stage and shows its latest errors."""

    def __init__(self, rounds: int, show_progressbar: bool | None) -> None:
        from tqdm.auto import tqdm

        self.bar = tqdm(total=rounds, desc="Training", disable=not wants_progress(show_progressbar))
        self.history: list[dict[str, Any]] = []

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *exception: object) -> None:
        self.bar.close()

    def stage(self, name: str) -> Callable[[int, dict[str, float]], None]:
        """What a training loop calls after each round."""

        def on_round(index: int, errors: dict[str, float]) -> None:
            self.bar.update(1)
            if errors:
                self.history.append({"stage": name, "round": index, **errors})
                text = ", ".join(f"{k} {v:.3f}" for k, v in errors.items())
                self.bar.set_postfix_str(f"{name}: {text}")

        return on_round
