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


@pytest.mark.parametrize("part", ["training", "pairwise", "denoising", "attention", "recorder"])
def test_each_part_runs_small_on_a_cpu(gpu, part):
    rows = list(getattr(gpu, part)(torch.device("cpu"), 0.002))
    assert rows and all(seconds > 0 for _, _, seconds, _ in rows)


@pytest.mark.slow
def test_all_of_it_runs_on_a_cpu_and_prints_a_table(gpu, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--device", "cpu", "--scale", "0.005"])
    gpu.main()
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")][1:]
    assert len(rows) == 7 and all(float(row.split("|")[3]) > 0 for row in rows)


def test_without_a_gpu_one_sentence_says_so(gpu, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu.py"])
    gpu.main()
    assert capsys.readouterr().out.startswith("There is no GPU here that PyTorch can use, so nothing was measured")
