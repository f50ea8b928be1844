import re

from matplotlib.figure import Figure

from w2s_sweep.results.figures.facets import leave_out, panel_title
from w2s_sweep.results.figures.points import Dot, draw_dots
from w2s_sweep.results.figures.style import add_tip, encode


def test_points_that_look_alike_are_one_artist_and_each_keeps_its_words_and_no_link():
    figure = Figure(layout="constrained")
    axis = figure.subplots()
    dots = [Dot(i, i, "os"[i % 2], "#123456", f"point {i} <&\"'>") for i in range(9)]
    draw_dots(axis, dots, 4)
    draw_dots(axis, [Dot(0, 1, "x", "#654321")], 4)
    add_tip(axis.plot([0, 1], [0, 1]), "a line")
    assert len(axis.collections) == 3
    svg = encode(figure)["svg"].decode()
    said = re.findall("<title>([^<]*)</title>", svg)
    assert sorted(said) == sorted(["a line", *(f"point {i} &lt;&amp;&quot;&apos;&gt;" for i in range(9))])
    assert "<a " not in svg
    assert "tip: " not in svg


def test_settings_beyond_the_most_are_counted_and_a_title_says_what_differs():
    assert leave_out("abcde", 3, "x.csv") == (("a", "b", "c"), "; the first 3 settings, 2 more are in x.csv only")
    assert leave_out("abc", 3, "x.csv") == (("a", "b", "c"), "")
    assert panel_title("sst2", "a → b", tasks=1, pairs=3) == "a → b"
    assert panel_title("sst2", "a → b", tasks=2, pairs=1) == "sst2"
    assert panel_title("sst2", "a → b", tasks=2, pairs=2) == "sst2: a → b"
