"""What a model is probed on, as a user has it: the arguments of its call, and labels."""

from flowplane.recorder.inputs.arguments import ProbeInputs
from flowplane.recorder.inputs.labels import Labels, read_labels
from flowplane.recorder.inputs.reading import read_inputs

__all__ = ["Labels", "ProbeInputs", "read_inputs", "read_labels"]
