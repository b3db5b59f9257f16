"""The page itself: one file that asks nothing of the network."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from importlib.resources import files

from plotly.offline import get_plotlyjs

from flowplane.core.progress import progress_bar
from flowplane.reporting.drawing import Drawn, drawn, share_ranges
from flowplane.reporting.flow_numbers import numbers_table
from flowplane.reporting.glossary import FLOW_WORDS, WORDS, glossary
from flowplane.reporting.layers import LayerNumbers
from flowplane.reporting.markup import Markup, count, element, json_script, paragraphs
from flowplane.reporting.sections import SECTIONS, citations, figures_of, layers_of, shared_figures, text_of
from flowplane.reporting.subject import Subject
from flowplane.reporting.tables import difference_table, settings_table

__all__ = ["figure_markup", "packaged", "page_of", "policy", "shell"]


def page_of(subjects: list[Subject]) -> str:
    """The whole page, a column a subject."""
    numbers = [layers_of(subject) for subject in subjects]
    figures: dict[str, Drawn] = {}
    body, links = [], []
    with progress_bar("drawing the report", len(SECTIONS)) as advance:
        for anchor, (short, heading) in SECTIONS.items():
            section = _section(anchor, heading, subjects, numbers, figures)
            if section:
                body.append(section)
                links.append(element("li", element("a", short, href=f"#{anchor}")))
            advance(1)
    kind = "recording" if subjects[0].flow is None else "flow"
    title = " against ".join(subject.title for subject in subjects) if len(subjects) < 3 else count(len(subjects), kind)
    plotly, own = Markup(get_plotlyjs()), Markup(packaged("page.js"))
    content = {name: figure.content for name, figure in figures.items()}
    figure_data = json_script("figure-data", json.dumps(content, separators=(",", ":")))
    scripts = [figure_data, element("script", plotly), element("script", own)]
    return shell(title, "flowplane report", links, body, scripts, policy(plotly, own), wide=len(subjects) > 1)


def shell(
    title: str,
    brand: str,
    links: Sequence[Markup],
    parts: Sequence[Markup],
    scripts: Sequence[Markup],
    security: str,
    *,
    wide: bool = False,
) -> str:
    """A page: head, title, links to its parts, the parts, scripts; `security` says what it may load."""
    head = element(
        "head",
        Markup('<meta charset="utf-8">'),
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{security}">'),
        Markup('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        Markup('<meta name="color-scheme" content="light dark"><meta name="generator" content="flowplane">'),
        Markup('<link rel="icon" href="data:,">'),
        element("title", f"{title} – {brand}"),
        element("style", Markup(packaged("page.css"))),
    )
    header = element(
        "header",
        element("div", element("p", brand, class_="brand"), element("h1", title)),
        element("button", "Dark", type="button", id="theme", aria_pressed="false", title="Switch between light and dark"),
    )
    page = element(
        "body",
        element("a", "Skip to the content", href="#content", class_="skip"),
        header,
        element("nav", element("ul", *links), aria_label="Sections"),
        element("noscript", element("p", "Figures need JavaScript; words and tables do not.")),
        element("main", *parts, id="content", class_="wide" if wide else None),
        *scripts,
    )
    return f"<!doctype html>\n{element('html', head, page, lang='en')}\n"


def _section(
    anchor: str, heading: str, subjects: list[Subject], numbers: list[list[LayerNumbers]], figures: dict[str, Drawn]
) -> Markup:
    """Words, tables and figures, a column a subject; empty where no subject has any."""
    columns = []
    by_name: dict[str, list[Drawn]] = {}
    shared = shared_figures(anchor, subjects)
    for place, (subject, layers) in enumerate(zip(subjects, numbers, strict=True)):
        parts = [text_of(anchor, subject, layers)]
        after = f"-{place + 1}" if len(subjects) > 1 else ""
        made = []
        for name, figure in figures_of(anchor, subject).items():
            if name in shared:
                continue
            ready = drawn(f"{name}{after}", figure)
            by_name.setdefault(name, []).append(ready)
            made.append(ready)
        figures |= {ready.name: ready for ready in made}
        parts += [figure_markup(ready, subject.title) for ready in made]
        columns.append(parts)
    for same in by_name.values():
        share_ranges(same)
    if not any(part for parts in columns for part in parts):
        return Markup("")
    several = len(subjects) > 1
    articles = [
        element(
            "div",
            element("h3", subject.title) if several else "",
            *(parts if any(parts) else [element("p", "–")]),
            class_="column",
        )
        for subject, parts in zip(subjects, columns, strict=True)
    ]
    after_columns = []
    for name, figure in shared.items():
        figures[name] = drawn(name, figure)
        after_columns.append(figure_markup(figures[name], " and ".join(subject.title for subject in subjects)))
    if anchor == "summary" and len(subjects) == 2 and all(numbers):
        titles = (subjects[0].title, subjects[1].title)
        if any(subjects[0].facts.get(name) != subjects[1].facts.get(name) for name in ("estimator", "channel")):
            after_columns.append(paragraphs(["Both are read through different channels: numbers of bits do not compare."]))
        after_columns.append(difference_table(numbers[0], numbers[1], titles))
        after_columns.append(settings_table(subjects[0].facts, subjects[1].facts, titles))
    flows = {subject.title: subject.flow for subject in subjects if subject.flow is not None}
    if anchor == "summary" and flows:
        after_columns.append(numbers_table(flows))
    if anchor == "summary" and (any(numbers) or flows):
        after_columns.append(glossary(FLOW_WORDS if flows else WORDS))
    if anchor == "provenance":
        after_columns.append(citations())
    titled = element("h2", heading, id=f"{anchor}-heading")
    return element(
        "section",
        titled,
        element("div", *articles, class_="columns"),
        *after_columns,
        id=anchor,
        aria_labelledby=f"{anchor}-heading",
    )


def figure_markup(ready: Drawn, whose: str) -> Markup:
    """A figure with its caption and, where it moves, the control of its frames."""
    place = f"figure-{_identifier(ready.name)}"
    title = _unescaped(ready.title) or ready.name
    caption = element(
        "figcaption", element("strong", title), element("span", f" {_unescaped(ready.subtitle)}"), id=f"{place}-caption"
    )
    plot = element(
        "div",
        class_="plot",
        id=place,
        role="img",
        aria_label=f"{title}, {whose}. {_unescaped(ready.subtitle)}",
        data_figure=ready.name,
    )
    controls = (_control(ready, place), _choice(ready, place))
    return element("figure", caption, *controls, plot, aria_labelledby=f"{place}-caption")


def _control(ready: Drawn, place: str) -> Markup:
    controls = ready.content["controls"]
    if not controls:
        return Markup("")
    labels = ready.frames
    what = controls["prefix"] or "frame"
    slider = Markup(
        f'<input type="range" id="{place}-slider" min="0" max="{len(labels) - 1}" step="1" value="{controls["active"]}">'
    )
    leave = controls["leave"]
    return element(
        "div",
        element("button", "▶ Play", type="button", class_="play", aria_label=f"Play through every {what}"),
        element("label", f"{what[0].upper()}{what[1:]}", for_=f"{place}-slider"),
        slider,
        element("output", leave[0] if leave else labels[controls["active"]], for_=f"{place}-slider"),
        element("button", f"Show {leave[0]}", type="button", class_="leave", disabled="") if leave else "",
        class_="controls",
        role="group",
        aria_label=f"What the figure shows, by {what}",
        data_figure=ready.name,
    )


def _choice(ready: Drawn, place: str) -> Markup:
    """The slider that says which traces are seen."""
    choice = ready.content["choice"]
    if not choice:
        return Markup("")
    labels, what = choice["labels"], choice["prefix"]
    slider = Markup(
        f'<input type="range" id="{place}-choice" min="0" max="{len(labels) - 1}" step="1" value="{choice["active"]}">'
    )
    return element(
        "div",
        element("label", f"{what[0].upper()}{what[1:]}", for_=f"{place}-choice"),
        slider,
        element("output", labels[choice["active"]], for_=f"{place}-choice"),
        class_="choice",
        role="group",
        aria_label=f"What the figure shows, by {what}",
        data_figure=ready.name,
    )


def policy(*scripts: str, own: str = "'none'") -> str:
    """Only these scripts run, and nothing is ever fetched, but from the page's own server where `own` is 'self'."""
    hashes = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in scripts)
    source = "" if own == "'none'" else f"{own} "
    rest = "style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'"
    return f"default-src 'none'; script-src {source}{hashes}; connect-src {own}; {rest}"


def packaged(name: str) -> str:
    return files("flowplane.reporting").joinpath(name).read_text(encoding="utf-8")


def _identifier(name: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in name)


def _unescaped(text: str) -> str:
    """A figure's text as it is read: without Plotly's tags, entities as what they stand for."""
    from html import unescape
    from re import sub

    return unescape(sub(r"</?(?:b|i|br|sub|sup|span|a)(?:\s[^<>]*)?/?>", " ", text)).strip()
