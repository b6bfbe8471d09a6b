"""The documentation: its examples run, its links lead somewhere, every public name is in it.

Code blocks of a page run in order in one namespace, in a folder of their own. What stands in for
the reader's files is chosen by a comment before a block (for the README by its headings, below):

``<!-- scan: foil -->``
    puts a small scan ``scan.zspy`` and what belongs to it there, see :class:`Files`;
``<!-- given: s, model -->``
    gives names that a fragment takes for granted;
``<!-- not executed: reason -->``
    leaves the next block out; it must still be Python.

Simulation and training are made small by further arguments; those of the page are passed on.
"""

from __future__ import annotations

import doctest
import functools
import importlib
import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest

import pyxem_mlmaps as mlmaps

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PACKAGE = ROOT / "pyxem_mlmaps"
PAGES = sorted([ROOT / "README.md", *DOCS.glob("*.md")])
README_DIRECTIVES = {
    "In a notebook": {"scan": "foil"},
    "Strain maps": {"scan": "transistor"},
    "Polycrystals": {"scan": "grains", "given": "hs, mlmaps"},
    "Your own crystal": {"scan": "none"},
    "With py4DSTEM": {"not executed": "py4DSTEM is an extra; its notebook runs all of it"},
    "Large scans": {"scan": "foil", "given": "s, model, lattice"},
}


class Block(NamedTuple):
    """Python code of a page, with what it needs; ``start``: whether a scan begins with it."""

    line: int
    code: str
    scan: str | None
    given: tuple[str, ...]
    start: bool
    run: bool


def blocks_of(page: Path) -> list[Block]:
    """The blocks that are marked ``python``, with the directives before them."""
    found, scan, pending, code = [], None, {}, None
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if code is not None:
            if line.strip() != "```":
                code.append(line)
                continue
            given = tuple(name.strip() for name in pending.get("given", "").split(",") if name)
            run = "not executed" not in pending
            start = "scan" in pending
            found.append(Block(number - len(code), "\n".join(code) + "\n", scan, given, start, run))
            pending, code = {}, None
        elif line.strip() == "```python":
            code = []
        elif directive := re.fullmatch(r"<!-- (scan|given|not executed): (.+) -->", line.strip()):
            pending[directive[1]] = directive[2]
            scan = directive[2] if directive[1] == "scan" else scan
        elif page.name == "README.md" and line.startswith("## "):
            pending = dict(README_DIRECTIVES.get(line[3:], {}))
            scan = pending.get("scan", scan)
    return found


def is_slow(block: Block) -> bool:
    """Grains are simulated in each of their orientations."""
    return block.scan == "grains"


@pytest.fixture(scope="module")
def scans(tmp_path_factory, library):
    """Makes the scans that pages ask for, each once."""
    folder = tmp_path_factory.mktemp("scans")

    @functools.cache
    def scan(name: str) -> Path:
        if name == "foil":
            signal = mlmaps.data.bent_foil((6, 6), library=library, bend=0.15)
        elif name == "transistor":
            signal = mlmaps.data.finfet((8, 12), scan_step=4)
        else:
            signal = mlmaps.data.polycrystal((8, 8), grains=1, subgrains=1)
        signal.save(folder / f"{name}.zspy")
        return folder / f"{name}.zspy"

    return scan


@pytest.fixture
def files(tmp_path, monkeypatch, scans, model):
    monkeypatch.chdir(tmp_path)
    make_small(monkeypatch, tmp_path)
    return Files(scans, model)


def make_small(monkeypatch, folder):
    """The calls of a page as they stand there, of a size that fits a test."""

    def add(name, **sizes):
        function = getattr(mlmaps, name)

        @functools.wraps(function)
        def small(*args, **options):
            return function(*args, **{**sizes, **options})

        monkeypatch.setattr(mlmaps, name, small)

    simulation = {"g_max": 1.4, "tilt_step": 0.05, "reflections": 19}
    add("simulate_rocking", **simulation)
    add("simulate_rocking_ensemble", **simulation)
    add("train_orientation_model", steps=32, batch_size=256, hidden=(32, 32))
    add("map_polycrystal", cache=folder / "cache")


class Files:
    """What stands in for the files of a reader.

    ``foil``: a bent foil of GaSb, and ``gasb_110.keras``, a model of it. ``transistor``: a strained
    device. ``grains``: one grain of UO2. ``none``: ``silicon.cif`` alone.
    """

    def __init__(self, scans, model):
        self.scans, self.model = scans, model

    def put(self, scan: str) -> None:
        from ase.build import bulk

        if scan == "none":
            bulk("Si", cubic=True).write("silicon.cif")
            return
        shutil.rmtree("scan.zspy", ignore_errors=True)
        shutil.copytree(self.scans(scan), "scan.zspy")
        if scan == "foil":
            self.model.save("gasb_110.keras")

    def given(self, names: tuple[str, ...]) -> dict[str, Any]:
        import hyperspy.api as hs

        values = {"hs": hs, "np": np, "mlmaps": mlmaps, "model": self.model}
        if {"s", "lattice"} & set(names):
            values["s"] = hs.load("scan.zspy", lazy=True)
            values["lattice"] = mlmaps.DiskLattice.from_signal(values["s"], self.model)
        return {name: values[name] for name in names}


def run_page(page: Path, files: Files, slow: bool) -> None:
    import matplotlib.pyplot as plt

    namespace: dict[str, Any] = {"__name__": "page"}
    for block in blocks_of(page):
        if not block.run or is_slow(block) != slow:
            continue
        if block.start:
            files.put(block.scan)
        namespace |= files.given(block.given)
        # blank lines before it: a traceback then names the line of the page
        source = "\n" * (block.line - 1) + block.code
        exec(compile(source, str(page), "exec"), namespace)
        plt.close("all")


def pages_with(condition) -> list[Any]:
    pages = [page for page in PAGES if any(b.run and condition(b) for b in blocks_of(page))]
    return [pytest.param(page, id=page.name) for page in pages]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("page", pages_with(lambda block: not is_slow(block)))
def test_examples_of_page_run(page, files):
    run_page(page, files, slow=False)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("page", pages_with(is_slow))
def test_examples_with_grains_run(page, files):
    run_page(page, files, slow=True)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_examples_that_are_not_run_are_python(page):
    for block in blocks_of(page):
        compile(block.code, f"{page}:{block.line}", "exec")


def test_directives_are_kept_apart(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "<!-- scan: foil -->\n```python\na\n```\n<!-- not executed: why -->\n```python\nb\n```\n"
        "<!-- given: s, model -->\n```python\nc\n```\n```\nshell\n```\n"
    )
    first, second, third = blocks_of(page)
    assert (first.line, first.code, first.scan, first.start, first.run) == (3, "a\n", "foil", 1, 1)
    assert not second.run and not second.start and second.scan == "foil"
    assert third.given == ("s", "model") and third.run


# ---- docstrings ---------------------------------------------------------------------------------


SLOW_EXAMPLES = {"pyxem_mlmaps._grain_figures", "pyxem_mlmaps._plan_figure"}
"""They simulate for their figures; the figures have tests of their own."""


def modules_with_examples() -> list[str]:
    """Modules of the package whose docstrings hold examples."""
    paths = [path for path in PACKAGE.rglob("*.py") if ">>> " in path.read_text(encoding="utf-8")]
    return sorted(".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow if name in SLOW_EXAMPLES else ())
        for name in modules_with_examples()
    ],
)
def test_examples_of_docstrings_run(name, tmp_path, monkeypatch):
    import matplotlib.pyplot as plt

    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    runner = doctest.DocTestRunner(verbose=False)
    report: list[str] = []
    for test in doctest.DocTestFinder().find(module, name):
        runner.run(test, out=report.append)
    plt.close("all")
    assert runner.failures == 0, "".join(report)


# ---- the site -----------------------------------------------------------------------------------


def links_of(page: Path) -> list[str]:
    """Targets of relative Markdown links, without code."""
    text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    return [t.split("#")[0] for t in targets if not re.match(r"[a-z]+:|#", t)]


@pytest.mark.parametrize(
    "page",
    [*PAGES, ROOT / "CHANGELOG.md", ROOT / "benchmarks" / "README.md"],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_relative_links_lead_to_files(page):
    missing = [target for target in links_of(page) if not (page.parent / target).exists()]
    assert not missing


CONTENTS = ("index.md", "guide.md", "in-use.md", "project.md")
"""Pages with tables of contents."""


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_pages_that_are_named_exist(page):
    text = page.read_text(encoding="utf-8")
    targets = re.findall(r"\{doc\}`(?:[^`<]*<)?([^`<>]+)>?`", text)
    if page.name in CONTENTS:
        targets += re.findall(r"^[a-z0-9-]+(?:/[a-z0-9-]+)?$", text, flags=re.MULTILINE)
    for target in targets:
        place = DOCS / target
        if target.startswith("notebooks/"):  # laid out by the build
            place = ROOT / target
        elif target == "benchmarks/index":
            place = ROOT / "benchmarks" / "README"
        kinds = (".md", ".rst", ".ipynb")
        assert any(place.with_suffix(kind).is_file() for kind in kinds), target


def test_every_page_is_in_the_table_of_contents():
    listed = [line for name in CONTENTS for line in (DOCS / name).read_text("utf-8").splitlines()]
    assert {page.stem for page in DOCS.glob("*.md")} - {"index"} <= set(listed)


def test_every_public_name_is_in_the_reference():
    listed = set((DOCS / "reference" / "index.rst").read_text(encoding="utf-8").split())
    for module in (mlmaps, mlmaps.data, mlmaps.interop, mlmaps.plotting):
        assert set(module.__all__) - {"__version__", "data", "interop", "plotting"} <= listed
    assert {f"Diffraction2D.ml_{name}" for name in ("orientation_map", "disk_positions")} <= listed


@pytest.fixture
def notebooks(tmp_path):
    """``docs/execute_notebooks.py`` with folders of its own."""
    spec = importlib.util.spec_from_file_location("nb", DOCS / "execute_notebooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in ("SOURCES", "EXECUTED", "PAGES"):
        setattr(module, name, tmp_path / name.lower())
        getattr(module, name).mkdir()
    return module


def write_notebook(folder: Path, source: str, outputs: list[dict[str, Any]]) -> Path:
    cell = {"cell_type": "code", "metadata": {}, "execution_count": None}
    cell |= {"source": [source], "outputs": outputs}
    path = folder / "a.ipynb"
    path.write_text(
        json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 4})
    )
    return path


def test_executed_notebook_is_shown_as_long_as_its_source_is_the_same(notebooks):
    output = [{"output_type": "stream", "name": "stdout", "text": ["2"]}]
    source = write_notebook(notebooks.SOURCES, "print(1 + 1)", [])
    notebooks.collect()
    page = notebooks.PAGES / "a.ipynb"
    assert page.read_text() == source.read_text()
    executed = write_notebook(notebooks.EXECUTED, "print(1 + 1)", output)
    notebooks.collect()
    assert page.read_text() == executed.read_text()
    source = write_notebook(notebooks.SOURCES, "print(1 + 2)", [])
    notebooks.collect()
    assert page.read_text() == source.read_text()
    source.unlink()
    notebooks.collect()
    assert not page.exists()


def test_notebook_is_executed_and_kept(notebooks):
    pytest.importorskip("nbclient", reason="nbclient is not installed")
    pytest.importorskip("ipykernel", reason="ipykernel is not installed")
    write_notebook(notebooks.SOURCES, "import sys; print(1 + 1); print(3, file=sys.stderr)", [])
    assert notebooks.main([]) == 0
    kept = json.loads((notebooks.EXECUTED / "a.ipynb").read_text())["cells"][0]["outputs"]
    assert [SimpleNamespace(**out).name for out in kept] == ["stdout"]
    write_notebook(notebooks.SOURCES, "1 / 0", [])
    assert notebooks.main(["a"]) == 1


@pytest.mark.slow
def test_site_builds_without_warnings(tmp_path):
    for name in ("sphinx", "myst_nb", "numpydoc", "pydata_sphinx_theme"):
        pytest.importorskip(name, reason=f"{name} is not installed (extra docs)")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", str(DOCS), str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 0, result.stderr
