"""Draw the README's pictures from `flowplane reproduce information-plane --full` and `bridge --full`, and from two moons.

python docs/make_images.py [results]
"""

import math
import sys
from pathlib import Path

import flowplane as fp
from flowplane.core.older import load

if __name__ == "__main__":
    results = Path(sys.argv[1] if len(sys.argv) > 1 else "results")
    images = Path(__file__).parent / "images"
    moons = fp.densities.two_moons(noise=0.2)
    flows = {"shallow, L = 1": fp.denoising_flow(moons, 0.015, 1), "continuous": fp.denoising_flow(moons, 0.015, math.inf)}
    extent = [(-1.7, 2.7), (-1.2, 1.7)]
    histories = {name: fp.transport.flow_history(flow, samples=400, extent=extent) for name, flow in flows.items()}
    print(fp.plot.save(fp.plot.flow_history(histories, "Two moons flow onto their curves"), images / "two-moons.png"))
    plane = load(results / "information-plane" / "plane.nc")
    figure = fp.plot.information_plane(plane, "Fit first, then compress")
    print(fp.plot.save(figure, images / "information-plane.png"))
    spectrum = load(results / "bridge" / "spectrum.nc")
    figure = fp.plot.denoising_spectrum(spectrum, "One law: the error of denoising, and information as its area")
    print(fp.plot.save(figure, images / "one-law.png"))
