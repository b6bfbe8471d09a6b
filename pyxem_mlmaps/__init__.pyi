from . import data as data
from . import interop as interop
from . import plotting as plotting
from ._signal_methods import register, unregister
from ._version import __version__
from .mapping.orientation import map_intensities
from .mapping.polycrystal import map_polycrystal
from .mapping.strain import strain_map
from .models.check import check_model
from .models.disk import DiskModel
from .models.io import load_model
from .models.known_models import available_models, register_models
from .models.orientation import OrientationModel
from .models.train import train_orientation_model
from .models.train_disks import train_disk_model
from .planning.experiment import plan
from .planning.plan import Plan
from .signals import LazyMLOrientationMap, MLOrientationMap
from .simulation.library import RockingLibrary
from .simulation.rocking import simulate_rocking, simulate_rocking_ensemble
from .specs import Beam, DiskLattice, NoiseModel
from .strain_result import LazyMLStrainMap, MLStrainMap
from .training.disk_conditions import DiskConditions

__all__ = [
    "Beam",
    "DiskConditions",
    "DiskLattice",
    "DiskModel",
    "LazyMLOrientationMap",
    "LazyMLStrainMap",
    "MLOrientationMap",
    "MLStrainMap",
    "NoiseModel",
    "OrientationModel",
    "Plan",
    "RockingLibrary",
    "__version__",
    "available_models",
    "check_model",
    "data",
    "interop",
    "load_model",
    "map_intensities",
    "map_polycrystal",
    "plan",
    "plotting",
    "register",
    "register_models",
    "simulate_rocking",
    "simulate_rocking_ensemble",
    "strain_map",
    "train_disk_model",
    "train_orientation_model",
    "unregister",
]
