"""Recording somebody's own model: `Recorder` while it is trained, `record` as it is, `from_checkpoints` from weights that it
left behind, `from_arrays` from activations."""

from flowplane.recorder.arrays import from_arrays
from flowplane.recorder.checkpoints import from_checkpoints
from flowplane.recorder.record import record
from flowplane.recorder.recorder import Recorder

__all__ = ["Recorder", "from_arrays", "from_checkpoints", "record"]
