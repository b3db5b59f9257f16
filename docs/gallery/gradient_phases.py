"""
Two phases of gradients
=======================

*When does training stop going somewhere and begin to wander?* Shwartz-Ziv and Tishby (2017) compare, layer by layer,
the mean of the mini-batch gradients of an epoch (drift) with their standard deviation (diffusion). At first the mean
is greater: all batches agree. Later on they pull in all directions. The ratio of both is a signal-to-noise ratio of
gradients. The paper puts the beginning of compression at their crossing; here both are measured.
"""

import numpy as np

import flowplane as fp

rec = fp.train(fp.tasks.spherical_rule(), replicas=8, epochs=4000, snapshots=60)
plane = fp.information_plane(rec, fp.Binned(30))
phases = fp.gradient_phases(rec, plane)
fp.plot.gradient_phases(phases)

# %%
# The crossing of the median network with its 95 % interval, and the epoch from which I(X;T) falls, the median of the
# networks in which it does. Were compression driven by diffusion it would not begin before the crossing. In layers 3
# and 4, which compress in about half of the networks, it begins then or later. In layers 5 and 6, which compress in
# all of them and most, it begins long before.

print("layer   gradients cross at epoch   compression starts at   in networks, of 8")
for layer in phases.layer.values:
    here = phases.sel(layer=layer)
    starts = here.compression_start.values[np.isfinite(here.compression_start.values)]
    start = f"{np.median(starts):6.0f}" if len(starts) else "     –"
    print(
        f"{layer}  {here.crossing_median.item():6.0f} [{here.crossing_lower.item():3.0f}, {here.crossing_upper.item():3.0f}]"
        f" {start:>20} {len(starts):17}"
    )
