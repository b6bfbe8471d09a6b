"""Whole jobs, from a crystal to maps, on small scans: the same answers as in a notebook."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import hyperspy.api as hs
import numpy as np
import pytest
import yaml

import pyxem_mlmaps as mlmaps
from pyxem_mlmaps.cli import main
from pyxem_mlmaps.mapping import resumable

SIMULATION = (
    "--crystal gasb --beam-energy 300 --convergence-angle 1.1 --zone-axis 1 1 0 --tilt-range 0.2 "
    "--thickness 65 80 2.5 --reflections 25 --g-max 1.4 --quiet"
)
TRAINING = "--dose 1e5,1e6 --steps 128 --batch-size 256 --hidden 32,32 --quiet"


def run(*arguments):
    return main([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A library and a model made by the commands, and a scan that was simulated with them."""
    folder = tmp_path_factory.mktemp("chain")
    library, model = folder / "gasb.zarr", folder / "gasb.keras"
    assert run("simulate", *SIMULATION.split(), "--output", library) == 0
    figure = folder / "training.png"
    assert run("train", library, *TRAINING.split(), "--output", model, "--figure", figure) == 0
    scan = mlmaps.data.bent_foil(
        (6, 8), library=mlmaps.RockingLibrary.load(library), bend=0.15, chunks=(3, 4)
    )
    scan.save(folder / "scan.zspy")
    return folder


@pytest.fixture
def scan(folder, tmp_path):
    """A copy of the scan, so that what is written beside it is this test's."""
    return shutil.copytree(folder / "scan.zspy", tmp_path / "scan.zspy")


def test_library_is_that_of_the_function(folder):
    library = mlmaps.RockingLibrary.load(folder / "gasb.zarr")
    expected = mlmaps.simulate_rocking(
        mlmaps.data.gasb(),
        mlmaps.Beam(300, 1.1),
        zone_axis=(1, 1, 0),
        tilt_range=0.2,
        thickness=np.arange(65, 81, 2.5),
        reflections=25,
        g_max=1.4,
    )
    np.testing.assert_array_equal(library.thickness, expected.thickness)
    np.testing.assert_allclose(library.intensities, expected.intensities, rtol=1e-6, atol=1e-9)
    assert library.maps is not None


def test_model_is_that_of_the_function(folder):
    model = mlmaps.load_model(folder / "gasb.keras")
    assert model.noise.dose == (1e5, 1e6)
    assert model.card.training["steps"] == 128
    expected = mlmaps.train_orientation_model(
        mlmaps.RockingLibrary.load(folder / "gasb.zarr"),
        mlmaps.NoiseModel(dose=(1e5, 1e6)),
        steps=128,
        batch_size=256,
        hidden=(32, 32),
    )
    assert model.card.validation == expected.card.validation
    assert (folder / "training.png").stat().st_size > 1000


def test_map_is_that_of_the_method(folder, scan, tmp_path, capsys):
    output, figure = tmp_path / "map.zspy", tmp_path / "map.png"
    line = ("map", scan, "--model", folder / "gasb.keras", "--background", "local", "--output")
    assert run(*line, output, "--figure", figure, "--save-lattice", "--quiet") == 0
    told = capsys.readouterr()
    assert told.out == "" and "error" not in told.err
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "map.png", "map.zspy", "map.zspy.yaml", "map_lattice.json", "scan.zspy",
    ]  # fmt: skip

    s = hs.load(scan, lazy=True)
    model = mlmaps.load_model(folder / "gasb.keras")
    lattice = mlmaps.DiskLattice.from_signal(s, model)
    expected = s.ml_orientation_map(model, lattice, background="local", lazy_output=False)
    omap = hs.load(output)
    assert isinstance(omap, mlmaps.MLOrientationMap)
    np.testing.assert_array_equal(omap.data, expected.data)
    assert omap.axes_manager[0].scale == s.axes_manager[0].scale
    kept = json.loads((tmp_path / "map_lattice.json").read_text())
    assert mlmaps.DiskLattice.from_dict(kept) == lattice

    text = (tmp_path / "map.zspy.yaml").read_text(encoding="utf-8")
    assert omap.metadata.MLOrientationMap.configuration == text
    used = yaml.safe_load(text)
    assert used["background"] == "local" and used["command"] == "map"

    again = tmp_path / "again.zspy"
    files = ("--lattice", tmp_path / "map_lattice.json", "--config", tmp_path / "map.zspy.yaml")
    assert run("map", *files, "--output", again, "--figure", tmp_path / "again.pdf") == 0
    np.testing.assert_array_equal(hs.load(again).data, omap.data)
    assert "48 points, 0 without an answer" in capsys.readouterr().out
    assert (tmp_path / "again.pdf").exists()


def test_strain_is_that_of_the_function(scan, tmp_path):
    """Vectors and map, against the median inside a box."""
    output = tmp_path / "out" / "strain.hspy"
    box = "--reference=0,0,15,15"
    assert run("strain", scan, box, "--axis", "1,0", "--output", output, "--quiet") == 0
    vectors = hs.load(scan, lazy=True).ml_disk_positions(lazy_output=False)
    roi = hs.roi.RectangularROI(0, 0, 15, 15)
    expected = mlmaps.strain_map(vectors, roi, axis=(1, 0))
    strain = hs.load(output)
    assert isinstance(strain, mlmaps.MLStrainMap)
    np.testing.assert_array_equal(strain.data, expected.data)
    np.testing.assert_array_equal(strain.covariance, expected.covariance)
    assert strain.reference == expected.reference
    written = hs.load(tmp_path / "out" / "strain_vectors.hspy")
    for ours, theirs in zip(written.data.ravel(), vectors.data.ravel(), strict=True):
        np.testing.assert_array_equal(ours, theirs)

    mask = np.zeros((6, 8))
    mask[:3, :3] = 1
    np.save(tmp_path / "mask.npy", mask)
    masked = tmp_path / "masked.zspy"
    line = ("strain", scan, "--reference", tmp_path / "mask.npy", "--axis", "1,0", "--no-vectors")
    assert run(*line, "--output", masked, "--figure", tmp_path / "strain.png", "--quiet") == 0
    np.testing.assert_allclose(hs.load(masked).data, strain.data, rtol=0, atol=1e-12)
    assert not (tmp_path / "masked_vectors.zspy").exists()
    assert (tmp_path / "strain.png").stat().st_size > 1000


def test_a_job_that_was_stopped_goes_on(folder, scan, tmp_path, monkeypatch, capsys):
    """Ctrl-C after the second block: 130, what to do, and only the other blocks afterwards."""
    write, written = resumable._write_block, []

    def stopping(*arguments):
        if len(written) == 2:
            raise KeyboardInterrupt
        write(*arguments)
        written.append(arguments[2])

    line = ("map", scan, "--model", folder / "gasb.keras", "--num-workers", 1, "--quiet")
    monkeypatch.setattr(resumable, "_write_block", stopping)
    assert run(*line) == 130
    assert "the same command goes on where it was" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir() if p != scan] == ["scan_orientation.zspy.blocks"]

    def counted(*arguments):
        write(*arguments)
        written.append(arguments[2])

    monkeypatch.setattr(resumable, "_write_block", counted)
    assert run(*line) == 0
    assert len(written) == len({tuple(index) for index in written}) == 4
    assert not (tmp_path / "scan_orientation.zspy.blocks").exists()
    whole = tmp_path / "whole.zspy"
    assert run(*line, "--output", whole) == 0
    there = hs.load(tmp_path / "scan_orientation.zspy")
    np.testing.assert_array_equal(there.data, hs.load(whole).data)


def test_existing_outputs_are_kept(folder, scan, tmp_path, capsys):
    output = tmp_path / "map.zspy"
    output.mkdir()
    (output / "precious").write_text("data")
    line = ("map", scan, "--model", folder / "gasb.keras", "--output", output, "--quiet")
    assert run(*line) == 2
    assert "--overwrite replaces it" in capsys.readouterr().err
    assert run(*line, "--skip-existing") == 0
    assert (output / "precious").exists()
    assert run(*line, "--overwrite") == 0
    assert not (output / "precious").exists()
    assert hs.load(output).data.shape == (6, 8, 7)
    for command in ("simulate", "train"):
        source = SIMULATION.split() if command == "simulate" else [folder / "gasb.zarr"]
        name = "gasb.zarr" if command == "simulate" else "gasb.keras"
        assert run(command, *source, "--output", folder / name) == 2
        assert "exists" in capsys.readouterr().err


def test_one_bad_scan_of_three(folder, scan, tmp_path, capsys):
    """The others are mapped, the exit code is 1, and the end says which one failed."""
    for name in ("a.zspy", "c.zspy"):
        shutil.copytree(folder / "scan.zspy", tmp_path / name)
    (tmp_path / "b.zspy").mkdir()
    shutil.rmtree(scan)
    model, maps = folder / "gasb.keras", tmp_path / "maps"
    line = ("map", tmp_path / "*.zspy", "--model", model, "--output", maps, "--no-refine")
    assert run(*line, "--figure", maps / "f.png") == 1
    told = capsys.readouterr()
    assert "2 of 3" in told.out
    last = told.err.strip().splitlines()[-1]
    assert last.startswith("pyxem-mlmaps map: error: 1 of 3 scans failed") and "b.zspy" in last
    assert "Traceback" not in told.err
    assert sorted(p.name for p in maps.iterdir()) == [
        "a_orientation.zspy", "a_orientation.zspy.yaml", "a_orientation_f.png",
        "c_orientation.zspy", "c_orientation.zspy.yaml", "c_orientation_f.png",
    ]  # fmt: skip
    used = yaml.safe_load((maps / "c_orientation.zspy.yaml").read_text(encoding="utf-8"))
    assert len(used["scans"]) == 1 and used["scans"][0].endswith(".zspy")

    assert run(*line, "--skip-existing", "--debug") == 1
    told = capsys.readouterr()
    assert told.out.count("skipped") == 2 and "Traceback" in told.err


def test_failures_say_why_in_one_line(folder, scan, tmp_path, capsys):
    model = folder / "gasb.keras"
    (tmp_path / "lattice.json").write_text('{"origin": [1, 2]}')
    np.save(tmp_path / "mask.npy", np.ones((2, 2)))
    for line, told in (
        (("map", tmp_path / "no.zspy", "--model", model), "there is no such file"),
        (("map", scan, "--model", tmp_path / "no.keras"), "no.keras"),
        (("map", scan, "--model", folder / "gasb.zarr"), "gasb.zarr"),
        (("map", scan, "--model", model, "--lattice", tmp_path / "lattice.json"), "is no lattice"),
        (("strain", scan, "--reference", tmp_path / "mask.npy"), "of the scan's shape (6, 8)"),
        (("strain", scan, "--dataset", 3), "--dataset 3"),
        (("train", tmp_path / "no.zarr", "--output", tmp_path / "m.keras"), "no such library"),
        (("grains", scan, "--crystal", tmp_path / "no.cif"), "there is no such file"),
    ):
        assert run(*line, "--quiet") == 1
        error = capsys.readouterr().err.strip().splitlines()
        assert error[-1].startswith(f"pyxem-mlmaps {line[0]}: error: ") and told in error[-1]
        assert not any("Traceback" in text for text in error)


def test_calibration_by_flags(folder, tmp_path, capsys):
    """A file without calibration is refused with the flags that help, and maps alike with them."""
    s = hs.load(folder / "scan.zspy", lazy=True)
    bare = hs.signals.Signal2D(s.data).as_lazy()
    bare.save(tmp_path / "bare.zspy")
    line = ("map", tmp_path / "bare.zspy", "--model", folder / "gasb.keras", "--quiet")
    assert run(*line) == 1
    assert "--beam-energy, --convergence-angle, --scale" in capsys.readouterr().err
    scale = s.axes_manager.signal_axes[0].scale
    flags = ("--beam-energy", 300, "--convergence-angle", 1.1, "--scale", scale, "--scan-step", 5)
    assert run(*line, *flags, "--output", tmp_path / "bare_map.zspy") == 0
    omap = hs.load(tmp_path / "bare_map.zspy")
    axis = omap.axes_manager.navigation_axes[0]
    assert (axis.scale, axis.units) == (5, "nm")
    truth = mlmaps.data.ground_truth(s)
    assert np.abs(omap.tilt_x.data - truth.tilt_x).max() < 0.02
    assert run(*line, *flags[2:], "--beam-energy", 200, "--check", "warn") == 0
    warned = capsys.readouterr().err
    assert "warning: The signal and the model do not agree" in warned and "Traceback" not in warned


def test_files_of_other_layouts(folder, tmp_path):
    """All four axes as signal axes, as some formats have them, and a file of several data sets."""
    from argparse import Namespace

    from pyxem_mlmaps.cli._scan import load_scan

    data = hs.load(folder / "scan.zspy").data
    options = Namespace(
        dataset=None, beam_energy=None, convergence_angle=None, scale=0.01, scan_step=None
    )
    hs.signals.BaseSignal(data).save(tmp_path / "four.zspy")
    assert hs.load(tmp_path / "four.zspy").axes_manager.signal_dimension == 4
    s = load_scan(tmp_path / "four.zspy", options)
    assert s._lazy and s.axes_manager.signal_dimension == 2
    np.testing.assert_array_equal(s.data, data)
    assert [axis.scale for axis in s.axes_manager.signal_axes] == [0.01, 0.01]

    survey = hs.signals.Signal2D(np.zeros((5, 5)))
    assert _held(load_scan, [survey, s], options).data.shape == data.shape
    with pytest.raises(ValueError, match="0: shape .* 1: shape .*--dataset"):
        _held(load_scan, [s, s], options)
    options.dataset = 0
    assert _held(load_scan, [survey, s], options).data.shape == (5, 5)


def _held(load_scan, signals, options):
    """What is read of a file that holds these signals."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hs, "load", lambda path, lazy: signals)
        return load_scan(Path(__file__), options)


def test_progress_on_stderr(folder, scan, capsys):
    assert run("map", scan, "--model", folder / "gasb.keras", "--no-refine") == 0
    told = capsys.readouterr()
    assert "Orientation" in told.err and "Orientation:" not in told.out


@pytest.fixture
def polycrystal_calls(monkeypatch):
    """Stands in for ``map_polycrystal``, which takes minutes: records how it is called."""
    from orix.crystal_map import CrystalMap, PhaseList, create_coordinate_arrays
    from orix.quaternion import Rotation

    calls = []
    places, n = create_coordinate_arrays((6, 8), (5, 5))
    angles = np.random.default_rng(0).uniform(0.1, 1.4, (n, 3))
    xmap = CrystalMap(
        Rotation.from_euler(angles),
        **places,
        phase_list=PhaseList(mlmaps.data.uo2()),
        prop={"precise": np.arange(n) % 2, "misfit": np.full(n, 0.5)},
    )
    monkeypatch.setattr(mlmaps, "map_polycrystal", lambda *a, **k: calls.append((a, k)) or xmap)
    return calls, xmap


def test_grains(scan, tmp_path, polycrystal_calls, capsys):
    """Crystals, the file's beam and all options arrive; orix reads what is written."""
    from orix.io import load

    calls, expected = polycrystal_calls
    line = "--crystal uo2,gasb --thickness 35 85 --mosaic 0.01 --grain-angle 3 --num-workers 2"
    figure = ("--figure", tmp_path / "grains.png")
    assert run("grains", scan, *line.split(), "--cache", tmp_path / "cache", *figure) == 0
    (((signal, phases, beam), options),) = calls
    assert signal.data.shape[:2] == (6, 8) and signal._lazy
    assert [phase.name for phase in phases] == ["UO2", "GaSb"]
    assert (beam.energy, beam.convergence_angle) == (300, 1.1)
    assert options == {
        "thickness": (35.0, 85.0),
        "template_step": 1.0,
        "grain_angle": 3.0,
        "subgrain_angle": 0.1,
        "optics": "measure",
        "simulation": {"mosaic": 0.01},
        "cache": tmp_path / "cache",
        "cache_size": 4e9,
        "show_progressbar": True,
        "num_workers": 2,
    }
    xmap = load(tmp_path / "scan_grains.h5")
    turned = np.abs(np.sum(xmap.rotations.data * expected.rotations.data, axis=-1))
    np.testing.assert_allclose(turned, 1, atol=1e-9)
    np.testing.assert_array_equal(xmap.prop["precise"], expected.prop["precise"])
    assert (tmp_path / "grains.png").exists() and (tmp_path / "scan_grains.h5.yaml").exists()
    assert "48 points, 24 with a precise orientation" in capsys.readouterr().out
    assert run("grains", scan, "--crystal", "uo2") == 2
    assert run("grains", scan, "--crystal", "uo2", "--overwrite", "--quiet") == 0


def test_grains_of_an_unknown_beam(folder, tmp_path, polycrystal_calls, capsys):
    bare = hs.signals.Signal2D(hs.load(folder / "scan.zspy").data)
    bare.save(tmp_path / "bare.zspy")
    line = ("grains", tmp_path / "bare.zspy", "--crystal", "uo2", "--quiet")
    assert run(*line, "--beam-energy", 300) == 1
    assert "give --convergence-angle." in capsys.readouterr().err
    assert run(*line, "--beam-energy", 200, "--convergence-angle", 1.5) == 0
    assert polycrystal_calls[0][0][0][2] == mlmaps.Beam(200, 1.5)
