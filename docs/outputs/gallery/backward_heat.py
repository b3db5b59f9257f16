"""
Denoising runs the heat equation backward
=========================================

A continuous denoising autoencoder moves a mixture of two normals; its entropy falls at the rate of the Fisher information.
"""

import math

import flowplane as fp

# %%
# A mixture of normals stays one, so that density, score and flow are exact. The flow ends at a singular time, half the least
# variance of a component.
mixture = fp.GaussianMixture([0.5, 0.5], [[-1.0], [1.0]], [[[0.2]], [[0.2]]])
flow = fp.denoising_flow(mixture, 0.09, math.inf)
print(f"variance {mixture.covariance.item():.3f} before, {flow(mixture.sample(20_000, seed=0)).var():.3f} after")

# %%
# The slider follows density and particles.
fp.plot.flow_history(fp.transport.flow_history(flow, samples=100))
