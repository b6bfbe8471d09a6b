"""Figures of results, models and libraries.

Image axes follow the data: scan y and detector ky run downwards, and so does tilt_y. Every
function returns the figure and leaves showing it to matplotlib's backend, which is imported when a
figure is drawn.

``figsize`` is width and height in inches, or the width alone: then the height follows from the
shape of the scan. Figures up to 7.5 inches wide have the small text of a printed page, and as many
panels beside each other as a column holds (3.4 inches) or a page (7 inches). Maps have calibrated
axes, a scale bar in the first panel, and grey where there are no data.
"""

from pyxem_mlmaps._disk_markers import plot_disks
from pyxem_mlmaps._grain_figures import (
    plot_boundaries,
    plot_grain_tilt,
    plot_ipf_map,
    plot_kam,
)
from pyxem_mlmaps._input_figures import plot_lattice, plot_rocking
from pyxem_mlmaps._orientation_figures import plot_error_map, plot_orientation_map, plot_tilt
from pyxem_mlmaps._plan_figure import plot_plan
from pyxem_mlmaps._polycrystal_figure import plot_polycrystal
from pyxem_mlmaps._residual_figures import plot_disk_residuals, plot_intensity_residuals
from pyxem_mlmaps._scan_figures import plot_disk_fit
from pyxem_mlmaps._strain_panels import plot_strain_map
from pyxem_mlmaps._training_figure import plot_training

__all__ = [
    "plot_boundaries",
    "plot_disk_fit",
    "plot_disk_residuals",
    "plot_disks",
    "plot_error_map",
    "plot_grain_tilt",
    "plot_intensity_residuals",
    "plot_ipf_map",
    "plot_kam",
    "plot_lattice",
    "plot_orientation_map",
    "plot_plan",
    "plot_polycrystal",
    "plot_rocking",
    "plot_strain_map",
    "plot_tilt",
    "plot_training",
]
