"""Draw the README's pictures from `flowplane reproduce information-plane --full` and `bridge --full`, from two moons, and
from two models of torchcfm (`pip install --no-deps torchcfm==1.0.7`) that this script trains for some seconds.

python docs/make_images.py [results]
"""

import math
import sys
from pathlib import Path

import plotly.graph_objects as go
import torch
from plotly.subplots import make_subplots

import flowplane as fp
from flowplane.core.older import load
from flowplane.plot.style import styled

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))
from transport import matching


def two_flows(flows: dict[str, fp.transport.TransportMap]) -> go.Figure:
    """Paths of samples above, what they spend below."""
    least = [int(flow.steps().least_steps.sel(solver="euler")) for flow in flows.values()]
    figure = make_subplots(
        2,
        2,
        specs=[[{}, {}], [{"colspan": 2}, None]],
        row_heights=[0.72, 0.28],
        vertical_spacing=0.06,
        horizontal_spacing=0.0,
        subplot_titles=[f"{name} pairs: {steps} steps" for name, steps in zip(flows, least, strict=True)],
    )
    for column, flow in enumerate(flows.values(), start=1):
        figure.add_traces(
            fp.plot.flow_samples(fp.transport.flow_samples(flow, 45, times=torch.linspace(0, 1, 41))).data, 1, column
        )
    bars = fp.plot.budget({name: flow.budget() for name, flow in flows.items()})
    figure.add_traces(bars.data, 2, 1)
    figure.for_each_trace(lambda bar: bar.update(name=bar.name.partition(":")[0]), selector={"type": "bar"})
    figure.update_traces(line_color="#8fa3bd", line_width=1, selector={"mode": "lines"})
    styled(
        figure,
        "How straight is a flow-matching model?",
        "paths, and Euler steps within 1 % of them; what their energy is spent on",
        width=480,
        height=420,
        margin={"l": 76, "r": 26, "t": 92, "b": 58},
        legend={"orientation": "h", "x": 0.45, "xanchor": "center", "y": -0.13, "yanchor": "top", "traceorder": "normal"},
    )
    figure.update_layout(barmode="stack", bargap=0.3, font_size=12, title={"font_size": 18, "subtitle_font_size": 11})
    bare = {"showgrid": False, "zeroline": False, "showticklabels": False, "ticks": "", "showline": False}
    figure.update_xaxes(**bare, range=[-2.2, 2.4], row=1).update_yaxes(**bare, range=[-2.4, 2.1], row=1)
    figure.update_xaxes(ticksuffix=" %", tickfont_size=11, dtick=25, range=[0, 101], row=2).update_yaxes(
        autorange="reversed", row=2
    )
    return figure.update_annotations(font_size=13)


if __name__ == "__main__":
    results = Path(sys.argv[1] if len(sys.argv) > 1 else "results")
    images = Path(__file__).parent / "images"
    moons = fp.densities.two_moons(noise=0.2)
    flows = {"shallow, L = 1": fp.denoising_flow(moons, 0.015, 1), "continuous": fp.denoising_flow(moons, 0.015, math.inf)}
    extent = [(-1.7, 2.7), (-1.2, 1.7)]
    histories = {name: fp.transport.flow_history(flow, samples=400, extent=extent) for name, flow in flows.items()}
    print(fp.plot.save(fp.plot.flow_history(histories, "Two moons flow onto their curves"), images / "two-moons.png"))
    plane = load(results / "information-plane" / "plane.nc")
    figure = fp.plot.information_plane(plane, "Fit first, then compress")
    print(fp.plot.save(figure, images / "information-plane.png"))
    spectrum = load(results / "bridge" / "spectrum.nc")
    figure = fp.plot.denoising_spectrum(spectrum, "One law: the error of denoising, and information as its area")
    print(fp.plot.save(figure, images / "one-law.png"))
    from torchcfm import ConditionalFlowMatcher, ExactOptimalTransportConditionalFlowMatcher

    matchers = {
        "independent": ConditionalFlowMatcher(sigma=0.0),
        "optimal": ExactOptimalTransportConditionalFlowMatcher(sigma=0.0),
    }
    data = torch.as_tensor(fp.densities.two_moons(noise=0.1).sample(20_000, seed=0)).float()
    models = {
        name: fp.transport.model_flow(matching(matcher, data, 64, 4000), shape=2) for name, matcher in matchers.items()
    }
    print(fp.plot.save(two_flows(models), images / "flow-matching.png"))
