"""A plan against geometry by hand, and against maps of simulated scans."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

import pyxem_mlmaps as mlmaps
from pyxem_mlmaps.conventions import zone_axis_rotation
from pyxem_mlmaps.planning.geometry import View
from pyxem_mlmaps.simulation.scan import disk_spline


def silicon_plan(angle=1.1, **options):
    options = {"scale": 0.01, "g_max": 1.5, "tilt_range": 0.1} | options
    return mlmaps.plan(
        mlmaps.data.silicon(), mlmaps.Beam(300, angle), zone_axis=(1, 1, 0), **options
    )


@pytest.fixture(scope="module")
def plan():
    return silicon_plan()


class TestOverlap:
    @pytest.mark.parametrize(
        ("crystal", "zone", "shortest"),
        [
            ("Si", (1, 1, 0), np.sqrt(3) / 5.431),  # {111}
            ("Si", (0, 0, 1), np.sqrt(8) / 5.431),  # {220}; {200} has no beam that feeds it
            ("Al", (0, 0, 1), 2 / 4.05),  # {200}
            ("Fe", (0, 0, 1), np.sqrt(2) / 2.87),  # {110}
        ],
    )
    def test_touching_disks(self, crystal, zone, shortest):
        """2α k0 = |g| of the shortest reflection that the zone has."""
        cell = bulk(crystal, cubic=True, a=5.431 if crystal == "Si" else None)
        beam = mlmaps.Beam(200, 1.0)
        found = mlmaps.plan(cell, beam, zone, scale=0.02, g_max=1.5, tilt_range=0.05)
        assert found.smallest_distance == pytest.approx(shortest, rel=1e-3)
        angle = 1e3 * shortest * 0.0250793 / 2  # λ of 200 keV
        assert found.max_convergence_angle == pytest.approx(angle, rel=1e-3)
        assert not found.overlaps

    def test_gap(self, plan):
        between = np.sqrt(3) / 5.431 / 0.01 - 2 * 1.1e-3 / 0.0196875 / 0.01
        assert plan.gap == pytest.approx(between, abs=0.02)

    def test_is_said_and_stops_both(self):
        wide = silicon_plan(3.5)
        assert wide.overlaps and not wide.tilt_works and not wide.strain_works
        assert "disks overlap: reduce the convergence semi-angle below 3.14 mrad" in wide.advice[0]
        assert np.isnan(wide.precision).all()
        # at an angle that keeps them apart there is a precision
        assert np.isfinite(wide.precision_at(convergence_angle=2.5)).all()

    def test_just_apart(self, plan):
        assert not silicon_plan(plan.max_convergence_angle - 0.01).overlaps
        assert silicon_plan(plan.max_convergence_angle + 0.01).overlaps

    def test_orientation_of_a_zone_axis_is_the_zone_axis(self, plan):
        turned = mlmaps.plan(
            mlmaps.data.silicon(), mlmaps.Beam(300, 1.1), scale=0.01, g_max=1.5,
            orientation=zone_axis_rotation(mlmaps.data.silicon(), (1, 1, 0)), tilt_range=0.1,
        )  # fmt: skip
        assert turned.smallest_distance == pytest.approx(plan.smallest_distance)
        assert turned.n_disks == plan.n_disks


class TestDetector:
    @pytest.mark.parametrize("detector", [(256, 256), (100, 220)])
    def test_disks_in_view_are_counted(self, detector):
        """All hkl of [110] of one parity (the face centring), whole on the detector."""
        found = silicon_plan(detector=detector, g_max=2.0)
        radius = 1.1e-3 / 0.0196875 / 0.01
        across, along = np.array([1, -1, 0]) / np.sqrt(2), np.array([0, 0, 1])
        count = 0
        for h in range(-12, 13):
            for m in range(-12, 13):
                if (h + m) % 2 or np.hypot(h * np.sqrt(2), m) / 5.431 > 2.0:
                    continue
                g = np.array([h, -h, m]) / 5.431 / 0.01
                y, x = g @ across, g @ along  # the shortest lattice vector is along c
                count += abs(y) + radius <= detector[0] / 2 and abs(x) + radius <= detector[1] / 2
        assert found.n_disks == count

    def test_camera_length(self, plan):
        """λ L / p: 0.0197 Å · 500 mm against 98.4 µm is 0.01 Å⁻¹."""
        pixel = 0.01 * 0.0196875 * 500e3
        same = silicon_plan(scale=None, camera_length=500, pixel_size=pixel)
        assert same.scale == pytest.approx(0.01, rel=1e-4)
        assert same.n_disks == plan.n_disks

    def test_a_turned_pattern(self):
        """A quarter turn takes kx to ky, and a rectangle's view with it."""
        g = np.array([[0.0, 0.3]])
        np.testing.assert_allclose(View((10, 10), 0.1, 90).positions(g), [[3, 0]], atol=1e-12)
        upright = silicon_plan(detector=(100, 220))
        lying = silicon_plan(detector=(220, 100), rotation=90)
        assert lying.n_disks == upright.n_disks

    def test_turned_as_a_scan_is(self, library):
        from pyxem_mlmaps.data._scan import lattice_on_detector

        lattice = lattice_on_detector(library, (256, 256), 25.0)
        view = View((256, 256), library.beam.aperture_radius / lattice.radius, 25.0)
        from_origin = lattice.positions - np.asarray(lattice.origin)
        np.testing.assert_allclose(view.positions(library.vectors), from_origin, atol=1e-6)


class TestAdvice:
    def test_none_where_it_works(self, plan):
        assert plan.advice == () and plan.tilt_works and plan.strain_works

    def test_small_disks(self):
        """Following the advice helps."""
        small = silicon_plan(scale=None, camera_length=100, pixel_size=50)
        assert small.tilt_works and not small.strain_works
        (text,) = [a for a in small.advice if "disk model covers 4 to 60 px" in a]
        length = float(text.split("at least ")[1].split(" mm")[0])
        assert silicon_plan(scale=None, camera_length=length, pixel_size=50).strain_works

    def test_large_disks_are_binned(self):
        large = silicon_plan(scale=0.0008, detector=(2048, 2048))
        assert not large.strain_works
        assert "bin the patterns by 2 (radius 35 px)" in large.advice[0]
        assert silicon_plan(scale=0.0016, detector=(1024, 1024)).strain_works

    def test_few_disks(self):
        few = silicon_plan(scale=None, camera_length=500, pixel_size=55, detector=(64, 64))
        assert few.n_disks == 1 and not few.tilt_works
        text = few.advice[0]
        assert "6 are needed" in text
        length = float(text.split("at most ")[1].split(" mm")[0])
        enough = silicon_plan(scale=None, camera_length=length, pixel_size=55, detector=(64, 64))
        assert enough.n_disks >= 6 and enough.tilt_works

    def test_few_pixels(self):
        """No camera length gives enough disks of enough pixels: the detector is too small."""
        tiny = silicon_plan(scale=0.005, detector=(24, 24))
        assert "for both take a detector of" in tiny.advice[0]

    def test_dose(self):
        faint = silicon_plan(dose=300)
        assert not faint.strain_works and faint.n_strong < 3
        dose = float(faint.advice[0].split("raise the dose to ")[1].split()[0])
        assert silicon_plan(dose=dose).n_strong >= 6

    def test_narrow_gap(self):
        narrow = silicon_plan(2.9)
        assert "the gap between disks is" in narrow.advice[0] and narrow.tilt_works


class TestPrecision:
    def test_tilt_is_the_scatter_of_the_model(self, gasb, beam, library, model):
        """Poisson counts of the session's library, read by its model, at 80 points."""
        dose = 3e5
        plan = mlmaps.plan(
            gasb, beam, (1, 1, 0), scale=0.02, thickness=(68, 77), tilt_range=0.15, dose=dose,
            background=0.0, reflections=25, g_max=1.4,
        )  # fmt: skip
        planned, trained = ({tuple(i) for i in v.indices} for v in (plan.disks, library))
        assert len(planned & trained) >= 23
        rng = np.random.default_rng(0)
        points = rng.uniform([-0.15, -0.15, 68], [0.15, 0.15, 77], (80, 3))
        counts = dose * np.maximum(disk_spline(library)(points).astype(float), 0)
        drawn = rng.poisson(np.repeat(counts, 40, axis=0))
        found = model.predict(drawn).stack()[:, :3].reshape(80, 40, 3)
        scatter = np.median(found.std(axis=1, ddof=1), axis=0)
        np.testing.assert_allclose(plan.precision[:3], scatter, rtol=0.25)

    def test_strain_is_about_the_scatter_of_the_disk_model(self):
        """A bent foil without strain: the shipped network knows less of the contrast."""
        library = mlmaps.simulate_rocking(
            mlmaps.data.silicon(), mlmaps.Beam(300, 1.35), (1, 1, 0), tilt_range=0.2,
            thickness=np.arange(45, 56, 2.5), reflections=37, g_max=2.0,
        )  # fmt: skip
        s = mlmaps.data.bent_foil((12, 12), library=library, electrons=1e5, bend=0.2)
        lattice = mlmaps.data.ground_truth(s).lattice
        vectors = s.ml_disk_positions(lattice=lattice, lazy_output=False)
        strain = mlmaps.strain_map(vectors, reference=lattice)
        scatter = np.sqrt(np.nanmean(strain.data**2, axis=(1, 2)))
        plan = silicon_plan(
            1.35, scale=library.beam.aperture_radius / lattice.radius, dose=1e5, reflections=37,
            g_max=2.0, thickness=(46, 54), tilt_range=0.2,
        )  # fmt: skip
        assert plan.radius == pytest.approx(lattice.radius)
        expected = np.array([*plan.precision[3:6], np.radians(plan.precision.rotation)])
        ratio = scatter / expected
        assert np.all((ratio > 0.8) & (ratio < 1.5)), ratio

    def test_dose(self, plan):
        """Tilt with the root of the dose; strain a little slower, as contrast is not known."""
        one, hundred = np.array(plan.precision), np.array(plan.precision_at(100 * plan.dose))
        np.testing.assert_allclose(hundred[:3], one[:3] / 10, rtol=1e-6)
        assert np.all((hundred[3:] > one[3:] / 10) & (hundred[3:] < one[3:] / 4))

    def test_strain_of_even_disks_falls_with_the_root_of_the_dose(self, plan):
        from dataclasses import replace

        even = replace(plan.disks, modes=plan.disks.modes[:0])
        one, hundred = np.array(even.precision(1e4)), np.array(even.precision(1e6))
        np.testing.assert_allclose(hundred, one / 10, rtol=1e-6)

    def test_angle_is_that_of_another_plan(self, plan):
        """The plane-wave maps serve all angles."""
        np.testing.assert_allclose(
            plan.precision_at(convergence_angle=0.7), silicon_plan(0.7).precision, rtol=0.02
        )

    def test_background_costs(self, plan):
        clean = silicon_plan(background=0.0)
        assert np.all(np.array(clean.precision) < plan.precision)

    def test_sensitivity_is_the_slope_of_the_sums(self, plan):
        """Of the direct beam, along x, by differences over the foil's tilts and thickness."""
        direct = np.flatnonzero(~plan.disks.indices.any(axis=1))[0]
        every = np.flatnonzero(~plan.library.indices.any(axis=1))[0]
        grid = np.linspace(-0.1, 0.1, 9)
        points = np.array([[x, y, 50.0] for x in grid for y in grid])
        shift = np.array([1e-3, 0, 0])
        slope = plan.rocking(points + shift) - plan.rocking(points - shift)
        expected = np.sqrt(((slope[:, every] / 2e-3) ** 2).mean())
        assert plan.disks.sensitivity[direct, 0] == pytest.approx(expected, rel=0.02)


class TestBadInput:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"scale": None}, "either scale in Å⁻¹ per px, or camera_length"),
            ({"camera_length": 100}, "either scale"),
            ({"scale": None, "camera_length": 100}, "either scale"),
            ({"scale": -0.1}, "scale=-0.1"),
            ({"scale": 1e-4}, "not even the direct beam fits"),
            ({"detector": (0, 256)}, "detector"),
            ({"detector": 256}, "detector"),
            ({"dose": 0}, "dose=0"),
            ({"thickness": (60, 40)}, "low comes before high"),
            ({"thickness": -5}, "1 to 1000 nm"),
            ({"thickness": (1, 2, 3)}, "thickness"),
            ({"edge": 0}, "edge=0"),
            ({"angle": 0.0}, "convergence_angle=0"),
        ],
    )
    def test_numbers(self, options, message):
        with pytest.raises(ValueError, match=message):
            silicon_plan(**options)

    @pytest.mark.parametrize("zone", [(0, 0, 0), (1, 1), (1.5, 0, 0)])
    def test_zone_axis(self, silicon, zone):
        with pytest.raises(ValueError, match="zone_axis"):
            mlmaps.plan(silicon, mlmaps.Beam(300, 1), zone, scale=0.01)

    def test_zone_axis_without_a_pattern(self, silicon):
        with pytest.raises(ValueError, match="no reflections of this zone"):
            mlmaps.plan(silicon, mlmaps.Beam(300, 1), (31, 17, 5), scale=0.01)

    def test_atoms_without_a_cell(self):
        positions = np.random.default_rng(0).uniform(0, 10, (20, 3))
        with pytest.raises(ValueError, match="no unit cell"):
            mlmaps.plan(Atoms("Si20", positions), mlmaps.Beam(300, 1), (1, 1, 0), scale=0.01)

    def test_amorphous_box(self):
        positions = np.random.default_rng(0).uniform(0, 20, (100, 3))
        glass = Atoms("Si100", positions, cell=[20] * 3, pbc=True)
        with pytest.raises(ValueError, match="amorphous"):
            mlmaps.plan(glass, mlmaps.Beam(300, 1), (0, 0, 1), scale=0.01)


class TestPage:
    def test_text(self, plan):
        text = str(plan)
        for words in ("Si [1 1 0]", "300 keV", "tilt", "works: σ", "Cramér-Rao", "256 x 256 px"):
            assert words in text
        assert "Advice" not in text
        assert all(len(line) < 130 for line in text.splitlines())
        assert repr(plan) == "Plan(Si [1 1 0], 300 keV, 1.1 mrad, 100000 electrons a pattern)"

    def test_html_is_escaped(self, plan):
        from dataclasses import replace

        html = replace(plan, name="<b>Si</b>")._repr_html_()
        assert "<table>" in html and "&lt;b&gt;Si" in html

    def test_advice_is_on_the_page(self):
        wide = silicon_plan(3.5)
        assert wide.advice[0] in str(wide) and "does not work" in str(wide)
        assert "<ul>" in wide._repr_html_()


def test_crystals_come_as_elsewhere(tmp_path, silicon):
    """A CIF file gives what ase Atoms give."""
    from ase.io import write

    write(tmp_path / "si.cif", silicon)
    beam = mlmaps.Beam(300, 1.1)
    options = {"scale": 0.01, "g_max": 1.5, "debye_waller": 0.076, "tilt_range": 0.05}
    one, other = (
        mlmaps.plan(source, beam, (1, 1, 0), **options) for source in (silicon, tmp_path / "si.cif")
    )
    np.testing.assert_allclose(one.precision, other.precision, rtol=1e-3)


def test_progress_is_shown(capsys):
    silicon_plan(show_progressbar=True)
    assert "100%" in capsys.readouterr().err
    silicon_plan(show_progressbar=False)
    assert not capsys.readouterr().err
