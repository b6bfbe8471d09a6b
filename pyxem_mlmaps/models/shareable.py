"""What both kinds of model have in common: shown, kept in a file, sent, shared, restated."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pyxem_mlmaps.models.sharing import NOT_STATED, changed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from pyxem_mlmaps.models.export import ExportedModel
    from pyxem_mlmaps.models.self_test import SelfTest

__all__ = ["Shareable"]


class Shareable:
    """Mixin of the model classes, dataclasses with ``card`` and ``self_test``."""

    card: Any
    self_test: SelfTest | None

    def __repr__(self) -> str:
        return self.card.summary()

    def _repr_html_(self) -> str:
        return self.card._repr_html_()

    def __reduce__(self) -> tuple[Any, tuple[bytes]]:
        """Pickled as card and arrays; see :mod:`pyxem_mlmaps.models.packed`."""
        from pyxem_mlmaps.models.packed import pack, unpack

        return unpack, (pack(self),)

    def plot(self, **kwargs: Any) -> Figure:
        """Draw the training curve.

        Parameters
        ----------
        **kwargs
            As for :func:`pyxem_mlmaps.plotting.plot_training`.
        """
        from pyxem_mlmaps.plotting import plot_training

        return plot_training(self, **kwargs)

    def save(self, path: str | Path) -> None:
        """Write weights, card and a self-test into one file.

        It is read by :func:`pyxem_mlmaps.load_model` and tried by
        :func:`pyxem_mlmaps.check_model`.

        Parameters
        ----------
        path
            For example ``"gasb_110.keras"``; an existing file is replaced.
        """
        from pyxem_mlmaps.models.io import save_model

        save_model(self, Path(path))

    def export(
        self, folder: str | Path, name: str | None = None, overwrite: bool = False
    ) -> ExportedModel:
        """Write what others need to use the model.

        The folder gets the model's file, its card as a page (Markdown and HTML), ``SHA256SUMS``,
        and ``registry.json``, by which :func:`pyxem_mlmaps.load_model` finds the model by name.
        Put the folder on a web server or a shared drive as it is.

        Parameters
        ----------
        folder
            Made where there is none. It may hold other models that were exported.
        name
            Of the model and its file. None: that of the card, or one made of what it says.
        overwrite
            Whether to replace a model of that name in the folder.

        Returns
        -------
        ExportedModel
            Printed, it says what was written and how to load it.

        Raises
        ------
        FileExistsError
            If the folder has a model of that name.
        ValueError
            If the name has other characters than letters, digits, "_" and "-".

        Examples
        --------
        >>> import pyxem_mlmaps as mlmaps
        >>> model = mlmaps.load_model("disks").with_card(author="A. Author", licence="CC-BY-4.0")
        >>> print(model.export("to_share", name="my_disks"))  # doctest: +SKIP
        >>> mlmaps.load_model("my_disks", registry="to_share/registry.json")  # doctest: +SKIP
        """
        from pyxem_mlmaps.models.export import export_model

        return export_model(self, Path(folder), name, overwrite)

    def with_card(self, **changes: Any) -> Self:
        """A copy with some fields of the card changed.

        Parameters
        ----------
        **changes
            Fields of the card, above all what its owner states: ``name``, ``description``,
            ``author``, ``licence``, ``citation``, ``limits``.

        Raises
        ------
        TypeError, ValueError
            For a field that there is not, or a value that is not of its kind.

        Examples
        --------
        >>> import pyxem_mlmaps as mlmaps
        >>> model = mlmaps.load_model("disks").with_card(author="A. Author", licence="CC-BY-4.0")
        >>> model.card.author
        'A. Author'
        """
        kept = self.self_test if set(changes) <= set(NOT_STATED) else None
        return replace(self, card=changed(self.card, changes), self_test=kept)
