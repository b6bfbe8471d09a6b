"""Registries: which names there are, what they lead to, and what they must not lead to."""

from __future__ import annotations

import hashlib
import json
import shutil

import numpy as np
import pytest

import pyxem_mlmaps as mlmaps
from pyxem_mlmaps.models import known_models
from pyxem_mlmaps.models.registry import KIND, read_registry


@pytest.fixture(autouse=True)
def nothing_registered(monkeypatch):
    monkeypatch.setattr(known_models, "_registered", {})
    monkeypatch.delenv(known_models.ENVIRONMENT, raising=False)


@pytest.fixture
def sha256(stored):
    return hashlib.sha256(stored.read_bytes()).hexdigest()


@pytest.fixture
def folder(stored, tmp_path, sha256):
    """A folder with a registry that names one model in it."""
    path = tmp_path / "models"
    path.mkdir()
    shutil.copy(stored, path / "gasb.keras")
    entry = {"file": "gasb.keras", "sha256": sha256, "description": "GaSb [110], 300 keV"}
    written(path, {"gasb_110": entry})
    return path


def written(folder, models, **changes):
    """A registry in ``folder``; ``models`` is text or a table."""
    path = folder / "registry.json"
    values = {"kind": KIND, "format_version": 1, "models": models} | changes
    path.write_text(json.dumps(values), encoding="utf-8")
    return path


def same(one, two, library):
    flat = np.asarray(library.intensities).reshape(-1, 25)[:20]
    return one.predict(flat).stack().tobytes() == two.predict(flat).stack().tobytes()


class TestNames:
    def test_the_package_has_its_own(self):
        assert list(mlmaps.available_models()) == ["disks"]
        assert mlmaps.load_model("disks") is mlmaps.load_model("disks")
        assert "disks  Positions" in str(mlmaps.available_models())

    def test_by_registry(self, folder, model, library):
        found = mlmaps.load_model("gasb_110", registry=folder / "registry.json")
        assert same(found, model, library)

    def test_registered(self, folder, model, library):
        known = mlmaps.register_models(folder / "registry.json")
        assert list(known) == ["gasb_110"]
        assert known["gasb_110"].description == "GaSb [110], 300 keV"
        assert same(mlmaps.load_model("gasb_110"), model, library)
        assert mlmaps.check_model("gasb_110").tested
        assert list(mlmaps.available_models()) == ["disks", "gasb_110"]

    def test_environment(self, folder, tmp_path, monkeypatch, model, library):
        other = tmp_path / "empty"
        other.mkdir()
        locations = f"{written(other, {})}; {folder / 'registry.json'} ;"
        monkeypatch.setenv(known_models.ENVIRONMENT, locations)
        assert same(mlmaps.load_model("gasb_110"), model, library)
        assert "gasb_110" in mlmaps.available_models()

    def test_a_registered_file_is_read_as_it_is(self, folder, sha256):
        mlmaps.register_models(folder / "registry.json")
        written(folder, {"another": {"file": "gasb.keras", "sha256": sha256}})
        assert list(mlmaps.available_models()) == ["disks", "another"]
        mlmaps.load_model("another")

    def test_tables(self, folder):
        mlmaps.register_models(folder / "registry.json")
        known = mlmaps.available_models()
        for text in (str(known), repr(known), known._repr_html_()):
            assert "gasb_110" in text and "GaSb [110], 300 keV" in text and "disks" in text
        assert "none" in str(mlmaps.available_models(written(folder, {})))

    def test_html_is_escaped(self, folder, sha256):
        entry = {"file": "gasb.keras", "sha256": sha256, "description": "<script>x</script>"}
        known = mlmaps.available_models(written(folder, {"a": entry}))
        assert "<script" not in known._repr_html_() and "&lt;script&gt;" in known._repr_html_()

    def test_files_in_folders(self, folder, sha256):
        (folder / "sub").mkdir()
        (folder / "gasb.keras").rename(folder / "sub" / "gasb.keras")
        path = written(folder, {"a": {"file": "sub/gasb.keras", "sha256": sha256}})
        assert mlmaps.load_model("a", registry=path)


class TestNotKnown:
    def test_names_that_are_near(self, folder):
        with pytest.raises(ValueError, match="Did you mean 'gasb_110'"):
            mlmaps.load_model("gasb110", registry=folder / "registry.json")
        mlmaps.register_models(folder / "registry.json")
        with pytest.raises(FileNotFoundError, match="Did you mean 'gasb_110'"):
            mlmaps.load_model("gasb_11")
        with pytest.raises(FileNotFoundError, match="Did you mean 'disks'"):
            mlmaps.load_model("disk")

    def test_nothing_near(self, folder):
        with pytest.raises(ValueError, match="There are: gasb_110"):
            mlmaps.load_model("xxxxx", registry=folder / "registry.json")
        with pytest.raises(ValueError, match="names no models"):
            mlmaps.load_model("xxxxx", registry=written(folder, {}))

    def test_a_file_is_no_name(self, folder, stored):
        with pytest.raises(ValueError, match="is no model of registry"):
            mlmaps.load_model(stored, registry=folder / "registry.json")

    def test_no_registry(self, tmp_path):
        for act in (
            lambda p: mlmaps.load_model("a", registry=p),
            mlmaps.register_models,
            mlmaps.available_models,
        ):
            with pytest.raises(FileNotFoundError, match="registry=.*there is no such file"):
                act(tmp_path / "registry.json")

    def test_no_file(self, folder):
        (folder / "gasb.keras").unlink()
        with pytest.raises(FileNotFoundError, match="'gasb_110'; there is no such file"):
            mlmaps.load_model("gasb_110", registry=folder / "registry.json")

    def test_a_registry_that_has_gone(self, folder):
        """It does not stand in the way of the others, but is not passed over in silence."""
        path = folder / "registry.json"
        mlmaps.register_models(path)
        path.unlink()
        with pytest.warns(UserWarning, match="left out: registry="):
            assert list(mlmaps.available_models()) == ["disks"]
        assert mlmaps.load_model("disks")


class TestSeveral:
    def test_one_name_for_two_models(self, folder, tmp_path):
        other = tmp_path / "other"
        other.mkdir()
        mlmaps.register_models(folder / "registry.json")
        entry = {"file": "x.keras", "sha256": "0" * 64}
        mlmaps.register_models(written(other, {"gasb_110": entry}))
        with pytest.raises(ValueError, match="another model in each of.*registry="):
            mlmaps.load_model("gasb_110")
        assert mlmaps.load_model("gasb_110", registry=folder / "registry.json")

    def test_one_name_for_one_model(self, folder, tmp_path):
        shutil.copytree(folder, tmp_path / "copy")
        mlmaps.register_models(folder / "registry.json")
        mlmaps.register_models(tmp_path / "copy" / "registry.json")
        assert mlmaps.load_model("gasb_110")

    def test_the_packages_own_names_keep_their_meaning(self, folder, sha256):
        """Or a registry could put another model under every map that names none."""
        entry = {"file": "gasb.keras", "sha256": sha256, "description": "not disks"}
        mlmaps.register_models(written(folder, {"disks": entry}))
        assert type(mlmaps.load_model("disks")) is mlmaps.DiskModel
        assert "not disks" not in str(mlmaps.available_models())


class TestHashes:
    def test_of_another_file(self, folder):
        path = written(folder, {"a": {"file": "gasb.keras", "sha256": "0" * 64}})
        with pytest.raises(ValueError, match="has SHA-256 .* not 0000"):
            mlmaps.load_model("a", registry=path)
        assert not mlmaps.check_model("a", registry=path).ok

    def test_a_file_that_was_changed(self, folder):
        with (folder / "gasb.keras").open("ab") as file:
            file.write(b"x")
        with pytest.raises(ValueError, match="changed on the way"):
            mlmaps.load_model("gasb_110", registry=folder / "registry.json")

    def test_both_must_agree(self, folder, sha256):
        path = folder / "registry.json"
        assert mlmaps.load_model("gasb_110", registry=path, sha256=sha256.upper())
        with pytest.raises(ValueError, match="which is another file"):
            mlmaps.load_model("gasb_110", registry=path, sha256="1" * 64)
        with pytest.raises(ValueError, match="which is another file"):
            mlmaps.load_model("disks", sha256="1" * 64)


class TestNotValid:
    @pytest.mark.parametrize(
        "file",
        [
            "../outside.keras",
            "sub/../../outside.keras",
            "/etc/outside.keras",
            "..\\outside.keras",
            "C:/outside.keras",
            "C:\\outside.keras",
            "file:///outside.keras",
            "a\0b",
            "",
            ".",
            "..",
            None,
            3,
            ["gasb.keras"],
        ],
    )
    def test_paths_that_lead_out(self, folder, sha256, file):
        path = written(folder, {"a": {"file": file, "sha256": sha256}})
        with pytest.raises(ValueError, match="within the registry's folder"):
            mlmaps.load_model("a", registry=path)

    def test_links_that_lead_out(self, folder, stored, sha256):
        try:
            (folder / "link.keras").symlink_to(stored)
        except OSError:
            pytest.skip("links cannot be made here")
        path = written(folder, {"a": {"file": "link.keras", "sha256": sha256}})
        with pytest.raises(ValueError, match="leads out of the registry's folder"):
            mlmaps.load_model("a", registry=path)

    def test_a_name_twice(self, folder):
        entry = json.dumps({"file": "a.keras", "sha256": "0" * 64})
        path = folder / "registry.json"
        path.write_text(
            f'{{"kind": "{KIND}", "format_version": 1, '
            f'"models": {{"a": {entry}, "b": {entry}, "a": {entry}}}}}'
        )
        with pytest.raises(ValueError, match=r"\['a'\] is there twice"):
            mlmaps.register_models(path)

    @pytest.mark.parametrize("version", [2, 99, "1", None, 1.5])
    def test_newer_format(self, folder, version):
        path = written(folder, {}, format_version=version)
        with pytest.raises(ValueError, match="reads up to 1: update the package"):
            mlmaps.register_models(path)

    @pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100000])
    def test_no_json(self, folder, content):
        (folder / "registry.json").write_bytes(content)
        with pytest.raises(ValueError, match="registry=.*is not valid"):
            mlmaps.register_models(folder / "registry.json")

    @pytest.mark.parametrize(
        "models",
        [
            [],
            {"a b": {"file": "a", "sha256": "0" * 64}},
            {"../a": {"file": "a", "sha256": "0" * 64}},
            {"": {"file": "a", "sha256": "0" * 64}},
            {"a": {"file": "a"}},
            {"a": {"file": "a", "sha256": 0}},
            {"a": {"file": "a", "sha256": "0"}},
            {"a": {"sha256": "0" * 64}},
            {"a": {"file": "a", "url": "https://x/a", "sha256": "0" * 64}},
            {"a": {"url": "file:///a", "sha256": "0" * 64}},
            {"a": {"url": "ftp://x/a", "sha256": "0" * 64}},
            {"a": {"url": 1, "sha256": "0" * 64}},
            {"a": {"file": "a", "sha256": "0" * 64, "code": "x"}},
            {"a": {"file": "a", "sha256": "0" * 64, "description": 3}},
            {"a": "a.keras"},
        ],
    )
    def test_entries(self, folder, models):
        with pytest.raises(ValueError, match="is not valid"):
            mlmaps.available_models(written(folder, models))

    def test_too_large(self, folder, monkeypatch):
        from pyxem_mlmaps.models import registry

        monkeypatch.setattr(registry, "LARGEST", 10)
        with pytest.raises(ValueError, match="10 is the limit"):
            mlmaps.register_models(folder / "registry.json")


class TestAddresses:
    def test_folder_behind_an_address(self, folder, served, model, library, sha256, tmp_path):
        with served(folder) as root:
            address = f"{root}/registry.json"
            found = mlmaps.load_model("gasb_110", registry=address)
            assert same(found, model, library)
            kept = tmp_path / "cache" / "models" / f"{sha256}.keras"
            assert kept.is_file()
            (folder / "gasb.keras").unlink()
            assert mlmaps.load_model("gasb_110", registry=address)  # not fetched again

    def test_a_registry_leads_elsewhere(self, folder, served, tmp_path, sha256, model, library):
        own = tmp_path / "own"
        own.mkdir()
        with served(folder) as root:
            entry = {"url": f"{root}/gasb.keras", "sha256": sha256}
            path = written(own, {"far": entry})
            assert same(mlmaps.load_model("far", registry=path), model, library)

    def test_wrong_hash(self, folder, served, tmp_path):
        written(folder, {"a": {"file": "gasb.keras", "sha256": "0" * 64}})
        with served(folder) as root, pytest.raises(ValueError, match="another SHA-256"):
            mlmaps.load_model("a", registry=f"{root}/registry.json")
        assert not list((tmp_path / "cache").rglob("*.keras"))

    def test_without_a_connection_the_last_copy(self, folder, served, sha256):
        with served(folder) as root:
            address = f"{root}/registry.json"
            mlmaps.load_model("gasb_110", registry=address)
            (folder / "registry.json").write_text("<html>Please log in</html>")
            with pytest.raises(ValueError, match="is not valid"):
                read_registry(address)
        with pytest.warns(UserWarning, match="fetched last"):
            assert mlmaps.load_model("gasb_110", registry=address)

    def test_registered_addresses_are_asked_once(self, folder, served):
        with served(folder) as root:
            mlmaps.register_models(f"{root}/registry.json")
            mlmaps.load_model("gasb_110")
        assert mlmaps.load_model("gasb_110")
        assert "gasb_110" in mlmaps.available_models()

    def test_never_fetched(self, folder, served):
        with served(folder) as root:
            with pytest.raises(FileNotFoundError, match="cannot be downloaded"):
                mlmaps.register_models(f"{root}/none.json")

    @pytest.mark.parametrize("file", ["../gasb.keras", "//other.org/gasb.keras", "http://x/a"])
    def test_paths_that_lead_out(self, folder, served, sha256, file):
        written(folder, {"a": {"file": file, "sha256": sha256}})
        with served(folder.parent) as root:
            with pytest.raises(ValueError, match="within the registry's folder"):
                mlmaps.load_model("a", registry=f"{root}/models/registry.json")

    @pytest.mark.parametrize("file", ["a b#c?d.keras", "sub/é%2e.keras"])
    def test_names_that_an_address_needs_escaped(self, folder, served, sha256, file):
        (folder / "sub").mkdir()
        (folder / "gasb.keras").rename(folder / file)
        written(folder, {"a": {"file": file, "sha256": sha256}})
        with served(folder) as root:
            entry = read_registry(f"{root}/registry.json?raw=1#x")["a"]
            assert "?raw" not in entry.location and "#" not in entry.location
            assert mlmaps.load_model("a", registry=f"{root}/registry.json?raw=1")
