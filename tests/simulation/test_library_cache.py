"""Libraries on disk by content: found again, thrown away by age, never half written."""

from __future__ import annotations

import os

import numpy as np
import pytest

import pyxem_mlmaps as mlmaps
from pyxem_mlmaps.mapping.grain_models import FINE, WIDE, GrainModels, ModelKey
from pyxem_mlmaps.simulation import library_cache
from pyxem_mlmaps.simulation.crystal import as_crystal
from pyxem_mlmaps.simulation.library_cache import LibraryCache, content_key, default_folder
from pyxem_mlmaps.simulation.orientation_nodes import Node


class Numbers:
    """Something to keep: an array that refuses files that are not whole."""

    def __init__(self, values):
        self.values = values

    def save(self, path):
        with path.open("wb") as file:
            np.save(file, self.values)

    @classmethod
    def load(cls, path):
        try:
            return cls(np.load(path))
        except EOFError as error:
            raise ValueError("empty") from error


def library(value=0.0):
    return Numbers(np.random.default_rng(0).random((5, 5, 3, 4)) + value)


def forbidden():
    raise AssertionError("simulated although it is on disk")


@pytest.fixture
def cache(tmp_path):
    return LibraryCache(tmp_path / "deep" / "libraries")


class TestHitsAndMisses:
    def test_made_once(self, cache):
        made = library()
        assert "a" not in cache
        assert cache.get("a", lambda: made, Numbers.load) is made
        assert "a" in cache and (cache.hits, cache.misses) == (0, 1)
        again = cache.get("a", forbidden, Numbers.load)
        assert (cache.hits, cache.misses) == (1, 1)
        np.testing.assert_array_equal(again.values, made.values)

    def test_another_process_finds_it(self, cache):
        cache.get("a", library, Numbers.load)
        again = LibraryCache(cache.folder).get("a", forbidden, Numbers.load)
        np.testing.assert_array_equal(again.values, library().values)

    def test_keys_do_not_mix(self, cache):
        cache.get("a", library, Numbers.load)
        other = cache.get("b", lambda: library(1.0), Numbers.load)
        assert other.values.min() > 1 and cache.misses == 2
        assert cache.get("a", forbidden, Numbers.load).values.max() < 1.0001

    def test_errors_of_the_simulation_are_not_hidden(self, cache):
        def fails():
            raise ValueError("no atoms")

        with pytest.raises(ValueError, match="no atoms"):
            cache.get("a", fails, Numbers.load)
        assert "a" not in cache

    def test_clear(self, cache):
        cache.clear()  # no folder yet
        cache.get("a", library, Numbers.load)
        assert cache.size() > 0
        cache.clear()
        assert "a" not in cache and cache.size() == 0

    def test_default_folder(self):
        assert LibraryCache().folder == default_folder()
        assert "pyxem_mlmaps" in str(default_folder())

    @pytest.mark.parametrize("largest", [0, -1, np.nan])
    def test_bad_limit(self, tmp_path, largest):
        with pytest.raises(ValueError, match="largest="):
            LibraryCache(tmp_path, largest)


class TestKey:
    CONTENT = {"energy": 300.0, "node": [3, 4, 0.8], "thickness": np.array([20.0, 25.0])}

    def test_same_content_same_key(self):
        turned = dict(reversed(list(self.CONTENT.items())))
        assert content_key(**self.CONTENT) == content_key(**turned)

    @pytest.mark.parametrize(
        "change",
        [
            {"energy": 200.0},
            {"node": [3, 5, 0.8]},
            {"node": [3, 4, 1.0]},
            {"thickness": np.array([20.0, 25.1])},
            {"extra": 1},
        ],
    )
    def test_any_change_makes_another_key(self, change):
        assert content_key(**{**self.CONTENT, **change}) != content_key(**self.CONTENT)

    def test_version_of_the_simulator(self, monkeypatch):
        before = content_key(**self.CONTENT)
        monkeypatch.setattr(library_cache, "PHYSICS", library_cache.PHYSICS + 1)
        assert content_key(**self.CONTENT) != before

    def test_what_has_no_content_raises(self):
        with pytest.raises(TypeError, match="object has no content"):
            content_key(a=object())

    def test_names_of_models(self, gasb, tmp_path):
        """Everything that changes a library changes its name; the name of the crystal does not."""

        def name(phase=gasb, energy=300, angle=1.5, thick=(40, 60), reach=1.7, **options):
            models = GrainModels(
                [as_crystal(phase)], mlmaps.Beam(energy, angle), thick, reach,
                LibraryCache(tmp_path), options=options,
            )  # fmt: skip
            return models._name(ModelKey(0, Node(10, 3, 0.8), FINE))

        renamed, warmer, mixed = gasb.deepcopy(), gasb.deepcopy(), gasb.deepcopy()
        renamed.name = "another"
        warmer.structure[0].Uisoequiv *= 1.5
        mixed.structure[0].element = "Al"
        first = name()
        assert name(phase=renamed) == first
        others = [
            name(phase=warmer), name(phase=mixed), name(energy=200), name(angle=1.6),
            name(thick=(40, 65)), name(reach=1.8), name(mosaic=0.01), name(potential_scale=1.1),
        ]  # fmt: skip
        assert len({first, *others}) == 1 + len(others)
        models = GrainModels(
            [as_crystal(gasb)], mlmaps.Beam(300, 1.5), (40, 60), 1.7, LibraryCache(tmp_path)
        )
        nodes = [Node(10, 3, 0.8), Node(10, 4, 0.8), Node(11, 3, 0.8), Node(10, 3, 1.0)]
        keys = {models._name(ModelKey(0, n, g)) for n in nodes for g in (FINE, WIDE)}
        assert len(keys) == 8


class TestEviction:
    def test_least_recently_used_goes_first(self, cache):
        """Used is written or read; what was just made stays whatever the limit."""
        for number, key in enumerate("abc"):
            cache.get(key, library, Numbers.load)
            os.utime(cache.path(key), (1000.0 + number, 1000.0 + number))
        one = cache.size() / 3
        cache.get("a", forbidden, Numbers.load)  # now b is the oldest
        cache.largest = 3.5 * one
        cache.get("d", library, Numbers.load)
        assert [key for key in "abcd" if key in cache] == ["a", "c", "d"]
        assert cache.size() <= cache.largest

    def test_the_newest_is_kept_though_it_is_too_large(self, cache):
        cache.largest = 10
        cache.get("a", library, Numbers.load)
        cache.get("b", library, Numbers.load)
        assert "a" not in cache and "b" in cache

    def test_shrink_leaves_other_files(self, cache):
        cache.get("a", library, Numbers.load)
        other = cache.folder / "notes.txt"
        other.write_text("mine")
        cache.largest = 1
        cache.shrink()
        assert "a" not in cache and other.read_text() == "mine"


class TestDamage:
    @pytest.mark.parametrize("left", [0, 20, 300])
    def test_a_damaged_file_is_made_again(self, cache, left):
        cache.get("a", library, Numbers.load)
        path = cache.path("a")
        path.write_bytes(path.read_bytes()[:left])
        again = cache.get("a", lambda: library(1.0), Numbers.load)
        assert again.values.min() > 1 and cache.misses == 2
        assert cache.get("a", forbidden, Numbers.load).values.min() > 1

    def test_unwritable_folder_warns_and_goes_on(self, tmp_path):
        file = tmp_path / "file"
        file.write_text("")
        cache = LibraryCache(file / "below")
        made = library()
        with pytest.warns(UserWarning, match="cannot be written.*Give another cache="):
            assert cache.get("a", lambda: made, Numbers.load) is made
        assert cache.misses == 1 and "a" not in cache and cache.size() == 0

    def test_interrupted_writing_leaves_nothing_to_find(self, cache, monkeypatch):
        """Ctrl-C while the arrays are written: the next call simulates again."""

        def interrupted(self, path):
            path.write_bytes(b"begun")
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(Numbers, "save", interrupted)
            with pytest.raises(KeyboardInterrupt):
                cache.get("a", library, Numbers.load)
        assert "a" not in cache
        assert cache.get("a", lambda: library(1.0), Numbers.load).values.min() > 1
        assert "a" in cache

    def test_another_process_was_first(self, cache):
        """Both made it; one store is left, and no remains of the other."""

        def make():
            LibraryCache(cache.folder).get("a", library, Numbers.load)
            return library()

        cache.get("a", make, Numbers.load)
        assert [p.name for p in cache.folder.iterdir()] == ["a.npz"]
        cache.get("a", forbidden, Numbers.load)

    def test_no_remains_of_a_full_disk(self, cache, monkeypatch):
        """A store that cannot be finished is taken away, since nothing else would."""

        def full(self, path):
            path.write_bytes(b"0" * 100)
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(Numbers, "save", full)
        with pytest.warns(UserWarning, match="No space left"):
            cache.get("a", library, Numbers.load)
        assert not list(cache.folder.iterdir())
