"""Is a model file whole, and does the model still say what it said when it was saved?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pyxem_mlmaps.models.packed import digest
from pyxem_mlmaps.models.self_test import TOLERANCE, deviation

if TYPE_CHECKING:
    from pyxem_mlmaps.models.disk import DiskModel
    from pyxem_mlmaps.models.orientation import OrientationModel

__all__ = ["Check", "ModelCheck", "check_model"]

NOT_THERE = "none: the file is of an earlier version, or the model was not loaded from a file. "
NOT_THERE += "model.save() writes one."


class Check(NamedTuple):
    """One thing that was looked at. ``passed`` is None where it could not be."""

    name: str
    passed: bool | None
    finding: str


@dataclass(frozen=True)
class ModelCheck:
    """What :func:`check_model` found. Printed, a line for each check; true where it is ``ok``.

    Parameters
    ----------
    model
        Name or path.
    checks
        In the order in which they were made.
    """

    model: str
    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return all(check.passed is not False for check in self.checks)

    @property
    def tested(self) -> bool:
        """Whether the self-test was run; files of earlier versions have none."""
        return any(c.name == "self-test" and c.passed is not None for c in self.checks)

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        words = {True: "passed", False: "FAILED", None: "not made"}
        width = max(len(check.name) for check in self.checks)
        lines = [f"{self.model}: {'in order' if self.ok else 'NOT IN ORDER'}"]
        lines += [f"  {c.name:{width}s}  {words[c.passed]:8s}  {c.finding}" for c in self.checks]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)


def check_model(
    model: str | Path | OrientationModel | DiskModel,
    sha256: str | None = None,
    registry: str | Path | None = None,
) -> ModelCheck:
    """Try a model: the file, its card, its numbers, and the self-test that was saved with it.

    - ``file``: it can be read whole by the rules of :func:`load_model`, every checksum and the
      hash included, and its card is valid.
    - ``numbers``: weights, library and calibration are to the bit those that were saved.
    - ``self-test``: for the input that is kept in the file the model answers here what it answered
      where it was saved, within 3·10⁻⁴ of the library's range, of a disk's radius, of σ, of a
      misfit of 1. To the bit it cannot be: processors sum in another order.

    It finds damage and mistakes. Against a file that someone changed on purpose there is only its
    hash, learnt by another way.

    Parameters
    ----------
    model
        A name, path or address as for :func:`load_model`, or a model that was loaded.
    sha256, registry
        As for :func:`load_model`.

    Returns
    -------
    ModelCheck
        ``ok`` says whether nothing failed. Models without a self-test are ``ok`` but not
        ``tested``.

    Raises
    ------
    FileNotFoundError
        If there is no such file or name.

    Examples
    --------
    >>> import pyxem_mlmaps as mlmaps
    >>> report = mlmaps.check_model("disks")
    >>> report.ok, report.tested
    (True, True)
    >>> print(report)  # doctest: +SKIP
    """
    from pyxem_mlmaps.models.io import load_model

    if not isinstance(model, (str, Path)):
        return ModelCheck(model.card.name or type(model).__name__, _of_model(model))
    try:
        loaded = load_model(model, sha256, registry)
    except ValueError as error:
        return ModelCheck(str(model), (Check("file", False, str(error)),))
    found = type(loaded).__name__
    file = Check("file", True, f"{found}, every checksum right, card valid")
    return ModelCheck(str(model), (file, *_of_model(loaded)))


def _of_model(model: OrientationModel | DiskModel) -> tuple[Check, ...]:
    test = model.self_test
    if test is None:
        return (
            Check("numbers", None, "nothing to compare with"),
            Check("self-test", None, NOT_THERE),
        )
    same = digest(model) == test.sha256
    numbers = "as they were saved" if same else "not those that were saved: the model was changed"
    made = ", ".join(f"{name} {version}" for name, version in test.versions.items())
    try:
        worst = deviation(model, test)
    except ValueError as error:
        return (
            Check("numbers", same, numbers),
            Check("self-test", False, f"it cannot be run: {error}"),
        )
    return (
        Check("numbers", same, numbers),
        Check(
            "self-test",
            worst <= TOLERANCE,
            f"answers differ by {worst:.1e} at most, {TOLERANCE:.0e} is allowed (saved with "
            f"{made})",
        ),
    )
