"""
A normalising flow read as transport
====================================

*How close did a normalising flow come, and by what way do its layers move the points?* zuko's neural spline flow is
trained on points of two moons. Its layers are then maps like any other in flowplane: each moves the points at a cost,
and optimal transport says what the same result would cost at least. As the density of these moons is known, so is how
far the trained one is from it.
"""

import numpy as np
import torch
import zuko

import flowplane as fp

moons = fp.densities.two_moons(noise=0.2)
points = torch.tensor(moons.sample(4000, seed=0), dtype=torch.float32)

torch.manual_seed(0)
theirs = zuko.flows.NSF(2, transforms=3, hidden_features=(32, 32))
optimizer = torch.optim.Adam(theirs.parameters(), 3e-3)
for _ in range(400):
    loss = -theirs().log_prob(points[torch.randint(len(points), (256,))]).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
flow = fp.transport.from_zuko(theirs)
print(flow)

# %%
# The divergence of the trained density from the true one, KL(p‖q) = E[log p − log q], on points that were not trained
# on.

fresh = moons.sample(4000, seed=1)
differences = moons.log_prob(fresh) - flow.log_prob(fresh)
normal = fp.Normal(points.numpy().mean(0), np.cov(points.numpy().T))
of_normal = moons.log_prob(fresh) - normal.log_prob(fresh)
for name, values in (("the trained flow", differences), ("the normal distribution of the same covariance", of_normal)):
    print(f"KL from the moons to {name}: {values.mean():.3f} ± {2 * values.std() / len(values) ** 0.5:.3f} nats")

# %%
# The density after each of the layers, from the normal distribution to the moons.

history = fp.transport.flow_history(flow, samples=200, times=np.linspace(0, flow.time, 5), points=41)
fp.plot.flow_history(history, "From a normal distribution to two moons")

# %%
# What the way costs. A flow that is trained on likelihood alone is not asked to take the shortest way, and this one
# spends about twice what transport from its start to its end must cost.

spent = flow.budget(samples=500)
for term in ("energy", "transport", "coupling", "bending", "pace"):
    share = 100 * spent[term].item() / spent.energy.item()
    print(f"{term:10} {spent[term].item():7.3f} ± {spent[term + '_error'].item():.3f} squared units of x, {share:5.1f} %")
fp.plot.budget(spent)
