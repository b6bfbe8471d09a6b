"""What is built from the checkout works where the checkout is not."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "pyxem_mlmaps"
FIRST_STEPS = """
import numpy as np, hyperspy.api as hs, pyxem_mlmaps as mlmaps
from hyperspy.extensions import ALL_EXTENSIONS
from pyxem.signals import ElectronDiffraction2D

print(mlmaps.__file__)
assert "MLOrientationMap" in ALL_EXTENSIONS["signals"]
assert hasattr(ElectronDiffraction2D, "ml_disk_positions")
y, x = np.indices((61, 61)) - 30
disk = 50 * np.clip(15.5 - np.hypot(y - 1.2, x + 2.7), 0, 1)
found = mlmaps.load_model("disks").predict(disk[None], radius=15)
assert abs(found.y[0] - 1.2) < 0.1 and abs(found.x[0] + 2.7) < 0.1
"""

pytest.importorskip("hatchling", reason="hatchling builds the package")


def build(kind, source, folder):
    """The one file that hatchling makes of a source tree."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(folder)],
        cwd=source, check=True, capture_output=True,
    )  # fmt: skip
    (path,) = folder.iterdir()
    return path


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return build("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    return build("sdist", ROOT, tmp_path_factory.mktemp("sdist"))


def members(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def test_wheel_holds_the_package_and_nothing_else(wheel):
    files = members(wheel)
    assert {name.split("/")[0] for name in files} == {"pyxem_mlmaps"}
    present = {
        f"pyxem_mlmaps/{path.relative_to(PACKAGE).as_posix()}"
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert files == present
    assert {"pyxem_mlmaps/hyperspy_extension.yaml", "pyxem_mlmaps/__init__.pyi"} <= files


def test_installed_wheel(wheel, tmp_path):
    """Unpacked as pip does, and used from elsewhere: nothing comes from the checkout."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    (tmp_path / "elsewhere").mkdir()
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FIRST_STEPS],
        cwd=tmp_path / "elsewhere",
        env=os.environ | {"PYTHONPATH": str(tmp_path / "site")},
        check=True,
        capture_output=True,
        text=True,
    )
    assert Path(done.stdout.strip()).is_relative_to(tmp_path / "site")


def test_sdist_makes_the_same_wheel(sdist, wheel, tmp_path):
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (tree,) = tmp_path.iterdir()
    for name in ("tests/conftest.py", "benchmarks/run.py", "docs", "notebooks", "Makefile"):
        assert (tree / name).exists(), name
    (tmp_path / "again").mkdir()
    assert members(build("wheel", tree, tmp_path / "again")) == members(wheel)


def test_conda_recipe_asks_for_what_the_package_asks_for():
    """The same versions; conda splits dask and matplotlib, the core of each is what is needed."""
    import yaml

    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    recipe = yaml.safe_load((ROOT / "conda" / "recipe.yaml").read_text(encoding="utf-8"))

    def split(requirement):
        name = requirement.replace(" ", "").split(">=")[0].split("[")[0]
        return name.replace("_", "-"), requirement.replace(" ", "").partition(">=")[2]

    wanted = dict(split(r) for r in project["dependencies"])
    wanted["dask-core"] = wanted.pop("dask")
    wanted["matplotlib-base"] = wanted.pop("matplotlib")
    got = dict(split(r) for r in recipe["requirements"]["run"])
    python = got.pop("python")
    assert got == wanted
    assert python == project["requires-python"].removeprefix(">=")


def test_library_code_needs_no_shell_and_no_one_system():
    """Programs are not started and no system's own modules used: paths work everywhere."""
    foreign = {"subprocess", "fcntl", "resource", "pwd", "grp", "termios", "msvcrt", "winreg"}
    allowed = {"cli"}  # ``pyxem-mlmaps bench`` starts the benchmarks
    for path in PACKAGE.rglob("*.py"):
        if allowed & set(path.relative_to(PACKAGE).parts):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            assert not foreign & {name.split(".")[0] for name in names}, path
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                assert (node.value.id, node.attr) not in {("os", "system"), ("os", "popen")}, path
