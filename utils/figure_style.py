"""How every figure looks: colours, size and canvas, frame and grid."""

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

# Okabe and Ito's colours stay apart for colour-blind eyes; line styles differ as well, for print.
BLUE, ORANGE, GREEN, PINK, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#6B6B6B"
NETWORK = {"color": BLUE, "linewidth": 2.0}
BASELINE = {"color": ORANGE, "linewidth": 1.6, "linestyle": "--"}


def new_figure(width: float, height: float) -> Figure:
    """Return a figure of this size in inches on the Agg canvas, laid out without overlaps."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def tidy(axes: Axes) -> None:
    """Take away the frame's upper right and add a light grid."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, linewidth=0.7)
