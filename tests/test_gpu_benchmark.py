"""`make bench-gpu` says so where there is no GPU, and its parts run on a CPU."""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
import torch

FILE = Path(__file__).parents[1] / "benchmarks" / "gpu.py"


@pytest.fixture(scope="module")
def gpu():
    spec = spec_from_file_location("gpu_benchmark", FILE)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("part", ["training", "pairwise", "attention", "recorder"])
def test_each_part_runs_small_on_a_cpu(gpu, part):
    rows = list(getattr(gpu, part)(torch.device("cpu"), 0.002))
    assert rows and all(seconds > 0 for _, _, seconds, _ in rows)


def test_the_learned_denoiser_is_among_the_denoisers(gpu, monkeypatch):
    asked = []
    monkeypatch.setattr(gpu.fp, "Denoising", lambda noise, denoiser, relative: lambda x: asked.append((denoiser, len(x))))
    assert [what for what, *_ in gpu.denoising(torch.device("cpu"), 0.01)] == ["Denoising, points", "Denoising, learned"]
    assert asked == [("points", 100)] * 2 + [("learned", 100)] * 2


def test_without_a_gpu_one_sentence_says_so(gpu, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu.py"])
    gpu.main()
    assert capsys.readouterr().out.startswith("There is no GPU here that PyTorch can use, so nothing was measured")
