"""Recording somebody's own model: `Recorder` while it is trained, `from_checkpoints` from what it left behind, `record` as
it is."""

from flowplane.recorder.checkpoints import from_checkpoints
from flowplane.recorder.record import record
from flowplane.recorder.recorder import Recorder

__all__ = ["Recorder", "from_checkpoints", "record"]
