"""
A function rebuilt from hidden units that nobody trained
========================================================

*Where does a function live among the units of a hidden layer?* A network with infinitely many units is an integral
over all (a, b) of σ(a·x − b), and the ridgelet transform R(a, b) says with which weight each of them belongs to a
given function. N units that are drawn in proportion to the size of R make a finite network without any training; its
error falls like 1/√N.
"""

import numpy as np
import plotly.graph_objects as go

import flowplane as fp

x = np.linspace(-1, 1, 400)
values = np.sin(2 * np.pi * x) * np.exp(-3 * x**2)
spectrum = fp.ridgelet.transform(values, x, pair=fp.ridgelet.Pair("tanh"))
networks = {units: fp.ridgelet.finite_network(spectrum, units, seed=0) for units in (100, 10_000)}
fp.plot.ridgelet_spectrum(spectrum.to_dataset(), fp.ridgelet.units_of(networks[100]))

# %%
# The function, its integral over all units, and networks of a hundred and of ten thousand of them.

figure = go.Figure(layout={"xaxis_title": "x", "yaxis_title": "f(x)", "title": "A function and its networks"})
figure.update_layout(template="plotly_white", width=760, height=460)
figure.add_scatter(x=x, y=values, name="f", line={"width": 5, "color": "lightgrey"})
figure.add_scatter(x=x, y=spectrum.reconstruct(x[:, None]), name="all units (integral)", line={"dash": "dot"})
for units, network in networks.items():
    figure.add_scatter(x=x, y=network(x[:, None]), name=f"{units:,} units")
figure

# %%
# The error, root mean square over x and over ten draws of the units, beside what 1/√N predicts from the first. A
# hundred units are worse than none, as their error is greater than f itself.

size = np.sqrt(np.mean(values**2))
of_integral = np.sqrt(np.mean((spectrum.reconstruct(x[:, None]) - values) ** 2))
print(f"root mean square of f: {size:.4f}; error of the integral: {of_integral:.4f}")
first = None
for units in (100, 400, 1600, 6400, 25_600):
    draws = [fp.ridgelet.finite_network(spectrum, units, seed=seed)(x[:, None]) - values for seed in range(10)]
    error = np.sqrt(np.mean(np.square(draws)))
    first = first or error * units**0.5
    print(f"{units:6,} units: error {error:.4f}, predicted {first / units**0.5:.4f}")
