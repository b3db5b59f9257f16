"""What recordings of earlier formats call otherwise, in today's words.

1: ensembles of `fp.train`. 2: recordings of a model as well. 3: arguments under their new names.
"""

from __future__ import annotations

from typing import Any

__all__ = ["FORMAT", "translated"]

#: What is written now.
FORMAT = 3
#: Arguments that were called otherwise before format 3.
RENAMED = {"ensemble": {"noise": "noise_variance"}, "model": {"total": "epochs"}}
#: Arguments that recordings may be older than, and what was done before there was a choice.
BEFORE: dict[str, dict[str, Any]] = {"ensemble": {"noise_variance": 0.0}, "model": {"deterministic": True}}


def translated(configuration: dict[str, Any]) -> dict[str, Any]:
    """The configuration of a recording, of whatever format, as it is written now.

    Example:
        >>> translated({"seed": 0, "noise": 0.1})
        {'kind': 'ensemble', 'noise_variance': 0.1, 'seed': 0}
    """
    kind = configuration.get("kind", "ensemble")
    names = RENAMED[kind]
    return {"kind": kind} | BEFORE[kind] | {names.get(name, name): value for name, value in configuration.items()}
