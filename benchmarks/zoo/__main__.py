"""What the probe sees of published architectures: `make zoo` writes docs/zoo.md.

Each is built with random weights. Three things are looked at: which layers are taken by default, as what, and what is left
out; whether every row of every module among them is what that module returns when its sample is run alone; and whether
training with a Recorder ends in the same bits as training without one.
"""

from __future__ import annotations

import json
import signal
import sys
import time
import traceback
import warnings
from collections import Counter
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from architectures import ARCHITECTURES, Architecture, N
from torch import Tensor, nn

import flowplane as fp
from flowplane.errors import InputError
from flowplane.recorder.reduction import first_tensor

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / "results" / "zoo"
#: Seconds for one architecture, and agreement of rows, as a share of the largest number of a layer.
LIMIT, AGREES = 600, 1e-3
ABOUT = """# What the probe sees of published architectures

Made by `make zoo`: random weights, 24 samples, `fp.Recorder(model, inputs, labels)`, everything else by default.

*rows as alone*: so many of its modules were compared, every row with what the module returns when its sample is run alone.
*left out*: what ran but is not recorded, by reason; what lies inside a recorded layer, is the same tensor as one, or was
merely not chosen is not counted. *seconds*: to trace the model, on two cores. *same bits*: after two steps of training,
weights, buffers and random states are those of training without a Recorder.
"""
#: Reasons that say no more than where else the numbers are.
MERELY = ("inside ", "the same tensor as ", "not chosen")


def called(model: nn.Module, inputs: Any, rows: slice = slice(None)) -> Any:
    """What a model returns for some of the samples."""
    if isinstance(inputs, dict):
        return model(**{name: values[rows] for name, values in inputs.items()})
    return model(inputs[rows])


def trained(made: Architecture, record: bool) -> dict[str, Any]:
    """Weights, buffers and random states after two steps."""
    torch.manual_seed(0)
    model, inputs = made.model(), made.inputs()
    optimizer = torch.optim.SGD(model.parameters(), 1e-3)
    recorder = fp.Recorder(model, inputs, torch.arange(N) % 2, epochs=2, snapshots=3) if record else None
    if recorder is not None:
        recorder.start()
    model.train()
    for _ in range(2):
        torch.manual_seed(1)
        np.random.seed(1)  # noqa: NPY002 (some models mask by NumPy)
        found = first_tensor(called(model, inputs))
        assert found is not None
        optimizer.zero_grad()
        found.float().square().mean().backward()
        optimizer.step()
        if recorder is not None:
            recorder.step()
    if recorder is not None:
        recorder.close()
    return {name: values.clone() for name, values in model.state_dict().items()} | {"stream": torch.get_rng_state()}


def identical(made: Architecture) -> bool:
    alone, watched = trained(made, False), trained(made, True)
    return all(torch.equal(torch.nan_to_num(alone[name].float()), torch.nan_to_num(watched[name].float())) for name in alone)


def alone(model: nn.Module, inputs: Any, layers: list[Any]) -> dict[str, np.ndarray]:
    """The numbers of each module, (sample, number), its samples run one at a time."""
    modules = dict(model.named_modules()) | {"": model}
    found: dict[str, list[np.ndarray]] = {layer.name: [] for layer in layers}
    for sample in range(N):
        seen: dict[str, list[Tensor | None]] = {layer.judged.call.key[0]: [] for layer in layers}
        handles = [modules[name].register_forward_hook(partial(_see, seen[name])) for name in seen]
        with torch.no_grad():
            called(model, inputs, slice(sample, sample + 1))
        for handle in handles:
            handle.remove()
        for layer in layers:
            name, number = layer.judged.call.key[:2]
            values = seen[name][number - 1] if len(seen[name]) >= number else None
            found[layer.name].append(np.zeros(0) if values is None else values.double().flatten().numpy())
    return {name: np.stack(rows) for name, rows in found.items() if len({len(row) for row in rows}) == 1}


def _see(seen: list[Tensor | None], module: nn.Module, arguments: Any, output: Any) -> None:
    values = first_tensor(output)
    seen.append(None if values is None else values.detach().clone())


def agree(rows: np.ndarray, expected: np.ndarray) -> bool:
    """Whether rows are the same up to one order of their numbers."""
    if rows.shape != expected.shape:
        return False
    scale = max(1e-6, np.abs(expected).max())
    products = np.abs(rows @ rows.T - expected @ expected.T).max()
    apart = np.abs(np.sort(rows, 1) - np.sort(expected, 1)).max()
    return bool(apart <= AGREES * scale and products <= 4 * AGREES * scale**2 * rows.shape[1])


def looked_at(made: Architecture) -> dict[str, Any]:
    """One line of the table."""
    torch.manual_seed(0)
    model, inputs = made.model().eval(), made.inputs()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        began = time.perf_counter()
        recorder = fp.Recorder(model, inputs, torch.arange(N) % 2)
        seconds = time.perf_counter() - began
    layers = recorder._session.probe.layers
    left = recorder.left_out
    own = left[~left["why"].str.startswith(MERELY)]
    modules = [layer for layer in layers if layer.judged.call.function is None and layer.deterministic]
    expected = alone(model, inputs, modules)
    known = [layer.name for layer in modules if layer.name in expected and not layer.judged.varies]
    rec = fp.record(model, inputs, layers=known, reduce="flatten")
    wrong = [name for name in known if not agree(rec.activations(name).values[0, 0].astype(float), expected[name])]
    return {
        "library": made.library,
        "name": made.name,
        "parameters": sum(part.numel() for part in model.parameters()),
        "layers": [layer.name for layer in layers],
        "reductions": dict(Counter(layer.reduction.words for layer in layers)),
        "noisy": [layer.name for layer in layers if not layer.deterministic],
        "left_out": [[row.name, row.kind, row.calls, row.shape, row.why] for row in own.itertuples(index=False)],
        "others": len(left) - len(own),
        "checked": len(known),
        "wrong": wrong,
        "seconds": seconds,
        "warnings": sorted({str(each.message) for each in said if issubclass(each.category, RuntimeWarning)}),
    }


def _stopped(number: int, frame: Any) -> None:
    raise TimeoutError(f"more than {LIMIT} seconds")


def line_of(made: Architecture) -> dict[str, Any]:
    """What was found of an architecture, or why nothing was; what was found before is not found again."""
    file = KEPT / f"{made.library}-{made.name}.json"
    if file.exists():
        return json.loads(file.read_text())  # type: ignore[no-any-return]
    signal.signal(signal.SIGALRM, _stopped)
    signal.alarm(LIMIT)
    about: dict[str, Any] = {"library": made.library, "name": made.name}
    try:
        found = looked_at(made)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found["identical"] = identical(made)
    except InputError as error:
        found = about | {"refused": str(error)}
    except Exception as error:
        traceback.print_exc()
        found = about | {"failed": f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"}
    finally:
        signal.alarm(0)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(found, indent=1))
    return found


def shown(names: list[str]) -> str:
    """Names of layers; of many the first and the last."""
    some = names if len(names) <= 6 else [*names[:3], "…", *names[-2:]]
    return ", ".join(name if name == "…" else f"`{name}`" for name in some)


def row(found: dict[str, Any]) -> str:
    """A line of the table."""
    if "refused" in found or "failed" in found:
        said = found.get("refused") or found["failed"]
        return f"| {found['name']} | | {'refused' if 'refused' in found else 'failed'}: {said} | | | | | |"
    left = Counter(why for *_, why in found["left_out"])
    cells = [
        found["name"],
        f"{found['parameters'] / 1e6:.1f}",
        f"{len(found['layers'])}: {shown(found['layers'])}",
        ", ".join(f"{words} ({n})" for words, n in found["reductions"].items()),
        "; ".join(f"{why}: {n}" for why, n in left.items()) or "–",
        f"**wrong: {', '.join(found['wrong'])}**" if found["wrong"] else f"{found['checked']} of {found['checked']}",
        f"{found['seconds']:.1f}",
        "yes" if found["identical"] else "**no**",
    ]
    return f"| {' | '.join(cells)} |"


def page(lines: list[dict[str, Any]]) -> str:
    """docs/zoo.md."""
    names = ("torch", "torchvision", "timm", "transformers")
    wrong = sum(bool(each.get("wrong")) for each in lines)
    refused = sum("refused" in each for each in lines)
    failed = sum("failed" in each for each in lines)
    different = sum(each.get("identical") is False for each in lines)
    found = f"{wrong} recorded wrongly, {refused} refused, {failed} failed, {different} with other bits"
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    out = [f"{ABOUT}\nWith {versions}.\n\n{len(lines)} architectures: {found}."]
    for library in dict.fromkeys(each["library"] for each in lines):
        out += [
            "",
            f"## {library}",
            "",
            "| architecture | million parameters | layers | reductions | left out | rows as alone | seconds | same bits |",
            "| --- | --- | --- | --- | --- | --- | --- | --- |",
        ]
        out += [row(each) for each in lines if each["library"] == library]
    return "\n".join(out) + "\n"


def main(wanted: list[str]) -> None:
    lines = []
    for architectures in ARCHITECTURES.values():
        for made in architectures():
            if wanted and made.name not in wanted and made.library not in wanted:
                continue
            found = line_of(made)
            lines.append(found)
            print(row(found), flush=True)
    if not wanted:
        (ROOT / "docs" / "zoo.md").write_text(page(lines))


if __name__ == "__main__":
    main(sys.argv[1:])
