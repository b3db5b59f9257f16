"""
A flow-matching model read as a flow
====================================

*What does a generative model waste, and how many steps does it need?* A velocity field is trained to carry a normal
distribution to two moons. What it spends along its paths is E∫|u|² ds. Part of that is what transport between the two
densities must cost, W_2²; the rest goes into starts paired with the wrong ends, into bends, and into an uneven pace.
Three ways of training are compared: independent pairs, pairs from optimal transport in each batch, and a flow that
was straightened ("rectified") by training on its own pairs.
"""

import flowplane as fp

noise, moons = fp.Normal([0.0, 0.0], 1.0), fp.densities.two_moons(noise=0.1)
options = {"steps": 1500, "seed": 0}
independent = fp.transport.train_velocity((64, 64), noise, moons, **options)
optimal = fp.transport.train_velocity((64, 64), noise, moons, coupling="optimal", **options)
flows = {
    "independent pairs": independent,
    "optimal pairs": optimal,
    "rectified": fp.transport.rectify(independent, samples=5000, **options),
}

# %%
# Samples of the first flow on their way, with a slider for the time.

fp.plot.flow_samples(fp.transport.flow_samples(independent, 300, times=[0.0, 0.25, 0.5, 0.75, 1.0]))

# %%
# Where the energy goes. The parts are measured one by one on the same 500 particles, so that their sum is a check. As
# far as 500 particles can tell, none of the three flows takes starts to the wrong ends, although the first was
# trained on pairs that were drawn at random: what it wastes are bends and an uneven pace.

budgets = {name: flow.budget(samples=500) for name, flow in flows.items()}
print("squared units of x  energy transport  coupling   bending      pace  sum of the four")
for name, spent in budgets.items():
    parts = [spent[term].item() for term in ("transport", "coupling", "bending", "pace")]
    print(f"{name:18} {spent.energy.item():7.3f} {''.join(f'{part:10.3f}' for part in parts)} {sum(parts):13.3f}")
fp.plot.budget(budgets)

# %%
# A straight path at an even pace needs a single step of Euler's method, and bends need more. How many steps bring the
# ends to within a hundredth of the distance that the particles move:

steps = {name: flow.steps(samples=300) for name, flow in flows.items()}
for name, found in steps.items():
    euler, heun = (found.least_steps.sel(solver=solver).item() for solver in ("euler", "heun"))
    print(f"{name}: Euler {euler:.0f} steps, Heun {heun:.0f} steps (two evaluations each)")
fp.plot.steps(steps)
