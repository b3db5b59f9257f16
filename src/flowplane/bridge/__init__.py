"""Where both lenses meet: information by denoising."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowplane.core.lazy import lazy

if TYPE_CHECKING:
    from flowplane.bridge.denoising import Denoising as Denoising
else:
    __getattr__, __dir__, __all__ = lazy(__name__)
