"""A page with figures: one file that loads nothing from the internet."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.resources import files

from plotly.offline import get_plotlyjs, get_plotlyjs_version

from flowplane.plot.page.drawing import Drawn
from flowplane.plot.page.markup import Markup, element, joined, json_script

__all__ = [
    "PLOTLY",
    "figure_block",
    "figure_page",
    "framed",
    "noscript",
    "page_figures",
    "page_script",
    "policy",
    "scripts_of",
]

#: The file that holds plotly.js, beside the pages that share it.
PLOTLY = f"plotly-{get_plotlyjs_version()}.min.js"
#: The page's own script, in parts that see each other's names.
SCRIPTS = ("colors.js", "table.js", "figure.js", "page.js")
#: What Plotly draws by WebGL, with code that it makes at run time.
DRAWN_BY_WEBGL = ("3d", "surface", "cone", "streamtube", "volume", "isosurface", "splom", "parcoords", "gl")
DATA = "figure-data"


def framed(
    title: str, parts: Sequence[Markup], scripts: Sequence[Markup], security: str, *, heading: Markup, style: str = ""
) -> str:
    """A whole page.

    Arguments:
        parts: of the body, between heading and scripts.
        security: what the page may run and load, see `policy`.
        heading: beside the button for light and dark.
        style: rules that follow those of every page.
    """
    head = element(
        "head",
        Markup('<meta charset="utf-8">'),
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{security}">'),
        Markup('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        Markup('<meta name="color-scheme" content="light dark"><meta name="generator" content="flowplane">'),
        Markup('<link rel="icon" href="data:,">'),
        element("title", title),
        element("style", Markup(_packaged("page.css") + style)),
    )
    button = element("button", "Dark", type="button", id="theme", title="Switch between light and dark")
    skip = element("a", "Skip to the content", href="#content", class_="skip")
    page = element("body", skip, element("header", heading, button), *parts, *scripts)
    return f"<!doctype html>\n{element('html', head, page, lang='en')}\n"


def scripts_of(figures: Iterable[Drawn], plotly: str | None = None) -> tuple[list[Markup], str]:
    """The scripts that draw figures where `figure_block` left places, and what a page with them may load.

    Arguments:
        plotly: the address of plotly.js, in the page's own folder; None to hold it.
    """
    content = {figure.name: figure.content for figure in figures}
    whole, own = Markup(get_plotlyjs() if plotly is None else ""), page_script()
    data = json_script(DATA, json.dumps(content, separators=(",", ":")))
    scripts = [data, element("script", whole, src=plotly), element("script", own)]
    by_webgl = any(trace["type"].endswith(DRAWN_BY_WEBGL) for part in content.values() for trace in part["data"])
    sources = ["'unsafe-eval'"] if by_webgl else []
    return scripts, policy(own, sources=["'self'", "file:", *sources]) if plotly else policy(whole, own, sources=sources)


def page_script() -> Markup:
    """The page's own script: it draws the figures of an element `figure-data`."""
    return Markup('(() => {\n"use strict";\n' + "\n".join(_packaged(name) for name in SCRIPTS) + "\n})();")


def figure_page(figure: Drawn, plotly: str | None = None) -> str:
    """A page of one figure.

    Arguments:
        plotly: the address of plotly.js, in the page's own folder; None to hold it.
    """
    title, subtitle = figure.content["title"], figure.content["subtitle"]
    main = element("main", figure_block(figure, caption=element("span", subtitle)), id="content")
    parts = [noscript("The figure needs JavaScript."), main]
    return framed(title, parts, *scripts_of([figure], plotly), heading=element("h1", title))


def page_figures(page: str) -> list[Drawn]:
    """The figures of a page that flowplane wrote; none of any other."""
    start = f'<script type="application/json" id="{DATA}">'
    at = page.find(start)
    if at < 0:
        return []
    try:
        found, _ = json.JSONDecoder().raw_decode(page, at + len(start))
        return [Drawn(name, content) for name, content in found.items() if {"data", "wide", "title"} <= set(content)]
    except (ValueError, TypeError, AttributeError):
        return []


def noscript(text: str) -> Markup:
    """A sentence for browsers that run no script."""
    return element("noscript", element("p", text))


def figure_block(ready: Drawn, caption: Markup | None = None, whose: str = "") -> Markup:
    """The place of a figure, its caption, the controls of what it shows and of what can be taken away.

    Arguments:
        caption: None for title and subtitle.
        whose: what else tells this figure from others of the same title.
    """
    content = ready.content
    place = f"figure-{''.join(letter if letter.isalnum() else '-' for letter in ready.name)}"
    title, subtitle = content["title"], content["subtitle"]
    words = joined(element("strong", title), " ", element("span", subtitle)) if caption is None else caption
    plot = element(
        "div",
        class_="plot",
        id=place,
        role="img",
        aria_label=" ".join(filter(None, (f"{', '.join(filter(None, (title, whose)))}.", subtitle, content["sentence"]))),
        data_figure=ready.name,
    )
    return element(
        "figure",
        element("figcaption", words, id=f"{place}-caption"),
        _control(ready, place),
        _choice(ready, place),
        plot,
        _export(ready),
        aria_labelledby=f"{place}-caption",
    )


def _control(ready: Drawn, place: str) -> Markup:
    """The slider that moves the frames, with a button that plays them."""
    controls = ready.content["controls"]
    if not controls:
        return Markup("")
    play = element("button", "▶ Play", type="button", class_="play", aria_label=f"Play through every {controls['prefix']}")
    return _slider("controls", ready.name, f"{place}-slider", controls, play)


def _choice(ready: Drawn, place: str) -> Markup:
    """The slider that says which traces are seen."""
    choice = ready.content["choice"]
    return _slider("choice", ready.name, f"{place}-choice", choice) if choice else Markup("")


def _slider(kind: str, name: str, place: str, slider: dict, *before: Markup) -> Markup:
    labels, what = slider["labels"], slider["prefix"]
    return element(
        "div",
        *before,
        element("label", f"{what[0].upper()}{what[1:]}", for_=place),
        Markup(f'<input type="range" id="{place}" min="0" max="{len(labels) - 1}" step="1" value="{slider["active"]}">'),
        element("output", labels[slider["active"]], for_=place),
        class_=kind,
        role="group",
        aria_label=f"What the figure shows, by {what}",
        data_figure=name,
    )


def _export(ready: Drawn) -> Markup:
    """Buttons that save the figure: as a picture, or its numbers."""
    title = ready.content["title"]
    whats = {"SVG": "a picture in vectors", "PNG": "a picture", "CSV": "the numbers that it shows, as a table"}
    if all(trace["type"] == "image" for trace in ready.content["data"]):
        del whats["CSV"]  # pictures are not numbers any more
    buttons = [
        element(
            "button",
            kind,
            type="button",
            data_kind=kind.lower(),
            aria_label=f"{kind}: {title}, {what}",
            title=f"Save {what}",
        )
        for kind, what in whats.items()
    ]
    return element("div", "Save as", *buttons, class_="export", data_figure=ready.name)


def policy(*scripts: str, sources: Sequence[str] = (), connect: str = "'none'") -> str:
    """Only these scripts run, and nothing is ever fetched.

    Arguments:
        sources: of further scripts, such as the page's own folder.
        connect: what a live page may ask.
    """
    hashes = [f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in scripts]
    rest = "style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'"
    return f"default-src 'none'; script-src {' '.join([*sources, *hashes])}; connect-src {connect}; {rest}"


@cache
def _packaged(name: str) -> str:
    return files("flowplane.plot.page").joinpath(name).read_text(encoding="utf-8")
