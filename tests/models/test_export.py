"""What ``export`` writes is all that someone else needs, on a disk or behind an address."""

from __future__ import annotations

import hashlib
import html
import json
import shutil
import subprocess

import numpy as np
import pytest

import pyxem_mlmaps as mlmaps
from pyxem_mlmaps.models import known_models
from pyxem_mlmaps.models.export import name_of


@pytest.fixture(autouse=True)
def nothing_registered(monkeypatch):
    monkeypatch.setattr(known_models, "_registered", {})


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    said = model.with_card(author="A. Author", licence="CC-BY-4.0", description="For a test")
    return said.export(tmp_path_factory.mktemp("export") / "to_share")


@pytest.fixture
def folder(exported, tmp_path):
    """A copy that a test may change."""
    return shutil.copytree(exported.file.parent, tmp_path / "to_share")


def same(one, two, library):
    flat = np.asarray(library.intensities).reshape(-1, 25)[:20]
    return one.predict(flat).stack().tobytes() == two.predict(flat).stack().tobytes()


class TestFolder:
    def test_files(self, exported):
        assert exported.name == "gasb_110_300kv"
        assert sorted(p.name for p in exported.file.parent.iterdir()) == [
            "SHA256SUMS",
            "gasb_110_300kv.html",
            "gasb_110_300kv.keras",
            "gasb_110_300kv.md",
            "registry.json",
        ]
        assert exported.missing == () and exported.sha256 in str(exported)

    def test_hashes(self, exported):
        sha256 = hashlib.sha256(exported.file.read_bytes()).hexdigest()
        assert exported.sha256 == sha256
        assert exported.sums.read_text() == f"{sha256}  gasb_110_300kv.keras\n"
        entry = json.loads(exported.registry.read_text(encoding="utf-8"))["models"]
        assert entry == {
            "gasb_110_300kv": {
                "file": "gasb_110_300kv.keras",
                "sha256": sha256,
                "description": "For a test",
            }
        }

    @pytest.mark.skipif(shutil.which("sha256sum") is None, reason="no sha256sum here")
    def test_sums_are_read_by_sha256sum(self, exported):
        run = subprocess.run(
            ["sha256sum", "--strict", "-c", "SHA256SUMS"], cwd=exported.file.parent, check=False
        )
        assert run.returncode == 0

    def test_pages(self, exported, model):
        for page in exported.pages:
            text = html.unescape(page.read_text(encoding="utf-8")).replace("\\", "")
            for stage in ("bare", "refined"):
                x, y, thickness = model.card.validation[stage]["rms"]
                for number in (f"{x:.5f}°", f"{y:.5f}°", f"{thickness:.3f} nm"):
                    assert number in text
            for fact in ("GaSb", "A. Author", "CC-BY-4.0", exported.sha256, "registry="):
                assert fact in text

    def test_html_is_escaped(self, model, tmp_path):
        crystal = model.card.crystal | {"name": "<script>alert(1)</script>"}
        made = model.with_card(crystal=crystal).export(tmp_path)
        assert made.name == "script_alert_1_script_110_300kv"
        for page in made.pages:
            assert "<script" not in page.read_text(encoding="utf-8")
            assert "&lt;script" in page.read_text(encoding="utf-8")


class TestRoundTrip:
    def test_by_path(self, folder, model, library):
        found = mlmaps.load_model("gasb_110_300kv", registry=folder / "registry.json")
        assert same(found, model, library) and found.card.name == "gasb_110_300kv"
        assert same(mlmaps.load_model(folder / "gasb_110_300kv.keras"), model, library)
        assert mlmaps.check_model(found).tested

    def test_by_address(self, folder, exported, served, model, library):
        with served(folder) as root:
            file = f"{root}/{exported.file.name}"
            assert same(mlmaps.load_model(file, sha256=exported.sha256), model, library)
            address = f"{root}/registry.json"
            assert same(mlmaps.load_model(exported.name, registry=address), model, library)
            assert mlmaps.check_model(exported.name, registry=address).tested
            with pytest.raises(ValueError, match="another SHA-256"):
                mlmaps.load_model(file, sha256="0" * 64)

    def test_what_it_prints_works(self, exported, model, library):
        line = next(x for x in str(exported).splitlines() if "to load" in x)
        found = eval(line.split("to load")[1], {"mlmaps": mlmaps})
        assert same(found, model, library)

    def test_exported_again_from_there(self, folder, tmp_path, model, library):
        found = mlmaps.load_model("gasb_110_300kv", registry=folder / "registry.json")
        again = found.export(tmp_path / "again", name="mine")
        assert again.name == "mine" and found.card.author == "A. Author"
        assert same(mlmaps.load_model("mine", registry=again.registry), model, library)


class TestSeveral:
    def test_two_models_in_a_folder(self, folder):
        mlmaps.load_model("disks").export(folder, name="my_disks")
        known = mlmaps.available_models(folder / "registry.json")
        assert set(known) == {"gasb_110_300kv", "my_disks"}
        assert len((folder / "SHA256SUMS").read_text().splitlines()) == 2
        for name in known:
            assert mlmaps.check_model(name, registry=folder / "registry.json").tested

    def test_a_name_that_is_taken(self, folder, model):
        before = {p.name: p.read_bytes() for p in folder.iterdir()}
        with pytest.raises(FileExistsError, match="'gasb_110_300kv'.*overwrite=True"):
            model.export(folder)
        assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
        made = model.export(folder, overwrite=True)
        assert mlmaps.check_model("gasb_110_300kv", registry=made.registry).tested
        assert made.missing == ("author", "licence") and "with_card(author=" in str(made)

    def test_a_registry_that_is_none(self, folder, model):
        """Nothing is written beside what is not understood."""
        (folder / "registry.json").write_text('{"kind": "recipes"}')
        with pytest.raises(ValueError, match="no registry of models"):
            model.export(folder, name="another")
        assert not (folder / "another.keras").exists()


class TestNames:
    @pytest.mark.parametrize("name", ["", "../x", "a/b", "a.b", "a b", "x" * 65, "-a", "é"])
    def test_that_are_none(self, model, tmp_path, name):
        with pytest.raises(ValueError, match="name=.*letters, digits"):
            model.export(tmp_path / "none", name=name)
        assert not (tmp_path / "none").exists()

    def test_of_the_card(self, model):
        shipped = mlmaps.load_model("disks")
        assert name_of(shipped) == "disks"
        assert name_of(shipped.with_card(name="")) == "disks_4-60_px"
        assert name_of(model) == "gasb_110_300kv"
        assert name_of(model.with_card(crystal=None, energy=None, library=[])) == "orientation"

    @pytest.mark.parametrize(
        "crystal, name",
        [("α-Fe₂O₃", "fe2o3"), ("Müller 3", "muller_3"), ("日本", "model"), ("Si" * 90, "si" * 32)],
    )
    def test_of_crystals(self, model, crystal, name):
        bare = model.with_card(crystal={"name": crystal}, energy=None, library=[])
        assert name_of(bare) == name
