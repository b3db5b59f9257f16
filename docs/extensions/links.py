"""What text says without markup: §A5 and B-3 link to docs/papers.md, arXiv numbers to arXiv, code that is a public name to
its page; x_{t+1} and x^2 are set as indices and powers."""

from __future__ import annotations

import re

from docutils import nodes
from public_names import short_names
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

PAPERS = "papers"
#: A section's number where its paragraph begins, a claim's where its row does.
SECTION, CLAIM = re.compile(r"([A-E]\d+)\b"), re.compile(r"[AB]-\d+$")
#: An index follows a sign, a Greek letter or a single Latin one, as in x_i or dx_t; a power follows anything.
BEFORE = r"(?:(?<=[Α-Ωα-ωÀ-ž∂∫∇|\])⟩\u0302\u2016])|(?<=[A-Za-z])(?<![A-Za-z0-9_][A-Za-z])|(?<=\bd[a-z]))"
INDEX = r"\{[^{}]*\}|\d+|[A-Za-z]{1,7}(?![A-Za-z])|[α-ω∞]"
POWER = r"\{[^{}]*\}|\([^()]*\)|[−-]?(?:\d+|[A-Za-zα-ω∞])|[⊤+−]"
MENTION = re.compile(
    r"§(?P<section>[A-E]\d+)|\b(?P<claim>[AB]-\d+)\b|arXiv:? ?(?P<arxiv>\d{4}\.\d{4,5})"
    rf"|{BEFORE}_(?P<index>{INDEX})|(?<=\S)\^(?P<power>{POWER})"
)
CALL = re.compile(r"([\w.]+)(\(.*\))?$", re.DOTALL)
NOT_IN = (nodes.literal, nodes.literal_block, nodes.reference, nodes.title, nodes.raw, nodes.math, nodes.math_block)


class Targets(SphinxTransform):
    """Sections and claims of docs/papers.md become targets of `:ref:`: `section-a5`, `claim-b-3`."""

    default_priority = 210

    def apply(self) -> None:
        if self.env.docname != PAPERS:
            return
        labels = self.env.get_domain("std").anonlabels
        for node in self.document.findall(lambda one: isinstance(one, nodes.strong | nodes.entry)):
            strong = isinstance(node, nodes.strong)
            match = (SECTION if strong else CLAIM).match(node.astext())
            if match:
                name = f"{'section' if strong else 'claim'}-{match[0].lower()}"
                (node if strong else node[0])["ids"].append(name)
                labels[name] = (PAPERS, name)


class Mentions(SphinxTransform):
    """Text that names a section, a claim or a preprint, and code that is a public name."""

    default_priority = 800

    def apply(self) -> None:
        for text in list(self.document.findall(nodes.Text)):
            if not any(
                isinstance(above, (*NOT_IN, addnodes.pending_xref, addnodes.desc_signature)) for above in _above(text)
            ):
                parts = list(self._linked(str(text)))
                if len(parts) > 1 or not isinstance(parts[0], nodes.Text):
                    text.parent.replace(text, parts)
        for code in list(self.document.findall(nodes.literal)):
            match = CALL.match(code.astext())
            home = short_names().get(match[1]) if match else None
            if home and not any(
                isinstance(above, (nodes.reference, nodes.title, addnodes.pending_xref)) for above in _above(code)
            ):
                link = addnodes.pending_xref("", refdomain="py", reftype="obj", reftarget=home, refdoc=self.env.docname)
                code.replace_self(link)
                link += code

    def _linked(self, text: str):
        start = 0
        for match in MENTION.finditer(text):
            if match.start() > start:
                yield nodes.Text(text[start : match.start()])
            kind, number = next((kind, number) for kind, number in match.groupdict().items() if number)
            if kind in ("index", "power"):
                inside = number[1:-1] if number[0] == "{" else number
                yield (nodes.subscript if kind == "index" else nodes.superscript)("", inside)
            elif kind == "arxiv":
                yield nodes.reference("", match[0], refuri=f"https://arxiv.org/abs/{number}")
            else:
                target = f"{kind}-{number.lower()}"
                link = addnodes.pending_xref("", refdomain="std", reftype="ref", reftarget=target, refexplicit=True)
                link["refdoc"], link["refwarn"] = self.env.docname, True
                yield link
                link += nodes.inline("", match[0])
            start = match.end()
        if start < len(text) or not text:
            yield nodes.Text(text[start:])


def _short(app: Sphinx, env, node, content):
    """Types in signatures, and what `Raises:` names, by the last part of a public name."""
    home = short_names().get(node["reftarget"].rpartition(".")[2]) if node.get("refdomain") == "py" else None
    return home and env.get_domain("py").resolve_xref(env, node["refdoc"], app.builder, "obj", home, node, content)


def _above(node: nodes.Node):
    while node.parent is not None:
        node = node.parent
        yield node


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("missing-reference", _short, priority=600)  # after intersphinx
    app.add_transform(Targets)
    app.add_transform(Mentions)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
