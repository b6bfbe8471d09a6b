"""The command ``pyxem-mlmaps``: the package's functions for batch work, from flags or YAML.

Every command parses, checks, calls what a notebook would call, and saves. Nothing heavy is imported
before a job begins, so that ``--help`` and a wrong flag answer at once.
"""

from pyxem_mlmaps.cli._main import main

__all__ = ["main"]
