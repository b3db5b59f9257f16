"""Opening a recording: an ensemble's or a model's, as it was at its last committed snapshot."""

from __future__ import annotations

import json
from typing import Any

import icechunk
import zarr

from flowplane.core.older import configuration
from flowplane.recording.ensembles import EnsembleRecording
from flowplane.recording.models import ModelRecording
from flowplane.recording.reader import Recording
from flowplane.recording.store import BRANCH, open_repository

__all__ = ["open_recording", "recording_of"]


def open_recording(path: Any) -> Recording:
    """Open a recording as it was at its last committed snapshot.

    Arguments:
        path: a folder, or an icechunk Storage.

    Raises:
        InputError: there is no recording, or a newer flowplane wrote it.

    Example:
        >>> open_recording("nowhere.fp")
        Traceback (most recent call last):
        ...
        flowplane.errors.InputError: path: found 'nowhere.fp', expected a recording, ...
    """
    repository, name = open_repository(path)
    return recording_of(repository, name)


def recording_of(repository: icechunk.Repository, name: str | None) -> Recording:
    """The Recording of an open repository: an ensemble's, or a model's."""
    root = zarr.open_group(repository.readonly_session(BRANCH).store, mode="r")
    kind = configuration(json.loads(str(root.attrs["configuration"])))["kind"]
    return (ModelRecording if kind == ModelRecording.kind else EnsembleRecording)(repository, name)
