"""What the plane of a recording must satisfy."""

from itertools import pairwise

import numpy as np
import pytest

import flowplane as fp


def test_data_processing_and_ceilings(rec):
    plane = fp.information_plane(rec)
    assert plane.i_xt.dims == ("replica", "epoch", "layer")
    assert plane.attrs["input_entropy"] == pytest.approx(12)
    assert plane.attrs["label_information"] == pytest.approx(0.99916, abs=1e-5)
    assert (plane.i_xt <= 12 + 1e-9).all()
    assert (plane.i_ty <= plane.attrs["label_information"] + 1e-9).all()
    assert (plane.i_ty <= plane.h_t + 1e-9).all()
    np.testing.assert_allclose(plane.i_xt, plane.h_t)


def test_bins_that_refine_each_other_can_only_add_information(rec):
    values = [fp.information_plane(rec, fp.Binned(bins, range=(-1, 1))) for bins in (5, 10, 40)]
    for coarse, fine in pairwise(values):
        assert (coarse.i_xt <= fine.i_xt + 1e-9).all()
        assert (coarse.i_ty <= fine.i_ty + 1e-9).all()


def test_train_and_test_parts(rec):
    train, test = (fp.information_plane(rec, samples=part) for part in ("train", "test"))
    assert (train.i_xt <= np.log2(3481) + 1e-9).all()
    assert (test.i_xt <= np.log2(615) + 1e-9).all()
    assert (train.attrs["samples"], test.attrs["samples"]) == ("train", "test")
    k = 1
    mask = rec.split.values[k]
    values = rec.activations("layer5").isel(replica=k, epoch=-1).values[mask]
    alone = fp.Binned(30, range=(-1, 1))(values, rec.task.labels[mask])
    assert float(alone.i_ty) == pytest.approx(float(train.i_ty[k, -1, 4]), abs=1e-12)
