"""Formulas in LaTeX become MathML when the site is built: browsers draw it, and no script has to."""

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx


def _inline(writer, node) -> None:
    writer.body.append(convert(node.astext()))
    raise nodes.SkipNode


def _block(writer, node) -> None:
    writer.body.append(f'<div class="formula">{convert(node.astext(), display="block")}</div>')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
