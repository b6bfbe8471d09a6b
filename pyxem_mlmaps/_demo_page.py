"""The page that the demo leaves behind: figures, a sentence or two on each, and the numbers."""

from __future__ import annotations

from html import escape
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps import _demo_strain as strains
from pyxem_mlmaps import plotting
from pyxem_mlmaps._demo_figures import plot_imprint, plot_pulls, plot_strain_error
from pyxem_mlmaps._scan_figures import plot_disk_fit, plot_scan

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
            ("sigma.png", "error over sigma", plot_pulls(_tilt_pulls(omap, truth))),
        )
        self._section(
            "The same map by direction",
            "Hue is the direction in which the zone axis leans, brightness how far.",
            ("tilt.png", "tilt coloured by direction", omap.plot_tilt(return_figure=True)),
        )
        self._table(numbers)

    def add_transistor(self, maps: strains.DeviceMaps, numbers: dict[str, float]) -> None:
        """A strained device: its scan, the disks, strain beside the truth."""
        signal, truth, lattice = maps.signal, maps.truth, maps.lattice
        points = _example_points(truth)
        self._section(
            "A strained transistor, scanned",
            "The second job is strain. The synthetic scan is a Si ⟨110⟩ cross-section with two "
            "pockets of Si₀.₇Ge₀.₃, under amorphous oxide. The lamella is bent and of uneven "
            "thickness, so the contrast inside the disks changes from place to place: that is "
            "what usually imprints itself on a strain map.",
            ("device.png", "dark field and patterns", plot_scan(signal, lattice, points)),
        )
        pocket = points["Si₀.₇Ge₀.₃"]
        found, misfit = _disks_of(maps.vectors, pocket)
        self._section(
            "Its disks, measured",
            "<code>s.ml_disk_positions()</code> found them in one pattern of the pocket, with the "
            "network that comes with the package: nothing was trained on this crystal. The arrows "
            "show how far each disk lies from where silicon without strain would have it.",
            (
                "positions.png",
                "disks found",
                plot_disk_fit(signal.data[pocket], found, truth.lattice, misfit),
            ),
        )
        self._section(
            "Strain, in two lines",
            "What <code>mlmaps.strain_map(s.ml_disk_positions())</code> gives: strain against the "
            "median of the scan, the rotation of the crystal, and σ of each. Grey is oxide: no "
            "three disks, no lattice. Where noise passed for a third disk, σ is a hundred times "
            "that of the crystal.",
            (
                "strain.png",
                "strain, rotation and their σ",
                maps.strain.plot_strain(sigma=True, return_figure=True),
            ),
        )
        self._section(
            "Strain beside the truth",
            "The same against the substrate, beside what the scan was made with. x is along the "
            "channel, y is downwards. The colours of the error end at three σ. Against the lattice "
            "that the scan was made with, the offsets in the table come on top: outer disks are "
            "brighter on the side towards the direct beam, which draws their positions inwards a "
            "little everywhere. A reference from the same scan takes most of that away.",
            (
                "strain_error.png",
                "truth, map, error and σ of strain",
                plot_strain_error(maps.absolute, truth),
            ),
        )
        self._section(
            "Do tilt and thickness show?",
            "Above, what changes the contrast inside the disks. Below, the error of strain, each "
            f"point the mean of {strains.WINDOW} × {strains.WINDOW}: noise alone would fall to a "
            "fifth of σ, and what resembles the maps above is their imprint.",
            ("imprint.png", "tilt, thickness, mean error", plot_imprint(maps.absolute, truth)),
        )
        pulls = strains.pulls_of(maps.absolute, truth)
        self._section(
            "Can σ of strain be believed?",
            "Error over σ at every point of the crystal.",
            ("strain_sigma.png", "error of strain over sigma", plot_pulls(pulls)),
        )
        self._table({k: v for k, v in numbers.items() if k.startswith("transistor")})

    def add_grains(self, maps: Any, numbers: dict[str, float]) -> None:
        """Truth, map and errors of the polycrystal."""
        found = int(numbers["grains: sub-grains found"])
        true = int(numbers["grains: sub-grains in truth"])
        self._section(
            "Grains of UO₂, in all three angles",
            "Random grains of sub-grains that differ by 0.1° to 2°, and boundary points whose "
            "patterns mix two of them: the orientations the scan was made with, those that "
            "<code>map_polycrystal</code> found, boundaries by their angle, tilt within the "
            "grains, uncertainty, and the angle between map and truth. "
            f"{true} sub-grains are in the scan, {found} were found. Grey points are only coarse: "
            "no single orientation explains their pattern.",
            ("grains.png", "polycrystal", plotting.plot_polycrystal(maps.xmap, maps.true_map)),
        )
        self._table({k: v for k, v in numbers.items() if k.startswith("grains")})

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
        title = "Crystal tilt and strain from 4D-STEM: the demo of pyxem_mlmaps"
        path = self.folder / "index.html"
        path.write_text(
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
            f"<h1>{title}</h1>\n" + "\n".join(self.parts) + "\n"
            f"<footer><p>Made with {escape(versions)}. Tilts are in the axes of the image: x to "
            "the right, y downwards, where the zone axis pierces the detector. Strain is that of "
            "the crystal in the same axes, tension positive; rotation is from x towards y."
            "</p></footer>\n"
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


def _tilt_pulls(omap: Any, truth: Any) -> dict[str, NDArray[np.floating]]:
    return {
        name.replace("_", " ").capitalize(): (omap.channel(name).data - getattr(truth, name))
        / omap.channel(f"sigma_{name}").data
        for name in ("tilt_x", "tilt_y", "thickness")
    }


def _example_points(truth: mlmaps.data.StrainTruth) -> dict[str, tuple[int, int]]:
    """One scan point of each kind, as far inside as there is one."""
    from scipy.ndimage import distance_transform_edt

    regions = {
        "Si₀.₇Ge₀.₃": truth.alloy,
        "channel": truth.channel,
        "substrate": truth.reference,
        "oxide": ~truth.crystal,
    }
    points = {}
    for name, region in regions.items():
        if region.any():
            depth = distance_transform_edt(np.pad(region, 1))[1:-1, 1:-1]
            y, x = np.unravel_index(np.argmax(depth), depth.shape)
            points[name] = (int(y), int(x))
    return points


def _disks_of(
    vectors: Any, point: tuple[int, int]
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """(n, 2) positions (y, x) in px and (n,) misfits in one pattern."""
    rows = np.asarray(vectors.data[point])
    scale, offset = np.asarray(vectors.scales[:2]), np.asarray(vectors.offsets[:2])
    return (rows[:, :2] - offset) / scale, rows[:, 5]
