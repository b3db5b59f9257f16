"""
Two moons, denoised by shallow, deep and infinitely deep autoencoders
=====================================================================

*What does depth do to a density?* Sonoda and Murata (2019) read a denoising autoencoder as a map that moves points
towards where the data are dense. One layer removes all of the noise at once; L layers remove an L-th of it each,
every one made for the density that the layers before it left; infinitely many are a flow, dx/dt = ∇log p_t(x), which
runs the heat equation backwards. Two moons are a mixture whose density and score are known exactly, so that nothing
here is trained.
"""

import math

import flowplane as fp

moons = fp.densities.two_moons(noise=0.2)
time = 0.015  # the variance of the noise that is removed
flows = {
    "shallow, one layer": fp.denoising_flow(moons, time, layers=1),
    "four layers": fp.denoising_flow(moons, time, layers=4),
    "infinitely many": fp.denoising_flow(moons, time, layers=math.inf),
}
histories = {
    name: fp.transport.flow_history(flow, samples=120, times=[0.0, 0.0075, 0.015], points=29) for name, flow in flows.items()
}
fp.plot.flow_history(histories, "Two moons flow onto their curves")

# %%
# The deeper, the faster the density contracts at equal noise: entropy and variance are lower and the points have
# moved further. All three are optimal transport between their start and end, as far as 2,000 points can tell.

profiles = {name: flow.profile(samples=2000, times=[0.0, 0.005, 0.01, 0.015]) for name, flow in flows.items()}
print("autoencoder          entropy [nats]   variance      W_2 from the start   optimality")
for name, profile in profiles.items():
    last = profile.isel(time=-1)
    print(
        f"{name:20} {last.entropy.item():8.3f} {last.variance.item():14.4f}"
        f" {last.wasserstein.item():18.4f} {last.optimality.item():16.4f}"
    )
start = next(iter(profiles.values())).isel(time=0)
print(f"{'before':20} {start.entropy.item():8.3f} {start.variance.item():14.4f}")
fp.plot.flow_profile(profiles)
