"""Model files: a round trip without loss, and no way in for anything else."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import zipfile

import numpy as np
import pytest

import pyxem_mlmaps as mlmaps
from pyxem_mlmaps.models.archive import ARRAYS, CARD, LARGEST, RECORD, SELF_TEST


@pytest.fixture
def patterns(library):
    rng = np.random.default_rng(0)
    flat = np.asarray(library.intensities).reshape(-1, library.intensities.shape[-1])
    return rng.poisson(1e5 * flat[rng.choice(len(flat), 60)])


def rewritten(stored, path, changes):
    """A copy with members replaced (bytes), or left out (None)."""
    with zipfile.ZipFile(stored) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            content = changes.get(name, source.read(name))
            if content is not None:
                target.writestr(name, content)
        for name, content in changes.items():
            if name not in source.namelist() and content is not None:
                target.writestr(name, content)
    return path


def card_with(stored, **changes):
    with zipfile.ZipFile(stored) as archive:
        header = json.loads(archive.read(CARD))
    for key, value in changes.items():
        target = header if key in header else header["card"]
        target[key] = value
    return json.dumps(header).encode()


def refused(path, match=None):
    with pytest.raises(ValueError, match=match):
        mlmaps.load_model(path)


class TestRoundTrip:
    def test_predictions_are_the_same_bytes(self, model, stored, patterns):
        back = mlmaps.load_model(stored)
        for refine in (False, True):
            one, two = (m.predict(patterns, refine=refine).stack() for m in (model, back))
            assert one.tobytes() == two.tobytes()

    def test_card(self, model, stored):
        back = mlmaps.load_model(str(stored))
        assert back.card.to_dict() == json.loads(json.dumps(model.card.to_dict()))
        assert back.card.energy == 300 and back.card.seed == 0
        assert back.noise == model.noise
        assert set(back.card.validation) == {"bare", "refined"}
        assert {"pyxem_mlmaps", "keras", "numpy"} <= set(back.card.versions)

    def test_again(self, stored, tmp_path, patterns):
        first = mlmaps.load_model(stored)
        first.save(tmp_path / "sub" / "again.keras")
        second = mlmaps.load_model(tmp_path / "sub" / "again.keras")
        assert (
            first.predict(patterns).stack().tobytes() == second.predict(patterns).stack().tobytes()
        )
        assert [p.name for p in (tmp_path / "sub").iterdir()] == ["again.keras"]

    def test_replaces_a_file_whole(self, model, tmp_path):
        path = tmp_path / "m.keras"
        path.write_text("old")
        model.save(path)
        mlmaps.load_model(path)

    def test_keras_opens_it(self, stored, model, patterns):
        """The bare network, with scaled inputs, for users of Keras."""
        import keras

        opened = keras.models.load_model(stored)
        x = np.random.default_rng(0).random((5, model.card.n_disk)).astype(np.float32)
        np.testing.assert_allclose(
            np.asarray(opened(x)), np.asarray(model.to_keras()(x)), rtol=1e-5, atol=1e-5
        )


class TestDamage:
    def test_no_file(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="nowhere.keras"):
            mlmaps.load_model(tmp_path / "nowhere.keras")

    @pytest.mark.parametrize("content", [b"", b"PK", b"not a zip" * 100, b"\x89HDF\r\n\x1a\n" * 9])
    def test_not_a_zip(self, tmp_path, content):
        (tmp_path / "m.keras").write_bytes(content)
        refused(tmp_path / "m.keras", "truncated, damaged or no model file")

    @pytest.mark.parametrize("share", [0.01, 0.3, 0.6, 0.9, 0.99, 0.9999])
    def test_truncated(self, stored, tmp_path, share):
        content = stored.read_bytes()
        (tmp_path / "m.keras").write_bytes(content[: int(share * len(content))])
        refused(tmp_path / "m.keras")

    @pytest.mark.parametrize(
        "member",
        [
            CARD,
            ARRAYS + "coefficients.npy",
            ARRAYS + "kernel_0.npy",
            RECORD,
            SELF_TEST + "intensities.npy",
            SELF_TEST + "refined.npy",
        ],
    )
    def test_bits_flipped(self, stored, tmp_path, member):
        """Anywhere within a member: its checksum tells, whatever the decompressor thinks.

        A few bits of a compressed member belong to nothing: then what is read is the same."""
        content = stored.read_bytes()
        with zipfile.ZipFile(stored) as archive:
            info = archive.getinfo(member)
            start = info.header_offset + 30 + len(member.encode())
            whole = archive.read(member)
        rng = np.random.default_rng(0)
        same = 0
        for offset in rng.integers(0, info.compress_size, 40):
            for bit in (1, 0x80):
                broken = bytearray(content)
                broken[start + offset] ^= bit
                (tmp_path / "m.keras").write_bytes(broken)
                try:
                    mlmaps.load_model(tmp_path / "m.keras")
                except ValueError:
                    continue
                same += 1
                with zipfile.ZipFile(tmp_path / "m.keras") as archive:
                    assert archive.read(member) == whole
        assert same <= 4

    def test_bits_flipped_in_the_directory(self, stored, tmp_path, model, patterns):
        """The table of contents: refused, or what was hit did not matter to the model."""
        content = stored.read_bytes()
        expected = model.predict(patterns[:3]).stack().tobytes()
        start = content.rindex(b"PK\x01\x02", 0, len(content) - 400) - 600
        refusals = 0
        for offset in range(start, len(content), 7):
            broken = bytearray(content)
            broken[offset] ^= 0x11
            (tmp_path / "m.keras").write_bytes(broken)
            try:
                loaded = mlmaps.load_model(tmp_path / "m.keras")
            except ValueError:
                refusals += 1
            else:
                assert loaded.predict(patterns[:3]).stack().tobytes() == expected
        assert refusals > 0

    @pytest.mark.parametrize(
        "missing",
        [
            CARD,
            ARRAYS + "coefficients.npy",
            ARRAYS + "bias_1.npy",
            RECORD,
            SELF_TEST + "intensities.npy",
            SELF_TEST + "bare.npy",
        ],
    )
    def test_members_missing(self, stored, tmp_path, missing):
        refused(rewritten(stored, tmp_path / "m.keras", {missing: None}))


class TestForeign:
    def test_keras_model_of_another_program(self, tmp_path):
        import keras

        keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save(tmp_path / "m.keras")
        refused(tmp_path / "m.keras", "model of another program")

    def test_newer_format(self, stored, tmp_path):
        card = card_with(stored, format_version=99)
        refused(rewritten(stored, tmp_path / "m.keras", {CARD: card}), "model format 99.*update")

    def test_another_kind(self, stored, tmp_path):
        card = card_with(stored, kind="pyxem_mlmaps.GrainModel")
        refused(rewritten(stored, tmp_path / "m.keras", {CARD: card}), "'pyxem_mlmaps.GrainModel'")

    def test_card_of_another_kind(self, stored, tmp_path):
        card = card_with(stored, kind="pyxem_mlmaps.DiskModel")
        refused(rewritten(stored, tmp_path / "m.keras", {CARD: card}), "card is not valid")

    @pytest.mark.parametrize(
        "changes",
        [
            {"n_disk": 24},
            {"n_disk": "25"},
            {"n_disk": None},
            {"indices": []},
            {"indices": 3},
            {"hidden": [64]},
            {"hidden": [10**9] * 3},
            {"hidden": []},
            {"tilt_x": [0.2, -0.2]},
            {"tilt_x": None},
            {"base_rotation": [1, 0]},
            {"vectors": [[1, 2]]},
            {"surprise": 1},
            {"format_version": "1"},
            {"format_version": None},
        ],
        ids=str,
    )
    def test_cards_that_do_not_fit(self, stored, tmp_path, changes):
        header = json.loads(card_with(stored))
        key, value = next(iter(changes.items()))
        (header if key in header else header["card"])[key] = value
        refused(rewritten(stored, tmp_path / "m.keras", {CARD: json.dumps(header).encode()}))

    @pytest.mark.parametrize(
        "card", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100000, b'{"kind": 1}']
    )
    def test_cards_that_are_none(self, stored, tmp_path, card):
        refused(rewritten(stored, tmp_path / "m.keras", {CARD: card}))

    @pytest.mark.parametrize(
        "array",
        [
            np.zeros((3, 3), np.float32),
            np.zeros(0, np.float32),
            np.array(["a"]),
            np.zeros((25, 64), complex),
            np.full((25, 64), np.nan, np.float32),
        ],
        ids=["shape", "empty", "text", "complex", "nan"],
    )
    def test_arrays_that_do_not_fit(self, stored, tmp_path, array):
        buffer = io.BytesIO()
        np.save(buffer, array)
        changes = {ARRAYS + "kernel_0.npy": buffer.getvalue()}
        refused(rewritten(stored, tmp_path / "m.keras", changes))

    @pytest.mark.parametrize("name", ["start", "step", "size", "output_mean", "input_scale"])
    def test_vectors_of_another_length(self, stored, tmp_path, name):
        buffer = io.BytesIO()
        np.save(buffer, np.ones(2))
        refused(rewritten(stored, tmp_path / "m.keras", {f"{ARRAYS}{name}.npy": buffer.getvalue()}))


class TestSelfTest:
    """The members of the self-test are held to rules as strict as those of the model."""

    @pytest.mark.parametrize("name", ["intensities", "bare", "refined"])
    @pytest.mark.parametrize(
        "array",
        [
            np.zeros((3, 3), np.float32),
            np.zeros((0, 25), np.float32),
            np.zeros((1000, 25)),
            np.array(["a"]),
            np.zeros((16, 25), complex),
            np.full((16, 25), np.inf),
            np.float64(1),
        ],
        ids=["shape", "empty", "many", "text", "complex", "infinite", "number"],
    )
    def test_arrays_that_do_not_fit(self, stored, tmp_path, name, array):
        buffer = io.BytesIO()
        np.save(buffer, array)
        changes = {f"{SELF_TEST}{name}.npy": buffer.getvalue()}
        refused(rewritten(stored, tmp_path / "m.keras", changes), "self-test")

    @pytest.mark.parametrize(
        "record",
        [
            b"",
            b"{",
            b"[]",
            b"null",
            b"\xff",
            b'{"sha256": 1, "versions": {}}',
            b'{"sha256": "a", "versions": []}',
            b'{"sha256": "a"}',
            b'{"sha256": "a", "versions": {}, "tolerance": 1e9}',
        ],
    )
    def test_records_that_are_none(self, stored, tmp_path, record):
        refused(rewritten(stored, tmp_path / "m.keras", {RECORD: record}), "record")

    @pytest.mark.parametrize("name", ["more.npy", "images.npy", "../card.json", "sub/bare.npy"])
    def test_members_that_are_not_known(self, stored, tmp_path, name):
        path = rewritten(stored, tmp_path / "m.keras", {SELF_TEST + name: b"x"})
        refused(path, "not whole.*not known")

    @pytest.mark.parametrize("member", [SELF_TEST, RECORD])
    def test_claims_of_size(self, stored, monkeypatch, member):
        monkeypatch.setitem(LARGEST, member, 10)
        refused(stored, "10 is the limit")

    def test_of_another_number_of_disks(self, stored, tmp_path):
        buffer = io.BytesIO()
        np.save(buffer, np.ones((16, 24), np.float32))
        changes = {SELF_TEST + "intensities.npy": buffer.getvalue()}
        refused(rewritten(stored, tmp_path / "m.keras", changes), "24.*25 disks")

    def test_members_that_stand_twice(self, stored, tmp_path):
        """Two readers of such a file could see two models."""
        path = rewritten(stored, tmp_path / "m.keras", {})
        with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr(CARD, archive.read(CARD))
        refused(path, "more than once")

    def test_object_array(self, stored, tmp_path):
        buffer = io.BytesIO()
        np.save(buffer, np.array([{}], dtype=object), allow_pickle=True)
        changes = {SELF_TEST + "bare.npy": buffer.getvalue()}
        refused(rewritten(stored, tmp_path / "m.keras", changes), "not a plain array")


class Exploit:
    """Unpickled, this would write a file."""

    path = ""

    def __reduce__(self):
        return open, (Exploit.path, "w")


class TestNothingIsExecuted:
    @pytest.fixture
    def trap(self, tmp_path):
        Exploit.path = str(tmp_path / "executed")
        yield pickle.dumps(Exploit())
        assert not (tmp_path / "executed").exists()

    def test_pickle_as_file(self, tmp_path, trap):
        (tmp_path / "m.keras").write_bytes(trap)
        refused(tmp_path / "m.keras")

    def test_pickle_as_array(self, stored, tmp_path, trap):
        refused(rewritten(stored, tmp_path / "m.keras", {ARRAYS + "kernel_0.npy": trap}))

    def test_object_array(self, stored, tmp_path, trap):
        buffer = io.BytesIO()
        np.save(buffer, np.array([Exploit()], dtype=object), allow_pickle=True)
        changes = {ARRAYS + "kernel_0.npy": buffer.getvalue()}
        refused(rewritten(stored, tmp_path / "m.keras", changes), "not a plain array")

    @pytest.mark.parametrize("name", ["../../outside.npy", "/etc/outside.npy", "sub/../../x.npy"])
    def test_paths_that_lead_out(self, stored, tmp_path, name):
        buffer = io.BytesIO()
        np.save(buffer, np.zeros(3))
        inner = tmp_path / "a" / "b"
        inner.mkdir(parents=True)
        path = rewritten(stored, inner / "m.keras", {ARRAYS + name: buffer.getvalue()})
        refused(path)
        assert sorted(p.name for p in tmp_path.rglob("*") if p.is_file()) == ["m.keras"]

    def test_keras_part_is_never_read(self, stored, tmp_path, patterns, model):
        """A poisoned Keras configuration in the file does not matter: it is not ours."""
        changes = {"config.json": b'{"class_name": "Lambda", "config": "import os"}'}
        path = rewritten(stored, tmp_path / "m.keras", changes)
        loaded = mlmaps.load_model(path)
        assert (
            loaded.predict(patterns).stack().tobytes() == model.predict(patterns).stack().tobytes()
        )

    def test_claims_of_size(self, stored, tmp_path, monkeypatch):
        """A member that unpacks beyond the limit is refused before it is read."""
        monkeypatch.setitem(LARGEST, "array", 1000)
        refused(stored, "1000 is the limit")


class TestHash:
    @pytest.fixture
    def sha256(self, stored):
        return hashlib.sha256(stored.read_bytes()).hexdigest()

    @pytest.fixture
    def address(self, stored, served):
        with served(stored.parent) as root:
            yield f"{root}/{stored.name}"

    def test_file(self, stored, sha256):
        assert mlmaps.load_model(stored, sha256=f"SHA256:{sha256}".lower())

    def test_another_file(self, stored):
        with pytest.raises(ValueError, match="has SHA-256 .* not 0000"):
            mlmaps.load_model(stored, sha256="0" * 64)

    def test_no_hash(self, stored):
        with pytest.raises(ValueError, match="64 hexadecimal digits"):
            mlmaps.load_model(stored, sha256="abc")

    def test_download(self, address, sha256, model, patterns, tmp_path):
        loaded = mlmaps.load_model(address, sha256=sha256)
        assert loaded.predict(patterns).stack().tobytes() == (
            model.predict(patterns).stack().tobytes()
        )
        assert [p.name for p in (tmp_path / "cache" / "models").iterdir()] == [f"{sha256}.keras"]
        mlmaps.load_model(address.replace("gasb", "gone"), sha256=sha256)  # not fetched again

    def test_download_of_another_file(self, address, tmp_path):
        with pytest.raises(ValueError, match="another SHA-256"):
            mlmaps.load_model(address, sha256="0" * 64)
        assert not list((tmp_path / "cache").rglob("*.keras"))

    def test_download_without_hash(self, address):
        with pytest.raises(ValueError, match="give sha256="):
            mlmaps.load_model(address)

    def test_nothing_there(self, address):
        with pytest.raises(FileNotFoundError, match="cannot be downloaded"):
            mlmaps.load_model(address.replace("gasb", "gone"), sha256="1" * 64)
