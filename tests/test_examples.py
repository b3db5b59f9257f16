"""The examples run, and what they say of their own tasks is true."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from slower import first_ones

import flowplane as fp

EXAMPLES = Path(__file__).parents[1] / "examples"
#: Name of the example, of its files, its layers.
RUNS = {
    "digits_convnet": ("digits-convnet", 4),
    "plain_loop": ("two-moons", 5),
    "small_gpt2": ("small-gpt2", 3),
    "sentence_encoder": ("sentence-encoder", 7),
}


def loaded(name):
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_all_examples_are_tested():
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(RUNS)


@pytest.mark.parametrize("name", first_ones(1, RUNS))
def test_a_quick_run_leaves_a_recording_and_its_page(name, tmp_path):
    stem, layers = RUNS[name]
    command = [sys.executable, str(EXAMPLES / f"{name}.py"), "--quick", "--out", str(tmp_path / "out")]
    found = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"HF_HUB_OFFLINE": "1"}, check=False)
    assert found.returncode == 0, found.stderr
    rec = fp.open(tmp_path / "out" / f"{stem}.fp")
    assert (rec.kind, len(rec.layers)) == ("model", layers)
    if len(rec.epochs) > 1:  # a network that is not trained has no loss
        assert np.isfinite(rec.metrics["train_loss"]).all()
    page = tmp_path / "out" / f"{stem}.html"
    assert page.stat().st_size > 1e5
    assert f"report: {page}" in found.stdout
    assert name != "digits_convnet" or "Plotly.newPlot" in (tmp_path / "out" / "digits-convnet-certain.html").read_text()


def test_the_convnet_shows_its_least_and_most_certain_digits(tmp_path):
    """Twenty pictures for either quantity, and the labels that are printed are those of the probe inputs."""
    digits = loaded("digits_convnet")
    torch.manual_seed(0)
    _, _, probe, labels = digits.digits()
    rec = fp.record(digits.ConvNet().eval(), probe, labels)
    each = fp.pointwise_information(rec, layer="dense", epoch=0, denoiser="linear")
    np.testing.assert_array_equal(each.label, labels)
    pictures = [trace for trace in fp.plot.pointwise_information(each, images=probe).data if trace.type == "heatmap"]
    assert len(pictures) == 4 and all(trace.z.shape == (8, 10 * 9 - 1) for trace in pictures)
    least = probe[int(each.i_ty_each.values[0].argmin()), 0].numpy()
    np.testing.assert_allclose(pictures[2].z[:, :8] * np.ptp(least), least - least.min(), atol=1e-6)


@pytest.fixture(scope="module")
def language():
    return loaded("small_gpt2")


def test_sentences_follow_the_grammar(language):
    """Every bracket closes the innermost open one; the labels are what a stack says."""
    tokens, innermost = language.sentences(200, seed=0)
    assert tokens.shape == innermost.shape == (200, language.LENGTH + 1)
    for sentence, labels in zip(tokens.tolist(), innermost.tolist(), strict=True):
        assert (sentence[0], labels[0]) == (language.START, 0)
        stack = []
        for token, label in zip(sentence[1:], labels[1:], strict=True):
            if token < language.TYPES:
                stack.append(token)
            else:
                assert stack.pop() == token - language.TYPES
            assert len(stack) <= language.DEPTH
            assert label == (stack[-1] + 1 if stack else 0)


def test_the_least_loss_is_the_entropy_of_the_language(language):
    """Against −log of the chance of drawn sentences, by the rule of the grammar: within four standard errors."""
    tokens, innermost = language.sentences(4000, seed=1)
    opens = (tokens[:, 1:] < language.TYPES).numpy()
    depth = np.cumsum(np.where(opens, 1, -1), axis=1)
    before = np.concatenate([np.zeros((len(depth), 1), int), depth[:, :-1]], axis=1)
    chance = np.where(opens, language.OPEN / language.TYPES, 1 - language.OPEN)
    chance[before == 0] = 1 / language.TYPES
    chance[before == language.DEPTH] = 1.0
    losses = -np.log(chance).mean(axis=1)
    assert language.least_loss() == pytest.approx(losses.mean(), abs=4 * losses.std() / np.sqrt(len(losses)))
    assert innermost.unique().tolist() == [0, 1, 2, 3]


def test_the_budget_is_told_untrained_and_trained(language):
    """The shares are those of the recording, and independent steps waste 1 − 1/L on bending."""
    x = torch.randn(40, 300, generator=torch.Generator().manual_seed(0))
    steps = torch.randn(2, 40, 300, generator=torch.Generator().manual_seed(1)).cumsum(0)
    rec = fp.from_arrays({"drop": [x, x], "h.0": [x + steps[0], x + 1], "h.1": [x + steps[1], x + 2]}, epochs=[0, 9])
    spent = fp.layer_budget(rec)
    first, untrained, trained = language.in_words(2, spent).splitlines()
    assert first == "2 blocks: independent steps would waste 50 % on bending"
    bending = 100 * float((spent.bending / spent.energy)[0, 0])
    assert bending == pytest.approx(50, abs=3) and f", {bending:.0f} % on bending" in untrained
    assert "energy 1.2e+03, of which 100 % must be spent, 0 % wasted on coupling, 0 % on bending" in trained


def test_the_residual_stream_is_a_sum(language):
    """What leaves a block is what entered it and what its attention and its MLP add: x_{l+1} = x_l + v_l(x_l)."""
    torch.manual_seed(0)
    model = language.small_gpt2(layers=2, width=16).eval()
    tokens, _ = language.sentences(3, seed=0)
    block, kept = model.transformer.h[1], {}

    def keep(name):
        return lambda module, given, output: kept.__setitem__(name, output[0] if isinstance(output, tuple) else output)

    for name, module in {"before": model.transformer.h[0], "after": block, "attn": block.attn, "mlp": block.mlp}.items():
        module.register_forward_hook(keep(name))
    with torch.no_grad():
        model(tokens)
    torch.testing.assert_close(kept["after"], kept["before"] + kept["attn"] + kept["mlp"])


def test_the_page_on_residual_streams_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where its report goes
    page = (EXAMPLES.parent / "docs" / "residual-stream.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names = {}
    exec(code, names)
    spent = names["spent"]
    assert spent.attrs["result"] == "layer_budget" and spent.sizes["layer"] == 4
