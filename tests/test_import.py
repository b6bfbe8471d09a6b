"""What ``import pyxem_mlmaps`` costs and what it leaves alone."""

from __future__ import annotations

import subprocess
import sys

import pytest

import pyxem_mlmaps as mlmaps


def test_heavy_packages_wait_until_needed():
    code = (
        "import sys, warnings; warnings.simplefilter('ignore'); import pyxem_mlmaps as m; "
        "m.Beam(300, 1.1); m.NoiseModel(); m.load_model; m.RockingLibrary; "
        "print([n for n in ('tensorflow', 'keras', 'abtem', 'py4DSTEM') if n in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_import_says_nothing():
    run = subprocess.run(
        [sys.executable, "-c", "import pyxem_mlmaps"], capture_output=True, text=True, check=True
    )
    assert (run.stdout, run.stderr) == ("", "")


@pytest.mark.parametrize("name", mlmaps.__all__)
def test_public_names_exist_and_are_documented(name):
    value = getattr(mlmaps, name)
    assert name == "__version__" or (value.__doc__ or "").strip()


def test_unknown_name():
    with pytest.raises(AttributeError, match="no_such_name"):
        mlmaps.no_such_name  # noqa: B018
