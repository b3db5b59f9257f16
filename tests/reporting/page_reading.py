"""A report's page as a browser reads it."""

from __future__ import annotations

import json
from html.parser import HTMLParser


class Read(HTMLParser):
    """A page as a browser reads it: its elements, and its text by section."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.sections: dict[str, str] = {}
        self.inside = ""
        self.raw = ""
        self.scripts: list[tuple[dict, str]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "section":
            self.inside = dict(attrs)["id"]
            self.sections[self.inside] = ""
        if tag in ("script", "style"):
            self.raw = tag
            self.scripts.append((dict(attrs), ""))

    def handle_endtag(self, tag):
        self.raw = "" if tag == self.raw else self.raw
        if tag == "section":
            self.inside = ""

    def handle_data(self, data):
        if self.raw:
            self.scripts[-1] = (self.scripts[-1][0], self.scripts[-1][1] + data)
        elif self.inside:
            self.sections[self.inside] += f" {data}"

    def figures(self) -> dict:
        return json.loads(next(text for attrs, text in self.scripts if attrs.get("id") == "figure-data"))

    def of(self, tag: str) -> list[dict]:
        return [attrs for name, attrs in self.tags if name == tag]
