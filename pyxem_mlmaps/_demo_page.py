"""The page that the demo leaves behind: figures, a sentence or two on each, and the numbers."""

from __future__ import annotations

from html import escape
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pyxem_mlmaps import plotting

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    import pyxem_mlmaps as mlmaps

__all__ = ["Page"]

_STYLE = """
:root { color-scheme: light dark; --line: #8886; }
body { max-width: 62rem; margin: 2rem auto; padding: 0 1rem; line-height: 1.5;
       font-family: system-ui, sans-serif; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .4rem; }
p { max-width: 44rem; margin: .4rem 0; }
figure { margin: .8rem 0; } img { max-width: 100%; background: #fff; border-radius: 4px; }
table { border-collapse: collapse; margin: .8rem 0; }
td, th { border-bottom: 1px solid var(--line); padding: .2rem .8rem .2rem 0; text-align: left; }
td + td { text-align: right; font-variant-numeric: tabular-nums; }
footer { margin-top: 2.5rem; border-top: 1px solid var(--line); font-size: .85rem; }
"""


class Page:
    """Figures and text, collected while the demo runs.

    Parameters
    ----------
    folder
        Where figures and page go; it must exist.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.parts: list[str] = []

    # ---- sections -------------------------------------------------------------------------------

    def add_library(self, library: mlmaps.RockingLibrary) -> None:
        """How the disks of the crystal answer to tilt."""
        n_beams = library.parameters["n_beams"]
        self._section(
            "The crystal, simulated",
            f"Intensity of the twelve strongest disks of GaSb ⟨110⟩ at 300 kV against the tilt of "
            f"the crystal, from a dynamical calculation with {n_beams} beams and thermal "
            "absorption. The fine structure is what tells the tilt: a few millidegrees change "
            "every disk, each in its own way.",
            ("rocking.png", "rocking maps", plotting.plot_rocking(library)),
        )

    def add_training(self, model: mlmaps.OrientationModel) -> None:
        """How well the network learnt to read them."""
        rms = {stage: 1e3 * v["rms"][0] for stage, v in model.card.validation.items()}
        self._section(
            "The network, trained",
            "Root-mean-square errors on simulated patterns that training never saw, with the "
            "counting noise of 10⁵ to 10⁶ electrons in the disks. At the end the bare network is "
            f"at {rms['bare']:.2g} m° on tilt x; a fit that starts from its answer brings that "
            f"to {rms['refined']:.2g} m°.",
            (
                "training.png",
                "training curve",
                plotting.plot_training(model.card.training["history"]),
            ),
        )

    def add_lattice(self, signal: Any, lattice: mlmaps.DiskLattice) -> None:
        """The disks on one pattern of the scan."""
        middle = tuple(n // 2 for n in signal.axes_manager.navigation_shape)
        self._section(
            "The disks, found",
            "One pattern of the synthetic scan (logarithmic grey scale), and the disks that "
            "<code>DiskLattice.from_signal</code> found on the mean of many. The map uses nothing "
            "but the counts inside the circles, less the background measured around each.",
            ("disks.png", "pattern with disks", lattice.plot(signal.inav[middle])),
        )

    def add_foil(self, omap: Any, truth: mlmaps.data.ScanTruth, numbers: dict[str, float]) -> None:
        """Truth, map and error of the synthetic scan."""
        tilts = np.stack([truth.tilt_x, truth.tilt_y], axis=-1)
        extent, unit = _extent(omap)
        self._section(
            "A bent foil, mapped and compared with the truth",
            "The tilts that the scan was made with, the tilts that "
            "<code>s.ml_orientation_map</code> found, and their difference in millidegrees. "
            "Most of what is left is counting noise. The faint patches, a tenth of a millidegree, "
            "come from the grid of the library and from the pixels along the disks' edges.",
            (
                "error.png",
                "truth, map and error",
                plotting.plot_error_map(omap, tilts, extent, unit),
            ),
        )
        self._section(
            "The map, with its uncertainties",
            "Each point comes with a standard uncertainty σ and a misfit. σ follows the pattern: "
            "it is larger where few disks change with tilt. A misfit above 1 would mean that the "
            "simulated crystal does not explain the pattern.",
            ("map.png", "all channels of the map", omap.plot(return_figure=True)),
        )
        self._section(
            "Can σ be believed?",
            "Error divided by σ at every point. If σ is right, the histogram follows the normal "
            "curve, and 68 % of the points lie within ±1.",
            ("sigma.png", "error over sigma", _pull_figure(omap, truth)),
        )
        self._section(
            "The same map by direction",
            "Hue is the direction in which the zone axis leans, brightness how far.",
            ("tilt.png", "tilt coloured by direction", omap.plot_tilt(return_figure=True)),
        )
        self._table(numbers)

    def add_experiment(self, omap: Any, numbers: dict[str, float]) -> None:
        """The published experiment, for which nobody knows the truth."""
        self._section(
            "A real foil",
            "The 50 × 50 scan of a bent GaSb foil that was published with Yuan, Zhang, He and Zuo, "
            "Ultramicroscopy 231 (2021) 113256, mapped by a second network that was trained on "
            "the same library and told to expect inelastic background and intensities that are "
            "not exact. Every point stands on its own; nothing is smoothed.",
            ("real_map.png", "all channels of the real map", omap.plot(return_figure=True)),
            ("real_tilt.png", "real tilt by direction", omap.plot_tilt(return_figure=True)),
        )
        self.parts.append(
            "<p>There is no truth to compare with. The scatter is the noise of one point against "
            "its four neighbours, 1.48 × median |difference| / √1.25.</p>"
        )
        self._table({k: v for k, v in numbers.items() if k.startswith("experiment")})

    def write(self) -> Path:
        """Write ``index.html`` and give its path."""
        packages = ("pyxem_mlmaps", "hyperspy", "pyxem", "orix", "abtem", "keras", "tensorflow")
        versions = ", ".join(f"{name} {version(name)}" for name in (*packages, "numpy"))
        title = "Crystal tilt from 4D-STEM: the demo of pyxem_mlmaps"
        path = self.folder / "index.html"
        path.write_text(
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
            f"<h1>{title}</h1>\n" + "\n".join(self.parts) + "\n"
            f"<footer><p>Made with {escape(versions)}. Tilts are in the axes of the image: x to "
            "the right, y downwards, where the zone axis pierces the detector.</p></footer>\n"
            "</body>\n</html>\n",
            encoding="utf-8",
        )
        return path

    # ---- pieces ---------------------------------------------------------------------------------

    def _section(self, title: str, text: str, *figures: tuple[str, str, Figure]) -> None:
        self.parts.append(f"<h2>{escape(title)}</h2>\n<p>{text}</p>")
        for name, alt, figure in figures:
            _save(figure, self.folder / name)
            self.parts.append(f'<figure><img src="{name}" alt="{escape(alt)}"></figure>')

    def _table(self, numbers: dict[str, float]) -> None:
        rows = "\n".join(
            f"<tr><td>{escape(name)}</td><td>{value:.3g}</td></tr>"
            for name, value in numbers.items()
        )
        self.parts.append(f"<table>\n{rows}\n</table>")


def _save(figure: Figure, path: Path) -> None:
    import matplotlib.pyplot as plt

    figure.savefig(path, dpi=110)
    plt.close(figure)


def _extent(omap: Any) -> tuple[tuple[float, float, float, float], str]:
    x, y = omap.axes_manager.navigation_axes
    edges = (x.low_value, x.high_value + x.scale, y.high_value + y.scale, y.low_value)
    shift = (x.scale, x.scale, y.scale, y.scale)
    return tuple(e - d / 2 for e, d in zip(edges, shift, strict=True)), str(x.units)


def _pull_figure(omap: Any, truth: Any) -> Figure:
    import matplotlib.pyplot as plt

    figure, grid = plt.subplots(1, 3, figsize=(9, 2.8), sharey=True, layout="constrained")
    bins = np.linspace(-4, 4, 33)
    z = np.linspace(-4, 4, 201)
    for ax, name in zip(grid, ("tilt_x", "tilt_y", "thickness"), strict=True):
        error = omap.channel(name).data - getattr(truth, name)
        pull = (error / omap.channel(f"sigma_{name}").data).ravel()
        ax.hist(pull[np.isfinite(pull)], bins, density=True, color="#0072B2", alpha=0.6)
        ax.plot(z, np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi), color="#D55E00")
        inside = 100 * np.mean(np.abs(pull) <= 1)
        ax.set_title(f"{name.replace('_', ' ').capitalize()}: {inside:.0f} % within 1σ")
        ax.set_xlabel("error / σ")
    grid[0].set_ylabel("density")
    return figure
