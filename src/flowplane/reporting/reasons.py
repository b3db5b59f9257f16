"""Why a part of a report is missing, said to its reader rather than to a programmer."""

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
NOT_KEPT = "Activations were not kept, so how the layers move the data cannot be measured."


def reason(section: str, error: InputError) -> str:
    """A sentence for the reader; where none is known, what the exception says.

    Example:
        >>> reason("gradients", InputError("batches", 0, "a whole number, 1 or more"))
        'No step of an optimiser was seen, so there are no gradients to show.'
        >>> reason("plane", InputError("bins", 0, "2 or more"))
        'Bins: found 0, expected 2 or more.'
    """
    text = str(error)
    return known_reason(section, error) or f"{text[0].upper()}{text[1:]}."


def known_reason(section: str, error: InputError) -> str | None:
    """The sentence for the reader; None where none is known."""
    if section == "transport" and isinstance(error, NotRecorded):
        return NOT_KEPT
    if section == "transport" and error.argument == "rec":
        return f"Too few samples to follow: {error.found}, and 16 are needed at least."
    if error.argument == "activations":
        return "Activations are NaN or infinite."
    return SENTENCES.get((section, error.argument))
