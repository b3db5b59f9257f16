"""Networks read by many estimators: what is put beside what."""

import flowplane as fp
from flowplane import plot
from flowplane.analysis.noisy import noisy_information
from flowplane.experiments.information import estimators
from flowplane.experiments.information.readings import read_by_all, readings


def test_the_truth_stands_beside_estimators_that_say_different_things_of_themselves():
    """Of a network with noise of its own: quantities differ from estimator to estimator, and the truth has none."""
    rec = fp.train(fp.tasks.spherical_rule(), hidden=(3,), noise_variance=0.1, replicas=1, epochs=2, snapshots=2)
    table = read_by_all(rec, {"KSG": fp.KSG(), "MatrixRenyi": fp.MatrixRenyi(), "SlicedMI": fp.SlicedMI(slices=2)})
    together = estimators._with_reference(table, noisy_information(rec, draws=64))
    assert together.estimator.values.tolist() == ["Monte Carlo reference", *table.estimator.values.tolist()]
    assert (together.i_xt.sel(estimator="KSG").values == table.i_xt.sel(estimator="KSG").values).all()
    assert plot.estimator_curves(together, "both").data


def test_estimators_with_more_variables_than_others():
    """Pairwise says its bound's own error; what others do not have is missing, and readings do not mind."""
    rec = fp.train(fp.tasks.spherical_rule(), hidden=(3,), replicas=2, epochs=2, snapshots=2)
    table = read_by_all(rec, {"Binned": fp.Binned(30), "Pairwise": fp.Pairwise(0.01)})
    assert (
        table.i_xt_error.sel(estimator="Binned").isnull().all()
        and table.i_xt_error.sel(estimator="Pairwise").notnull().all()
    )
    assert readings(table).reading.sizes == {"estimator": 2, "layer": 2}
