"""Draw the README's picture from `flowplane reproduce information-plane --full`.

python docs/make_images.py [results]
"""

import sys
from pathlib import Path

import xarray as xr

import flowplane as fp

if __name__ == "__main__":
    results = Path(sys.argv[1] if len(sys.argv) > 1 else "results")
    with xr.open_dataset(results / "information-plane" / "plane.nc", engine="h5netcdf") as plane:
        figure = fp.plot.information_plane(plane, "Fit first, then compress")
    print(fp.plot.save(figure, Path(__file__).parent / "images" / "information-plane.png"))
