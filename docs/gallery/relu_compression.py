"""
Does ReLU compress?
===================

*Is compression a property of learning, or of units that saturate?* Under tanh, outputs crowd at -1 and 1 and fall
into the same bins. ReLU has no such ends, and Saxe et al. (2018) saw no compression with it. Here both networks learn
the same task, and their last hidden layer is read through three channels: bins, Gaussian noise of one fixed size, and
Gaussian noise of a tenth of the layer's own variance.
"""

import numpy as np
import pandas as pd
import xarray as xr

import flowplane as fp

task = fp.tasks.spherical_rule()
channels = {
    "30 bins": fp.Binned(30),
    "noise of variance 0.01": fp.Pairwise(0.01),
    "noise of a tenth of the layer's variance": fp.Pairwise(0.1, relative="total"),
}
readings = {}
for activation in ("tanh", "relu"):
    rec = fp.train(task, activation=activation, replicas=3, epochs=8000, snapshots=8)
    print(f"{activation}: test accuracy {rec.metrics.test_accuracy[:, -1].mean():.3f}, mean of {len(rec.replicas)} networks")
    readings[activation] = fp.compare_estimators(rec.sel(layer="layer5"), estimators=channels)
both = xr.concat(readings.values(), pd.Index(list(readings), name="network"), combine_attrs="drop_conflicts")

# %%
# A panel for each network and channel. Strong lines are the mean of three networks, faint ones each of them.

fp.plot.estimator_curves(both, "I(X;T) of the last hidden layer while the network learns")

# %%
# The fall of each network from the epoch at which the mean of the three is highest, to the last epoch; below 0 it
# rises. Under tanh every network compresses in every channel, and by how much depends on the channel. Of the ReLU
# networks none falls through the bins; through noise one falls and the others rise. (``flowplane reproduce
# estimators`` asks it of more networks and with more estimators.)

x = both.i_xt.squeeze("layer")
for channel in x.estimator.values:
    for activation in x.network.values:
        curves = x.sel(estimator=channel, network=activation)
        peak = curves.mean("replica").idxmax("epoch")
        falls = np.sort((curves.sel(epoch=peak) - curves.sel(epoch=8000)).values)
        print(f"{channel:42} {activation:5} falls by {', '.join(f'{fall:.2f}' for fall in falls)} bits")
