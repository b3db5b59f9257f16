"""
Estimators held against known truths
====================================

*Can an estimate of mutual information be believed?* Only distributions whose information is known can say. Here are
three, one normal and two that are not, five hundred samples of each, and three estimators: k nearest neighbours
(KSG), covariances (GaussianMI), and the error of learned denoisers (Denoising). Each comes with a 95 % interval and
with flags, which say why it cannot be believed.
"""

import numpy as np
import plotly.graph_objects as go

import flowplane as fp

n, random = 500, np.random.default_rng(0)


def normals(correlation, pairs=1):
    """(x, y), each coordinate of x correlated with one of y."""
    x = random.normal(size=(n, pairs))
    return x, correlation * x + np.sqrt(1 - correlation**2) * random.normal(size=(n, pairs))


def of_normals(correlation, pairs=1):
    """Their mutual information in bits."""
    return -pairs / 2 * np.log2(1 - correlation**2)


x, y = normals(0.8)
a, b = random.uniform(size=(2, n, 1))
width = 0.3
cases = {
    "three pairs of normals": (*normals(0.7, 3), of_normals(0.7, 3)),
    "a pair of normals, bent": (np.sign(x) * abs(x) ** 0.5, np.tanh(y), of_normals(0.8)),  # one to one: as much as before
    "uniform noise, added": (a, a + width * b, np.log2(1 / width) + width / (2 * np.log(2))),
}
estimators = {"KSG": fp.KSG(), "GaussianMI": fp.GaussianMI(), "Denoising": fp.Denoising(0.0)}
found = {
    case: {name: fp.mutual_information(x, y, estimator) for name, estimator in estimators.items()}
    for case, (x, y, _) in cases.items()
}

# %%
# All intervals without a flag hold the truth. GaussianMI assumes normal samples, and says so where they are not.
# Nearest neighbours are low in six dimensions, which their interval allows for.

print("I(X;Y) in bits [95 % interval]; * has a flag")
for case, (_, _, truth) in cases.items():
    print(f"{case}: {truth:.3f}")
    for name, one in found[case].items():
        value, lower, upper, flags = (one[f"mutual_information{end}"].item() for end in ("", "_lower", "_upper", "_flags"))
        print(f"   {name:11} {value:6.3f} [{lower:6.3f}, {upper:6.3f}] {'*' if flags else ''}")
print()
print(fp.explain(found["a pair of normals, bent"]["GaussianMI"]))

# %%
# Estimates against the truth, with their intervals; hollow where a flag is raised. On the line an estimate is right.

figure = go.Figure(layout={"template": "plotly_white", "width": 760, "height": 480, "title": "Estimates against the truth"})
truths = np.array([truth for _, _, truth in cases.values()])
for k, name in enumerate(estimators):
    ones = [found[case][name] for case in cases]
    value, lower, upper, flags = (
        np.array([one[f"mutual_information{end}"].item() for one in ones]) for end in ("", "_lower", "_upper", "_flags")
    )
    figure.add_scatter(
        x=truths + 0.02 * (k - 1),  # side by side
        y=value,
        mode="markers",
        name=name,
        text=list(cases),
        marker={"size": 10, "symbol": ["circle-open" if flag else "circle" for flag in flags]},
        error_y={"array": upper - value, "arrayminus": value - lower, "symmetric": False},
        hovertemplate="%{text}: %{y:.3f} bits",
    )
ends = [0.9 * truths.min(), 1.05 * truths.max()]
figure.add_scatter(x=ends, y=ends, mode="lines", line={"color": "grey", "width": 1}, name="right", hoverinfo="skip")
figure.update_xaxes(title="true information [bits]")
figure.update_yaxes(title="estimate [bits]")
figure
