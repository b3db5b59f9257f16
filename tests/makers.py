"""Every result that the library makes, made small: what is true of all is asked of each."""

import numpy as np

import flowplane as fp

JOINT = [[0.4, 0.1], [0.1, 0.4]]


def layer(n=120):
    x = np.random.default_rng(0).normal(size=(n, 2))
    return {"activations": np.tanh(x), "labels": x[:, 0] > 0, "inputs": x}


MAKERS = {
    "bits_per_dimension": lambda rec, soft, flow: flow.bits_per_dimension([[0.1], [0.4]]),
    "budget": lambda rec, soft, flow: flow.budget(samples=40),
    "compare_estimators": lambda rec, soft, flow: fp.compare_estimators(
        **layer(), estimators=[fp.Binned(8), fp.GaussianMI()]
    ),
    "convergence": lambda rec, soft, flow: fp.information.convergence(fp.Binned(), **layer(), values=[2, 8], draws=1),
    "critical_betas": lambda rec, soft, flow: fp.critical_betas(JOINT),
    "critical_slowing_down": lambda rec, soft, flow: fp.bottleneck.slowing_down(JOINT, [1.5, 2.7, 6.0]),
    "denoising_spectrum": lambda rec, soft, flow: fp.denoising_spectrum(
        rec.sel(replica=[0], epoch=rec.epochs[[0, -1]], layer=list(rec.layers[-2:])), resolution=(0.01, 0.1, 1.0)
    ),
    "deterministic_ib": lambda rec, soft, flow: fp.bottleneck.deterministic_ib(JOINT, [0.5, 2.0, 9.0]),
    "embedding_influence": lambda rec, soft, flow: fp.transport.embedding_influence(
        [layer()["inputs"], layer()["activations"]], draws=2
    ),
    "estimate": lambda rec, soft, flow: fp.GaussianMI()(**layer()),
    "flow_history": lambda rec, soft, flow: fp.transport.flow_history(flow, samples=9, points=31),
    "flow_profile": lambda rec, soft, flow: flow.profile(),
    "flow_samples": lambda rec, soft, flow: fp.transport.flow_samples(flow, samples=9),
    "gaussian_ib": lambda rec, soft, flow: fp.gaussian_ib(1.0, 1.0, 0.8, betas=[2.0, 4.0]),
    "gradient_phases": lambda rec, soft, flow: fp.gradient_phases(rec),
    "ib_curve": lambda rec, soft, flow: fp.ib_curve(JOINT, [1.5, 3.0, 5.0]),
    "information_plane": lambda rec, soft, flow: fp.information_plane(rec),
    "layer_betas": lambda rec, soft, flow: fp.layer_betas(soft),
    "layer_budget": lambda rec, soft, flow: fp.layer_budget(fp.from_arrays([layer()["inputs"], layer()["activations"]])),
    "layer_geometry": lambda rec, soft, flow: fp.layer_geometry(rec, "entropy"),
    "layer_transport": lambda rec, soft, flow: fp.layer_transport(rec.sel(replica=[0]), samples=60),
    "measure": lambda rec, soft, flow: rec.measure(fp.Binned(8)),
    "metrics": lambda rec, soft, flow: rec.metrics,
    "noisy_information": lambda rec, soft, flow: fp.analysis.noisy_information(
        fp.train(fp.tasks.spherical_rule(), hidden=(3,), noise_variance=0.1, replicas=1, epochs=2, snapshots=2), draws=64
    ),
    "pointwise_information": lambda rec, soft, flow: fp.pointwise_information(
        rec.sel(replica=[0]), layer=rec.layers[-1], epoch=int(rec.epochs[-1])
    ),
    "relaxation_times": lambda rec, soft, flow: fp.relaxation_times(rec),
    "replica_spread": lambda rec, soft, flow: fp.replica_spread(rec),
    "ridgelet_spectrum": lambda rec, soft, flow: fp.ridgelet.transform(
        np.exp(-(np.linspace(-6, 6, 100) ** 2)), np.linspace(-6, 6, 100), grid=(8, 8)
    ).to_dataset(),
    "training_history": lambda rec, soft, flow: (
        fp.transport.train_denoiser((4,), fp.Normal(0.0, 1.0).sample(100, seed=0), noise_covariance=0.2, steps=10).history
    ),
    "steps": lambda rec, soft, flow: fp.denoising_flow(fp.Normal(0.0, 1.0), 0.4, float("inf")).steps(20, (1, 2)),
    "weight_diffusion": lambda rec, soft, flow: fp.weight_diffusion(rec, since=2, draws=10),
    "class_distances": lambda rec, soft, flow: fp.transport.class_distances(layer()["activations"], layer()["labels"]),
    "continuity_residual": lambda rec, soft, flow: fp.transport.continuity_residual(flow, 0.2, points=21),
    "gradients": lambda rec, soft, flow: rec.gradients,
    "mutual_information": lambda rec, soft, flow: fp.mutual_information(layer()["inputs"], layer()["labels"]),
    "path_measures": lambda rec, soft, flow: fp.transport.path_measures(
        fp.transport.layer_path([layer()["inputs"], layer()["activations"]])
    ),
    "sliced_measures": lambda rec, soft, flow: fp.transport.sliced_measures(
        fp.transport.layer_path([layer()["inputs"], layer()["activations"]])
    ),
}
