"""
The information plane in a minute
=================================

*Does a network first learn, and then forget its input?* Shwartz-Ziv and Tishby (2017) draw each layer T of a network
as a point: across, I(X;T), what it keeps of its input; up, I(T;Y), what it knows of the label. They describe two
phases of training, a short one in which layers move up and a long one in which they move left. Here their network
learns their task five times over, and its six layers are followed through 8000 epochs.
"""

import pandas as pd

import flowplane as fp

task = fp.tasks.spherical_rule()
rec = fp.train(task, replicas=5, epochs=8000, snapshots=60)
print(f"task: {len(task)} patterns of {task.inputs.shape[1]} bits, {task.classes} classes")
print(f"networks: {len(rec.replicas)} of {rec.architecture}, {rec.activation}; {len(rec.epochs)} snapshots")
print(f"test accuracy at the end, mean of the networks: {rec.metrics.test_accuracy[:, -1].mean():.3f}")

# %%
# The output of each unit is cut into thirty bins. A layer is then a word of bin numbers, and its information is
# counted. The bins are a part of the question: :doc:`which_bins` asks it with others.
#
# Each dot is a layer of one network at one epoch, from dark (the first) to light (the last); the slider shows one
# epoch.

plane = fp.information_plane(rec, fp.Binned(30))
fp.plot.information_plane(plane)

# %%
# The same in numbers. All patterns are equally likely, so that H(X) = 12 bits: a layer that stands there tells all
# patterns apart, and cannot be seen to compress. The last two layers rise at first, to a peak near epoch 50, and fall
# by bits later on.

x = plane.i_xt.mean("replica")
table = pd.DataFrame(
    {
        "before training": x.sel(epoch=0).values,
        "highest": x.max("epoch").values,
        "at epoch": x.idxmax("epoch").values,
        "at the end": x.sel(epoch=8000).values,
        "label, at the end": plane.i_ty.mean("replica").sel(epoch=8000).values,
    },
    index=pd.Index(plane.layer.values, name="I(X;T) [bits]"),
)
print(table.round(2).to_string())

# %%
# Five networks are few, and they differ: the fall of each one from the peak of the mean, with its 95 % interval, says
# which falls are more than chance: those of layers 5 and 6. Layer 4 falls in some networks only.

fall = x.max("epoch") - plane.i_xt.sel(epoch=8000)
for layer in plane.layer.values:
    values = fall.sel(layer=layer)
    reach = 2.776 * float(values.std(ddof=1)) / len(values) ** 0.5  # Student's t, four degrees of freedom
    print(f"{layer}: I(X;T) falls by {float(values.mean()):5.2f} ± {reach:.2f} bits")
