"""How long does the report of the demo take, and how large is the page?

python benchmarks/report.py [--results results] [--rounds 3]

Each round is a fresh interpreter, as `make demo` starts one. Without results of the demo it makes them first (a minute).
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def main() -> None:
    """Median seconds and bytes: of the demo's results, and of the recording itself, which is measured anew."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    experiment = given.results / "information-plane"
    if not (experiment / "claims.json").exists():
        run("reproduce", "information-plane", "--out", str(given.results))
    sources = {"results of the demo": experiment, "its recording": experiment / "recordings" / "reference-quick.fp"}
    print("| report of | median, s | page, MB |")
    print("|---|---:|---:|")
    for name, source in sources.items():
        with tempfile.TemporaryDirectory() as folder:
            page = Path(folder) / "report.html"
            seconds = []
            for _ in range(given.rounds):
                if source.suffix == ".fp":
                    run("clean", str(source))  # what was computed before is kept beside it
                seconds.append(run("report", str(source), "-o", str(page)))
            print(f"| {name} | {statistics.median(seconds):.1f} | {page.stat().st_size / 1e6:.1f} |", flush=True)


def run(*arguments: str) -> float:
    """Seconds that `flowplane` takes."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "flowplane", *arguments], check=True, capture_output=True)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
