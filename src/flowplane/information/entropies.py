"""Entropies of counts: plug-in, and corrections of its bias."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from jaxtyping import Float
from scipy.special import psi, xlogy

__all__ = ["CORRECTIONS", "entropy_table", "entropy_tables"]

#: Miller (1955); Burnham and Overton's jackknife, Zahl (1977); Grassberger (2003), arXiv physics/0307138.
CORRECTIONS = ("miller-madow", "jackknife", "grassberger")


@lru_cache(maxsize=16)
def entropy_table(n: int, correction: str | None) -> tuple[Float[np.ndarray, " count"], float]:
    """f and C with H = C − Σ f(m)/n in bits for counts m that sum to n.

    - plug-in: f = m log m, C = log n;
    - Miller–Madow: plug-in + (K − 1)/2n nats for K occupied cells;
    - jackknife: n H − (n−1) times the mean of H with one sample left out, which is
      f = m [m log m − (m−1) log(m−1)], C = n log n − (n−1) log(n−1);
    - Grassberger: f = m G(m), C = log n, with G(m) = ψ(m) + (−1)^m/2 [ψ((m+1)/2) − ψ(m/2)].

    Example:
        >>> table, constant = entropy_table(4, None)
        >>> float(constant - table[[2, 2]].sum() / 4)
        1.0
    """
    m = np.arange(n + 1.0)
    constant = np.log(n)
    table = xlogy(m, m)
    if correction == "miller-madow":
        table = table - 0.5 * (m > 0)
        constant -= 0.5 / n
    elif correction == "jackknife":
        before = np.maximum(m - 1, 0)
        table = m * (table - xlogy(before, before))
        constant = xlogy(n, n) - xlogy(n - 1, n - 1)
    elif correction == "grassberger":
        table[1:] = m[1:] * (psi(m[1:]) + 0.5 * (-1) ** m[1:] * (psi((m[1:] + 1) / 2) - psi(m[1:] / 2)))
    return table / np.log(2.0), float(constant / np.log(2.0))


def entropy_tables(n: int, correction: str | None) -> tuple[Float[np.ndarray, "3 count"], Float[np.ndarray, "3"]]:
    """f and C as corrected, of the plug-in, and of the jackknife, which shows how far the others may be off."""
    tables = [entropy_table(n, kind) for kind in (correction, None, "jackknife")]
    return np.stack([table for table, _ in tables]), np.array([constant for _, constant in tables])
