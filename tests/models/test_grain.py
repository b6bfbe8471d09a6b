"""The model of a beam direction: geometry of its disks, and the search of its library."""

from __future__ import annotations

import numpy as np
import pytest

from pyxem_mlmaps import conventions
from pyxem_mlmaps.models.grain import GrainModel
from pyxem_mlmaps.simulation.orientation_nodes import node_of, relative_to_node

NODE = node_of(np.array([0.82, 0.48, 0.31]), 0.8)


class TestGeometry:
    def test_vectors_are_those_of_the_library(self, grain):
        """Reflections of the zero Laue zone and others, at zero tilt, as (x, y, along the beam)."""
        in_plane = grain.model.vectors[:, 1::-1]
        np.testing.assert_allclose(in_plane, grain.library.vectors, atol=1e-6)
        length = np.linalg.norm(grain.model.vectors, axis=1)
        hkl = np.linalg.norm(grain.library.indices, axis=1)
        np.testing.assert_allclose(length, hkl / 5.4704, atol=1e-6)

    def test_matrices_are_turned_nodes(self, grain):
        """And the angles come back from them."""
        values = grain.draw(20)
        matrices = grain.model.matrices(values)
        x, y, turn = relative_to_node(matrices, NODE)
        np.testing.assert_allclose(np.stack([x, y, turn], 1), values[:, [0, 1, 3]], atol=1e-9)

    def test_disks_follow_the_crystal(self, grain):
        """The transverse part of M g, in pixels from the direct beam."""
        values = grain.draw(6, seed=1)
        values[:, :2] *= 10  # more than any library, where it is seen
        crystal = grain.model.vectors @ NODE.matrix
        for place, value in zip(grain.model.places(values, 0.02), values, strict=True):
            matrix = (
                conventions.in_plane_matrix(value[3])
                @ conventions.tilt_matrix(value[0], value[1])
                @ NODE.matrix
            )
            g = crystal @ matrix.T
            np.testing.assert_allclose(place, value[4:6] + g[:, 1::-1] / 0.02, atol=1e-9)

    def test_disks_are_where_they_are_drawn(self, grain):
        """Centroids of the counts of single disks without contrast inside, to a tenth of a px."""
        value = grain.draw(1, seed=2)
        y, x = np.indices((96, 96))
        places = grain.model.places(value, grain.optics.scale)[0]
        inside = np.flatnonzero(np.all((places > 8) & (places < 87), axis=1))
        for d in inside:
            alone = np.zeros(len(places))
            alone[d] = 1
            pattern = grain.render(value, noise=False, background=0, only=alone)[0]
            reach = np.hypot(y - places[d, 0], x - places[d, 1])
            assert pattern[reach > grain.optics.radius + 3.5].sum() < 1e-3 * pattern.sum()
            mask = pattern > 0.02 * pattern.max()
            assert reach[mask].max() < grain.optics.radius + 2

    def test_of_keeps_the_axes(self, grain):
        """Ends of the library, not of the maps, which reach an aperture farther."""
        model, library = grain.model, grain.library
        np.testing.assert_allclose(model.low, [-0.2, -0.2, 40])
        np.testing.assert_allclose(model.high, [0.2, 0.2, 70])
        assert np.all(model.maps.start[:2] < model.low[:2] - np.degrees(1.5e-3))
        assert model.n_bytes == model.maps.coefficients.nbytes > 0
        assert model.maps.coefficients.shape[3] == len(library.indices) == len(model.vectors)

    def test_sixteen_bits_are_enough(self, grain):
        """Maps are kept to 2e-5 of each disk's largest intensity, at half the memory."""
        exact, packed = grain.disks.maps, grain.model.maps
        assert packed.coefficients.nbytes == exact.coefficients.nbytes / 2
        error = np.abs(packed.coefficients * packed.unit - exact.coefficients)
        assert np.all(error.max(axis=(0, 1, 2)) < 2e-5 * exact.coefficients.max(axis=(0, 1, 2)))

    def test_file(self, grain, tmp_path):
        """The same answers after a file; what is cut short or another file is refused."""
        path = tmp_path / "model.npz"
        grain.model.save(path)
        again = GrainModel.load(path)
        true = grain.draw(2)
        patterns = grain.render(true)
        one = grain.model.fit(patterns, true, grain.optics)
        two = again.fit(patterns, true, grain.optics)
        np.testing.assert_array_equal(one.values, two.values)
        whole = path.read_bytes()
        middle = len(whole) // 2
        flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
        for damaged in (whole[:middle], b"", b"not a model", flipped):
            path.write_bytes(damaged)
            with pytest.raises(ValueError, match="no model of a grain"):
                GrainModel.load(path)
        np.savez(path, coefficients=np.zeros(3))
        with pytest.raises(ValueError, match="no model of a grain"):
            GrainModel.load(path)

    def test_fuzzed_file(self, grain, tmp_path):
        """Any byte changed: refused, or what was hit does not matter."""
        path = tmp_path / "model.npz"
        grain.model.save(path)
        whole = path.read_bytes()
        rng = np.random.default_rng(0)
        directory = len(whole) - rng.integers(1, 900, 150)
        refusals = 0
        for offset in [*rng.integers(0, len(whole), 150), *directory]:
            broken = bytearray(whole)
            broken[offset] ^= int(rng.integers(1, 256))
            path.write_bytes(broken)
            try:
                again = GrainModel.load(path)
            except ValueError:
                refusals += 1
            else:
                for name in ("coefficients", "unit", "start", "step"):
                    one, other = getattr(again.maps, name), getattr(grain.model.maps, name)
                    np.testing.assert_array_equal(one, other)
                np.testing.assert_array_equal(again.vectors, grain.model.vectors)
        assert refusals > 150

    def test_without_maps(self, grain):
        from dataclasses import replace

        with pytest.raises(ValueError, match="keep_maps=True"):
            GrainModel.of(replace(grain.library, maps=None), NODE.matrix)


class TestSearch:
    @pytest.fixture(scope="class")
    def true(self, grain):
        return grain.draw(40, seed=3)

    @pytest.fixture(scope="class")
    def patterns(self, grain, true):
        return grain.render(true, seed=50)

    def blind(self, true):
        """Where the disks are; the middle of the library for what is inside them."""
        near = true.copy()
        near[:, :3] = 0, 0, 55
        return near

    def test_finds_the_tilt(self, grain, patterns, true):
        """Of the whole library: within a step and 5 nm, mostly among the first ten of 2000.

        Between templates (a step of 0.025° and 5 nm) six disks leave other answers, too.
        """
        values, cosine = grain.model.search(patterns, self.blind(true), grain.optics, n=10)
        assert values.shape == (40, 10, 3) and cosine.shape == (40, 10)
        near = np.abs(values[..., :2] - true[:, None, :2]).max(axis=2) < 0.026
        near &= np.abs(values[..., 2] - true[:, None, 2]) < 5.1
        assert near[:, 0].mean() > 0.25
        assert near.any(axis=1).mean() > 0.6
        assert np.all(np.diff(cosine, axis=1) <= 1e-6)

    def test_then_the_fit_is_right(self, grain, patterns, true):
        """From the best of ten starts: within five σ, without any hint at tilt or thickness."""
        near = self.blind(true)
        values, _ = grain.model.search(patterns, near, grain.optics, n=10)
        best = np.full(len(true), np.inf)
        z = np.full(len(true), np.inf)
        for rank in range(10):
            start = near.copy()
            start[:, :3] = values[:, rank]
            fit = grain.model.fit(patterns, start, grain.optics)
            sigma = np.sqrt(np.diagonal(fit.covariance, axis1=1, axis2=2))
            worst = np.abs((fit.values - true) / sigma).max(axis=1)
            better = fit.chi_square < best
            z[better], best[better] = worst[better], fit.chi_square[better]
        assert (z < 5).mean() > 0.8
        assert np.median(best) < 1.05

    def test_within_a_square(self, grain, patterns, true):
        """Only answers of that square; where the truth is in it, the truth."""
        centre = true[0, :2]
        group = np.flatnonzero(np.abs(true[:, :2] - centre).max(axis=1) < 0.05)
        near = self.blind(true)[group]
        around = (float(centre[0]), float(centre[1]))
        values, _ = grain.model.search(patterns[group], near, grain.optics, around, 0.05, 4)
        assert np.all(np.abs(values[..., :2] - centre) <= 0.05 + 0.025)
        found = np.abs(values[..., :2] - true[group, None, :2]).max(axis=2) < 0.026
        assert found.any(axis=1).all()

    @pytest.mark.parametrize("corner", [(-0.2, -0.2), (0.3, 0.0), (0.2, 0.2)])
    def test_square_at_the_border(self, grain, corner):
        """Also beyond it there are templates to compare with."""
        value = np.array([[*np.clip(corner, -0.19, 0.19), 55, 0, 47.5, 47.5]])
        clean = grain.render(value, noise=False)
        values, cosine = grain.model.search(clean, value, grain.optics, corner, 0.1, 3)
        assert np.isfinite(values).all() and np.all(cosine > 0.9)
        assert np.all((values[0, :, :2] >= -0.2) & (values[0, :, :2] <= 0.2))
        assert np.abs(values[0, :, :2] - value[0, :2]).max(axis=1).min() < 0.026

    def test_too_few_disks(self, grain, patterns, true):
        """The direct beam in a corner leaves fewer than five disks: no answer, others unharmed."""
        near = self.blind(true)[:3]
        near[1, 4:6] = -30.0
        values, cosine = grain.model.search(patterns[:3], near, grain.optics)
        assert np.isnan(values[1]).all() and np.all(cosine[1] == -1)
        alone, _ = grain.model.search(patterns[[0, 2]], near[[0, 2]], grain.optics)
        np.testing.assert_array_equal(values[[0, 2]], alone)
        near[:, 4:6] = -30.0
        values, cosine = grain.model.search(patterns[:3], near, grain.optics)
        assert np.isnan(values).all() and np.all(cosine == -1)

    def test_other_optics_make_other_templates(self, grain, patterns, true):
        """What was kept for one aperture is not used for another."""
        near = self.blind(true)[:10]
        first = grain.model.search(patterns[:10], near, grain.optics)
        smaller = grain.optics._replace(radius=0.8 * grain.optics.radius)
        other = grain.model.search(patterns[:10], near, smaller)
        again = grain.model.search(patterns[:10], near, grain.optics)
        assert np.abs(first[1] - other[1]).max() > 1e-4
        np.testing.assert_array_equal(first[0], again[0])
        np.testing.assert_array_equal(first[1], again[1])
