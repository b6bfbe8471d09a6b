"""Files of py4DSTEM."""

from __future__ import annotations

import pickle
import sys

import h5py
import numpy as np
import pytest

from pyxem_mlmaps import interop

py4dstem = pytest.importorskip("py4DSTEM", reason="py4DSTEM is not installed")


@pytest.fixture()
def saved(signal, tmp_path):
    cube = interop.to_datacube(signal)
    cube.calibration.set_QR_rotation_degrees(12.0)
    cube.calibration.set_origin((np.full((2, 3), 101.3), np.full((2, 3), 93.8)))
    py4dstem.save(tmp_path / "scan.h5", cube, mode="o")
    return tmp_path / "scan.h5", cube


def test_read_lazily_and_without_py4dstem(saved, monkeypatch):
    path, cube = saved
    monkeypatch.setitem(sys.modules, "py4DSTEM", None)
    s = interop.read_py4dstem(path)
    assert s._lazy and s.data.chunksize[2:] == cube.Qshape
    np.testing.assert_array_equal(s.data.compute(), cube.data)
    monkeypatch.undo()
    expected = interop.from_datacube(cube)
    for axis, known in zip(s.axes_manager._axes, expected.axes_manager._axes, strict=True):
        assert axis.get_axis_dictionary() == known.get_axis_dictionary()
    assert s.metadata.Py4DSTEM.QR_rotation_degrees == pytest.approx(12.0)
    assert s.metadata.Acquisition_instrument.TEM.beam_energy == pytest.approx(200)
    assert not interop.read_py4dstem(path, lazy=False)._lazy


def test_lazy_data_can_be_sent_to_other_processes(saved):
    path, cube = saved
    data = pickle.loads(pickle.dumps(interop.read_py4dstem(path).data))
    np.testing.assert_array_equal(data[1, 2].compute(), cube.data[1, 2])


def test_file_is_not_kept_open(saved):
    path, cube = saved
    s = interop.read_py4dstem(path)
    py4dstem.save(path, cube, mode="o")
    assert s.data[0, 0].compute().shape == cube.Qshape


def test_which_of_several(saved):
    path, _ = saved
    py4dstem.save(path, py4dstem.DataCube(np.ones((2, 2, 4, 4)), name="other"), mode="a")
    with pytest.raises(ValueError, match="several scans.*other"):
        interop.read_py4dstem(path)
    with pytest.warns(UserWarning, match="not calibrated"):
        s = interop.read_py4dstem(path, "other_root/other")
    assert s.data.shape == (2, 2, 4, 4)


def test_older_files_are_left_to_py4dstem(saved, tmp_path, monkeypatch):
    """No such file can be written any more: what is read is made up, that it is asked is not."""
    path, cube = saved
    with h5py.File(tmp_path / "old.h5", "w") as file:
        file["4DSTEM_experiment"] = 0
    asked = []
    monkeypatch.setattr(
        py4dstem, "read", lambda path, datapath=None: asked.append((path, datapath)) or cube
    )
    s = interop.read_py4dstem(tmp_path / "old.h5", "datacube_0")
    assert asked == [(tmp_path / "old.h5", "datacube_0")]
    np.testing.assert_array_equal(s.data.compute(), cube.data)


def test_other_files_are_refused(saved, exact_vectors, tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        interop.read_py4dstem(tmp_path / "nowhere.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["data"] = np.ones((2, 2, 4, 4))
    with pytest.raises(ValueError, match="not one that py4DSTEM can read"):
        interop.read_py4dstem(tmp_path / "other.h5")
    (tmp_path / "scan.mib").write_bytes(b"MQ1")
    with pytest.raises(ValueError, match="hyperspy.api.load"):
        interop.read_py4dstem(tmp_path / "scan.mib")
    py4dstem.save(tmp_path / "disks.h5", interop.to_braggvectors(exact_vectors), mode="o")
    with pytest.raises(ValueError, match="BraggVectors.*from_braggvectors"):
        interop.read_py4dstem(tmp_path / "disks.h5")
