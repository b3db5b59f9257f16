"""The server of a live page: Dash on loopback, which answers only pages of its own address."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from dash import ClientsideFunction, Dash, Input, Output, dcc, html
from flask import abort, request
from plotly.offline import get_plotlyjs
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from flowplane.plot.page.document import page_script, policy
from flowplane.plot.page.markup import json_script
from flowplane.reporting.live_parts import PARTS
from flowplane.reporting.markup import Markup, element
from flowplane.reporting.page import packaged, shell

if TYPE_CHECKING:
    from flowplane.reporting.live import Live

__all__ = ["server_of"]

#: Milliseconds between an answer and the next question.
INTERVAL = 600
#: The one script that Dash writes into a page.
RENDERER = "var renderer = new DashRenderer();"
#: Names of this machine in the address of a page.
NAMES = ("127.0.0.1", "localhost", "[::1]")


class _Silent(WSGIRequestHandler):
    """Says nothing about requests."""

    def log(self, type: str, message: str, *args: Any) -> None:
        pass


def server_of(live: Live, listening: socket.socket) -> BaseWSGIServer:
    """A server of the page, on a socket that is bound already.

    Arguments:
        live: knows what is new.
        listening: is taken over.
    """
    host, port = listening.getsockname()
    app = _app(live)
    hosts = {f"{name}:{port}" for name in NAMES} | (set(NAMES) if port == 80 else set())

    def refuse_others() -> None:
        # a page elsewhere whose name was made to mean this machine (DNS rebinding) asks under its own name
        if request.headers.get("Host") not in hosts:
            abort(403)

    app.server.before_request(refuse_others)
    with listening:
        return make_server(host, port, app.server, threaded=True, request_handler=_Silent, fd=listening.fileno())


def _app(live: Live) -> Dash:
    """The page: its skeleton is there at once, what Dash adds is the asking."""
    settings: dict[str, Any] = {"serve_locally": True, "include_assets_files": False, "add_log_handler": False}
    settings |= {"enable_mcp": False, "update_title": None, "compress": False}
    app = Dash("flowplane", index_string=_index(), **settings)
    app.renderer = RENDERER
    app.layout = html.Div([dcc.Interval("tick", INTERVAL), dcc.Store("asked"), dcc.Store("news")])
    app.clientside_callback(ClientsideFunction("flowplane", "ask"), Output("asked", "data"), Input("tick", "n_intervals"))
    app.clientside_callback(ClientsideFunction("flowplane", "show"), Input("news", "data"))

    def answer(asked: Any) -> Any:
        return live.news(asked.get("seen") if isinstance(asked, dict) else None)

    def plotly() -> Any:
        script = app.server.response_class(get_plotlyjs(), mimetype="text/javascript")
        script.cache_control.max_age = 3600
        return script

    # the next question waits for the answer to this one
    waits = [(Output("tick", "disabled"), True, False)]
    app.callback(Output("news", "data"), Input("asked", "data"), running=waits)(answer)
    app.server.add_url_rule("/plotly.js", view_func=plotly)
    return app


def _index() -> str:
    """The page without anything in it; Dash puts its own scripts where the signs are."""
    links, sections = [], [element("p", "looking …", id="state", role="status"), element("ul", id="runs", class_="findings")]
    for part, heading in PARTS.items():
        links.append(element("li", element("a", heading, href=f"#{part}")))
        waits = element("p", class_="waits", role="status")
        content = (element("h2", heading, id=f"{part}-heading"), waits, element("div", class_="part"))
        sections.append(element("section", *content, id=part, aria_labelledby=f"{part}-heading"))
    figures, page, live = json_script("figure-data", {}), page_script(), Markup(packaged("live.js"))
    scripts = [
        Markup('<div hidden>{%app_entry%}</div><script src="plotly.js"></script>'),
        figures,
        element("script", page),
        element("script", live),
        Markup("{%config%}{%scripts%}{%renderer%}"),
    ]
    security = policy(page, live, RENDERER, sources=["'self'"], connect="'self'")
    return shell("flowplane", "flowplane watch", links, sections, scripts, security)
