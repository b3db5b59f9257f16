"""`fp.report`: one page that answers, layer by layer, what it knows, how it moves the data, when it learned it, and which
of these numbers can be trusted."""

from __future__ import annotations

import os
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from flowplane.core.executors import executor_of
from flowplane.core.files import write_text
from flowplane.core.paths import as_path
from flowplane.core.threads import one_thread_each
from flowplane.errors import InputError
from flowplane.reporting.page import page_of
from flowplane.reporting.sources import subjects_of

__all__ = ["report"]


def report(
    source: Any, path: str | os.PathLike[str] = "report.html", *, denoising: bool = False, cluster: Any = None
) -> Path:
    """Write one self-contained page about a recording, an experiment or a flow; it opens offline.

    Arguments:
        source: a Recording, the path of one, an experiment's Result, a folder of results or of one experiment, or a flow
            that knows its source; or a list of them, shown side by side on the same axes, flows beside flows only.
        path: of the page, ending in .html.
        denoising: show as well how hard the layers of a recording are to denoise, and beside I(X;T), where a layer tells
            every input apart, the bound by denoising, which does not saturate there (`fp.denoising_spectrum`). Takes
            minutes.
        cluster: None for this process; or workers, as for `fp.sweep`, for the analyses of recordings, read where they lie.

    Returns:
        The page's path.

    Raises:
        InputError: nothing to report, flows beside something else, a path that cannot be written, or denoising where there
            is no recording.

    Example:
        >>> import tempfile
        >>> from flowplane.experiments.claim import Claim
        >>> from flowplane.experiments.registry import Result
        >>> numbers = {"measured": (4.4,), "interval": ((4.0, 4.8),)}
        >>> claim = Claim(id="B-1", role="headline", statement="I(X;T) falls", verdict="reproduced", **numbers)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     page = report(Result({}, {}, [claim]), f"{folder}/report.html").read_text()
        >>> "4.40 [4.00, 4.80]" in page
        True
    """
    target = as_path("path", path)
    if target.suffix.lower() not in (".html", ".htm") or target.is_dir():
        raise InputError("path", str(path), "a file name that ends in .html")
    _require_writable(target)
    # without a cluster each analysis shares out its work as it does by itself
    with nullcontext() if cluster is None else executor_of(cluster) as executor, one_thread_each():
        page = page_of(subjects_of(source, denoising, executor))
    try:
        write_text(target, page)
    except OSError as error:
        raise InputError("path", str(path), f"a file that can be written ({error.strerror})") from error
    return target


def _require_writable(target: Path) -> None:
    """Before anything is measured."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError("path", str(target), f"a file in a folder that can be made ({error.strerror})") from error
    if not os.access(target.parent, os.W_OK) or (target.exists() and not os.access(target, os.W_OK)):
        raise InputError("path", str(target), "a file that can be written")
