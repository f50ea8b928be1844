"""Figures of a grid of 6 losses, 2 supervisors, 4 strong models and 5 tasks, for the report and for columns of a paper
and a talk: everything can be read, and ends where it should."""

import itertools

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from tests.results.test_look import texts_of
from tests.results_store import NAME, Shape, build
from w2s_sweep.results.collect import collect
from w2s_sweep.results.figures import choose_plots
from w2s_sweep.results.figures.look import LOOKS, REPORT, Look, use_look
from w2s_sweep.results.figures.style import lay_out

GRID = Shape(
    weak=("w14", "w70"), strong=("s160", "s410", "s1000", "s2800"),
    losses=[{"name": name} for name in ("xent", "confidence", "focal", "bootstrap", "a_loss_with_a_rather_long_name")]
    + [{"name": "confidence", "alpha_max": 0.5}],
    datasets=("sciq", "boolq", "amazon_polarity", "tweet_eval_sentiment", "wic"), n_test=40, share=(0.6, 0.7, 0.95),
    curve=((0.5, 0.6, 0.6), (0.55, 0.8, 0.8), (0.6, 0.7, 0.9)),
)  # fmt: skip
RATES = {"accuracy": "x", "agreement": "x", "scaling": "y", "strength": "xy", "curves": "y", "calibration": "xy"}
"""Figure -> the axes of its first panel that show shares."""


def boxes(figure):
    """(text, where it stands in pixels) of everything that is written."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    for key in figure.axes:  # keys of colours and legends place what they say when they are drawn
        if key.get_axes_locator():
            key.get_tightbbox(renderer)
    for legend in figure.legends:
        legend.draw(renderer)
    return [(text.get_text(), text.get_window_extent().padded(-1.5)) for text in texts_of(figure)]


def faults(name: str, figure, look: Look) -> list[str]:
    page, written = figure.bbox, boxes(figure)
    found = [
        f"{name}: cut off: {text!r}"
        for text, box in written
        if box.x0 < -3 or box.y0 < -3 or box.x1 > page.x1 + 3 or box.y1 > page.y1 + 3
    ]
    found += [
        f"{name}: {one!r} overlaps {other!r}"
        for (one, first), (other, second) in itertools.combinations(written, 2)
        if first.overlaps(second)
    ]
    for side in RATES.get(name, ""):
        low, high = getattr(figure.axes[0], f"get_{side}lim")()
        found += [] if -0.06 < low < high < 1.06 else [f"{name}: {side} from {low:.2f} to {high:.2f}"]
    if look.width and figure.get_figwidth() != pytest.approx(look.width):
        found.append(f"{name}: {figure.get_figwidth():.2f} inches wide")
    if look.tallest and figure.get_figheight() > 1.05 * look.tallest:
        found.append(f"{name}: {figure.get_figheight():.1f} inches tall")
    return found


@pytest.mark.slow
def test_nothing_is_cut_off_overlaps_or_leaves_the_page(tmp_path):
    results = collect(build(tmp_path, GRID), NAME)
    found: list[str] = []
    for look in (REPORT, LOOKS["paper", "column"], LOOKS["talk", "column"]):
        with use_look(look):
            for plot in choose_plots(results):
                figure = plot.draw(results)
                lay_out(figure)
                found += [f"{look.name} {fault}" for fault in faults(plot.name, figure, look)]
    assert not found, "\n".join(found)
