"""HTML that is shown in a notebook, read back."""

from html.parser import HTMLParser

VOID = {"br", "hr", "img"}


class Balanced(HTMLParser):
    """Every tag that is opened is closed; keeps tags and text."""

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.text = [], set(), ""
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data + " "
