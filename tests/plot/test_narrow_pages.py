"""A figure's layouts for a page: what a phone is given, and how the lines of a subtitle become one."""

import numpy as np
import plotly.graph_objects as go
import pytest
from plotly.subplots import make_subplots

from flowplane.plot.page.drawing import drawn


def narrow(figure):
    return drawn("figure", figure).content["narrow"]


def line(name=None, **more):
    return go.Scatter(x=[0, 1], y=[0, 1], name=name, **more)


def domains(layout):
    return [layout[f"yaxis{k}"]["domain"] for k in ("", 2, 3, 4) if f"yaxis{k}" in layout]


def test_panels_without_traces_take_no_room():
    figure = make_subplots(rows=2, cols=2)
    for k in range(3):
        figure.add_trace(line(), row=1 + k // 2, col=1 + k % 2)
    three = narrow(figure)
    figure.add_trace(line(), row=2, col=2)
    assert narrow(figure)["height"] > three["height"]
    assert min(low for low, _ in domains(three)[:3]) == pytest.approx(0, abs=1e-9)


def test_rows_keep_their_proportions_and_titles_their_room():
    figure = make_subplots(rows=2, cols=1, row_heights=[3, 1])
    for row in (1, 2):
        figure.add_trace(line(), row=row, col=1)
    first, second = domains(narrow(figure))
    assert (first[1] - first[0]) / (second[1] - second[0]) == pytest.approx(3)
    before = narrow(figure)["height"]
    figure.update_xaxes(title="epoch", row=1).update_xaxes(title="layer", row=2)
    assert narrow(figure)["height"] > before  # both titles stay, the first between the panels


def test_a_legend_of_many_lines_pushes_the_axes_down():
    names = [f"a curve with a long name, {k}" for k in range(6)]
    few, many, unseen = (
        narrow(go.Figure([line(name, visible=k < seen) for k, name in enumerate(names[:count])], {"showlegend": True}))
        for count, seen in ((1, 1), (6, 6), (6, 1))
    )
    plots = [layout["height"] - layout["margin"]["t"] - layout["margin"]["b"] for layout in (few, many, unseen)]
    assert len(set(plots)) == 1
    assert few["margin"]["t"] == unseen["margin"]["t"] < many["margin"]["t"] - 5 * 15


def test_texts_fit():
    figure = make_subplots(rows=1, cols=1).add_trace(line(), row=1, col=1)
    figure.update_xaxes(tickvals=np.arange(8), ticktext=["Gaussian<br>layer 2"] * 8, tickangle=0)
    figure.update_yaxes(title="root mean square difference over displacement")
    layout = narrow(figure)
    assert layout["xaxis"]["tickfont"]["size"] == 8
    assert layout["yaxis"]["title"]["text"] == "root mean square difference<br>over displacement"
    figure.add_annotation(x=1.0, xref="paper", xanchor="left", text="16.31")
    assert narrow(figure)["margin"]["r"] > layout["margin"]["r"]


def test_a_sentence_that_goes_on_is_not_cut():
    title = {
        "text": "Title",
        "subtitle": {"text": "lines: means ·<br>not shown: what cannot <br>be compared<br>dots: points"},
    }
    said = drawn("figure", go.Figure(line(), {"title": title})).content["subtitle"]
    assert said == "lines: means; not shown: what cannot be compared; dots: points"
