"""py4DSTEM is an extra: nothing imports it before it is asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pyxem_mlmaps import interop


def test_interop_is_imported_without_py4dstem():
    code = (
        "import sys, pyxem_mlmaps as m; m.interop.from_datacube; m.interop.disk_positions;"
        "assert not {'py4DSTEM', 'abtem', 'tensorflow'} & set(sys.modules), 'imported'"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)


@pytest.mark.parametrize(
    "name", ["to_datacube", "disk_positions", "to_braggvectors", "to_strainmap",
             "to_orientation_map"]
)  # fmt: skip
def test_missing_py4dstem_names_the_extra(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "py4DSTEM", None)
    with pytest.raises(ImportError, match=rf"{name} needs py4DSTEM.*pyxem_mlmaps\[py4dstem\]"):
        getattr(interop, name)(None)
