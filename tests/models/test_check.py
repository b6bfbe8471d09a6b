"""What ``check_model`` finds: damage, changed numbers, a machine that computes otherwise."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import pyxem_mlmaps as mlmaps
from pyxem_mlmaps.models import self_test
from pyxem_mlmaps.models.archive import ARRAYS, RECORD, SELF_TEST
from pyxem_mlmaps.models.packed import digest
from pyxem_mlmaps.models.published import PublishedNetwork
from pyxem_mlmaps.models.self_test import TOLERANCE, deviation, make_self_test
from pyxem_mlmaps.training.disk_published import published_shapes


@pytest.fixture(scope="module")
def shipped():
    return mlmaps.load_model("disks")


def edited(stored, path, name, edit):
    """A copy of the file, checksums in order, in which ``edit`` has changed an array."""
    with zipfile.ZipFile(stored) as source, zipfile.ZipFile(path, "w") as target:
        for member in source.namelist():
            content = source.read(member)
            if member == name:
                array = np.load(io.BytesIO(content))
                edit(array)
                buffer = io.BytesIO()
                np.save(buffer, array)
                content = buffer.getvalue()
            target.writestr(member, content)
    return path


def without_test(stored, path):
    """As an earlier version wrote it."""
    with zipfile.ZipFile(stored) as source, zipfile.ZipFile(path, "w") as target:
        for member in source.namelist():
            if not member.startswith(SELF_TEST):
                target.writestr(member, source.read(member))
    return path


def states(report):
    return {check.name: check.passed for check in report.checks}


class TestInOrder:
    def test_a_file(self, stored):
        report = mlmaps.check_model(stored)
        assert report and report.ok and report.tested
        assert states(report) == {"file": True, "numbers": True, "self-test": True}
        assert "in order" in str(report) and "FAILED" not in str(report)

    def test_what_ships(self):
        assert states(mlmaps.check_model("disks")) == {
            "file": True,
            "numbers": True,
            "self-test": True,
        }

    def test_a_loaded_model(self, stored, shipped):
        assert mlmaps.check_model(mlmaps.load_model(stored)).tested
        assert mlmaps.check_model(shipped).tested

    def test_statements_may_change(self, stored, tmp_path):
        said = mlmaps.load_model(stored).with_card(author="A. Author")
        assert mlmaps.check_model(said).tested
        said.save(tmp_path / "m.keras")
        assert mlmaps.check_model(tmp_path / "m.keras").tested

    def test_with_its_hash(self, stored):
        assert "SHA-256" in str(mlmaps.check_model(stored, sha256="0" * 64))
        assert not mlmaps.check_model(stored, sha256="0" * 64).ok

    def test_the_disk_model_that_ships_answers_as_before(self, shipped):
        """Its numbers are those of the files that maps name as their origin."""
        assert digest(shipped) == "5d36c5cffec0867787eb1fc23f009b4ac87a8a0c9f0e5bb06592f74987520244"


class TestNotInOrder:
    @pytest.mark.parametrize("name", ["kernel_0", "kernel_2", "bias_1", "coefficients"])
    def test_one_bit_of_a_weight(self, stored, tmp_path, name):
        """The lowest bit of one number: no answer shows it, the digest does."""

        def flip(array):
            array.view(np.uint8).reshape(-1)[0] ^= 1

        path = edited(stored, tmp_path / "m.keras", f"{ARRAYS}{name}.npy", flip)
        report = mlmaps.check_model(path)
        assert not report.ok and states(report)["numbers"] is False
        assert "NOT IN ORDER" in str(report)

    @pytest.mark.parametrize("name", ["kernel_0", "kernel_3", "input_scale", "coefficients"])
    def test_weights_a_little_off_answer_otherwise(self, stored, tmp_path, name):
        """1 %: the self-test alone finds it."""

        def scale(array):
            array *= 1 + 0.01 * np.sin(np.arange(array.size)).reshape(array.shape)

        path = edited(stored, tmp_path / "m.keras", f"{ARRAYS}{name}.npy", scale)
        assert states(mlmaps.check_model(path))["self-test"] is False

    @pytest.mark.parametrize("part", ["coarse", "first", "last"])
    def test_each_disk_network(self, shipped, part):
        network = getattr(shipped.network, part)
        weights = (network.weights[0] * np.float32(1.05), *network.weights[1:])
        chain = replace(shipped.network, **{part: replace(network, weights=weights)})
        report = mlmaps.check_model(replace(shipped, network=chain))
        assert states(report) == {"numbers": False, "self-test": False}

    def test_another_card(self, stored, tmp_path):
        model = mlmaps.load_model(stored)
        card = replace(model.card, calibration={})
        assert states(mlmaps.check_model(replace(model, card=card)))["numbers"] is False

    def test_a_remembered_answer_that_is_another(self, stored, tmp_path):
        def move(array):
            array[3, 0] += 0.001

        path = edited(stored, tmp_path / "m.keras", SELF_TEST + "refined.npy", move)
        assert states(mlmaps.check_model(path)) == {
            "file": True,
            "numbers": True,
            "self-test": False,
        }

    def test_an_answer_where_there_was_none(self, stored, tmp_path):
        def lose(array):
            array[3] = np.nan

        path = edited(stored, tmp_path / "m.keras", SELF_TEST + "bare.npy", lose)
        report = mlmaps.check_model(path)
        assert not report.ok and "inf" in str(report)

    def test_a_broken_file(self, stored, tmp_path):
        (tmp_path / "m.keras").write_bytes(stored.read_bytes()[:5000])
        report = mlmaps.check_model(tmp_path / "m.keras")
        assert states(report) == {"file": False} and "damaged" in str(report)

    def test_no_file(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="nowhere"):
            mlmaps.check_model(tmp_path / "nowhere.keras")


class TestWithout:
    def test_an_old_file_loads_and_says_so(self, stored, tmp_path, model, library):
        path = without_test(stored, tmp_path / "old.keras")
        old = mlmaps.load_model(path)
        flat = np.asarray(library.intensities).reshape(-1, 25)[:20]
        assert old.predict(flat).stack().tobytes() == model.predict(flat).stack().tobytes()
        report = mlmaps.check_model(path)
        assert report.ok and not report.tested
        assert states(report) == {"file": True, "numbers": None, "self-test": None}
        assert "none: the file is of an earlier version" in str(report)

    def test_saved_again_it_has_one(self, stored, tmp_path):
        old = mlmaps.load_model(without_test(stored, tmp_path / "old.keras"))
        old.save(tmp_path / "new.keras")
        assert mlmaps.check_model(tmp_path / "new.keras").tested

    def test_a_model_that_was_changed_has_none(self, stored):
        """What was remembered of another calibration says nothing of this one."""
        model = mlmaps.load_model(stored).with_card(calibration={})
        assert model.self_test is None and not mlmaps.check_model(model).tested


class TestThePair:
    def test_the_same_model_gives_the_same(self, model, shipped):
        for each in (model, shipped):
            one, two = make_self_test(each), make_self_test(each)
            for a, b in ((one.inputs, two.inputs), (one.outputs, two.outputs)):
                assert all(a[name].tobytes() == b[name].tobytes() for name in a)
            assert one.sha256 == two.sha256 and deviation(each, one) == 0

    def test_is_small(self, stored):
        own = Path(mlmaps.__file__).parent / "models" / "shipped" / "disks.keras"
        for path in (stored, own):
            with zipfile.ZipFile(path) as archive:
                members = [i for i in archive.infolist() if i.filename.startswith(SELF_TEST)]
            assert 0 < sum(i.compress_size for i in members) < 8000

    def test_the_model_has_an_answer_to_it(self, model, shipped):
        """Patterns that are explained, disks that are found: a test in the model's own field."""
        asked = make_self_test(model)
        assert np.all(np.isfinite(asked.outputs["refined"]))
        assert np.all(asked.outputs["refined"][:, 6] < 1)
        disks = make_self_test(shipped)
        assert np.all(np.isfinite(disks.outputs["disks"]))
        assert np.all(disks.outputs["disks"][:, 5] > 0.9)
        assert set(disks.inputs["edge"] > 0) == {True, False}
        assert set(np.isfinite(disks.inputs["places"][:, 0])) == {True, False}

    def test_one_thickness(self, library, tmp_path):
        """σ of the thickness is NaN then, here and there."""
        thin = mlmaps.RockingLibrary(
            np.asarray(library.intensities)[:, :, 3:4],
            library.tilt_x,
            library.tilt_y,
            library.thickness[3:4],
            library.indices,
        )
        model = mlmaps.train_orientation_model(thin, steps=64, batch_size=64, hidden=(16,))
        model.save(tmp_path / "m.keras")
        report = mlmaps.check_model(tmp_path / "m.keras")
        assert report.ok and report.tested

    def test_the_published_network(self, shipped, tmp_path):
        rng = np.random.default_rng(0)
        weights = tuple(
            rng.normal(0, 0.05, shape).astype(np.float32) for shape in published_shapes()
        )
        card = replace(shipped.card, architecture="yuan2021", calibration={}, validation=[])
        model = replace(shipped, network=PublishedNetwork(weights), card=card, self_test=None)
        model.save(tmp_path / "m.keras")
        assert mlmaps.check_model(tmp_path / "m.keras").tested

    @pytest.mark.parametrize("radius", [[3.0, 3.2], [20.0, 25.0], [150.0, 200.0]])
    def test_radii_of_every_size(self, shipped, radius):
        model = shipped.with_card(conditions=shipped.card.conditions | {"radius": radius})
        asked = make_self_test(model)
        n, size = asked.inputs["images"].shape[:2]
        assert 1 <= n <= 8 and n * size**2 <= 2**20 and size > 4 * radius[0] - 2

    def test_it_does_not_travel(self, stored):
        """Neither to other processes nor into the digest."""
        import pickle

        model = mlmaps.load_model(stored)
        back = pickle.loads(pickle.dumps(model))
        assert back.self_test is None and digest(back) == digest(model)

    def test_record(self, stored):
        with zipfile.ZipFile(stored) as archive:
            record = json.loads(archive.read(RECORD))
        assert record["sha256"] == digest(mlmaps.load_model(stored))
        assert set(record["versions"]) == {"pyxem_mlmaps", "numpy", "numba"}


@pytest.mark.slow
@pytest.mark.parametrize("blas, processor", [("Nehalem", "generic"), ("Prescott", "nehalem")])
def test_other_processors_stay_within_a_third_of_the_tolerance(
    stored, tmp_path, blas, processor
):  # pragma: no cover
    """Old BLAS kernels and instructions, compiled anew: as another machine would answer."""
    code = (
        "import sys, pyxem_mlmaps as m; from pyxem_mlmaps.models.self_test import deviation\n"
        "for p in ('disks', sys.argv[1]):\n"
        "    x = m.load_model(p); print('deviation', deviation(x, x.self_test))"
    )
    other = {
        "OPENBLAS_CORETYPE": blas,
        "OPENBLAS_NUM_THREADS": "1",
        "NUMBA_CPU_NAME": processor,
        "NUMBA_CPU_FEATURES": "",
        "NUMBA_CACHE_DIR": str(tmp_path / "numba"),
        "PYTHONPATH": str(Path(mlmaps.__file__).parents[1]),
    }
    run = subprocess.run(
        [sys.executable, "-c", code, str(stored)],
        env=os.environ | other, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = [float(line.split()[1]) for line in run.stdout.splitlines() if "deviation" in line]
    print(run.stdout)
    assert len(found) == 2 and max(found) < TOLERANCE / 3 and self_test.TOLERANCE == TOLERANCE
