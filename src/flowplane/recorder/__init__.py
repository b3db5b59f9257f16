"""Recording a model of one's own: `Recorder` while it is trained, `record` as it is, `from_checkpoints` from saved weights,
`from_arrays` from saved activations."""

from flowplane.recorder.arrays import from_arrays
from flowplane.recorder.checkpoints import from_checkpoints
from flowplane.recorder.record import record
from flowplane.recorder.recorder import Recorder

__all__ = ["Recorder", "from_arrays", "from_checkpoints", "record"]
