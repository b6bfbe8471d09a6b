"""The notebooks as pages of the documentation, with the output that they give.

``python docs/execute_notebooks.py [name ...]`` runs the notebooks of ``notebooks/`` (all, or those
named) and keeps them with their output in ``docs/_executed``; those that are there already, of the
same source, are left alone. The build of the documentation calls :func:`collect`, which
lays them out as pages: executed where there is an executed copy of the same source, bare elsewhere.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SOURCES = HERE.parent / "notebooks"
EXECUTED = HERE / "_executed"
PAGES = HERE / "notebooks"
TIMEOUT = 900
"""Seconds for one cell."""


def main(arguments: list[str] | None = None) -> int:
    """Run what is not up to date; the number of notebooks that failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="notebooks without .ipynb; none: all")
    names = parser.parse_args(arguments).names
    known = {path.stem: path for path in sorted(SOURCES.glob("*.ipynb"))}
    unknown = set(names) - set(known)
    if unknown:
        parser.error(f"no notebook {sorted(unknown)}; there are {sorted(known)}")
    failed = 0
    for name in names or known:
        if executed_copy(known[name]) is not None:
            print(f"{name}: up to date")
            continue
        print(f"{name}: running", flush=True)
        failed += not _execute(known[name])
    return failed


def collect() -> None:
    """Write ``docs/notebooks/*.ipynb``, from which Sphinx makes the pages."""
    PAGES.mkdir(exist_ok=True)
    sources = sorted(SOURCES.glob("*.ipynb"))
    for stale in set(PAGES.glob("*.ipynb")) - {PAGES / path.name for path in sources}:
        stale.unlink()
    for path in sources:
        content = (executed_copy(path) or path).read_text(encoding="utf-8")
        page = PAGES / path.name
        if not page.is_file() or page.read_text(encoding="utf-8") != content:
            page.write_text(content, encoding="utf-8")


def executed_copy(source: Path) -> Path | None:
    """The executed copy of a notebook, if there is one of the same cells."""
    copy = EXECUTED / source.name
    if copy.is_file() and source_hash(copy) == source_hash(source):
        return copy
    return None


def source_hash(path: Path) -> str:
    """Of the kinds and sources of the cells: output and metadata do not count."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    content = [(cell["cell_type"], "".join(cell["source"])) for cell in cells]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _execute(source: Path) -> bool:
    import nbclient
    import nbformat

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    notebook = nbformat.read(source, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        client = nbclient.NotebookClient(
            notebook,
            timeout=TIMEOUT,
            kernel_name="python3",
            resources={"metadata": {"path": folder}},
        )
        try:
            client.execute()
        except nbclient.exceptions.CellExecutionError as error:
            print(f"{source.stem}: {error}", file=sys.stderr)
            return False
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if not _is_noise(output)]
    EXECUTED.mkdir(exist_ok=True)
    nbformat.write(notebook, EXECUTED / source.name)
    return True


def _is_noise(output: Any) -> bool:
    """Progress bars and log lines, which a page does not need."""
    return output.output_type == "stream" and output.name == "stderr"


if __name__ == "__main__":
    sys.exit(main())
