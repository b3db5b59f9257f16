"""Where things are computed."""

from __future__ import annotations

from typing import Any

import torch

from flowplane.errors import InputError

__all__ = ["chosen_device"]


def chosen_device(name: Any) -> torch.device:
    """The device of a name; "auto" is the GPU where there is one. Raises InputError for one that is not available.

    Example:
        >>> chosen_device("cpu")
        device(type='cpu')
    """
    if isinstance(name, torch.device):
        name = str(name)
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError) as error:
        raise InputError("device", name, "'auto', 'cpu' or 'cuda'") from error
    if device.type not in ("cpu", "cuda"):
        raise InputError("device", name, "'auto', 'cpu' or 'cuda'")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise InputError("device", name, f"an available GPU; PyTorch sees {torch.cuda.device_count()}")
    return device
