"""
Which bins?
===========

*How much of the compression is in the network, and how much in the bins?* A deterministic layer of continuous units
keeps all there is about its input; a finite I(X;T) is what is left after binning. Saxe et al. (2018) and others asked
what happens with other bins. The same three networks are read here with thirty bins, with a hundred, and with the
thirty *edges* of the code that was published with the paper (29 bins, and one for outputs of exactly 1).
"""

import pandas as pd

import flowplane as fp

rec = fp.train(fp.tasks.spherical_rule(), replicas=3, epochs=8000, snapshots=40)
bins = {"30 bins": fp.Binned(30), "100 bins": fp.Binned(100), "published edges": fp.Binned.published()}
planes = {name: fp.information_plane(rec, estimator) for name, estimator in bins.items()}
fp.plot.information_planes(planes, "The same networks through three sets of bins")

# %%
# The fall of I(X;T) from its peak to the last epoch, for the mean of the three networks. Finer bins move all layers
# to the right, towards the 12 bits at which every pattern lies in a cell of its own. The order of the layers stays,
# the sizes do not: a hundred bins show a fall half as large again in layers 5 and 6.

falls = {}
for name, plane in planes.items():
    x = plane.i_xt.mean("replica")
    falls[name] = x.max("epoch") - x.sel(epoch=8000)
table = pd.DataFrame({name: fall.to_series() for name, fall in falls.items()})
table.index.name = "fall of I(X;T) [bits]"
print(table.round(2).to_string())

# %%
# Is there a number of bins that is right? If there were, the estimate would stop moving around it. For the fourth
# layer of one network at the last epoch I(X;T) grows with every bin that is added, while I(T;Y) settles.

late = rec.sel(replica=0, epoch=8000)
layer = late.activations("layer4").squeeze()
curve = fp.information.convergence(
    fp.Binned(30), layer, rec.task.labels, values=[5, 10, 20, 30, 50, 100, 200], sizes=[1024, 2048, 4096], draws=2
)
for quantity in ("i_xt", "i_ty"):
    plateau = curve[quantity].attrs.get("plateau")
    text = "no plateau" if plateau is None else f"a plateau from {plateau[0]} to {plateau[1]} bins"
    print(f"{curve[quantity].attrs['long_name']}: {text}")
fp.plot.convergence(curve)
