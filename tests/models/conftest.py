"""One library of UO2 in a general direction, and patterns of it whose angles are known."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest

import pyxem_mlmaps as mlmaps
from pyxem_mlmaps import conventions, data
from pyxem_mlmaps.models.grain import GrainModel
from pyxem_mlmaps.models.pattern_fit import Optics
from pyxem_mlmaps.simulation.mixed_scan import DiskSet, MixedScanRenderer
from pyxem_mlmaps.simulation.orientation_nodes import node_of
from pyxem_mlmaps.simulation.scan import disk_spline, map_spline

SHAPE = (96, 96)
SCALE = 0.02


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves files and writes no log."""

    def log_message(self, *args):
        pass


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A folder behind a web server of this process; downloads go to a folder of their own."""
    monkeypatch.setattr("pooch.os_cache", lambda project: tmp_path / "cache")

    @contextmanager
    def serve(folder):
        handler = partial(QuietHandler, directory=str(folder))
        with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            try:
                yield f"http://127.0.0.1:{server.server_port}"
            finally:
                server.shutdown()

    return serve


@pytest.fixture
def stored(model, tmp_path_factory):
    """The small orientation model in a file, written once."""
    path = tmp_path_factory.getbasetemp() / "stored-model" / "gasb.keras"
    if not path.exists():
        model.save(path)
    return path


@dataclass(frozen=True, eq=False)
class Grain:
    """The model, what the disks look like, and the renderer of scans as an oracle."""

    library: Any
    model: GrainModel
    optics: Optics
    disks: DiskSet

    def render(self, values, electrons=1e5, background=0.05, noise=True, seed=0, only=None):
        """(n, ky, kx) float64 patterns at (n, 6) values; ``only`` scales (n_disk,) the disks."""
        values = np.atleast_2d(values)
        disks = self.disks
        if only is not None:
            maps, sums = (
                type(s)(
                    s.coefficients * np.asarray(only, dtype=np.float32), s.start, s.step, s.size
                )
                for s in (disks.maps, disks.disks)
            )
            disks = DiskSet(maps, sums, disks.vectors)
        patterns = []
        for number, value in enumerate(values):
            renderer = MixedScanRenderer(
                crystals=(disks,),
                first=np.zeros(1, dtype=int),
                second=np.full(1, -1),
                fraction=np.zeros(1),
                field=value[None, :3],
                turn=value[3:4],
                origin=value[4:6],
                radius=self.optics.radius,
                edge=self.optics.edge,
                scale=self.optics.scale,
                degrees_per_pixel=self.optics.degrees_per_pixel,
                detector=SHAPE,
                electrons=electrons,
                background=background,
                noise=noise,
                seed=seed + number,
                dtype=np.float64,
            )
            patterns.append(renderer(np.zeros(1, dtype=int))[0])
        return np.array(patterns)

    def draw(self, n, seed=0):
        """(n, 6) true values well inside the library."""
        rng = np.random.default_rng(seed)
        tilt = rng.uniform(-0.15, 0.15, (n, 2))
        origin = 47.5 + rng.uniform(-1, 1, (n, 2))
        return np.column_stack([tilt, rng.uniform(45, 65, n), rng.uniform(-5, 5, n), origin])


@pytest.fixture(scope="session")
def grain():
    """±0.2° about a node near [8 5 3], 40 to 70 nm, 18 disks, truncated at 1.6 Å⁻¹: 2 s."""
    beam = mlmaps.Beam(300, 1.5)
    node = node_of(np.array([0.82, 0.48, 0.31]), 0.8)
    library = mlmaps.simulate_rocking(
        data.uo2(),
        beam,
        orientation=conventions.detector_matrix_to_rotation(node.matrix),
        tilt_range=0.2,
        tilt_step=0.025,
        thickness=np.linspace(40, 70, 13),
        reflections=40,
        g_max=1.6,
        overlap="avoid",
    )
    model = GrainModel.of(library, node.matrix)
    optics = Optics(
        beam.aperture_radius / SCALE, 0.5, SCALE, float(np.degrees(SCALE * beam.wavelength))
    )
    disks = DiskSet(map_spline(library), disk_spline(library), model.vectors)
    return Grain(library, model, optics, disks)
