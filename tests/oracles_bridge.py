"""Exact denoisers of two normal classes on a line. Nothing here imports flowplane."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import entr


def given_class(noisy, y, level, variance):
    """E[T | T + N(0, τ) = noisy, Y = ±1], T | Y ~ N(Y, v)."""
    return y + variance / (variance + level) * (noisy - y)


def of_both(noisy, level, variance):
    """E[T | T + N(0, τ) = noisy], both classes equally likely."""
    share = 1 / (1 + np.exp(-2 * noisy / (variance + level)))
    return share * given_class(noisy, 1, level, variance) + (1 - share) * given_class(noisy, -1, level, variance)


def errors(level, variance):
    """E|T − ĝ|², E|T − ĝ_Y|² and E|ĝ_Y − ĝ|² by the trapezoid rule over the noisy values of the class 1."""
    spread = math.sqrt(variance + level)
    noisy = 1 + spread * np.linspace(-12, 12, 20001)
    density = np.exp(-((noisy - 1) ** 2) / (2 * spread**2)) / math.sqrt(2 * math.pi) / spread
    step = noisy[1] - noisy[0]
    gap = ((given_class(noisy, 1, level, variance) - of_both(noisy, level, variance)) ** 2 * density).sum() * step
    given = variance * level / (variance + level)
    return given + gap, given, gap


def information(variance):
    """I(T;Y) in bits."""
    spread = math.sqrt(variance)
    t = 1 + spread * np.linspace(-12, 12, 20001)
    density = np.exp(-((t - 1) ** 2) / (2 * variance)) / math.sqrt(2 * math.pi) / spread
    share = 1 / (1 + np.exp(-2 * t / variance))
    return 1 - float((density * (entr(share) + entr(1 - share))).sum() * (t[1] - t[0])) / math.log(2)
