"""Why a part of a report is missing, in a sentence for its reader rather than for a programmer."""

from __future__ import annotations

from flowplane.errors import InputError, NotRecorded

__all__ = ["known_reason", "reason"]

NO_PLANE = "Activations were not kept, and none of the measures taken while recording gives I(X;T) and I(T;Y)."
NO_STEP = "No step of an optimiser was seen, so there are no gradients to show."
#: By section and argument that was refused.
SENTENCES = {
    ("plane", "rec"): NO_PLANE,
    ("plane", "measure"): NO_PLANE,
    ("geometry", "rec"): "Activations were not kept, so how the layers lay out their points cannot be measured.",
    ("denoising", "rec"): "Activations were not kept, so the layers cannot be denoised.",
    ("gradients", "rec"): NO_STEP,
    ("gradients", "batches"): NO_STEP,
    ("gradients", "gradients"): "Gradients were not kept.",
    ("gradients", "epochs"): "Too few snapshots: gradient phases need two or more after epoch 0.",
    ("transport", "memory_budget"): "The layers are too wide for memory, so how they move the data was not measured.",
}
#: For each section, what could not be measured, and the call that says why.
UNKNOWN = {
    "plane": ("What the layers know", "fp.information_plane(rec)"),
    "geometry": ("How the layers lay out their points", "fp.layer_geometry(rec)"),
    "denoising": ("How hard the layers are to denoise", "fp.denoising_spectrum(rec)"),
    "gradients": ("The phases of the gradients", "fp.gradient_phases(rec)"),
    "transport": ("How the layers move the data", "fp.layer_transport(rec)"),
    "training": ("What was logged while training", "rec.metrics"),
    "stream": ("How the residual stream moves the data", "fp.layer_budget(rec)"),
    "movement": ("How the flow moves its points", "flow.profile()"),
    "cost": ("What the flow spends", "flow.budget()"),
    "steps": ("How many steps the flow needs", "flow.steps()"),
}
#: Sections on how layers move the data.
MOVING = ("transport", "stream")
NOT_KEPT = "Activations were not kept, so how the layers move the data cannot be measured."


def reason(section: str, error: InputError) -> str:
    """A sentence for the reader; where none is known, the call that says why.

    Example:
        >>> reason("gradients", InputError("batches", 0, "a whole number, 1 or more"))
        'No step of an optimiser was seen, so there are no gradients to show.'
        >>> reason("plane", InputError("bins", 0, "2 or more"))
        'What the layers know could not be measured; `fp.information_plane(rec)` says why.'
    """
    what, call = UNKNOWN[section]
    return known_reason(section, error) or f"{what} could not be measured; `{call}` says why."


def known_reason(section: str, error: InputError) -> str | None:
    """The sentence for the reader; None where none is known."""
    if section in MOVING and isinstance(error, NotRecorded):
        return NOT_KEPT
    if section in MOVING and error.argument == "rec":
        return f"Too few samples to follow: {error.found}, where at least 16 are needed."
    if error.argument == "spectrum":
        return f"{error.found}."
    if error.argument == "activations":
        return "Activations are NaN or infinite."
    return SENTENCES.get((section, error.argument))
