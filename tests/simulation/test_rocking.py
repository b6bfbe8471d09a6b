"""Whole libraries: the symmetries of the crystal, the published library, options, bad arguments."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from pyxem_mlmaps import Beam, conventions, simulate_rocking, simulate_rocking_ensemble
from pyxem_mlmaps.simulation.aperture import aperture_margin, average_over_aperture
from pyxem_mlmaps.simulation.scan import map_spline


def simulate(phase, **options):
    """A library small enough for a test; options win."""
    defaults = {
        "beam": Beam(300, 1.1),
        "zone_axis": (1, 1, 0),
        "tilt_range": 0.1,
        "tilt_step": 0.02,
        "thickness": [40.0, 80],
        "reflections": 15,
        "g_max": 1.2,
        "show_progressbar": False,
    }
    return simulate_rocking(phase, **{**defaults, **options})


def residual(intensity, reference):
    return np.abs(intensity - reference).sum() / reference.sum()


def partners(library, image):
    """Positions of the reflections ``image`` among the library's."""
    rows = {tuple(r): i for i, r in enumerate(library.indices.tolist())}
    return [rows[tuple(r)] for r in image.tolist()]


class TestSymmetry:
    INDICES = np.array(
        [(0, 0, 0), (1, -1, 1), (-1, 1, 1), (1, -1, -1), (-1, 1, -1), (0, 0, 2), (0, 0, -2),
         (2, -2, 0), (-2, 2, 0)]
    )  # fmt: skip

    @pytest.fixture(scope="class")
    def polar(self, gasb):
        return simulate(gasb, reflections=self.INDICES)

    @pytest.fixture(scope="class")
    def centric(self, silicon):
        return simulate(silicon, reflections=self.INDICES)

    def test_mirror_of_zinc_blende(self, polar):
        """The mirror plane (1-10) holds [110] and [001] = kx: ky and tilt y change sign."""
        mirrored = partners(polar, polar.indices[:, [1, 0, 2]])
        np.testing.assert_allclose(
            polar.vectors[mirrored], polar.vectors * [-1, 1], atol=1e-9, rtol=0
        )
        flipped = polar.intensities[:, ::-1][..., mirrored]
        assert residual(flipped, polar.intensities) < 1e-4

    def test_inversion_of_a_centric_crystal(self, centric):
        """I_g(K) = I_{−g}(−K)."""
        inverted = centric.intensities[::-1, ::-1][..., partners(centric, -centric.indices)]
        assert residual(inverted, centric.intensities) < 1e-4

    def test_no_inversion_without_a_centre(self, polar):
        """Dynamical scattering breaks Friedel's law: polarity shows."""
        inverted = polar.intensities[::-1, ::-1][..., partners(polar, -polar.indices)]
        assert residual(inverted, polar.intensities) > 0.1

    def test_equivalent_zone_axes(self, gasb, polar):
        """[110] and [011] of a cubic crystal give one library, indices permuted."""
        other = simulate(gasb, zone_axis=(0, 1, 1), reflections=15)
        order = []
        for vector in polar.vectors:
            distance = np.linalg.norm(other.vectors - vector, axis=1)
            order.append(int(np.argmin(distance)))
            assert distance.min() < 1e-6
        forward = residual(other.intensities[..., order], polar.intensities)
        half_turn = [
            int(np.argmin(np.linalg.norm(other.vectors + v, axis=1))) for v in polar.vectors
        ]
        backward = residual(other.intensities[::-1, ::-1][..., half_turn], polar.intensities)
        assert min(forward, backward) < 1e-4, "the turn about the beam is a convention"

    def test_orientation_equals_zone_axis(self, gasb, polar):
        rotation = conventions.zone_axis_rotation(gasb, (1, 1, 0))
        other = simulate(gasb, zone_axis=None, orientation=rotation, reflections=self.INDICES)
        np.testing.assert_array_equal(other.indices, polar.indices)
        np.testing.assert_allclose(other.base_rotation, polar.base_rotation)
        assert residual(other.intensities, polar.intensities) < 1e-5

    def test_orientation_turned_about_the_beam(self, gasb, polar):
        """A quarter turn from kx to ky: vectors and tilts turn with it."""
        matrix = conventions.in_plane_matrix(90) @ conventions.rotation_to_detector_matrix(
            conventions.zone_axis_rotation(gasb, (1, 1, 0))
        )
        other = simulate(
            gasb,
            zone_axis=None,
            orientation=conventions.detector_matrix_to_rotation(matrix),
            reflections=self.INDICES,
        )
        y, x = polar.vectors.T
        np.testing.assert_allclose(other.vectors, np.stack([x, -y], axis=1), atol=1e-9)
        turned = np.swapaxes(polar.intensities, 0, 1)[::-1]  # x' = −y, y' = x
        assert residual(other.intensities, turned) < 1e-4

    def test_tilt_by_orientation(self, gasb):
        """Tilting the base orientation by 0.04° shifts the library by two grid steps.

        Up to what the cut-off changes: it follows the sphere, not the zone.
        """
        options = {"reflections": self.INDICES, "g_max": 3.0, "thickness": [40.0]}
        options |= {"beam": Beam(300, 0.0), "tilt_range": 0.06}
        polar = simulate(gasb, **options)
        base = conventions.zone_axis_rotation(gasb, (1, 1, 0))
        tilted = conventions.tilted_rotation(base, 0.04, -0.02)
        other = simulate(gasb, zone_axis=None, orientation=tilted, **options)
        got, expected = other.intensities[:-2, 1:], polar.intensities[2:, :-1]
        assert residual(got, expected) < 2e-3


class TestPublishedLibrary:
    """GaSb of Yuan et al. 2021, one thickness, tilts to 0.3°, cut off where theirs was."""

    @pytest.fixture(scope="class")
    def published(self):
        name = "gasb-yuan2021"
        folder = os.environ.get("PYXEM_MLMAPS_DATA")
        root = Path(__file__).resolve().parents[2]
        path = (Path(folder) if folder else root.parent / "shared" / "data") / name
        if not (path / "bloch_library.mat").is_file():
            pytest.skip(f"no {path}: the published GaSb library is not part of the repository")
        from scipy.io import loadmat

        raw = loadmat(path / "bloch_library.mat")["diskListSim"]
        return raw[:, :2, 0, 0].astype(int), raw[:, 2].reshape(43, 5, 51, 51)

    def correlation(self, published, gasb, polarity):
        numbers, values = published
        phase = gasb if polarity > 0 else flipped(gasb)
        pixels = numbers @ np.array([[-48.0, -34.0], [-48.0, 34.0]])  # (y, x)
        first = simulate(phase, g_max=1.8, reflections=200, tilt_range=0.02, thickness=[65.0])
        vectors, scale = first.vectors, 0.00483
        nearest = np.linalg.norm(vectors[:, None] - scale * pixels, axis=-1).argmin(axis=0)
        assert np.abs(vectors[nearest] - scale * pixels).max() < 0.01
        library = simulate(
            phase,
            g_max=1.8,
            reflections=first.indices[nearest],
            tilt_range=0.3,
            thickness=[75.5],
            keep_maps=False,
            absorption=0.03,
            debye_waller={"Ga": 0.082, "Sb": 0.093},
            potential_scale=0.968,
        )
        # theirs: K_t = k0·(−x, +y); ours: K_t = −k0·(x, y)
        theirs = values[:, 2:3, 10:41, 10:41][..., ::-1].transpose(2, 3, 1, 0)
        return np.corrcoef(library.intensities.ravel(), theirs.ravel())[0, 1]

    def test_polarity(self, published, gasb):
        """cc ≥ 0.99 with Ga and Sb where they are, below 0.9 with them exchanged."""
        assert self.correlation(published, gasb, POLARITY) >= 0.99
        assert self.correlation(published, gasb, -POLARITY) < 0.9


POLARITY = 1
"""+1: [001] of the published crystal lies along −x of its image, as ``zone_axis=(1, 1, 0)`` has
it with g1 − g2 = (0, 0, −2)."""


def flipped(phase):
    """The crystal with its two elements exchanged."""
    from diffpy.structure import Atom, Structure
    from orix.crystal_map import Phase

    first, second = phase.structure
    return Phase(
        "flipped",
        space_group=216,
        structure=Structure(
            [
                Atom(second.element, first.xyz, Uisoequiv=second.Uisoequiv),
                Atom(first.element, second.xyz, Uisoequiv=first.Uisoequiv),
            ],
            lattice=phase.structure.lattice,
        ),
    )


class TestMaps:
    def test_disks_are_means_of_the_maps(self, library):
        radius = 1.1e-3 / np.radians(0.02)
        m = aperture_margin(radius)
        assert library.maps.shape[0] == len(library.tilt_x) + 2 * m
        np.testing.assert_allclose(
            average_over_aperture(library.maps, radius), library.intensities, rtol=1e-5
        )

    def test_aperture_by_direct_summation(self, gasb):
        """R ≤ 0.005 against plane waves summed over the disc at three tilts."""
        coarse = simulate(gasb, tilt_range=0.1)
        fine = simulate(gasb, tilt_range=0.2, beam=Beam(300, 0.0), reflections=coarse.indices)
        spline = map_spline(fine)
        n = 24
        r = np.degrees(1.1e-3) * np.sqrt((np.arange(n) + 0.5) / n)
        phi = 2 * np.pi * (np.arange(n) + 0.5) / n
        disc = np.stack([np.outer(r, np.cos(phi)), np.outer(r, np.sin(phi))], -1).reshape(-1, 2)
        for i, j in ((5, 5), (2, 7), (9, 1)):
            centre = np.array([coarse.tilt_x[i], coarse.tilt_y[j]])
            points = np.column_stack([centre + disc, np.full(len(disc), 80.0)])
            assert residual(spline(points).mean(axis=0), coarse.intensities[i, j, 1]) < 5e-3

    def test_plane_wave(self, gasb):
        library = simulate(gasb, beam=Beam(300, 0.0))
        np.testing.assert_array_equal(library.maps, library.intensities)

    def test_maps_can_be_left_out(self, gasb):
        library = simulate(gasb, keep_maps=False)
        assert library.maps is None
        with pytest.raises(ValueError, match="keep_maps=True"):
            map_spline(library)

    def test_the_same_bits_again(self, gasb):
        """Whatever the number of threads."""
        one, other = (simulate(gasb, tilt_range=0.3, tilt_step=0.04, num_workers=n) for n in (1, 2))
        np.testing.assert_array_equal(one.intensities, other.intensities)
        np.testing.assert_array_equal(one.maps, other.maps)

    def test_lazy_equals_eager(self, gasb):
        options = {"tilt_range": 0.3, "tilt_step": 0.04}
        lazy, eager = simulate(gasb, lazy_output=True, **options), simulate(gasb, **options)
        assert lazy.is_lazy and lazy.maps.npartitions > 1
        assert lazy.intensities.shape == eager.intensities.shape
        computed = lazy.compute(show_progressbar=False)
        np.testing.assert_array_equal(computed.intensities, eager.intensities)
        np.testing.assert_array_equal(computed.maps, eager.maps)


class TestOptions:
    def test_upper_zones_run_and_change_little(self, gasb):
        """The zones ±2 (±1 of [110] are extinct in fcc) add beams, and move intensities a bit."""
        options = {"g_max": 1.5, "tilt_range": 0.04, "thickness": [40.0]}
        zero = simulate(gasb, **options)
        more = simulate(gasb, laue_zones=2, reflections=zero.indices, **options)
        assert more.parameters["n_beams"] > zero.parameters["n_beams"]
        assert 0 < residual(more.intensities, zero.intensities) < 0.2

    def test_absorption(self, gasb):
        """None keeps all electrons in all beams; thermal absorption loses some, twice more more."""
        every = {"reflections": 200, "beam": Beam(300, 0.0), "tilt_range": 0.04}
        totals = [
            simulate(gasb, **every, **options).intensities.sum(axis=-1)
            for options in (
                {"absorption": 0.0},
                {},
                {"absorption_scale": 2.0},
                {"mean_absorption": False, "absorption": 0.1},
            )
        ]
        np.testing.assert_allclose(totals[0], 1, atol=1e-4)
        assert np.all(totals[1] < 0.99) and np.all(totals[2] < totals[1])
        assert np.all(totals[3] < 1.2) and not np.allclose(totals[3], 1, atol=1e-3)

    def test_mean_absorption_is_a_factor(self, gasb):
        with_mean = simulate(gasb, absorption=0.05)
        without = simulate(gasb, absorption=0.05, mean_absorption=False)
        ratio = with_mean.intensities / without.intensities
        for index in range(2):
            np.testing.assert_allclose(ratio[:, :, index], ratio[:, :, index].mean(), rtol=2e-3)

    @pytest.mark.parametrize("sigma", [0.03, 0.08])
    def test_mosaic_is_a_convolution(self, gasb, sigma):
        """Blurred over tilt, also at the library's border."""
        wide = simulate(gasb, tilt_range=0.46)
        blurred = simulate(gasb, tilt_range=0.1, mosaic=sigma, reflections=wide.indices)
        expected = gaussian_filter(wide.intensities, sigma / 0.02, axes=(0, 1))[18:-18, 18:-18]
        assert residual(blurred.intensities, expected) < 1e-3
        corner = residual(blurred.intensities[:2, :2], expected[:2, :2])
        assert corner < 1e-3
        assert residual(blurred.intensities, wide.intensities[18:-18, 18:-18]) > 5e-3

    def test_thickness_spread_is_a_mean(self, gasb):
        t = np.arange(50, 71, 1.0)
        fine = simulate(gasb, thickness=t, tilt_range=0.04)
        spread = simulate(
            gasb, thickness=[60.0], thickness_spread=2.0, tilt_range=0.04, reflections=fine.indices
        )
        weights = np.exp(-((t - 60) ** 2) / 8)
        expected = np.einsum("xytd,t->xyd", fine.intensities, weights / weights.sum())
        assert residual(spread.intensities[:, :, 0], expected) < 5e-3

    def test_strongest_reflections_are_taken(self, gasb):
        """The mean over tilt and thickness decides; the direct beam is one of them."""
        many, few = simulate(gasb, reflections=30), simulate(gasb, reflections=10)
        assert [0, 0, 0] in few.indices.tolist()
        ranked = many.indices[np.argsort(-many.mean_intensity)][:10]
        same = {tuple(r) for r in few.indices} & {tuple(r) for r in ranked}
        assert len(same) >= 9

    def test_order_of_reflections_is_the_caller_s(self, gasb):
        wanted = [(0, 0, 2), (0, 0, 0), (1, -1, 1)]
        library = simulate(gasb, reflections=wanted)
        np.testing.assert_array_equal(library.indices, wanted)

    def test_cut_off_by_convergence(self, silicon):
        """The stated criterion is met and reported."""
        library = simulate(silicon, g_max=None, convergence=0.4, thickness=[20.0], tilt_range=0.04)
        assert library.parameters["g_max"] >= 1.5
        assert 0 < library.parameters["convergence_reached"] <= 0.4

    def test_zero_is_on_the_grid(self, gasb):
        library = simulate(gasb, tilt_range=0.09, tilt_step=0.04)
        np.testing.assert_allclose(library.tilt_x, [-0.12, -0.08, -0.04, 0, 0.04, 0.08, 0.12])

    def test_parameters_tell_all(self, gasb):
        parameters = simulate(gasb, absorption=0.07, mosaic=0.01).parameters
        assert parameters["absorption"] == 0.07 and parameters["mosaic"] == 0.01
        assert parameters["debye_waller"] == {
            "Ga": pytest.approx(0.085),
            "Sb": pytest.approx(0.095),
        }
        assert {"zone_axis", "g_max", "n_beams", "versions", "potential_scale"} <= set(parameters)

    def test_ensemble(self, gasb):
        """Different physics, the same axes and disks; the same seed, the same libraries."""
        options = {"zone_axis": (1, 1, 0), "tilt_range": 0.04, "thickness": [60.0], "g_max": 1.2,
                   "reflections": 9, "show_progressbar": False}  # fmt: skip
        one, two = (simulate_rocking_ensemble(gasb, Beam(300, 1.1), n=3, **options) for _ in "ab")
        scales = [each.parameters["absorption_scale"] for each in one]
        assert len(set(scales)) == 3 and 0.5 <= min(scales) and max(scales) <= 1.5
        for a, b in zip(one, two, strict=True):
            np.testing.assert_array_equal(a.intensities, b.intensities)
            np.testing.assert_array_equal(a.indices, one[0].indices)
        assert residual(one[1].intensities, one[0].intensities) > 1e-3
        with pytest.raises(ValueError, match="n=1"):
            simulate_rocking_ensemble(gasb, Beam(300, 1.1), n=1, **options)


class TestBadArguments:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"zone_axis": None}, "either zone_axis"),
            ({"orientation": "both"}, "either zone_axis"),
            ({"zone_axis": (0, 0, 0)}, "zone_axis"),
            ({"zone_axis": (1, 0.5, 0)}, "zone_axis"),
            ({"tilt_range": -1}, "tilt_range"),
            ({"tilt_step": 0}, "tilt_step"),
            ({"tilt_step": np.nan}, "tilt_step"),
            ({"thickness": [0.0, 10]}, "thickness"),
            ({"thickness": [20.0, 10]}, "thickness"),
            ({"thickness": [np.nan]}, "thickness"),
            ({"absorption": 0.9}, "absorption"),
            ({"absorption": "thermic"}, "absorption"),
            ({"absorption_scale": -1}, "absorption_scale"),
            ({"potential_scale": 0}, "potential_scale"),
            ({"mosaic": -0.1}, "mosaic"),
            ({"thickness_spread": -1}, "thickness_spread"),
            ({"step": 0}, "step"),
            ({"laue_zones": -1}, "laue_zones"),
            ({"reflections": 0}, "reflections"),
            ({"reflections": [(0, 0, 0), (1, 1, 1)]}, r"reflections=\[\(1, 1, 1\)\]"),
            ({"debye_waller": 2.0}, "debye_waller"),
            ({"g_max": -1.0}, "g_max"),
            ({"overlap": "maybe"}, "overlap='maybe'"),
        ],
    )
    def test_are_named(self, gasb, options, message):
        with pytest.raises(ValueError, match=message):
            simulate(gasb, **options)

    def test_overlapping_disks(self, gasb):
        """Refused above a tenth of their width, else a warning; it says where they separate."""
        with pytest.raises(ValueError, match=r"convergence_angle=4 mrad.*below 2.80 mrad"):
            simulate(gasb, beam=Beam(300, 4.0), lazy_output=True)
        with pytest.warns(UserWarning, match=r"convergence_angle=2.9 mrad.*below 2.80 mrad"):
            simulate(gasb, beam=Beam(300, 2.9), lazy_output=True)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            simulate(gasb, beam=Beam(300, 2.7), lazy_output=True)


class TestOverlap:
    """A general orientation of the crystal: disks of several Laue zones in one pattern."""

    @pytest.fixture(scope="class")
    def options(self):
        from orix.quaternion import Rotation

        return {
            "beam": Beam(300, 4.0),
            "zone_axis": None,
            "orientation": Rotation.from_axes_angles((1, 2, 3), 20, degrees=True),
            "tilt_range": 0.04,
            "g_max": 2.0,
        }

    @pytest.fixture(scope="class")
    def every(self, gasb, options):
        return simulate(gasb, reflections=1000, overlap="ignore", **options)

    def test_raise_is_the_default(self, gasb, options):
        with pytest.raises(ValueError, match="overlap"):
            simulate(gasb, reflections=1000, lazy_output=True, **options)

    def test_avoid(self, gasb, options, every):
        """As counted here, from the intensities of all disks; numbers count afterwards."""
        from scipy.spatial.distance import cdist

        library = simulate(gasb, reflections=1000, overlap="avoid", **options)
        near = cdist(every.vectors, every.vectors) < 2.04 * options["beam"].aperture_radius
        np.fill_diagonal(near, False)
        strength = every.mean_intensity
        worst = (near * strength).max(axis=1) / strength
        kept = np.zeros(len(worst), dtype=bool)
        kept[partners(every, library.indices)] = True
        # a coarser sum over the aperture chooses, so that ratios near 0.02 may differ
        assert np.all(worst[kept] < 0.03) and np.all(worst[~kept] > 0.013)
        assert 4 < kept.sum() < 20 < len(kept)
        np.testing.assert_array_equal(
            library.intensities, every.intensities[..., np.flatnonzero(kept)]
        )
        few = simulate(gasb, reflections=4, overlap="avoid", **options)
        brightest = np.argsort(-library.mean_intensity)[:4]
        assert set(map(tuple, few.indices)) == set(map(tuple, library.indices[brightest]))

    def test_avoid_given_reflections(self, gasb, options, every):
        """Also against beams that are not wanted; the order stays."""
        library = simulate(gasb, reflections=1000, overlap="avoid", **options)
        clear = library.indices[[3, 1]]
        overlapped = every.indices[
            [i for i in range(len(every.indices)) if i not in partners(every, library.indices)][:1]
        ]
        chosen = simulate(
            gasb, reflections=np.concatenate([overlapped, clear]), overlap="avoid", **options
        )
        np.testing.assert_array_equal(chosen.indices, clear)
        with pytest.raises(ValueError, match="overlap='avoid' leaves none"):
            simulate(gasb, reflections=overlapped, overlap="avoid", **options)

    def test_in_an_ensemble(self, gasb, options):
        """The first library chooses, the others have the same disks."""
        first, second = simulate_rocking_ensemble(
            gasb, n=2, reflections=1000, overlap="avoid", thickness=[40.0], **options
        )
        np.testing.assert_array_equal(first.indices, second.indices)
        assert first.parameters["overlap"] == "avoid"
