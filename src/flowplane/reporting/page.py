"""The page itself: one file that loads nothing from the internet."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files

from flowplane.core.progress import progress_bar
from flowplane.plot.page.document import figure_block, framed, noscript, scripts_of
from flowplane.plot.page.drawing import Drawn, drawn, share_ranges
from flowplane.reporting.flow_numbers import numbers_table
from flowplane.reporting.glossary import FLOW_WORDS, WORDS, glossary
from flowplane.reporting.layers import LayerNumbers
from flowplane.reporting.markup import Markup, count, element, paragraphs
from flowplane.reporting.sections import SECTIONS, citations, figures_of, layers_of, shared_figures, text_of
from flowplane.reporting.subject import Subject
from flowplane.reporting.tables import difference_table, settings_table

__all__ = ["packaged", "page_of", "shell"]


def page_of(subjects: list[Subject]) -> str:
    """The whole page, one column per subject."""
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
    return shell(title, "flowplane report", links, body, *scripts_of(figures.values()), wide=len(subjects) > 1)


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
    return framed(
        f"{title} – {brand}",
        [
            element("nav", element("ul", *links), aria_label="Sections"),
            noscript("Figures need JavaScript; words and tables do not."),
            element("main", *parts, id="content", class_="wide" if wide else None),
        ],
        scripts,
        security,
        heading=element("div", element("p", brand, class_="brand"), element("h1", title)),
        style=packaged("page.css"),
    )


def packaged(name: str) -> str:
    """A file of this package."""
    return files("flowplane.reporting").joinpath(name).read_text(encoding="utf-8")


def _section(
    anchor: str, heading: str, subjects: list[Subject], numbers: list[list[LayerNumbers]], figures: dict[str, Drawn]
) -> Markup:
    """Words, tables and figures, one column per subject; empty where no subject has any."""
    columns = []
    by_name: dict[str, list[Drawn]] = {}
    shared = shared_figures(anchor, subjects)
    for place, (subject, layers) in enumerate(zip(subjects, numbers, strict=True)):
        parts = [text_of(anchor, subject, layers)]
        after = f"-{place + 1}" if len(subjects) > 1 else ""
        made = []
        shown = subject.figures if anchor == "figures" else figures_of(anchor, subject)
        for name, figure in shown.items():
            if name in shared:
                continue
            ready = drawn(f"{name}{after}", figure)
            by_name.setdefault(name, []).append(ready)
            made.append(ready)
        figures |= {ready.name: ready for ready in made}
        parts += [figure_block(ready, whose=subject.title) for ready in made]
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
        after_columns.append(figure_block(figures[name], whose=" and ".join(subject.title for subject in subjects)))
    if anchor == "summary" and len(subjects) == 2 and all(numbers):
        titles = (subjects[0].title, subjects[1].title)
        if any(subjects[0].facts.get(name) != subjects[1].facts.get(name) for name in ("estimator", "channel")):
            after_columns.append(
                paragraphs(["The two are read through different channels, so their bits cannot be compared."])
            )
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
