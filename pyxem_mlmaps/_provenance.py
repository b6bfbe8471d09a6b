"""Which model, lattice and crystal made a result: kept in its metadata, saved with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

__all__ = ["Provenance"]

_NODE = "MLOrientationMap"


class Provenance:
    """Mixin for HyperSpy signals: reads and writes ``metadata.MLOrientationMap``."""

    metadata: Any

    def set_provenance(
        self,
        card: Mapping[str, Any],
        lattice: Mapping[str, Any],
        base_rotation: Sequence[float] | None,
        phase: Mapping[str, Any] | None,
        versions: Mapping[str, str],
        options: Mapping[str, Any] | None = None,
        model_sha256: str | None = None,
    ) -> None:
        """Record which model, lattice and crystal made this map; it is saved with the data.

        Parameters
        ----------
        card
            The model card.
        lattice
            :meth:`pyxem_mlmaps.DiskLattice.to_dict` of the lattice that was read out.
        base_rotation
            Quaternion (4 numbers, scalar first) of the orientation at zero tilt, or None.
        phase
            The crystal as plain values: ``name``, ``space_group``, ``point_group``, ``lattice``
            (a, b, c in Å, angles in degrees), ``symbols``, ``positions``, ``occupancy``, ``sigma``.
            None if the model was trained from bare arrays.
        versions
            Package names and versions.
        options
            Arguments that the map was made with.
        model_sha256
            Hash of the model's card and numbers.
        """
        if base_rotation is not None and np.shape(base_rotation) != (4,):
            raise ValueError(
                f"base_rotation={base_rotation!r} is not valid: give one quaternion of four "
                "numbers, the scalar first, or None."
            )
        items = {
            "card": card,
            "lattice": lattice,
            "base_rotation": base_rotation,
            "phase": phase,
            "versions": versions,
            "options": options,
            "model_sha256": model_sha256,
            "orientation_known": base_rotation is not None and phase is not None,
        }
        self.metadata.set_item(_NODE, {})
        for key, value in items.items():
            if value is not None:
                self.metadata.set_item(f"{_NODE}.{key}", _plain(value))

    @property
    def model_card(self) -> dict[str, Any]:
        """Card of the model that made the map; empty if none was recorded."""
        return self._provenance("card") or {}

    @property
    def lattice(self) -> dict[str, Any]:
        """Disk lattice as :meth:`pyxem_mlmaps.DiskLattice.to_dict` gives it."""
        return self._provenance("lattice") or {}

    @property
    def base_rotation(self) -> list[float] | None:
        """Quaternion of the orientation at zero tilt, or None."""
        value = self._provenance("base_rotation")
        return None if value is None else [float(v) for v in value]

    @property
    def phase(self) -> dict[str, Any] | None:
        """The crystal as plain values, or None."""
        return self._provenance("phase")

    @property
    def versions(self) -> dict[str, str]:
        """Versions of the packages that made the map."""
        return self._provenance("versions") or {}

    @property
    def options(self) -> dict[str, Any]:
        """Arguments that the map was made with."""
        return self._provenance("options") or {}

    @property
    def model_sha256(self) -> str | None:
        """Hash of the card and numbers of the model that made the map."""
        return self._provenance("model_sha256")

    @property
    def orientation_known(self) -> bool:
        """Whether base rotation and phase are recorded, so that rotations can be given."""
        return bool(self._provenance("orientation_known"))

    def _provenance(self, key: str) -> Any:
        value = self.metadata.get_item(f"{_NODE}.{key}", default=None)
        return _listed(value.as_dictionary() if hasattr(value, "as_dictionary") else value)


def _plain(value: Any) -> Any:
    """Dicts, lists, numbers, strings and arrays: what survives .hspy and .zspy.

    Tables become arrays: HyperSpy's files give a list of more than ten lists back in another
    order ("0", "1", "10", "2", …).
    """
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items() if v is not None}
    if isinstance(value, np.ndarray):
        return value if value.ndim > 1 else value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (list, tuple)):
        items = [_plain(v) for v in value]
        nested = items and all(isinstance(v, (list, np.ndarray)) for v in items)
        if nested and len({len(v) for v in items}) == 1:
            table = np.array(items)
            return table if table.dtype.kind in "iuf" else items
        return items
    return value


def _listed(value: Any) -> Any:
    """The inverse: arrays, which a lazily loaded file gives as dask arrays, as lists."""
    if isinstance(value, Mapping):
        return {k: _listed(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_listed(v) for v in value]
    return np.asarray(value).tolist() if hasattr(value, "ndim") else value
