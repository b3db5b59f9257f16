"""Flows of zuko and pipelines of diffusers, with the real libraries on small random networks."""

import copy

import numpy as np
import pytest
import torch
import zuko

import flowplane as fp
from flowplane.errors import InputError
from flowplane.transport import from_diffusers, from_zuko


def random_flow(make):
    """In double precision, with weights that do something."""
    torch.manual_seed(0)
    flow = make().double()
    with torch.no_grad():
        for part in flow.parameters():
            part.add_(0.1 * torch.randn_like(part))
    return flow


#: diffusers makes arrays of tensors as NumPy 1 did.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

LAYERED = {
    "NSF": lambda: zuko.flows.NSF(3, transforms=2),
    "MAF": lambda: zuko.flows.MAF(3, transforms=2),
    "NICE": lambda: zuko.flows.NICE(3, transforms=2),
    "RealNVP": lambda: zuko.flows.RealNVP(4, transforms=2),
    "SOSPF": lambda: zuko.flows.SOSPF(2, transforms=2),
}


@pytest.mark.parametrize("name", LAYERED)
def test_layers_of_zuko(name):
    theirs = random_flow(LAYERED[name])
    ours = from_zuko(theirs)
    y = torch.randn(20, ours.dimension, dtype=torch.float64)
    torch.testing.assert_close(ours.log_prob(y), theirs().log_prob(y).detach(), atol=1e-6, rtol=1e-6)
    z = torch.as_tensor(ours.source.sample(20, seed=0))
    torch.testing.assert_close(ours(z), theirs().transform.inv(z).detach(), atol=1e-6, rtol=1e-6)
    expected = -theirs().transform.call_and_ladj(ours(z))[1].detach()
    torch.testing.assert_close(ours.log_det_jacobian(z), expected, atol=1e-5, rtol=1e-5)
    spent = ours.budget(samples=50)
    assert float(spent.transport + spent.coupling + spent.bending + spent.pace) == pytest.approx(float(spent.energy))
    profile = ours.profile(samples=300, times=[0.0, ours.time])
    of_theirs = -theirs().log_prob(ours(torch.as_tensor(ours.source.sample(3000, seed=1)))).mean().item()
    assert float(profile.entropy[1]) == pytest.approx(of_theirs, abs=5 * float(profile.entropy_error[1]))


def test_derivatives_of_a_layer():
    ours = from_zuko(random_flow(lambda: zuko.flows.NSF(2, transforms=1)))
    layer = getattr(ours, "maps", (ours,))[-1]
    x = torch.randn(6, 2, dtype=torch.float64)
    step = 1e-5
    columns = [(layer.forward(x + step * e) - layer.forward(x - step * e)) / (2 * step) for e in torch.eye(2).double()]
    torch.testing.assert_close(layer.jacobian(x), torch.stack(columns, 2), atol=1e-6, rtol=1e-6)


def test_a_continuous_flow_of_zuko():
    theirs = random_flow(lambda: zuko.flows.CNF(2, hidden_features=(8,), atol=1e-10, rtol=1e-10)).train()
    ours = from_zuko(theirs)
    y = torch.randn(10, 2, dtype=torch.float64)
    torch.testing.assert_close(ours.log_prob(y), theirs().log_prob(y).detach(), atol=1e-6, rtol=1e-6)
    assert ours.continuous and theirs.training
    found = ours.steps(samples=30, numbers=(1, 64))
    assert (found.distance.sel(steps=64) < found.distance.sel(steps=1)).all()


def test_conditional_flows_of_zuko_and_mistakes():
    theirs = random_flow(lambda: zuko.flows.NSF(2, 3, transforms=1))
    context = torch.tensor([0.5, -1.0, 2.0])
    y = torch.randn(5, 2, dtype=torch.float64)
    expected = theirs(context.double()).log_prob(y).detach()
    torch.testing.assert_close(from_zuko(theirs, context).log_prob(y), expected, atol=1e-6, rtol=1e-6)
    with pytest.raises(InputError, match=r"context: found shape \(1, 3\)"):
        from_zuko(theirs, context[None])
    with pytest.raises(InputError, match="flow: found Linear"):
        from_zuko(torch.nn.Linear(2, 2))
    with pytest.raises(InputError, match="a density in 2 dimensions"):
        from_zuko(theirs, context, source=fp.Normal(0.0))
    with pytest.raises(InputError, match="source: found None"):
        from_zuko(zuko.flows.NCSF(2)).log_prob(y)


@pytest.fixture(scope="module")
def unet():
    from diffusers import UNet2DModel

    torch.manual_seed(0)
    blocks = {"down_block_types": ["DownBlock2D"], "up_block_types": ["UpBlock2D"], "block_out_channels": (8,)}
    return UNet2DModel(8, 1, 1, norm_num_groups=4, layers_per_block=1, **blocks)


def test_samplers_of_diffusers_follow_the_flow(unet):
    from diffusers import DDIMScheduler, EulerDiscreteScheduler, FlowMatchEulerDiscreteScheduler

    x = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    plain = {"clip_sample": False, "timestep_spacing": "linspace", "set_alpha_to_one": False}
    for kind in ("epsilon", "sample", "v_prediction"):
        scheduler = DDIMScheduler(**plain, prediction_type=kind)
        scheduler.set_timesteps(1000)
        flow = from_diffusers((unet, scheduler))
        for k in (800, 300):
            with torch.no_grad():
                step = scheduler.step(unet(x, k).sample, k, x).prev_sample - x
            s = (flow.path_of.noise - k) / (flow.path_of.noise - flow.path_of.data)
            expected = flow.velocity(s, x) / (flow.path_of.noise - flow.path_of.data)
            assert float((step - expected).abs().max()) < 0.02 * float(step.abs().max()), (kind, k)
    scheduler = FlowMatchEulerDiscreteScheduler()
    scheduler.set_timesteps(300)
    z = x.clone()
    with torch.no_grad():
        for t in scheduler.timesteps:
            z = scheduler.step(unet(z, t).sample, t, z).prev_sample
    flow = from_diffusers((unet, scheduler), rtol=1e-3, atol=1e-3)
    assert float((flow(x) - z).abs().max()) < 0.01 * float(z.abs().max())
    # the same network and training, whatever variables the sampler uses
    one, other = (from_diffusers((unet, each)) for each in (DDIMScheduler(), EulerDiscreteScheduler()))
    torch.testing.assert_close(one.velocity(0.5, x), other.velocity(0.5, x))


def test_pipelines_conditions_and_paths():
    from diffusers import DDIMPipeline, DDIMScheduler, UNet2DModel, UniPCMultistepScheduler

    torch.manual_seed(0)
    blocks = {"down_block_types": ["DownBlock2D"], "up_block_types": ["UpBlock2D"], "block_out_channels": (8,)}
    unet = UNet2DModel(8, 1, 1, norm_num_groups=4, layers_per_block=1, num_class_embeds=3, **blocks)
    pipeline = DDIMPipeline(unet, DDIMScheduler(rescale_betas_zero_snr=True, prediction_type="v_prediction"))
    flow = from_diffusers(pipeline, conditions={"class_labels": 1}, guidance=2.0, unconditional={"class_labels": 0})
    assert flow.shape == (1, 8, 8) and flow.path_of.name == "ddim"
    # the last step of this training has no signal
    assert flow.path_of.noise < 999 and flow.path_of.at(flow.path_of.noise).alpha > 1e-3
    x = torch.randn(2, 1, 8, 8)
    one, zero = (from_diffusers(pipeline, conditions={"class_labels": k}).velocity(0.5, x) for k in (1, 0))
    torch.testing.assert_close(flow.velocity(0.5, x), zero + 2 * (one - zero), atol=1e-4, rtol=1e-4)
    trained = DDIMScheduler()
    flow = from_diffusers((unet, trained), conditions={"class_labels": 1})
    for k in (0, 500, 999):
        point = flow.path_of.at(k)
        assert point.alpha**2 == pytest.approx(float(trained.alphas_cumprod[k]), rel=1e-5)
        assert point.alpha**2 + point.sigma**2 == pytest.approx(1)
    middle = flow.path_of.at(500.3)
    ahead, behind = (flow.path_of.at(500.3 + step) for step in (1e-3, -1e-3))
    np.testing.assert_allclose(
        middle[2:], [(ahead.alpha - behind.alpha) / 2e-3, (ahead.sigma - behind.sigma) / 2e-3], rtol=1e-5
    )
    straight = from_diffusers(
        (unet, UniPCMultistepScheduler(use_flow_sigmas=True, prediction_type="flow_prediction")),
        conditions={"class_labels": 1},
    )
    assert (straight.path_of.name, straight.path_of.noise, straight.path_of.data) == ("linear", 1.0, 0.0)


def sampled(unet, scheduler, x, steps):
    """Where a scheduler's own steps lead."""
    scheduler.set_timesteps(steps)
    with torch.no_grad():
        for t in scheduler.timesteps:
            x = scheduler.step(unet(scheduler.scale_model_input(x, t), t).sample, t, x).prev_sample
    return x


@pytest.mark.parametrize(
    ("name", "options", "steps", "share"),
    [
        ("EDMDPMSolverMultistep", {"prediction_type": "epsilon", "sigma_data": 1.2}, 60, 0.01),
        ("EDMEuler", {"prediction_type": "v_prediction", "sigma_max": 20.0}, 150, 0.03),
        ("EulerDiscrete", {"prediction_type": "v_prediction", "timestep_type": "continuous", "sigma_max": 20.0}, 150, 0.03),
    ],
)
def test_networks_that_are_scaled(unet, name, options, steps, share):
    import diffusers

    if name == "EulerDiscrete":
        options = options | {"use_karras_sigmas": True, "sigma_min": 0.002}
    scheduler = getattr(diffusers, f"{name}Scheduler")(**options)
    sigma = options.get("sigma_max", 80.0)
    x = sigma * torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    flow = from_diffusers((unet, scheduler))
    assert "ve path, denoised" in repr(flow) and "UNet2DModel" in repr(flow)
    assert (flow.path_of.noise, flow.path_of.data) == (sigma, 0.002)
    found, known = flow(x), sampled(unet, scheduler, x, steps)
    assert float((found - known).abs().max()) < share * float(known.abs().max())
    half = copy.deepcopy(unet).bfloat16()
    rough = from_diffusers((half, scheduler))(x)
    assert float((rough - found).abs().max()) < 0.03 * float(found.abs().max())


@pytest.mark.slow
def test_the_path_of_videos(unet):
    from diffusers import CogVideoXDDIMScheduler

    plain = {"timestep_spacing": "linspace", "set_alpha_to_one": False}
    scheduler = CogVideoXDDIMScheduler(prediction_type="v_prediction", **plain)
    x = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    known = sampled(unet, scheduler, x, 500)
    assert float((from_diffusers((unet, scheduler))(x) - known).abs().max()) < 0.01 * float(known.abs().max())


class Later(torch.nn.Module):
    """Other inputs come before its time, as in most transformers of diffusers."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))

    def forward(self, hidden_states, encoder_hidden_states=None, timestep=None):
        return self.weight * hidden_states * timestep[:, None] + encoder_hidden_states


def test_a_time_that_is_not_the_second_input():
    from diffusers import FlowMatchEulerDiscreteScheduler

    scheduler = FlowMatchEulerDiscreteScheduler()
    options = {"shape": 2, "conditions": {"encoder_hidden_states": torch.ones(2)}}
    flow = from_diffusers((Later(), scheduler), **options)
    np.testing.assert_allclose(flow.velocity(0.25, [[1.0, 2.0]]), [[-751, -1501]])
    parts = from_diffusers((Later(), scheduler), clock=lambda step: step / 1000, **options)
    np.testing.assert_allclose(parts.velocity(0.25, [[1.0, 2.0]]), [[-1.75, -2.5]])


def test_what_is_refused_of_diffusers(unet):
    import diffusers

    for name in (
        "DDPM",
        "EulerAncestralDiscrete",
        "KDPM2AncestralDiscrete",
        "DDPMParallel",
        "LCM",
        "TCD",
        "RePaint",
        "CogVideoXDPM",
    ):
        with pytest.raises(InputError, match=f"scheduler: found {name}Scheduler, a stochastic sampler"):
            from_diffusers((unet, getattr(diffusers, f"{name}Scheduler")()))
    with pytest.raises(InputError, match=r"DPMSolverMultistepScheduler, a stochastic sampler \(sde-dpmsolver\+\+\)"):
        from_diffusers((unet, diffusers.DPMSolverMultistepScheduler(algorithm_type="sde-dpmsolver++")))
    with pytest.raises(InputError, match="FlowMatchEulerDiscreteScheduler, a stochastic sampler"):
        from_diffusers((unet, diffusers.FlowMatchEulerDiscreteScheduler(stochastic_sampling=True)))
    with pytest.raises(InputError, match="scheduler: found IPNDMScheduler, expected one of CogVideoXDDIMScheduler, DDIM"):
        from_diffusers((unet, diffusers.IPNDMScheduler()))
    with pytest.raises(InputError, match="EDMDPMSolverMultistepScheduler with prediction_type='sample'"):
        from_diffusers((unet, diffusers.EDMDPMSolverMultistepScheduler(prediction_type="sample")))
    with pytest.raises(InputError, match=r"clock: found .* the network takes ¼ log σ"):
        from_diffusers((unet, diffusers.EDMEulerScheduler()), clock=lambda step: step)
    with pytest.raises(InputError, match="pipeline: found int"):
        from_diffusers(3)
    with pytest.raises(InputError, match="shape: found None"):
        from_diffusers((torch.nn.Identity(), diffusers.DDIMScheduler()))
