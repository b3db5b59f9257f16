"""What `fp.report` was given, as the columns of a page."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xarray as xr

from flowplane.core.paths import as_path
from flowplane.core.progress import progress_bar
from flowplane.errors import InputError, Text
from flowplane.reporting.subject import Subject

if TYPE_CHECKING:
    from flowplane.recording import Recording
    from flowplane.transport import TransportMap

__all__ = ["MOST", "subjects_of", "titles_of"]

#: Columns that a page can hold side by side.
MOST = 6
EXPECTED = (
    "a Recording (a Recorder has it as .recording), an experiment's Result, a flow, the path of a recording or of results, "
    "or a list of them"
)


def subjects_of(source: Any, denoising: bool = False, cluster: Any = None) -> list[Subject]:
    """A Subject for each thing in a source.

    Arguments:
        denoising: whether the layers of recordings are denoised as well.
        cluster: who analyses recordings, as for `fp.report`.

    Raises:
        InputError: an empty list, too many, something that is none of the kinds a report can show, or nothing to denoise.
    """
    several = list(source) if isinstance(source, list | tuple) else [source]
    if not several:
        raise InputError("source", source, f"at least one: {EXPECTED}")
    if len(several) > MOST:
        raise InputError("source", Text(f"{len(several)} things"), f"at most {MOST} to compare")
    titles = titles_of(several)
    found = [_found(part, title) for part, title in zip(several, titles, strict=True)]
    if all(isinstance(part, Subject) for part in found):
        if denoising:
            raise InputError("denoising", True, "False: results are shown as they were found; recordings can be denoised")
        return [part for part in found if isinstance(part, Subject)]
    from flowplane.reporting.flows import PARTS as OF_FLOW
    from flowplane.reporting.flows import of_flow
    from flowplane.reporting.recordings import DENOISING, PARTS, of_recording
    from flowplane.transport import TransportMap

    flows = sum(isinstance(part, TransportMap) for part in found)
    if 0 < flows < len(found):
        expected = "either flows only, or recordings and results only: they have no number in common"
        raise InputError("source", Text("flows beside something else"), expected)
    if flows and denoising:
        raise InputError("denoising", True, "False: a flow has no layers to denoise; recordings can be denoised")
    measured = sum(not isinstance(part, Subject) for part in found)
    with progress_bar("report", measured * (OF_FLOW if flows else PARTS + DENOISING * denoising)) as advance:
        return [
            part
            if isinstance(part, Subject)
            else of_flow(part, title, advance)
            if isinstance(part, TransportMap)
            else of_recording(part, title, denoising, cluster, advance)
            for part, title in zip(found, titles, strict=True)
        ]


def titles_of(several: list[Any]) -> list[str]:
    """Names of paths; of things in memory what they are; numbered where two would be the same."""
    names = []
    for part in several:
        path = getattr(part, "path", part)
        if isinstance(path, str | os.PathLike):
            names.append(Path(path).expanduser().resolve().name)
        else:
            names.append(_kind(part))
    if len(set(names)) == len(names):
        return names
    return [f"{name} ({place})" for place, name in enumerate(names, start=1)]


def _kind(part: Any) -> str:
    """What a thing in memory is called; flows by their class, whose name says how they were made."""
    if hasattr(part, "log_det_jacobian"):
        return type(part).__name__
    return "result" if hasattr(part, "claims") else "recording"


def _found(part: Any, title: str) -> Subject | Recording | TransportMap:
    """Results as a Subject, a recording or a flow as it is; for results nothing slow is imported."""
    from flowplane.experiments.registry import Result
    from flowplane.reporting.results import of_folder, of_result

    if isinstance(part, Result):
        return of_result(part, title)
    if isinstance(part, str | os.PathLike):
        path = as_path("source", part)
        if not path.exists():
            raise InputError("source", str(part), "a recording or a folder of results; nothing is there")
        if path.is_dir() and (any(path.glob("claims.json")) or any(path.glob("*/claims.json"))):
            return of_folder(path, title)
        part = _opened(path)
    from flowplane.recording import Recording
    from flowplane.transport import TransportMap

    if not isinstance(part, Recording | TransportMap):
        drawn = "; fp.plot.show draws a Dataset" if isinstance(part, xr.Dataset) else ""
        raise InputError("source", Text(type(part).__name__), EXPECTED + drawn)
    return part


def _opened(path: Path) -> Recording:
    from flowplane.recording import open_recording

    try:
        return open_recording(path)
    except InputError as error:
        also = " (or a folder of results, with claims.json files in it or one level down)"
        raise InputError("source", error.found, f"{error.expected}{also}") from error
