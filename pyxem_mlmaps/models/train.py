"""Train an orientation model on a rocking library, validate it, write its card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps._progress import wants_progress
from pyxem_mlmaps.models.card import ModelCard
from pyxem_mlmaps.models.orientation import OrientationModel, disk_positions
from pyxem_mlmaps.simulation.library import RockingLibrary
from pyxem_mlmaps.simulation.spline import LibrarySpline
from pyxem_mlmaps.specs import NoiseModel
from pyxem_mlmaps.training.loop import TrainingHistory, train_network
from pyxem_mlmaps.training.network import Network
from pyxem_mlmaps.training.samples import Sampler

__all__ = ["train_orientation_model"]

Float = NDArray[np.floating]
ONE_SIGMA = 0.6827


def train_orientation_model(
    library: RockingLibrary | Sequence[RockingLibrary],
    noise: NoiseModel | None = None,
    seed: int = 0,
    steps: int = 2400,
    batch_size: int = 2048,
    hidden: Sequence[int] = (256, 256, 256, 256),
    learning_rate: float = 0.02,
    show_progressbar: bool | None = None,
) -> OrientationModel:
    """Train a network that reads tilt and thickness from disk intensities.

    Samples are drawn freshly from a cubic spline through the library in tilt and thickness, and
    degraded by the noise model, each differently. The model is then validated on samples that
    training never saw: the errors in its card are those, and its σ are scaled so that 68 % of
    the errors lie within.

    Parameters
    ----------
    library
        One library, or several on the same axes that differ in what is unknown of the experiment
        (:func:`pyxem_mlmaps.simulate_rocking_ensemble`); refinement uses their mean.
    noise
        What the measurement does to the intensities. None: Poisson noise of 10⁴ to 10⁶ electrons.
    seed
        The same seed gives the same model on the same machine and versions.
    steps, batch_size
        Gradient steps, and samples in each. 2400 × 2048 take two to three minutes on two cores.
    hidden
        Widths of the hidden layers.
    learning_rate
        At the start of the cosine decay.
    show_progressbar
        As in HyperSpy. The bar shows real validation errors in degrees.

    Returns
    -------
    OrientationModel
        With the training curve in ``model.card.training["history"]``.

    Raises
    ------
    ValueError
        If libraries do not share their axes and disks, or a disk is dark throughout.

    Examples
    --------
    See :class:`pyxem_mlmaps.OrientationModel`.
    """
    libraries = [library] if isinstance(library, RockingLibrary) else list(library)
    libraries = [each.compute(show_progressbar=show_progressbar) for each in libraries]
    noise = NoiseModel() if noise is None else noise
    _check_alike(libraries)
    first = libraries[0]
    positions = disk_positions(first.vectors, first.indices)
    scaled = [_unit_mean(each) for each in libraries]
    splines = [
        LibrarySpline.fit(values, first.tilt_x, first.tilt_y, first.thickness) for values in scaled
    ]
    sampler = Sampler(splines, noise, positions)
    steps = int(steps)
    if steps < 1:
        raise ValueError(f"steps={steps}: at least 1 gradient step is needed.")
    with _bar(steps, show_progressbar) as on_round:
        network, history = train_network(
            sampler, steps, batch_size, tuple(hidden), learning_rate, seed, on_round
        )
    mean_spline = splines[0]
    if len(splines) > 1:
        mean_spline = LibrarySpline.fit(
            np.mean(scaled, axis=0), first.tilt_x, first.tilt_y, first.thickness
        )
    training = {
        "steps": steps,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "history": asdict(history),
    }
    model = OrientationModel(network, mean_spline, _card(libraries, network, noise, seed, training))
    return _validated(model, sampler, seed)


def _check_alike(libraries: list[RockingLibrary]) -> None:
    if not libraries:
        raise ValueError("library: an empty list; give at least one RockingLibrary.")
    first = libraries[0]
    for number, other in enumerate(libraries):
        for name in ("tilt_x", "tilt_y", "thickness", "indices"):
            mine, theirs = getattr(first, name), getattr(other, name)
            if mine.shape != theirs.shape or not np.allclose(mine, theirs):
                raise ValueError(f"library {number} has another {name} than library 0.")
        dark = np.flatnonzero(other.mean_intensity <= 0)
        if len(dark):
            raise ValueError(
                f"library {number}: disks {other.indices[dark].tolist()} are dark at every tilt "
                "and thickness; leave them out."
            )
    if len(first.indices) < 6:
        raise ValueError(
            f"library has {len(first.indices)} disks; tilt, thickness and scale need at least 6."
        )


def _unit_mean(library: RockingLibrary) -> Float:
    """Intensities with the library's mean disk at 1; the scale of a library carries nothing."""
    return np.asarray(library.intensities, dtype=float) / library.mean_intensity.mean()


def _card(
    libraries: list[RockingLibrary],
    network: Network,
    noise: NoiseModel,
    seed: int,
    training: dict[str, Any],
) -> ModelCard:
    from importlib.metadata import version

    from pyxem_mlmaps._version import __version__

    first = libraries[0]

    def span(axis: Float) -> list[float]:
        return [float(axis[0]), float(axis[-1])]

    return ModelCard(
        n_disk=len(first.indices),
        indices=first.indices.tolist(),
        tilt_x=span(first.tilt_x),
        tilt_y=span(first.tilt_y),
        thickness=span(first.thickness),
        hidden=network.hidden,
        noise=noise.to_dict(),
        validation={},
        calibration={},
        energy=None if first.beam is None else float(first.beam.energy),
        convergence_angle=None if first.beam is None else float(first.beam.convergence_angle),
        crystal=first.crystal,
        base_rotation=None if first.base_rotation is None else first.base_rotation.tolist(),
        vectors=None if first.vectors is None else first.vectors.tolist(),
        mean_intensity=first.mean_intensity.tolist(),
        library=[each.parameters for each in libraries],
        seed=seed,
        training=training,
        versions={
            "pyxem_mlmaps": __version__,
            "keras": version("keras"),
            "tensorflow": version("tensorflow"),
            "numpy": np.__version__,
        },
    )


def _validated(model: OrientationModel, sampler: Sampler, seed: int) -> OrientationModel:
    """The model with σ and misfit scaled on one validation set and judged on another."""
    truth, measured = sampler.draw(16384, np.random.default_rng([seed, 4]))
    calibration: dict[str, Any] = {}
    for stage, refine in (("bare", False), ("refined", True)):
        entry = {"sigma": [1.0, 1.0, 1.0], "misfit": 1.0, "level": _level_range(sampler.noise)}
        calibration[stage] = entry
        raw = model.with_card(calibration=calibration).predict(measured, refine=refine)
        if refine:  # the level needs the misfit's scale first
            entry["misfit"] = _quantile(raw.misfit, 0.999)
            calibration["search_above"] = entry["misfit"] ** 2
            raw = model.with_card(calibration=calibration).predict(measured, refine=True)
            raw = raw._replace(misfit=raw.misfit * entry["misfit"])
        values = raw.stack()
        ratio = np.abs(values[:, :3] - truth) / values[:, 3:6]
        entry["sigma"] = [_quantile(r, ONE_SIGMA) if np.isfinite(r).any() else 1.0 for r in ratio.T]
        entry["misfit"] = _quantile(raw.misfit, 0.999)
    model = model.with_card(calibration=calibration)
    truth, measured = sampler.draw(16384, np.random.default_rng([seed, 5]))
    validation = {}
    for stage, refine in (("bare", False), ("refined", True)):
        values = model.predict(measured, refine=refine).stack()
        error = values[:, :3] - truth
        validation[stage] = {
            "rms": np.sqrt(np.nanmean(error**2, axis=0)).tolist(),
            "within_one_sigma": np.mean(np.abs(error) <= values[:, 3:6], axis=0).tolist(),
            "misfit_above_one": float(np.mean(values[:, 6] > 1)),
        }
    return model.with_card(validation=validation)


def _quantile(values: Float, fraction: float) -> float:
    return max(float(np.nanquantile(values, fraction)), 1e-6)


def _level_range(noise: NoiseModel) -> list[float]:
    """How far a pattern's noise variance may lie from the geometric mean of the model's range."""
    ratios = [1.0]
    if noise.dose is not None:
        ratios.append(float(np.sqrt(noise.dose[1] / noise.dose[0])))
    if noise.white[1] > 0:
        ratios.append(float(noise.white[1] / noise.white[0]))
    return [1 / max(ratios), max(ratios)]


class _bar:  # noqa: N801  (a context manager, used like a function)
    """A progress bar that shows the latest validation errors."""

    def __init__(self, steps: int, show_progressbar: bool | None) -> None:
        from tqdm.auto import tqdm

        self.bar = tqdm(total=steps, desc="Training", disable=not wants_progress(show_progressbar))

    def __enter__(self):
        return self.update

    def update(self, step: int, history: TrainingHistory) -> None:
        self.bar.update(min(step, self.bar.total) - self.bar.n)
        if history.step:
            self.bar.set_postfix_str(
                f"error {history.error_tilt_x[-1]:.4f}° {history.error_tilt_y[-1]:.4f}° "
                f"{history.error_thickness[-1]:.2f} nm"
            )

    def __exit__(self, *exception: object) -> None:
        self.bar.close()
