"""Recordings: what a network or an ensemble did, snapshot by snapshot, in an Icechunk repository or in memory."""

from flowplane.recording.array_store import ArrayWriter
from flowplane.recording.cache import clean
from flowplane.recording.ensemble_store import EnsembleWriter, Snapshot
from flowplane.recording.ensembles import EnsembleRecording
from flowplane.recording.model_store import Metrics, ModelSnapshot, ModelWriter
from flowplane.recording.models import ARRAYS, LENS, ModelRecording
from flowplane.recording.once import Block, by_snapshot, computed_once, kept_value
from flowplane.recording.opening import open_recording, recording_of
from flowplane.recording.reader import Recording, require_recording
from flowplane.recording.store import MODES, versions

__all__ = [
    "ARRAYS",
    "LENS",
    "MODES",
    "ArrayWriter",
    "Block",
    "EnsembleRecording",
    "EnsembleWriter",
    "Metrics",
    "ModelRecording",
    "ModelSnapshot",
    "ModelWriter",
    "Recording",
    "Snapshot",
    "by_snapshot",
    "clean",
    "computed_once",
    "kept_value",
    "open_recording",
    "recording_of",
    "require_recording",
    "versions",
]
