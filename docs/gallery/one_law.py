"""
One law: the error of denoising, summed up, is information
==========================================================

*What has an autoencoder to do with the information plane?* Add noise to a layer and let the best denoiser remove it: its error
against the noise is a curve. The area under that curve, over all noise from some size upwards, is I(X;T + noise) (Guo, Shamai and
Verdú, 2005); its slope says how fast the layer's entropy grows with noise, which is half the Fisher information, the law of the
second paper. So one curve holds both papers' lenses.
"""

import numpy as np

import flowplane as fp

patterns = (np.arange(256)[:, None] >> np.arange(8)) & 1  # all patterns of 8 bits, each as likely as any other
labels = patterns.sum(axis=1) > 4
task = fp.tasks.Task(patterns, labels, name="more than four of eight")
rec = fp.train(task, hidden=(6, 4, 3), replicas=1, epochs=500, snapshots=2)
spectrum = fp.denoising_spectrum(rec)
fp.plot.denoising_spectrum(spectrum)

# %%

print(spectrum)
