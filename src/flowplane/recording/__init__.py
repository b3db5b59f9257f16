"""Recordings: what an ensemble did, snapshot by snapshot, in an Icechunk repository or in memory."""

from flowplane.recording.reader import Recording, open_recording, require_recording
from flowplane.recording.store import Snapshot, Writer

__all__ = ["Recording", "Snapshot", "Writer", "open_recording", "require_recording"]
