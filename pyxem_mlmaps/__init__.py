"""Crystal orientation and strain from 4D-STEM, by networks trained on dynamical simulations.

Importing this package attaches ``ml_orientation_map`` and ``ml_disk_positions`` to
``pyxem.signals.Diffraction2D``, at once or as soon as pyxem is imported. pyxem, TensorFlow and
abTEM are imported only when they are first needed.
"""

import lazy_loader as _lazy

from pyxem_mlmaps._late_registration import register_with_pyxem as _register_with_pyxem
from pyxem_mlmaps._version import __version__ as __version__

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)

_register_with_pyxem()
