"""A job that is stopped goes on: every block once, and the same bytes as without a stop."""

from __future__ import annotations

import errno
import json
import os
import signal as signals
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import hyperspy.api as hs
import numpy as np
import pytest
import zarr

import pyxem_mlmaps as mlmaps
from pyxem_mlmaps import data
from pyxem_mlmaps.mapping import resumable

QUIET = {"show_progressbar": False}
BLOCKS = 6

KILLED = """
import sys, time
import hyperspy.api as hs
import pyxem_mlmaps as mlmaps

def slowly(block):
    time.sleep(0.3)
    return block

if __name__ == "__main__":
    scan, model, lattice, out = sys.argv[1:]
    s = hs.load(scan, lazy=True)
    s.data = s.data.map_blocks(slowly, dtype=s.data.dtype)
    model = mlmaps.load_model(model)
    lattice = mlmaps.DiskLattice.from_dict(__import__("json").loads(lattice))
    print("ready", flush=True)
    s.ml_orientation_map(model, lattice, out=out, show_progressbar=False, num_workers=1)
"""


@pytest.fixture(scope="module")
def scan(library):
    """6 x 7 patterns in six blocks, lazy."""
    return data.bent_foil(
        (6, 7), (192, 192), library, bend=0.14, electrons=1e6, background=0.0, chunks=(3, 3), seed=1
    )


@pytest.fixture(scope="module")
def lattice(scan):
    return data.ground_truth(scan).lattice


@pytest.fixture(scope="module")
def reference(scan, model, lattice):
    return scan.ml_orientation_map(model, lattice, lazy_output=False, **QUIET)


def counted(scan, fails=()):
    """The scan, a list that grows with every block that is read, and blocks that cannot be."""
    read = []

    def look(block, block_info=None):
        if block_info:
            where = block_info[0]["chunk-location"][:2]
            if block.size and block.ndim == 4 and block.shape[0] and where in fails:
                raise OSError(errno.EIO, "unreadable sector")
            read.append(where)
        return block

    s = scan.deepcopy()
    s.data = scan.data.map_blocks(look, dtype=scan.data.dtype, meta=scan.data._meta)
    return s, read


def finished(folder):
    return int(zarr.open_group(str(folder), mode="r")["finished"][...].sum())


def files(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file()
    }


class TestOrientation:
    @pytest.mark.parametrize("lazy", [True, False])
    def test_same_as_without(self, scan, model, lattice, reference, tmp_path, lazy):
        omap = scan.ml_orientation_map(
            model, lattice, out=tmp_path / "map.zarr", lazy_output=lazy, **QUIET
        )
        assert omap._lazy == lazy
        np.testing.assert_array_equal(np.asarray(omap.data), reference.data)
        assert omap.model_card == reference.model_card
        assert len(omap.model_sha256) == 64 and omap.options["refine"] is True

    def test_finished_is_read(self, scan, model, lattice, reference, tmp_path):
        """What is left to read of the scan are the patterns that identify it."""
        out = tmp_path / "map.zarr"
        scan.ml_orientation_map(model, lattice, out=out, **QUIET)
        before = files(out)
        again = scan.ml_orientation_map(model, lattice, out=out, lazy_output=False, **QUIET)
        np.testing.assert_array_equal(again.data, reference.data)
        assert files(out) == before

    def test_read_error(self, scan, model, lattice, reference, tmp_path):
        """The other blocks are kept; when the disk can be read again, one block is left to do."""
        out = tmp_path / "map.zarr"
        bad, _ = counted(scan, fails={(0, 1)})
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(resumable, "LOOKED_AT", 1)  # none of the bad block's patterns
            with pytest.raises(RuntimeError, match=r"1 of 6 blocks .*0 to 2, 3 to 5.*unreadable"):
                bad.ml_orientation_map(model, lattice, out=out, **QUIET)
            assert finished(out) == BLOCKS - 1
            omap = scan.ml_orientation_map(model, lattice, out=out, lazy_output=False, **QUIET)
        np.testing.assert_array_equal(omap.data, reference.data)

    def test_disk_full(self, scan, model, lattice, reference, tmp_path, monkeypatch):
        out = tmp_path / "map.zarr"
        write, written = resumable._write_block, []

        def full(block, path, index, size):
            if len(written) >= 2:
                raise OSError(errno.ENOSPC, "No space left on device")
            written.append(index)
            write(block, path, index, size)

        with monkeypatch.context() as patch:
            patch.setattr(resumable, "_write_block", full)
            with pytest.raises(RuntimeError, match="No space left.*kept; call again"):
                scan.ml_orientation_map(model, lattice, out=out, num_workers=1, **QUIET)
        assert finished(out) == 2
        omap = scan.ml_orientation_map(model, lattice, out=out, lazy_output=False, **QUIET)
        np.testing.assert_array_equal(omap.data, reference.data)

    def test_killed(self, scan, model, lattice, tmp_path):
        """Killed for good in the middle: the store ends with the bytes of an unbroken run."""
        scan.save(tmp_path / "scan.zspy", chunks=(3, 3, 192, 192), **QUIET)
        model.save(tmp_path / "model.keras")
        (tmp_path / "job.py").write_text(KILLED)
        text = json.dumps(lattice.to_dict())
        names = [str(tmp_path / n) for n in ("job.py", "scan.zspy", "model.keras")]
        out = tmp_path / "map.zarr"
        child = subprocess.Popen(
            [sys.executable, "-W", "ignore", *names, text, str(out)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        try:
            assert child.stdout.readline().strip() == b"ready"
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline and child.poll() is None:
                if len(list(out.glob("finished/?.?.?"))) >= 2:
                    break
                time.sleep(0.01)
        finally:
            child.kill()
            child.wait()
        assert child.returncode == -signals.SIGKILL or os.name == "nt"
        kept = finished(out)
        assert 0 < kept < BLOCKS
        s = hs.load(tmp_path / "scan.zspy", lazy=True)
        loaded = mlmaps.load_model(tmp_path / "model.keras")
        with pytest.MonkeyPatch.context() as patch:
            write, written = resumable._write_block, []
            patch.setattr(
                resumable, "_write_block", lambda *a: (written.append(a[2]), write(*a))[1]
            )
            s.ml_orientation_map(loaded, lattice, out=out, **QUIET)
        assert len(written) == BLOCKS - kept
        s.ml_orientation_map(loaded, lattice, out=tmp_path / "unbroken.zarr", **QUIET)
        assert files(out) == files(tmp_path / "unbroken.zarr")


class TestRefused:
    @pytest.fixture(scope="class")
    def out(self, scan, model, lattice, tmp_path_factory):
        folder = tmp_path_factory.mktemp("jobs") / "map.zarr"
        scan.ml_orientation_map(model, lattice, out=folder, **QUIET)
        return folder

    def test_another_model(self, scan, model, lattice, out):
        kernels = (model.network.kernels[0] * 1.0001, *model.network.kernels[1:])
        other = replace(model, network=replace(model.network, kernels=kernels))
        with pytest.raises(ValueError, match="another job: model differ"):
            scan.ml_orientation_map(other, lattice, out=out, **QUIET)

    def test_another_scan(self, scan, model, lattice, out):
        other = scan.deepcopy()
        other.data = scan.data + np.uint16(1)
        with pytest.raises(ValueError, match="another job: input differ"):
            other.ml_orientation_map(model, lattice, out=out, **QUIET)

    def test_another_option(self, scan, model, lattice, out):
        with pytest.raises(ValueError, match="another job: options differ"):
            scan.ml_orientation_map(model, lattice, out=out, refine=False, **QUIET)

    def test_another_lattice(self, scan, model, lattice, out):
        moved = lattice.replace(origin=np.asarray(lattice.origin) + 0.25)
        with pytest.raises(ValueError, match="another job: lattice differ"):
            scan.ml_orientation_map(model, moved, out=out, **QUIET)

    def test_other_chunks(self, scan, model, lattice, out):
        other = scan.deepcopy()
        other.data = scan.data.rechunk((2, 7, -1, -1))
        with pytest.raises(ValueError, match="chunks"):
            other.ml_orientation_map(model, lattice, out=out, **QUIET)

    def test_another_method(self, scan, lattice, out):
        with pytest.raises(ValueError, match="method"):
            scan.ml_disk_positions(lattice=lattice, out=out, **QUIET)

    def test_foreign_folder(self, scan, model, lattice, tmp_path):
        (tmp_path / "holiday.jpg").write_bytes(b"sea")
        with pytest.raises(ValueError, match="holds no job of pyxem_mlmaps"):
            scan.ml_orientation_map(model, lattice, out=tmp_path, **QUIET)
        assert (tmp_path / "holiday.jpg").read_bytes() == b"sea"

    def test_a_file(self, scan, model, lattice, tmp_path):
        (tmp_path / "map.zarr").write_bytes(b"")
        with pytest.raises(ValueError, match="is a file"):
            scan.ml_orientation_map(model, lattice, out=tmp_path / "map.zarr", **QUIET)


def test_irregular_chunks(scan, model, lattice, reference, tmp_path):
    """A store's chunks are equal; a scan's need not be."""
    other = scan.deepcopy()
    other.data = scan.data.rechunk(((1, 3, 2), (4, 3), -1, -1))
    omap = other.ml_orientation_map(
        model, lattice, out=tmp_path / "m.zarr", lazy_output=False, **QUIET
    )
    np.testing.assert_allclose(omap.data, reference.data, rtol=1e-6, atol=1e-6)


def test_a_single_pattern(scan, model, lattice, reference, tmp_path):
    one = scan.inav[2, 1]
    omap = one.ml_orientation_map(
        model, lattice, out=tmp_path / "m.zarr", lazy_output=False, **QUIET
    )
    np.testing.assert_allclose(omap.data, reference.data[1, 2], rtol=1e-6, atol=1e-8)


def test_disk_positions(scan, lattice, tmp_path):
    plain = scan.ml_disk_positions(lattice=lattice, lazy_output=False, **QUIET)
    for _ in range(2):  # computed, then read
        kept = scan.ml_disk_positions(
            lattice=lattice, lazy_output=False, out=tmp_path / "disks.zarr", **QUIET
        )
        for one, other in zip(kept.data.ravel(), plain.data.ravel(), strict=True):
            np.testing.assert_array_equal(one, other)
    assert len(kept.metadata.MLDiskPositions.model_sha256) == 64
