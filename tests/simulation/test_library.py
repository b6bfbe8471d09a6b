"""The library as a value: validation, selection, files."""

from __future__ import annotations

from dataclasses import replace

import dask.array as da
import numpy as np
import pytest

from pyxem_mlmaps import RockingLibrary

TILT = np.linspace(-0.1, 0.1, 5)
INDICES = [(0, 0), (1, 0), (0, 1), (1, 1)]


def arrays(**changes):
    values = {
        "intensities": np.random.default_rng(0).random((5, 5, 3, 4)),
        "tilt_x": TILT,
        "tilt_y": TILT,
        "thickness": [60.0, 65, 70],
        "indices": INDICES,
    }
    return values | changes


def bad(value):
    intensities = arrays()["intensities"].copy()
    intensities[1, 2, 0, 3] = value
    return intensities


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"intensities": np.ones((5, 5, 3, 5))}, r"intensities has shape \(5, 5, 3, 5\)"),
        ({"intensities": bad(np.nan)}, "intensities has NaN"),
        ({"intensities": bad(-1e-3)}, "intensities has NaN, infinite or negative"),
        ({"intensities": bad(np.inf)}, "intensities has NaN"),
        ({"tilt_x": TILT[::-1]}, "tilt_x=.* must ascend"),
        ({"tilt_y": [-0.1, -0.05, 0, 0.04, 0.1]}, "tilt_y must be at least 4 evenly"),
        ({"tilt_x": [0.0]}, "tilt_x has one value"),
        ({"tilt_x": [0, 1, np.nan, 3, 4]}, "tilt_x must be a 1-D array of finite"),
        ({"thickness": [0.0, 5, 10]}, "thickness=0 nm"),
        ({"thickness": [60, 60, 70]}, "thickness=.* must ascend"),
        ({"indices": [0, 1, 2, 3]}, "indices has shape"),
        ({"indices": np.zeros((4, 4))}, "indices has shape"),
        ({"vectors": np.zeros((3, 2))}, r"vectors has shape \(3, 2\)"),
    ],
)
def test_bad_arrays_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        RockingLibrary(**arrays(**changes))


def test_from_arrays():
    library = RockingLibrary(**arrays())
    assert library.intensities.dtype == np.float32 and not library.is_lazy
    expected = arrays()["intensities"].mean(axis=(0, 1, 2))
    np.testing.assert_allclose(library.mean_intensity, expected, rtol=1e-6)
    assert "5 x 5 tilts (±0.1°, ±0.1°), 3 thicknesses (60 to 70 nm), 4 disks" in repr(library)
    with pytest.raises(ValueError, match="without reciprocal lattice vectors"):
        library.lattice_template()


def test_sel(library):
    part = library.sel(slice(67, 73))
    np.testing.assert_array_equal(part.thickness, [67.5, 70, 72.5])
    np.testing.assert_array_equal(part.intensities, library.intensities[:, :, 1:4])
    np.testing.assert_array_equal(part.maps, library.maps[:, :, 1:4])
    one = library.sel(70)
    np.testing.assert_array_equal(one.thickness, [70])
    np.testing.assert_array_equal(library.sel([65, 80]).thickness, [65, 80])
    np.testing.assert_array_equal(library.sel(slice(None, 66)).thickness, [65])
    with pytest.raises(ValueError, match="thickness=.*71"):
        library.sel(71)
    with pytest.raises(ValueError, match="selects none"):
        library.sel(slice(81, 90))


class TestFiles:
    @pytest.mark.parametrize("lazy", [False, True])
    @pytest.mark.parametrize("stored_lazy", [False, True])
    def test_round_trip(self, library, tmp_path, lazy, stored_lazy):
        """Every number and every parameter comes back."""
        stored = library
        if stored_lazy:
            stored = replace(
                library,
                intensities=da.from_array(library.intensities, chunks=(8, 8, -1, -1)),
                maps=da.from_array(library.maps, chunks=(16, 7, -1, -1)),
            )
        path = tmp_path / "gasb.zarr"
        stored.save(path)
        back = RockingLibrary.load(path, lazy=lazy)
        assert back.is_lazy == lazy
        for name in ("intensities", "maps", "tilt_x", "tilt_y", "thickness", "indices",
                     "vectors", "base_rotation"):  # fmt: skip
            np.testing.assert_array_equal(getattr(back, name), getattr(library, name))
        assert back.beam == library.beam
        assert back.crystal == library.crystal
        assert back.parameters == library.parameters
        np.testing.assert_array_equal(back.compute().intensities, library.intensities)

    def test_bare_arrays_round_trip(self, tmp_path):
        library = RockingLibrary(**arrays())
        library.save(tmp_path / "bare.zarr")
        back = RockingLibrary.load(tmp_path / "bare.zarr")
        assert back.beam is None and back.vectors is None and back.maps is None
        np.testing.assert_array_equal(back.intensities, library.intensities)

    def test_overwrite_only_on_request(self, tmp_path):
        library, path = RockingLibrary(**arrays()), tmp_path / "a.zarr"
        library.save(path)
        with pytest.raises(FileExistsError, match="overwrite=True"):
            library.save(path)
        library.sel(60).save(path, overwrite=True)
        assert len(RockingLibrary.load(path).thickness) == 1
        assert sorted(p.name for p in tmp_path.iterdir()) == ["a.zarr"]

    def test_foreign_stores(self, tmp_path):
        import zarr

        with pytest.raises(FileNotFoundError, match="no such library"):
            RockingLibrary.load(tmp_path / "nowhere.zarr")
        (tmp_path / "text.zarr").write_text("not a store")
        with pytest.raises(ValueError, match="is not a zarr group"):
            RockingLibrary.load(tmp_path / "text.zarr")
        zarr.open_group(str(tmp_path / "other.zarr"), mode="w").attrs["format"] = "other"
        with pytest.raises(ValueError, match="not a RockingLibrary"):
            RockingLibrary.load(tmp_path / "other.zarr")

    def test_newer_format(self, tmp_path):
        import zarr

        path = tmp_path / "a.zarr"
        RockingLibrary(**arrays()).save(path)
        zarr.open_group(str(path), mode="a").attrs["format_version"] = 99
        with pytest.raises(ValueError, match="has format 99.*update"):
            RockingLibrary.load(path)
