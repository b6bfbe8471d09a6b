"""How Sphinx builds the documentation: ``make docs``, or ``sphinx-build -W docs docs/_build``.

Nothing is fetched from the network. ``DOCS_INTERSPHINX=1`` links to the documentation of NumPy,
HyperSpy, pyxem and orix, and needs a network for that.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import execute_notebooks  # noqa: E402
import make_figures  # noqa: E402

import pyxem_mlmaps  # noqa: E402  (attaches the methods to pyxem's signals)

# pages of names that are no longer listed would stay
shutil.rmtree(HERE / "reference" / "generated", ignore_errors=True)

project = "pyxem_mlmaps"
author = "pyxem_mlmaps developers"
copyright = "2025-2026, pyxem_mlmaps developers"
version = release = pyxem_mlmaps.__version__

extensions = [
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx-mathjax-offline",  # formulas without a network, as at many a microscope
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "_executed", "_figures/*.md", "**.ipynb_checkpoints"]
html_theme = "pydata_sphinx_theme"
html_title = "pyxem_mlmaps"
html_show_sourcelink = False
html_theme_options = {
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}

# ---- Markdown and notebooks: executed beforehand, see execute_notebooks.py ----------------------
nb_execution_mode = "off"
suppress_warnings = ["myst.header"]  # benchmarks/README.md leaves a level of headings out
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
myst_links_external_new_tab = False

# ---- the reference: from docstrings in numpydoc's form ------------------------------------------
autosummary_generate = True
autosummary_imported_members = True
autodoc_typehints = "signature"
python_maximum_signature_line_length = 80
autodoc_member_order = "bysource"
autodoc_type_aliases = {"ArrayLike": "ArrayLike"}
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
# every argument is described, in order and under its name; sections are those of numpydoc
numpydoc_validation_checks = {
    "GL02", "GL03", "GL05", "GL06", "GL07", "GL08", "GL09", "GL10",
    "SS01", "SS03", "SS04",
    "PR01", "PR02", "PR03", "PR05", "PR06", "PR07", "PR09", "PR10",
    "RT05", "SA02", "SA04",
}  # fmt: skip
numpydoc_validation_exclude = {
    r"\.(to|from)_dict$",
    r"\.with_card$",
    r"\.(MeanOrientations|OrientationPrediction|DiskPrediction|DiskOptics)(\.|$)",  # named tuples
    r"\.LazyMLOrientationMap\.plot$",  # has the text of MLOrientationMap.plot
    # properties that a function makes: numpydoc does not find their source
    r"\.MLOrientationMap\.((sigma_)?(tilt_x|tilt_y|thickness)|misfit)$",
    r"\.MLStrainMap\.(e11|e22|e12|theta|rotation|residual|n_disks)$",
}

# ---- links: every name of this package must resolve ---------------------------------------------
nitpicky = True
nitpick_ignore_regex = [
    (r"py:.*", r"(?!pyxem_mlmaps\b|mlmaps\b).*"),
    # what classes are made of, named in signatures and not for users
    (
        r"py:class",
        r".*\.(Conditions|DiskChain|Disks|Page|Precision|Registry|SelfTest|Shareable|Sharing|LibrarySpline|Network|Provenance|PublishedNetwork)",
    ),
    (r"py:class", r".*\.(Crystal|FoldedBeams|LatticeFits|PotentialCoefficients)"),
]

if os.environ.get("DOCS_INTERSPHINX"):
    extensions.append("sphinx.ext.intersphinx")
    intersphinx_mapping = {
        "dask": ("https://docs.dask.org/en/stable/", None),
        "hyperspy": ("https://hyperspy.org/hyperspy-doc/current/", None),
        "numpy": ("https://numpy.org/doc/stable/", None),
        "orix": ("https://orix.readthedocs.io/en/stable/", None),
        "python": ("https://docs.python.org/3/", None),
        "pyxem": ("https://pyxem.readthedocs.io/en/stable/", None),
    }


def prepare(app) -> None:
    """Notebooks and benchmarks as pages, and the figures that are computed."""
    execute_notebooks.collect()
    copy_benchmarks()
    if not make_figures.up_to_date():
        make_figures.main()


def copy_benchmarks() -> None:
    """The page of the benchmarks and the tables that it links to, from the folder beside."""
    source, target = HERE.parent / "benchmarks", HERE / "benchmarks"
    shutil.rmtree(target, ignore_errors=True)
    (target / "results").mkdir(parents=True)
    shutil.copyfile(source / "README.md", target / "index.md")
    for table in (source / "results").glob("*.md"):
        text = table.read_text(encoding="utf-8")
        page = target / "results" / table.name
        page.write_text(f"---\norphan: true\n---\n\n{text}", encoding="utf-8")


def shorten_types(app, kind, name, member, options, signature, returns):
    """NumPy's aliases by their names, where they were evaluated."""

    def short(text: str | None) -> str | None:
        if text is None:
            return None
        text = text.replace("~typing.", "")
        return re.sub(r"(~numpy\.)?ndarray\[.*?dtype\[(.*?)\]\]", r"NDArray[\2]", text)

    return short(signature), short(returns)


def skip_fields(app, kind, name, member, skip, options) -> bool | None:
    """Fields of named tuples without a text of their own: the class describes them."""
    return True if (getattr(member, "__doc__", None) or "").startswith("Alias for field") else None


def setup(app) -> None:
    """Called by Sphinx."""
    app.connect("builder-inited", prepare, priority=100)
    app.connect("autodoc-process-signature", shorten_types)
    app.connect("autodoc-skip-member", skip_fields)
