"""A number that knows how it was found and how far it may be off."""

from __future__ import annotations

__all__ = ["Estimate"]


class Estimate(float):
    """A float with its standard error, its method and its units.

    Example:
        >>> found = Estimate(1.4189, 0.01, "Monte Carlo, 10000 points", "nats")
        >>> found
        1.4189 ± 0.01 nats (Monte Carlo, 10000 points)
        >>> round(2 * found, 4), found.standard_error
        (2.8378, 0.01)
    """

    standard_error: float
    method: str
    units: str

    def __new__(cls, value: float, standard_error: float, method: str, units: str) -> Estimate:
        made = super().__new__(cls, value)
        made.standard_error = float(standard_error)
        made.method = method
        made.units = units
        return made

    def __reduce__(self) -> tuple[type[Estimate], tuple[float, float, str, str]]:
        return Estimate, (float(self), self.standard_error, self.method, self.units)

    def __repr__(self) -> str:
        return f"{float(self):.6g} ± {self.standard_error:.2g} {self.units} ({self.method})"
