"""
The Gaussian information bottleneck and its critical betas
==========================================================

*What is the best that any encoder could do, and where does it change its mind?* The information bottleneck trades
bits of the input against bits of the label, min I(X;T) − βI(T;Y). For jointly normal X and Y the solution is known
(Chechik et al., 2005): at each critical β one more direction of X opens. For a discrete rule clusters split instead,
and the critical points have to be found.
"""

import numpy as np

import flowplane as fp

correlations = np.array([0.9, 0.7, 0.4])  # between three pairs of coordinates of X and Y
curve = fp.gaussian_ib(np.eye(3), np.eye(3), np.diag(correlations))
print(f"I(X;Y) = {curve.attrs['information']:.3f} bits, where the curve ends")
for rho, beta in zip(correlations, curve.critical_betas.values, strict=True):
    print(f"correlation {rho}: its direction opens at β = {beta:.3f} (1/ρ² = {1 / rho**2:.3f})")

# %%
# Each point is a solution, a colour a β. Where only the first direction is open the curve is that of one pair alone.

fp.plot.ib_curve(curve, title="The bound for three pairs of correlated normals")

# %%
# A discrete rule: eight inputs, and a label that is more and more likely from the first input to the last. The
# solution now has clusters of inputs, one of them below the first critical β and more and more beyond. Where a
# solution loses its stability one of its clusters splits; before some of these points another solution, with more
# clusters, has become the better one already.

chance = 1 / (1 + np.exp(-3 * np.linspace(-1, 1, 8)))
joint = np.stack([chance, 1 - chance], axis=1) / 8
curve = fp.ib_curve(joint, np.geomspace(1, 100, 40))
critical = fp.critical_betas(joint)
for k in range(critical.sizes["critical"]):
    point = critical.isel(critical=k)
    print(
        f"β = {point.beta.item():6.3f}: {point.kind.item():15}, {point.clusters_before.item():.0f} to"
        f" {point.clusters_after.item():.0f} clusters, I(X;T) = {point.i_xt.item():.3f} bits"
    )
fp.plot.ib_curve(curve, critical)

# %%
# The number of clusters against β.

fp.plot.critical_betas(critical)
