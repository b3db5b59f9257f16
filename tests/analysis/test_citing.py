"""BibTeX of the papers behind a result."""

import re

import numpy as np
import pytest
import xarray as xr

import flowplane as fp
from flowplane.analysis.citing import CLAIMS_FROM, ESTIMATORS_FROM, RESULTS_FROM, _library
from flowplane.analysis.estimators import registered
from flowplane.core.results import RESULTS, stamp
from flowplane.errors import InputError
from flowplane.experiments.papers import PAPERS
from flowplane.version import __version__


def keys_of(text):
    return re.findall(r"^@\w+\{([^,]+),$", text, re.MULTILINE)


def test_every_key_has_an_entry_and_every_entry_is_used():
    used = {key for table in (RESULTS_FROM, ESTIMATORS_FROM) for keys in table.values() for key in keys}
    entries = keys_of(_library())
    assert sorted(used | set(CLAIMS_FROM.values())) == sorted(entries)
    assert set(RESULTS_FROM) <= set(RESULTS) and set(CLAIMS_FROM) == set(PAPERS)


def test_entries_are_whole():
    for entry in _library().split("\n@")[1:]:
        assert entry.count("{") == entry.count("}")
        for field in ("author", "title", "year"):
            assert f"\n  {field} = {{" in entry, entry


def test_every_estimator_is_named_by_its_class():
    names = {each.__name__ for each in registered().values()}
    assert set(ESTIMATORS_FROM) <= names | {"MonteCarlo"}
    assert names - set(ESTIMATORS_FROM) == {"GaussianMI"}  # of textbooks


def test_a_plane_cites_the_analysis_then_both_estimators():
    rec = fp.from_arrays({"layer": np.random.default_rng(0).normal(size=(60, 2))}, np.arange(60) % 2)
    text = fp.cite(fp.information_plane(rec, resolution=0.1))
    assert keys_of(text) == ["shwartz-ziv2017", "kolchinsky2017", "saxe2018", "xu2020", "flowplane"]
    assert f"version = {{{__version__}}}" in text


def test_an_experiment_cites_its_paper_first():
    result = fp.experiments.run("gaussian-dae", scale="tiny", out=None)
    assert keys_of(fp.cite(result))[0] == "sonoda2019"


def test_what_has_no_papers_cites_flowplane_and_what_is_not_ours_is_refused():
    assert keys_of(fp.cite(stamp(xr.Dataset({"loss": 0.5}), "metrics"))) == ["flowplane"]
    for other in (xr.Dataset({"loss": 0.5}), {"loss": 0.5}, None):
        with pytest.raises(InputError, match="result"):
            fp.cite(other)
