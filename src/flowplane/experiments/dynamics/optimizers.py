"""Adam, which the published code uses, and SGD, which the paper speaks of: claims are put to both."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["OPTIMIZERS", "verdict_of_all"]

OPTIMIZERS = ("adam", "sgd")


def verdict_of_all(verdicts: Sequence[str]) -> str:
    """That of a claim which holds only if all its parts do: one part contradicted is enough to contradict it.

    Example:
        >>> verdict_of_all(["reproduced", "inconclusive"]), verdict_of_all(["reproduced", "contradicted"])
        ('inconclusive', 'contradicted')
    """
    if "contradicted" in verdicts:
        return "contradicted"
    return "reproduced" if set(verdicts) == {"reproduced"} else "inconclusive"
