"""The papers behind a result, as BibTeX."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import xarray as xr

from flowplane.core.older import modern
from flowplane.core.results import quantities, result_of
from flowplane.version import __version__

__all__ = ["cite"]

#: By the name of a result in `RESULTS`: what it is taken from, by the keys of references.bib. Results of estimators only,
#: and what a user gave (metrics), rest on no paper of their own.
RESULTS_FROM = {
    "bits_per_dimension": ("grathwohl2019",),
    "budget": ("benamou2000", "liu2023", "flamary2021"),
    "class_distances": ("flamary2021",),
    "continuity_residual": ("sonoda2019",),
    "critical_betas": ("tishby1999",),
    "denoising_spectrum": ("guo2005", "kong2023"),
    "deterministic_ib": ("strouse2017",),
    "flow_history": ("sonoda2019",),
    "flow_profile": ("sonoda2019", "flamary2021"),
    "gaussian_ib": ("chechik2005",),
    "gradient_phases": ("shwartz-ziv2017",),
    "ib_curve": ("tishby1999",),
    "information_plane": ("shwartz-ziv2017",),
    "layer_betas": ("shwartz-ziv2017", "tishby1999"),
    "layer_budget": ("benamou2000", "liu2023", "flamary2021"),
    "layer_geometry": ("kornblith2019", "skean2025"),
    "layer_transport": ("sonoda2019", "flamary2021", "kornblith2019"),
    "noisy_information": ("goldfeld2019",),
    "pointwise_information": ("guo2005", "kong2023"),
    "relaxation_times": ("shwartz-ziv2017",),
    "replica_spread": ("shwartz-ziv2017", "ainsworth2023"),
    "ridgelet_spectrum": ("sonoda2019",),
    "weight_diffusion": ("shwartz-ziv2017",),
}
#: By the name of an estimator, as a quantity's attribute `estimator` has it.
ESTIMATORS_FROM = {
    "Binned": ("shwartz-ziv2017", "saxe2018"),
    "Decodable": ("xu2020",),
    "Denoising": ("guo2005", "kong2023", "franzese2024"),
    "KSG": ("kraskov2004", "ross2014"),
    "MatrixRenyi": ("giraldo2015",),
    "MonteCarlo": ("goldfeld2019",),
    "Pairwise": ("kolchinsky2017", "saxe2018"),
    "SlicedMI": ("goldfeld2021",),
    "Variational": ("oord2018", "poole2019", "song2020", "barber2003"),
}
#: By the letter that the ids of a paper's claims begin with.
CLAIMS_FROM = {"A": "sonoda2019", "B": "shwartz-ziv2017"}


def cite(result: Any) -> str:
    """The papers behind a result's numbers, and flowplane itself, as BibTeX.

    Arguments:
        result: any Dataset that flowplane made, or what `fp.experiments.run` returns.

    Raises:
        InputError: anything else.

    Example:
        >>> import flowplane as fp
        >>> text = cite(fp.KSG()([[0.1], [0.2], [0.9], [1.5], [1.7], [2.0]], [0, 0, 0, 1, 1, 1]))
        >>> [line for line in text.splitlines() if line.startswith("@")]
        ['@article{kraskov2004,', '@article{ross2014,', '@software{flowplane,']
    """
    keys = dict.fromkeys(_keys(result))
    known = {entry.partition("{")[2].partition(",")[0]: f"@{entry.strip()}" for entry in _library().split("\n@")}
    return "\n\n".join([*(known[key] for key in keys), _ourselves()]) + "\n"


def _library() -> str:
    return "\n" + files(__package__).joinpath("references.bib").read_text(encoding="utf-8")


def _keys(result: Any) -> Iterator[str]:
    """In the order in which they matter: the analysis, then the estimators."""
    if not isinstance(result, xr.Dataset) and hasattr(result, "claims") and hasattr(result, "datasets"):
        yield from (CLAIMS_FROM[claim.id[0]] for claim in result.claims if claim.id[0] in CLAIMS_FROM)
        for dataset in result.datasets.values():
            if "result" in dataset.attrs:  # some are an experiment's own
                yield from _keys(dataset)
        return
    dataset = modern(result) if isinstance(result, xr.Dataset) else result
    yield from RESULTS_FROM.get(result_of(dataset, "result"), ())
    used = [dataset[name].attrs.get("estimator", "") for name in quantities(dataset)]
    if "estimator" in dataset.coords:
        used += dataset["estimator"].values.ravel().tolist()
    for name in used:
        yield from ESTIMATORS_FROM.get(str(name).partition("(")[0], ())


def _ourselves() -> str:
    lines = [
        "@software{flowplane,",
        "  author = {{The flowplane authors}},",
        "  title = {flowplane: what each layer of a deep network knows, and how each layer moves its data},",
        f"  version = {{{__version__}}},",
        "  year = {2026},",
        "}",
    ]
    return "\n".join(lines)
