"""The methods reach every diffraction signal, and only they are ours."""

from __future__ import annotations

import importlib
import inspect
import sys
import types

import dask.array as da
import numpy as np
import pytest

from pyxem_mlmaps import _signal_methods

pytestmark = pytest.mark.filterwarnings("ignore")

NAME = "ml_orientation_map"
METHODS = ("ml_orientation_map", "ml_disk_positions")


@pytest.fixture
def signals():
    import pyxem.signals

    return pyxem.signals


@pytest.fixture(autouse=True)
def registered(signals):
    before = {name: vars(signals.Diffraction2D).get(name) for name in METHODS}
    _signal_methods.register()
    yield
    for name, method in before.items():
        if method is None:
            _signal_methods.unregister()
        else:
            setattr(signals.Diffraction2D, name, method)


@pytest.fixture
def calls(monkeypatch):
    """Stands in for the mapping module and records how it is called."""
    recorded = []
    module = types.ModuleType("pyxem_mlmaps.mapping.orientation")
    module.map_orientation = lambda *args, **kwargs: recorded.append((args, kwargs)) or "map"
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return recorded


@pytest.fixture
def disk_calls(monkeypatch):
    """The same for disk positions."""
    recorded = []
    module = types.ModuleType("pyxem_mlmaps.mapping.disks")
    module.map_disk_positions = lambda *args, **kwargs: recorded.append((args, kwargs)) or "disks"
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return recorded


def pattern(signals, kind="ElectronDiffraction2D"):
    data = np.zeros((2, 3, 8, 8))
    return getattr(signals, kind)(da.from_array(data) if kind.startswith("Lazy") else data)


@pytest.mark.parametrize(
    "kind",
    [
        "Diffraction2D",
        "ElectronDiffraction2D",
        "LazyDiffraction2D",
        "LazyElectronDiffraction2D",
    ],
)
def test_attached(signals, kind):
    for name in METHODS:
        assert callable(getattr(pattern(signals, kind), name))


def test_survives_what_hyperspy_does(signals):
    s = pattern(signals)
    lazy = s.as_lazy()
    assert callable(lazy.ml_orientation_map)
    lazy.compute(show_progressbar=False)
    assert callable(lazy.ml_orientation_map)
    assert callable(s.deepcopy().ml_orientation_map)
    assert callable(s.inav[0].ml_orientation_map)
    assert callable(s.inav[:2, 1].isig[2:6, 2:6].ml_orientation_map)
    s.set_signal_type("")
    assert not any(hasattr(s, name) for name in METHODS)
    s.set_signal_type("electron_diffraction")
    assert callable(s.ml_orientation_map) and callable(s.ml_disk_positions)


def test_survives_a_file(signals, tmp_path):
    import hyperspy.api as hs

    pattern(signals).save(tmp_path / "s.zspy")
    assert callable(hs.load(tmp_path / "s.zspy", lazy=True).ml_orientation_map)


def test_delegates(signals, calls):
    s = pattern(signals)
    assert s.ml_orientation_map("model", "lattice", check="warn", batch_size=10) == "map"
    ((args, kwargs),) = calls
    assert args == (s, "model", "lattice")
    assert kwargs == {
        "check": "warn",
        "lazy_output": None,
        "show_progressbar": None,
        "num_workers": None,
        "background": "none",
        "descan": None,
        "refine": True,
        "batch_size": 10,
        "out": None,
    }


def test_disk_positions_delegate(signals, disk_calls):
    """No argument is needed; those that are given arrive."""
    s = pattern(signals)
    assert s.ml_disk_positions() == "disks"
    assert s.ml_disk_positions("model", "lattice", True, absent="nan", descan="direct_beam")
    defaults = {
        "lazy_output": None,
        "show_progressbar": None,
        "num_workers": None,
        "descan": None,
        "absent": "drop",
        "max_strain": 0.05,
        "min_presence": 0.9,
        "optics": "measure",
        "batch_size": 2048,
        "out": None,
    }
    given = {"lazy_output": True, "absent": "nan", "descan": "direct_beam"}
    assert disk_calls == [((s, None, None), defaults), ((s, "model", "lattice"), defaults | given)]


def test_defaults_are_those_of_the_map():
    from pyxem_mlmaps.mapping.disks import map_disk_positions

    outer = inspect.signature(_signal_methods.ml_disk_positions).parameters
    inner = inspect.signature(map_disk_positions).parameters
    assert [p.default for p in list(outer.values())[1:]] == [
        p.default for p in list(inner.values())[1:]
    ]
    assert list(outer)[1:] == list(inner)[1:]


@pytest.mark.parametrize("method", METHODS)
def test_documented_arguments(signals, method):
    method = getattr(signals.Diffraction2D, method)
    for name in list(inspect.signature(method).parameters)[1:]:
        assert f"\n{name}\n" in inspect.cleandoc(method.__doc__)


def test_register_is_idempotent(signals):
    _signal_methods.register()
    assert signals.Diffraction2D.ml_orientation_map is _signal_methods.ml_orientation_map


def test_register_after_reload(signals):
    reloaded = importlib.reload(_signal_methods)
    reloaded.register()
    assert signals.Diffraction2D.ml_orientation_map is reloaded.ml_orientation_map


def test_foreign_attribute(signals, monkeypatch):
    def foreign(self):
        return "theirs"

    monkeypatch.setattr(signals.Diffraction2D, NAME, foreign)
    with pytest.raises(RuntimeError, match="already has an attribute 'ml_orientation_map'"):
        _signal_methods.register()
    _signal_methods.unregister()
    assert signals.Diffraction2D.ml_orientation_map is foreign


def test_one_foreign_attribute_registers_nothing(signals, monkeypatch):
    """All methods or none."""
    _signal_methods.unregister()
    monkeypatch.setattr(signals.Diffraction2D, "ml_disk_positions", "theirs", raising=False)
    with pytest.raises(RuntimeError, match="already has an attribute 'ml_disk_positions'"):
        _signal_methods.register()
    assert not hasattr(signals.Diffraction2D, NAME)


def test_unregister(signals):
    _signal_methods.unregister()
    assert not any(hasattr(signals.ElectronDiffraction2D, name) for name in METHODS)
    _signal_methods.unregister()
    _signal_methods.register()
    assert all(hasattr(signals.ElectronDiffraction2D, name) for name in METHODS)
