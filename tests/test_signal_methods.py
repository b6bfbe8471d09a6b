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


@pytest.fixture
def signals():
    import pyxem.signals

    return pyxem.signals


@pytest.fixture(autouse=True)
def registered(signals):
    before = vars(signals.Diffraction2D).get(NAME)
    _signal_methods.register()
    yield
    if before is None:
        _signal_methods.unregister()
    else:
        setattr(signals.Diffraction2D, NAME, before)


@pytest.fixture
def calls(monkeypatch):
    """Stands in for the mapping module and records how it is called."""
    recorded = []
    module = types.ModuleType("pyxem_mlmaps.mapping.orientation")
    module.map_orientation = lambda *args, **kwargs: recorded.append((args, kwargs)) or "map"
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
    assert callable(getattr(pattern(signals, kind), NAME))


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
    assert not hasattr(s, NAME)
    s.set_signal_type("electron_diffraction")
    assert callable(s.ml_orientation_map)


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
    }


def test_documented_arguments(signals):
    method = signals.Diffraction2D.ml_orientation_map
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


def test_unregister(signals):
    _signal_methods.unregister()
    assert not hasattr(signals.ElectronDiffraction2D, NAME)
    _signal_methods.unregister()
    _signal_methods.register()
    assert hasattr(signals.ElectronDiffraction2D, NAME)
