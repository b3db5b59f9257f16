"""The directive `command`: what `flowplane NAME --help` says of a command, its arguments and options as a table."""

from __future__ import annotations

from docutils import nodes
from estimator_pages import table
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from typer import Context
from typer.main import get_command

from flowplane.cli import app as flowplane


class Command(SphinxDirective):
    """`{command} report`."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        command = get_command(flowplane).commands[name]
        context = Context(command, info_name=f"flowplane {name}")
        records = [one.get_help_record(context) for one in command.params]
        rows = [[f"`{' '.join(name.split())}`", said] for name, said in filter(None, records)]
        return self.parse_text_to_nodes(f"{command.help}\n\n{table(('argument', 'meaning'), rows) if rows else ''}")


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("command", Command)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
