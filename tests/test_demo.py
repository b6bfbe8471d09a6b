"""``python -m pyxem_mlmaps.demo`` leaves a page with figures, and its numbers are good."""

from __future__ import annotations

from html.parser import HTMLParser

import numpy as np
import pytest

from pyxem_mlmaps import DiskLattice, demo
from pyxem_mlmaps import _demo_strain as strains

FIGURES = {"rocking", "training", "disks", "error", "map", "sigma", "tilt"}
STRAIN_FIGURES = {"device", "positions", "strain", "strain_error", "imprint", "strain_sigma"}
REAL_FIGURES = {"real_map", "real_tilt"}
ALL_FIGURES = FIGURES | STRAIN_FIGURES | REAL_FIGURES | {"grains"}


class Page(HTMLParser):
    """Images, addresses and text of a page; unbalanced tags are an error."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.images, self.addresses, self.text, self.open = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        if tag == "img":
            self.images.append(dict(attributes))
        elif tag != "meta":
            self.open.append(tag)
        self.addresses += [v for k, v in attributes if k in ("src", "href")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_errors_are_what_the_counts_allow(demo_run):
    numbers, _, _ = demo_run
    assert numbers["foil: RMS error of tilt x (m°)"] < 0.5
    assert numbers["foil: RMS error of tilt y (m°)"] < 0.5
    assert numbers["foil: RMS error of thickness (nm)"] < 0.2
    assert numbers["foil: points with misfit above 1 (%)"] < 2


def test_sigma_holds(demo_run):
    numbers, _, _ = demo_run
    shares = [v for name, v in numbers.items() if "within 1σ" in name and "foil" in name]
    assert len(shares) == 3
    assert all(55 < share < 82 for share in shares)  # 192 points: 68 % ± 3.4 %


def test_experiment_is_mapped_into_the_image_axes(demo_run):
    import pyxem_mlmaps as mlmaps

    numbers, output, path = demo_run
    assert numbers["experiment: scatter of tilt x (m°)"] < 5
    assert numbers["experiment: scatter of tilt y (m°)"] < 5
    assert abs(numbers["experiment: median thickness (nm)"] - 68) < 1
    omap = demo.map_experiment(mlmaps.load_model(output / "gasb_110.keras"), path)
    assert omap.tilt_x.data == pytest.approx(np.tile(np.linspace(-0.1, 0.1, 12), (12, 1)), abs=2e-3)
    assert omap.tilt_y.data == pytest.approx(np.full((12, 12), 0.03), abs=2e-3)


def test_strain_is_found_without_training(demo_run):
    numbers, _, _ = demo_run
    for symbol in ("ε_xx", "ε_yy", "ε_xy"):
        assert numbers[f"transistor: RMS error of {symbol} (%)"] < 0.03  # of up to 1.5 %
        assert 55 < numbers[f"transistor: {symbol} within 1σ (%)"] < 82  # 196 points
        assert numbers[f"transistor: error of {symbol}, mean of 5 x 5 points (%)"] < 0.02
        assert abs(numbers[f"transistor: offset of {symbol} from the true lattice (%)"]) < 0.04
    assert numbers["transistor: RMS error of rotation (m°)"] < 30
    assert numbers["transistor: crystal without strain (%)"] == 0
    assert numbers["transistor: oxide with strain, σ below 10 x median (%)"] == 0


def test_grains(demo_run):
    """One grain of two sub-grains on 8 x 8 points: the angle about the beam dominates."""
    numbers, output, _ = demo_run
    assert numbers["grains: median angle to the truth (m°)"] < 100
    assert numbers["grains: precise points (%)"] > 60
    assert (output / "grains.h5").is_file()


def test_positions_and_strain_can_be_loaded(demo_run):
    import hyperspy.api as hs

    import pyxem_mlmaps as mlmaps

    _, output, _ = demo_run
    strain = hs.load(output / "strain_map.hspy")
    again = mlmaps.strain_map(hs.load(output / "disk_positions.hspy"))
    assert isinstance(strain, mlmaps.MLStrainMap)
    assert strain.data == pytest.approx(again.data, abs=1e-12, nan_ok=True)


def test_map_can_be_loaded(demo_run):
    import hyperspy.api as hs

    _, output, _ = demo_run
    omap = hs.load(output / "orientation_map.hspy")
    assert omap.data.shape == (*demo.QUICK.scan, 7)
    assert omap.to_crystal_map().shape == demo.QUICK.scan


def test_every_figure_shows_something(demo_run):
    from matplotlib.image import imread

    _, output, _ = demo_run
    for name in ALL_FIGURES:
        image = imread(output / f"{name}.png")[..., :3]
        assert min(image.shape[:2]) > 200, name
        assert len(np.unique((255 * image).astype(int) @ [65536, 256, 1])) > 50, name
        assert np.mean(image.min(axis=-1) < 0.95) > 0.02, name


def test_page_is_whole_and_needs_nothing_else(demo_run):
    numbers, output, _ = demo_run
    page = Page((output / "index.html").read_text(encoding="utf-8"))
    assert not page.open
    assert {image["src"] for image in page.images} == {f"{name}.png" for name in ALL_FIGURES}
    assert all(image["alt"] for image in page.images)
    assert not [a for a in page.addresses if "/" in a]  # beside the page, none from elsewhere
    text = "".join(page.text)
    assert all(name in text for name in numbers)
    assert "hyperspy" in text


def test_disks_of_the_publication():
    disks = demo.disk_numbers()
    assert disks.shape == (43, 2)
    assert disks[0].tolist() == [3, -3] and disks[-1].tolist() == [-3, 3]
    assert {tuple(d) for d in disks} == {tuple(-d) for d in disks}


def test_scatter_is_the_noise_of_one_point():
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:200, :200]
    values = 0.02 * x - 0.01 * y + 0.003 * rng.standard_normal(x.shape)
    assert demo.scatter(values) == pytest.approx(0.003, rel=0.03)


def test_one_lattice_has_many_bases():
    known = DiskLattice((64, 64), (1.0, 30), (28, -2.0), [(0, 0), (1, 0), (0, 1)], 8)
    bent = 1.01 * known.basis @ [[1, 0.01], [-0.01, 1]]
    found = known.replace(g1=bent[0] - bent[1], g2=-bent[0])
    counted = strains.with_indices_of(found, known)
    assert counted.basis == pytest.approx(np.array([[1, -1], [-1, 0]]) @ known.basis)
    assert counted.origin == found.origin
    with pytest.raises(ValueError, match="another lattice"):
        strains.with_indices_of(found.replace(g1=2 * bent[0], g2=bent[1]), known)


def test_averaging_removes_noise_and_keeps_an_imprint():
    rng = np.random.default_rng(2)
    noise, imprint = rng.normal(size=(200, 200)), np.tile(np.sin(np.arange(200) / 15), (200, 1))
    noise[:3] = np.nan
    left = strains.averaged(noise, 5)
    assert np.array_equal(np.isnan(left), np.isnan(noise))
    assert np.nanstd(left[6:-6, 6:-6]) == pytest.approx(0.2, rel=0.05)
    assert np.std(strains.averaged(imprint, 5)) == pytest.approx(np.std(imprint), rel=0.03)


def test_missing_experiment_is_named(tmp_path):
    with pytest.raises(SystemExit, match="experiment_50x50"):
        demo.main(["--quick", "--output", str(tmp_path), "--shared", str(tmp_path)])


# ---- anchors ------------------------------------------------------------------------------------

ANCHORS = {
    # GaSb, 10^6 electrons a pattern: the noise limit of 43 disk sums
    "foil: RMS error of tilt x (m°)": (0.17, 0.25),
    "foil: RMS error of tilt y (m°)": (0.18, 0.25),
    "foil: RMS error of thickness (nm)": (0.050, 0.25),
    "foil: RMS σ of tilt x (m°)": (0.20, 0.15),
    # Si/SiGe: the noise limit of some sixty disks, and what contrast adds to it
    "transistor: RMS error of ε_xx (%)": (0.021, 0.25),
    "transistor: RMS error of ε_yy (%)": (0.019, 0.25),
    "transistor: RMS error of ε_xy (%)": (0.014, 0.25),
    "transistor: RMS error of rotation (m°)": (7.4, 0.25),
    "transistor: median σ of ε_xx (%)": (0.0187, 0.1),
    # UO2 on 128 x 128 pixels: the angle about the beam, from where edges are
    "grains: median angle to the truth (m°)": (16, 0.6),
    # disk sums of a foil of 68 nm, by a model that allows for what simulations do not know
    "experiment: scatter of tilt x (m°)": (0.65, 0.3),
    "experiment: median thickness (nm)": (68, 0.005),
}
"""A handful of figures that whole runs have to give, and how far each may be off, relative: they
may neither rise nor fall. ``python -m pyxem_mlmaps.demo --quick`` prints them, its seeds are fixed.
What an error may be is set by the counts: one well below its anchor means that the truth has leaked
into the map, or that the scan is not what it was. What the simulation itself is anchored to
(extinction distances, another program) is in ``tests/simulation``."""


@pytest.mark.parametrize("name", ANCHORS)
def test_anchor(demo_run, name):
    expected, tolerance = ANCHORS[name]
    assert demo_run[0][name] == pytest.approx(expected, rel=tolerance)
