"""Flags, files of options, and what is refused before any job begins."""

from __future__ import annotations

import inspect
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

import pyxem_mlmaps as mlmaps
from pyxem_mlmaps.cli import _main, _values, main

COMMANDS = [command.name for command in _main.COMMANDS]


def parsed(*arguments):
    """The options that a command would run with."""
    found = {}
    idle = tuple(replace(c, run=lambda o: found.update(vars(o))) for c in _main.COMMANDS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_main, "COMMANDS", idle)
        assert main([str(argument) for argument in arguments]) == 0
    return found


def write(folder, **options):
    file = folder / "job.yaml"
    file.write_text(yaml.safe_dump(options), encoding="utf-8")
    return file


# ---- help ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_help_suffices(command, capsys):
    """What it reads, writes, an example that parses, and the exit codes."""
    assert main([command, "--help"]) == 0
    text = capsys.readouterr().out
    assert "example:" in text and "exit codes" in text
    assert "Reads" in text or command == "bench"
    assert "Writes" in text
    example = next(c.example for c in _main.COMMANDS if c.name == command).split()
    assert example[:2] == ["pyxem-mlmaps", command]
    parsed(*example[1:])


def test_list_of_commands(capsys):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(command in text for command in COMMANDS)


def test_module_starts_without_the_heavy_packages():
    """Beyond what ``import pyxem_mlmaps`` needs (pyxem): no TensorFlow, no abTEM."""
    run = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "pyxem_mlmaps", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.strip() == f"pyxem_mlmaps {mlmaps.__version__}"
    imported = {line.rsplit("|", 1)[-1].strip() for line in run.stderr.splitlines()}
    assert "pyxem_mlmaps.cli._map" in imported
    assert not imported & {"tensorflow", "keras", "abtem"}


def functions_of(command):
    from pyxem.signals import Diffraction2D

    return {
        "simulate": [mlmaps.simulate_rocking],
        "train": [mlmaps.train_orientation_model, mlmaps.NoiseModel],
        "map": [Diffraction2D.ml_orientation_map],
        "strain": [Diffraction2D.ml_disk_positions, mlmaps.strain_map],
        "grains": [mlmaps.map_polycrystal],
    }[command]


@pytest.mark.parametrize(
    ("line", "n_shared"),
    [
        (
            "simulate --crystal gasb --beam-energy 300 --convergence-angle 1.1 --zone-axis 1 1 0 "
            "--thickness 60 90 5 --output g.zarr",
            15,
        ),
        ("train g.zarr --output m.keras", 11),
        ("map s.zspy --model m.keras", 5),
        ("strain s.zspy --model disks", 12),
        ("grains s.zspy --crystal uo2", 8),
    ],
)
def test_defaults_are_those_of_the_functions(line, n_shared):
    command, *rest = line.split()
    options = parsed(command, *rest)
    flags = {word.removeprefix("--").replace("-", "_") for word in rest if word[:2] == "--"}
    compared = 0
    for function in functions_of(command):
        for name, parameter in inspect.signature(function).parameters.items():
            if name not in options or name in flags or parameter.default is parameter.empty:
                continue
            default, ours = parameter.default, options[name]
            if isinstance(ours, (tuple, list)):
                ours, default = list(ours), list(np.broadcast_to(default, len(ours)))
            assert ours == default, name
            compared += 1
    assert compared == n_shared


# ---- files of options ---------------------------------------------------------------------------


def test_flags_win_over_the_file_and_the_file_over_defaults(tmp_path):
    file = write(tmp_path, libraries=["a.zarr"], output="m.keras", steps=100, seed=5)
    options = parsed("train", "--config", file, "--steps", 7)
    assert (options["steps"], options["seed"], options["batch_size"]) == (7, 5, 2048)
    assert options["libraries"] == [tmp_path / "a.zarr"]
    options = parsed("train", "b.zarr", "--config", file)
    assert options["libraries"] == [Path("b.zarr")]


def test_a_file_says_all_that_flags_say(tmp_path):
    flags = parsed(
        *"train a.zarr --output m.keras --dose none --white 0.02,0.1 --psf 0.1".split(),
        *"--hidden 32,16 --figure f.png".split(),
    )
    names = ("dose", "white", "psf", "hidden")
    assert [flags[n] for n in names] == [None, (0.02, 0.1), 0.1, (32, 16)]
    file = write(
        tmp_path, libraries="a.zarr", output="m.keras", dose=None, white=[0.02, 0.1], psf=0.1,
        hidden=[32, 16], figure="f.png",
    )  # fmt: skip
    options = parsed("train", "--config", file)
    assert [options[n] for n in names] == [flags[n] for n in names]
    assert options["figure"] == tmp_path / "f.png"


def test_strain_options_of_either_kind(tmp_path):
    options = parsed("strain", "s.zspy", "--reference", "0,1,20,30", "--axis=-1,1")
    assert (options["reference"], options["axis"]) == ((0.0, 1.0, 20.0, 30.0), (-1, 1))
    options = parsed("strain", "s.zspy", "--optics", "9.5,0.6", "--descan", "direct_beam")
    assert (options["optics"], options["descan"]) == ((9.5, 0.6), "direct_beam")
    file = write(tmp_path, scans=["s.zspy"], reference="mask.npy", axis=30, vectors=False)
    options = parsed("strain", "--config", file)
    assert (options["reference"], options["axis"]) == (tmp_path / "mask.npy", 30.0)
    assert options["vectors"] is False
    file = write(tmp_path, **{"scans": "s.zspy", "reference": [0, 1, 20, 30], "axis": [1, -1]})
    options = parsed("strain", "--config", file, "--vectors")
    assert (options["reference"], options["axis"]) == ((0.0, 1.0, 20.0, 30.0), (1, -1))
    assert options["vectors"] is True


def test_crystals_by_name_file_and_element(tmp_path):
    base = ["--beam-energy", 300, "--convergence-angle", 1, "--zone-axis", 1, -1, 0]
    base += ["--thickness", 60, 70, 5, "--output", "l.zarr"]
    options = parsed(
        "simulate", "--crystal", "sige:0.3", "--debye-waller", "Si=0.07,Ge=0.08", *base
    )
    assert options["debye_waller"] == {"Si": 0.07, "Ge": 0.08}
    assert options["zone_axis"] == [1, -1, 0]
    assert _values.as_phase(options["crystal"]).name == "Si0.7Ge0.3"
    file = write(tmp_path, crystal="si.cif", debye_waller={"Si": 0.07})
    options = parsed("simulate", "--config", file, *base)
    assert (options["crystal"], options["debye_waller"]) == (tmp_path / "si.cif", {"Si": 0.07})
    file = write(tmp_path, scans="s.zspy", crystal=["uo2", "zr.cif"])
    assert parsed("grains", "--config", file)["crystal"] == ("uo2", tmp_path / "zr.cif")


def test_names_of_crystals():
    assert set(_values.CRYSTALS) <= set(mlmaps.data.__all__)
    assert _values.as_phase("gasb").name == "GaSb"


@pytest.mark.parametrize("command", COMMANDS)
def test_written_options_are_read_again(command, tmp_path, capsys):
    file = tmp_path / "options.yaml"
    example = next(c.example for c in _main.COMMANDS if c.name == command).split()[1:]
    assert main([*example, "--write-config", str(file)]) == 0
    assert parsed(command, "--config", file).keys() == parsed(*example).keys()
    first = file.read_text(encoding="utf-8")
    assert main([command, "--config", str(file), "--write-config", "-"]) == 0
    assert capsys.readouterr().out == first
    assert main([*example, "--write-config", str(file)]) == 2, "an existing file is kept"


# ---- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"tilt_rang": 0.5, "stepp": 1}, ["'tilt_rang'", "'tilt_range'", "'stepp'"]),
        ({"zone_axis": [1, 1]}, ["zone_axis", "3 are needed"]),
        ({"tilt_range": "wide"}, ["tilt_range", "'wide' is not a number"]),
        ({"maps": "no"}, ["maps", "true or false"]),
        ({"overlap": "never"}, ["overlap", "avoid"]),
        ({"crystal": "unobtainium"}, ["crystal", "neither a CIF file nor one of gasb"]),
        ({"command": "map"}, ["'map'", "'simulate'"]),
        ({"config": "other.yaml"}, ["unknown 'config'"]),
        ({"tilt_range": None}, ["tilt_range", "'none' is not a number"]),
    ],
)
def test_bad_files(options, told, tmp_path, capsys):
    assert main(["simulate", "--config", str(write(tmp_path, **options))]) == 2
    error = capsys.readouterr().err
    assert all(part in error for part in told), error
    assert "Traceback" not in error


@pytest.mark.parametrize("content", ["- a\n- b\n", "a: [1\n", "just words"])
def test_files_that_hold_no_options(content, tmp_path, capsys):
    (tmp_path / "job.yaml").write_text(content)
    assert main(["map", "--config", str(tmp_path / "job.yaml")]) == 2
    assert "job.yaml" in capsys.readouterr().err
    assert main(["map", "--config", str(tmp_path / "none.yaml")]) == 2
    assert "none.yaml: No such file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("", "COMMAND"),
        ("mapp", "invalid choice"),
        ("map scan.zspy", "--model must be given"),
        ("map --model m.keras", "SCAN must be given"),
        ("map scan.zspy --model m.keras --back local", "unrecognized"),
        ("map scan.zspy --model m.keras --background some", "local"),
        ("map scan.zspy --model m.keras --output map.tif", ".zspy, .hspy can be written"),
        ("map a.zspy b.zspy --model m.keras --output map.zspy", "one file for 2 scans"),
        ("map a/s.zspy b/s.zspy --model m.keras --output maps", "would both become"),
        ("map s.zspy --model m.keras --output s.zspy --overwrite", "is a scan that is read"),
        ("map no*.zspy --model m.keras", "no such file"),
        ("map s.zspy --model m.keras --figure map.doc", ".png or .pdf or .svg"),
        ("strain scan.zspy --reference 1,2,3", "LEFT,TOP,RIGHT,BOTTOM"),
        ("strain scan.zspy --axis 1,2,3", "H,K"),
        ("strain scan.zspy --optics 9", "RADIUS,EDGE"),
        ("strain scan.zspy --max-strain nan", "'nan' is not a number"),
        ("train a.zarr --output model.h5", "must end in .keras"),
        ("train a.zarr --output m.keras --dose 1,2,3", "LOW,HIGH"),
        ("train a.zarr --output m.keras --seed 1.5", "not a whole number"),
    ],
)
def test_bad_flags(line, told, capsys):
    assert main(line.split()) == 2
    error = capsys.readouterr().err
    assert told in error and "Traceback" not in error


def test_thickness_range(capsys):
    line = "simulate --crystal gasb --beam-energy 300 --convergence-angle 1.1 --zone-axis 1 1 0 "
    assert main([*line.split(), *"--output g.zarr --thickness 90 60 5".split()]) == 2
    assert "FIRST <= LAST" in capsys.readouterr().err


def test_bench_needs_a_checkout(monkeypatch, tmp_path, capsys):
    from pyxem_mlmaps.cli import _bench

    assert _bench.SCRIPT.is_file()
    assert main(["bench", "no_such_part"]) == 1
    assert "there is no benchmark no_such_part" in capsys.readouterr().err
    monkeypatch.setattr(_bench, "SCRIPT", tmp_path / "run.py")
    assert main(["bench"]) == 1
    assert "run this from a checkout" in capsys.readouterr().err
    (tmp_path / "run.py").write_text("import sys; sys.exit(3 if sys.argv[1:] == ['run'] else 0)")
    assert main(["bench"]) == 0
    assert main(["bench", "run"]) == 1
    assert "exit code 3" in capsys.readouterr().err


def test_demo_gets_its_options(monkeypatch, tmp_path):
    from pyxem_mlmaps import demo

    calls = []
    monkeypatch.setattr(demo, "main", calls.append)
    assert main(["demo", "--quick", "--output", str(tmp_path)]) == 0
    assert calls == [["--output", str(tmp_path), "--quick"]]


def test_demo_without_the_experiment(tmp_path, capsys):
    """The demo itself ends with a message; that is a failure like any other."""
    assert main(["demo", "--output", str(tmp_path / "o"), "--shared", str(tmp_path)]) == 1
    assert "there is no" in capsys.readouterr().err
