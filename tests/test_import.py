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


@pytest.mark.parametrize(
    "code",
    [
        "import pyxem_mlmaps; assert 'pyxem' not in sys.modules; import pyxem",
        "import pyxem; import pyxem_mlmaps",
        "import pyxem_mlmaps, importlib; importlib.reload(pyxem_mlmaps); import pyxem",
        "import pyxem_mlmaps; from pyxem_mlmaps import register; register()",
        "import pyxem_mlmaps.strain_result",
    ],
)
def test_methods_are_there_as_soon_as_pyxem_is(code):
    """Whichever is imported first; and pyxem, which takes seconds, is imported only if needed."""
    code = f"import sys, warnings; warnings.simplefilter('ignore'); {code}; " + (
        "s = sys.modules['pyxem.signals'].LazyElectronDiffraction2D; "
        "print(s.ml_orientation_map.__module__, s.ml_disk_positions.__module__, "
        "[f for f in sys.meta_path if 'pyxem_mlmaps' in type(f).__module__])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["pyxem_mlmaps._signal_methods"] * 2 + ["[]"]


@pytest.mark.parametrize("name", mlmaps.__all__)
def test_public_names_exist_and_are_documented(name):
    value = getattr(mlmaps, name)
    assert name == "__version__" or (value.__doc__ or "").strip()


def test_unknown_name():
    with pytest.raises(AttributeError, match="no_such_name"):
        mlmaps.no_such_name  # noqa: B018
