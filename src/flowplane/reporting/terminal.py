"""An information plane for the terminal: the last epoch as a table, and what its flags mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

import xarray as xr

from flowplane.analysis.explaining import flag_words
from flowplane.core.results import Flags
from flowplane.information.resolution import shown

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["last_epoch_table", "warning_lines"]


def last_epoch_table(plane: xr.Dataset) -> Table:
    """Layer by layer the means over replicas at the last epoch, and the flags raised there."""
    from rich import box
    from rich.table import Table

    last = shown(plane).isel(epoch=-1)
    epoch, replicas = int(last["epoch"]), plane.sizes["replica"]
    title = f"epoch {epoch}, mean of {replicas} replicas" if replicas > 1 else f"epoch {epoch}"
    if "resolution" in plane.dims:
        title += f", I(X;T) at resolution {float(last['resolution']):g} (upper bound), I(T;Y) (lower bound)"
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=title)
    for name in ("layer", "kind", "units", "I(X;T) [bits]", "I(T;Y) [bits]", "flags raised"):
        table.add_column(name, no_wrap=name == "layer")
    for layer in range(plane.sizes["layer"]):
        row = last.isel(layer=layer)
        table.add_row(
            str(row["layer"].item()),
            str(row["layer_type"].item()),
            str(row["width"].item()),
            f"{float(row['i_xt'].mean()):.3f}",
            f"{float(row['i_ty'].mean()):.3f}",
            ", ".join(sorted(Flags.names(row["flags"]))) or "–",
        )
    return table


def warning_lines(plane: xr.Dataset) -> list[str]:
    """A line for each flag raised at the last epoch: what it means, and what to do."""
    last = shown(plane).isel(epoch=-1)
    words = flag_words(last)
    return [f"{flag}: {'. '.join(filter(None, words[flag]))}" for flag in Flags.names(last["flags"])]
