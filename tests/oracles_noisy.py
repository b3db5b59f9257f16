"""Information of small noisy networks by quadrature, in NumPy alone; imports nothing of flowplane.

Each function answers (I(X;T), I(T;Y), h(T)) in bits for p(x, y) given as `joint` (x, class).
"""

import numpy as np


def _normal(apart, variance):
    return np.exp(-(apart**2) / (2 * variance)) / np.sqrt(2 * np.pi * variance)


def from_densities(given, joint, cell):
    """From p(t|x) on a grid (x, t) whose cells have the volume `cell`."""
    px, py = joint.sum(1), joint.sum(0)
    density = px @ given
    labelled = joint.T @ given

    def integral(values, relative):
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(values > 0, values * np.log2(relative), 0.0).sum() * cell

    i_xt = integral(px[:, None] * given, given / density)
    i_ty = integral(labelled, labelled / (py[:, None] * density))
    return i_xt, i_ty, -integral(density, density)


def one_unit(centres, variance, joint):
    """T = centre of x + N(0, variance), on a line."""
    reach = 9 * np.sqrt(variance)
    grid = np.linspace(centres.min() - reach, centres.max() + reach, 20001)
    return from_densities(_normal(grid - centres[:, None], variance), joint, grid[1] - grid[0])


def two_layers_of_one_unit(centres, function, variance, joint):
    """T_2 = function(T_1) + N(0, variance), T_1 = centre of x + N(0, variance): p(t_2|x) integrated over t_1."""
    reach = 9 * np.sqrt(variance)
    first = np.linspace(centres.min() - reach, centres.max() + reach, 2001)
    middle = function(first)
    second = np.linspace(middle.min() - reach, middle.max() + reach, 2001)
    path = _normal(first - centres[:, None], variance) * (first[1] - first[0])
    return from_densities(path @ _normal(second - middle[:, None], variance), joint, second[1] - second[0])


def two_layers_of_two_units(centres, function, variance, joint, points=61):
    """The same in the plane; `function` takes and gives (point, 2)."""
    reach = 6 * np.sqrt(variance)

    def grid(values):
        axes = [np.linspace(values[:, k].min() - reach, values[:, k].max() + reach, points) for k in (0, 1)]
        cell = (axes[0][1] - axes[0][0]) * (axes[1][1] - axes[1][0])
        return np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 2), cell

    def kernel(targets, sources):
        return _normal(targets[:, None, 0] - sources[None, :, 0], variance) * _normal(
            targets[:, None, 1] - sources[None, :, 1], variance
        )

    first, area = grid(centres)
    middle = function(first)
    second, cell = grid(middle)
    path = kernel(centres, first) * area
    return from_densities(path @ kernel(middle, second), joint, cell)
