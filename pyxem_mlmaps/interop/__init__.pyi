from .abtem import from_abtem
from .braggvectors import disk_positions, from_braggvectors, to_braggvectors
from .datacube import from_datacube, to_datacube
from .files import read_py4dstem
from .orientation import from_orientation_map, to_orientation_map
from .strain import from_strainmap, to_strainmap

__all__ = [
    "disk_positions",
    "from_abtem",
    "from_braggvectors",
    "from_datacube",
    "from_orientation_map",
    "from_strainmap",
    "read_py4dstem",
    "to_braggvectors",
    "to_datacube",
    "to_orientation_map",
    "to_strainmap",
]
