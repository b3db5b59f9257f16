"""
Activations from elsewhere
==========================

*What if the network is not in PyTorch at all?* Activations that are there as arrays are enough: one for each layer,
of shape (sample, unit), or (epoch, sample, unit) where there are several epochs. Here scikit-learn's
``MLPClassifier`` learns the digits, and its layers are computed in NumPy. JAX arrays, memory-mapped files, an opened
``.npz`` or ``.safetensors`` do as well.
"""

import numpy as np
from sklearn.neural_network import MLPClassifier

import flowplane as fp

digits = fp.tasks.digits()
probe, training = slice(0, 500), slice(500, None)
inputs = digits.inputs[probe]
classifier = MLPClassifier((32, 16), activation="relu", random_state=0, learning_rate_init=3e-3)
classes = np.unique(digits.labels)  # partial_fit wants them the first time


def layers():
    """The activations of both hidden layers and of the output, for the probe inputs."""
    x, found = inputs, {}
    for k, (weights, offsets) in enumerate(zip(classifier.coefs_, classifier.intercepts_, strict=True), start=1):
        x = x @ weights + offsets
        if k < len(classifier.coefs_):
            x = np.maximum(x, 0)
        found[f"layer {k}"] = x
    return found


epochs, snapshots = [1, 2, 5, 10, 20, 40], []
for epoch in range(1, 41):
    classifier.partial_fit(digits.inputs[training], digits.labels[training], classes=classes)
    if epoch in epochs:
        snapshots.append(layers())
arrays = {name: np.stack([snapshot[name] for snapshot in snapshots]) for name in snapshots[0]}
print("arrays:", ", ".join(f"{name} {array.shape}" for name, array in arrays.items()), "of (epoch, sample, unit)")
print(f"test accuracy of the classifier: {classifier.score(inputs, digits.labels[probe]):.3f}")

# %%
# The same functions work on this recording as on any other, but for what needs the model or its gradients.

rec = fp.from_arrays(arrays, digits.labels[probe], inputs=inputs, epochs=epochs)
print(rec)
plane = fp.information_plane(rec)
fp.plot.information_plane(plane)

# %%
# One layer, read by several estimators: the second hidden layer at the last epoch. Each has a channel and an interval
# of its own, and a hollow point is one that carries a flag.

late = rec.sel(epoch=40, layer="layer 2").activations("layer 2").squeeze()
table = fp.compare_estimators(
    late,
    digits.labels[probe],
    inputs=inputs,
    estimators={
        "30 bins": fp.Binned(30, range="data"),
        "Pairwise, 0.1 of the variance": fp.Pairwise(0.1, relative="total"),
        "linear probe": fp.Decodable(),
        "nearest neighbours": fp.Decodable("neighbours"),
    },
)
print(fp.explain(table))
fp.plot.compare_estimators(table)
