"""Small crystals, libraries and models that many tests share, each made once per session."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from diffpy.structure import Atom, Lattice, Structure
from orix.crystal_map import Phase

import pyxem_mlmaps as mlmaps

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"


LONGEST = (
    "test_notebooks.py",
    "test_demo.py",
    "test_docs.py",
    "test_plotting_grains.py",
    "test_notebook_own_crystal.py",
    "test_polycrystal.py",
    "test_reproducible.py",
    "test_train_disks.py",
)
"""Files that take about a minute or more, the longest first."""


def pytest_collection_modifyitems(items):
    """Long files first: of two processes that take file by file none waits long for the other."""
    rank = {name: k for k, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path.name, len(LONGEST)))


@pytest.fixture(scope="session", autouse=True)
def quiet():
    """No progress bars in the log of the tests."""
    import hyperspy.api as hs

    shown = hs.preferences.General.show_progressbar
    hs.preferences.General.show_progressbar = False
    yield
    hs.preferences.General.show_progressbar = shown


@pytest.fixture(scope="session")
def gasb():
    """Zinc blende without a centre: what has a polarity. σ of 0.085 (Ga) and 0.095 Å (Sb)."""
    structure = Structure(
        lattice=Lattice(6.0959, 6.0959, 6.0959, 90, 90, 90),
        atoms=[
            Atom("Ga", [0, 0, 0], Uisoequiv=0.085**2),
            Atom("Sb", [0.25, 0.25, 0.25], Uisoequiv=0.095**2),
        ],
    )
    return Phase("GaSb", space_group=216, structure=structure)


@pytest.fixture(scope="session")
def silicon():
    """Diamond structure: centrosymmetric, with forbidden reflections."""
    return bulk("Si", cubic=True)


@pytest.fixture(scope="session")
def beam():
    return mlmaps.Beam(energy=300, convergence_angle=1.10)


@pytest.fixture(scope="session")
def library(gasb, beam):
    """GaSb <110>, 21 x 21 tilts to 0.2°, 7 thicknesses, 25 disks, truncated at 1.4 Å⁻¹."""
    return mlmaps.simulate_rocking(
        gasb,
        beam,
        zone_axis=(1, 1, 0),
        tilt_range=0.2,
        tilt_step=0.02,
        thickness=np.arange(65, 81, 2.5),
        reflections=25,
        g_max=1.4,
    )


@pytest.fixture(scope="session")
def model(library):
    """A small network after 384 steps: 0.0013° bare, at the noise limit when refined."""
    return mlmaps.train_orientation_model(
        library,
        noise=mlmaps.NoiseModel(dose=(1e5, 1e6)),
        steps=384,
        batch_size=512,
        hidden=(64, 64, 64),
        seed=0,
    )


def write_experiment(folder, library, size=12):
    """A file like the published one: disk sums of a foil whose tilt x rises along x.

    [001] lies along +x in the library and in the published images, so the tilts are alike too.
    """
    from scipy.io import savemat

    from pyxem_mlmaps import demo
    from pyxem_mlmaps.simulation.spline import LibrarySpline

    spline = LibrarySpline.fit(
        library.intensities, library.tilt_x, library.tilt_y, library.thickness
    )
    tilt_x = np.tile(np.linspace(-0.1, 0.1, size), size)
    points = np.stack([tilt_x, np.full_like(tilt_x, 0.03), np.full_like(tilt_x, 68.0)], axis=-1)
    counts = np.random.default_rng(0).poisson(1e5 * spline(points))
    disks = np.zeros((43, 3, size**2), dtype=np.int32)
    disks[:, :2] = demo.disk_numbers()[:, :, None]
    disks[:, 2] = counts.T
    path = folder / demo.EXPERIMENT
    path.parent.mkdir(parents=True)
    savemat(path, {"diskList": disks})


@pytest.fixture(scope="session")
def demo_run(tmp_path_factory):
    """The quick demo, once, with an experiment in the published form."""
    import hyperspy.api as hs

    from pyxem_mlmaps import demo

    before = hs.preferences.General.show_progressbar
    hs.preferences.General.show_progressbar = False
    shared, output = tmp_path_factory.mktemp("shared"), tmp_path_factory.mktemp("output")
    write_experiment(shared, demo.simulate(demo.QUICK))
    try:
        numbers = demo.main(["--quick", "--output", str(output), "--shared", str(shared)])
    finally:
        hs.preferences.General.show_progressbar = before
    return numbers, output, shared / demo.EXPERIMENT


@pytest.fixture(scope="session")
def execute_notebook(tmp_path_factory):
    """Runs a notebook, and a last cell that writes what it came to into report.json."""

    def execute(name, report):
        nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
        nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
        pytest.importorskip("ipykernel", reason="ipykernel is not installed")
        folder = tmp_path_factory.mktemp(Path(name).stem)
        notebook = nbformat.read(NOTEBOOKS / name, as_version=4)
        notebook.cells.append(nbformat.v4.new_code_cell(report))
        resources = {"metadata": {"path": str(folder)}}
        nbclient.NotebookClient(
            notebook, timeout=600, kernel_name="python3", resources=resources
        ).execute()
        return json.loads((folder / "report.json").read_text())

    return execute


@pytest.fixture(scope="session")
def simulate_silicon_and_alloy():
    """Libraries of Si and Si₀.₇Ge₀.₃ ⟨110⟩, 19 disks to |400|, truncated at 1.4 Å⁻¹."""

    def simulate(tilt_range):
        hkl = [
            (i, -i, j)
            for i in range(-2, 3)
            for j in range(-4, 5)
            if (i - j) % 2 == 0 and 2 * i**2 + j**2 <= 16
        ]
        return tuple(
            mlmaps.simulate_rocking(
                phase, mlmaps.Beam(200, 1.6), zone_axis=(1, 1, 0), tilt_range=tilt_range,
                tilt_step=0.02, thickness=np.arange(40, 61, 5), reflections=hkl, g_max=1.4,
            )
            for phase in (mlmaps.data.silicon(), mlmaps.data.sige(0.3))
        )  # fmt: skip

    return simulate
