"""
One law: the error of denoising, summed up, is information
==========================================================

*What has an autoencoder to do with the information plane?* Add noise to a layer and let the best denoiser remove it:
its error against the noise is a curve. The area under that curve, over all noise from some size upwards, is I(X;T +
noise) (Guo, Shamai and Verdú, 2005); its slope says how fast the layer's entropy grows with noise, which is half the
Fisher information, the law of the second paper. So one curve holds both papers' lenses.
"""

import numpy as np
from scipy.integrate import simpson

import flowplane as fp

patterns = (np.arange(256)[:, None] >> np.arange(8)) & 1  # all patterns of 8 bits, each as likely as any other
labels = patterns.sum(axis=1) > 4
task = fp.tasks.Task(patterns, labels, name="more than four of eight")
rec = fp.train(task, hidden=(6, 4, 3), replicas=1, epochs=500, snapshots=2)
spectrum = fp.denoising_spectrum(rec)
fp.plot.denoising_spectrum(spectrum)

# %%
# The area by hand, from the curve in the left panel: with noise of c times the layer's total variance, and m(c) the
# error as a share of that variance, I(X;T + noise) = ½ ∫ m(c)/c² dc in nats. Beyond the largest c all of the variance
# is error. Beside it stands the information by the densities themselves, which know nothing of denoisers, and H(X) =
# 8 bits above all of them.

last = spectrum.sel(epoch=500).squeeze("replica").sortby("resolution")
c = last.resolution.values
print("bits that pass through noise of a hundredth of the layer's variance")
print("layer    area below the error    by densities    as fp.denoising_spectrum gives it")
for layer in last.layer.values:
    here = last.sel(layer=layer)
    above = c >= 0.01 * (1 - 1e-9)
    area = simpson(here.mmse.values[above] / c[above], np.log(c[above])) + 1 / c[-1]  # ∫ m/c² dc = ∫ m/c d ln c
    at = here.sel(resolution=0.01, method="nearest")
    print(f"{layer} {area / 2 / np.log(2):17.2f} {at.information_by_density.item():19.2f} {at.information.item():20.2f}")

# %%
# And the slope: half the Fisher information from the same errors, and the rate at which the entropy grows with the
# noise by differences of the densities.

print("nats per unit of total variance, at noise of a tenth of the layer's variance")
print("layer    half the Fisher information    growth of entropy")
for layer in last.layer.values:
    at = last.sel(layer=layer).sel(resolution=0.1, method="nearest")
    print(f"{layer} {at.fisher.item() / 2:22.3f} {at.entropy_rate.item():25.3f}")
