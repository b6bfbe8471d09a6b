"""Figures before and after a fit show the numbers of the fit."""

from __future__ import annotations

import numpy as np
import pytest

import pyxem_mlmaps as mlmaps
from pyxem_mlmaps import plotting
from pyxem_mlmaps.simulation.spline import LibrarySpline

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

WIDTHS = (3.4, 7.0)


@pytest.fixture(autouse=True)
def close():
    yield
    matplotlib.pyplot.close("all")


class TestIntensities:
    tilt = np.array([0.06, -0.08, 72.0])

    @pytest.fixture(params=[0, 30])
    def case(self, request, library, model):
        """(3, 4) disk sums of one tilt, on a detector turned against the library, and their map."""
        spline = LibrarySpline.fit(
            library.intensities, library.tilt_x, library.tilt_y, library.thickness
        )
        counts = np.tile(1e6 * spline(self.tilt[None])[0], (3, 4, 1))
        c, s = np.cos(np.radians(request.param)), np.sin(np.radians(request.param))
        vectors = 60 * library.vectors @ [[c, -s], [s, c]]  # rows (ky, kx)
        lattice = mlmaps.DiskLattice(
            (128, 128), vectors[1], vectors[2], _pairs(library.vectors), radius=6.0
        )
        np.testing.assert_allclose(lattice.positions, vectors + 128, atol=1e-6)
        omap = mlmaps.map_intensities(counts, model, lattice)
        return counts, omap

    def test_fit_explains_what_zero_tilt_does_not(self, case, model):
        counts, omap = case
        for width in WIDTHS:
            figure = plotting.plot_intensity_residuals(
                counts, omap, model, point=(1, 2), figsize=width
            )
            figure.canvas.draw()
        measured, before, after, own = (ax.collections[0] for ax in figure.axes)
        unit = counts[1, 2] / counts[1, 2].mean()
        np.testing.assert_allclose(measured.get_array(), unit)
        assert np.sqrt(np.mean(after.get_array() ** 2)) < 1 < 30
        assert np.sqrt(np.mean(before.get_array() ** 2)) > 30
        assert before.get_clim() == after.get_clim() and before.get_clim()[0] < 0
        assert before.get_clim()[0] == -before.get_clim()[1]
        assert own.get_clim()[1] == pytest.approx(np.abs(after.get_array()).max())
        rms = np.sqrt(np.mean(before.get_array() ** 2))
        assert figure.axes[1].get_title() == f"Zero tilt (%)\nRMS {rms:.3g} %"

    @pytest.mark.parametrize("lazy", [False, True])
    def test_signals_are_read_as_the_map_was(self, case, model, lazy):
        from pyxem.signals import Diffraction2D

        from pyxem_mlmaps.mapping.orientation import extract_intensities

        lattice = mlmaps.DiskLattice.from_dict(case[1].lattice)
        y, x = np.indices((256, 256))
        patterns = np.ones((1, 2, 256, 256))
        for centre, counts in zip(lattice.positions, case[0][0, 0], strict=True):
            patterns[..., np.hypot(y - centre[0], x - centre[1]) < 5] += counts / 80
        patterns[0, 0] *= 3
        signal = Diffraction2D(patterns)
        sums = extract_intensities(signal, lattice)
        omap = mlmaps.map_intensities(sums, model, lattice)
        signal = signal.as_lazy() if lazy else signal
        figure = plotting.plot_intensity_residuals(signal, omap, model, (0, 1))
        drawn = figure.axes[0].collections[0].get_array()
        np.testing.assert_allclose(drawn, sums[0, 1] / sums[0, 1].mean())

    def test_dead_disk_is_grey(self, case, model):
        counts, omap = case
        counts[0, 0, 3] = np.nan
        figure = plotting.plot_intensity_residuals(counts, omap, model, (0, 0))
        assert figure.axes[0].collections[0].get_array().mask.sum() == 1
        assert figure.legends[0].get_texts()[0].get_text() == "no data"

    def test_points_must_have_an_answer(self, case, model):
        counts, omap = case
        with pytest.raises(ValueError, match=r"point=\(3, 0\)"):
            plotting.plot_intensity_residuals(counts, omap, model, (3, 0))
        with pytest.raises(ValueError, match="measured has shape"):
            plotting.plot_intensity_residuals(counts[..., :5], omap, model, (0, 0))
        omap.data[0, 0] = np.nan
        with pytest.raises(ValueError, match="no answer"):
            plotting.plot_intensity_residuals(counts, omap, model, (0, 0))

    def test_training_curve_of_a_model(self, model):
        figure = model.plot(figsize=3.4)
        line = figure.axes[0].lines[0]
        np.testing.assert_allclose(line.get_ydata(), model.card.training["history"]["error_tilt_x"])


def _pairs(vectors):
    """(n, 2) integers of reciprocal vectors on the basis of the second and the third."""
    return np.round(np.linalg.solve(vectors[1:3].T, vectors.T).T).astype(int)


class TestPositions:
    @pytest.fixture
    def case(self):
        """(2, 3) patterns: all shifted, the last stretched by 2 % along y; one disk 0.5 px off."""
        from pyxem.signals import DiffractionVectors

        h, k = (grid.ravel() for grid in np.mgrid[-2:3, -2:3])
        scan = np.empty((2, 3), dtype=object)
        for point in np.ndindex(scan.shape):
            stretch = 1.02 if point == (1, 2) else 1.0
            y, x = 100 + 20.0 * h / stretch + point[0], 90 + 25.0 * k - point[1]
            rows = np.column_stack([y, x, h, k])
            rows[5, 1] += 0.5
            rows[:, :2] *= 0.01
            scan[point] = rows
        vectors = DiffractionVectors(
            scan, column_names=["ky", "kx", "h", "k"], scales=[0.01] * 4, offsets=[0.0] * 4
        )
        return vectors, mlmaps.strain_map(vectors, reference="median")

    def test_strain_is_gone_after_the_fit(self, case):
        vectors, strain = case
        for width in WIDTHS:
            figure = plotting.plot_disk_residuals(vectors, strain, (1, 2), figsize=width)
            figure.canvas.draw()
        before, after = (ax.collections[0] for ax in figure.axes)
        h = np.repeat(np.arange(-2, 3), 5)
        np.testing.assert_allclose(before.V, 20 * h / 1.02 - 20 * h, atol=1e-6)
        assert np.abs(after.V).max() < 1e-6
        assert np.abs(after.U).argmax() == 5, "the disk that is off"
        rms = np.sqrt(np.mean(before.U**2 + before.V**2))
        assert figure.axes[0].get_title() == f"Unstrained lattice\nRMS {rms:.2g} px"

    def test_mean_over_the_scan(self, case):
        figure = plotting.plot_disk_residuals(*case)
        assert figure.axes[1].get_title().startswith("Fitted lattice\nmean of 6, RMS")
        after = figure.axes[1].collections[0]
        assert after.U[5] == pytest.approx(0.5, abs=0.1)

    def test_point_off_the_scan(self, case):
        with pytest.raises(ValueError, match="point"):
            plotting.plot_disk_residuals(*case, point=(2, 0))


class TestDiskFit:
    lattice = mlmaps.DiskLattice((20, 22), (0, 12), (12, 0), [(0, 0), (1, 0), (0, 1)], 4)

    def vectors(self):
        from pyxem.signals import DiffractionVectors

        scan = np.empty((2, 2), dtype=object)
        for point in np.ndindex(scan.shape):
            rows = np.column_stack([self.lattice.positions + 0.25, np.full((3, 2), 0.1)])
            rows[2, :2] = np.nan  # absent
            scan[point] = 0.02 * np.column_stack([rows, [25, 75, 25]])  # misfit 0.5, 1.5, 0.5
        names = ["ky", "kx", "sigma_ky", "sigma_kx", "misfit"]
        vectors = DiffractionVectors(scan, column_names=names, scales=[0.02] * 5, offsets=[0.0] * 5)
        vectors.metadata.set_item("MLDiskPositions.lattice", self.lattice.to_dict())
        return vectors

    @pytest.mark.parametrize("lazy", [False, True])
    def test_vectors_are_read_in_pixels(self, lazy):
        vectors = self.vectors().as_lazy() if lazy else self.vectors()
        figure = plotting.plot_disk_fit(np.ones((41, 45)), vectors.inav[1, 0], figsize=3.4)
        figure.canvas.draw()
        good, bad, _ = figure.axes[0].collections
        np.testing.assert_allclose(good.get_offsets(), self.lattice.positions[[0], ::-1] + 0.25)
        np.testing.assert_allclose(bad.get_offsets(), self.lattice.positions[[1], ::-1] + 0.25)
        assert figure.axes[1].texts[0].get_text() == "σ 0.1 px"

    def test_one_pattern_at_a_time(self):
        with pytest.raises(ValueError, match="inav"):
            plotting.plot_disk_fit(np.ones((41, 45)), self.vectors())
        with pytest.raises(ValueError, match="pattern"):
            plotting.plot_disk_fit(np.ones((2, 41, 45)), self.vectors().inav[0, 0])
        with pytest.raises(ValueError, match="lattice"):
            plotting.plot_disk_fit(np.ones((41, 45)), self.lattice.positions)


class TestMethods:
    def test_library_plots_its_rocking_maps(self, library):
        figure = library.plot(n=3, figsize=3.4)
        assert figure.get_suptitle() == "Intensity (fraction of the incident beam) at 72.5 nm"
        assert sum(bool(ax.images) for ax in figure.axes) == 3

    def test_shipped_disk_model_plots_its_training(self):
        model = mlmaps.load_model("disks")
        figure = model.plot(figsize=7.0)
        rows = [r for r in model.card.training["history"] if r["stage"] == "fine edge"]
        (line,) = [x for x in figure.axes[1].lines if str(x.get_label()).startswith("fine")]
        np.testing.assert_allclose(line.get_ydata(), [100 * r["within"] for r in rows])

    def test_model_without_history(self, model):
        with pytest.raises(ValueError, match="no training history"):
            plotting.plot_training(model.with_card(training={}))
