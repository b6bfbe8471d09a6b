"""To py4DSTEM and back, and from abTEM: scans, disks, strain and orientations.

py4DSTEM is an extra (``pip install pyxem_mlmaps[py4dstem]``) and is imported when a function that
needs it is called. Frames and signs are those of :mod:`pyxem_mlmaps.conventions`.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
