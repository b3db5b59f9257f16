"""The code blocks of a Markdown page: run in order, in one namespace, and held to the output that the page shows under them.

A block of `python` is run as it stands, and what it prints may stand in a block of `text` after it, before the next
heading. In a block of `console` the lines that begin with `$ flowplane` are run, by the command line in this process; other
commands are for the reader. Numbers with decimals agree within two units of their last digit, as other processors sum in
another order.
"""

from __future__ import annotations

import io
import re
import shlex
import sys
from contextlib import chdir, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from unittest import mock

#: A number by itself: none of fc1, relu#2 or 3.11.7, but the one of "[0.12,".
NUMBER = re.compile(r"(?<![\w#.])[-−]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?(?![\w.]*\w)")
LAST_DIGITS = 2


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the number of its first line, its text, and the lines in which its output is shown."""

    language: str
    line: int
    text: str
    output: range | None = None
    shown: str = ""


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page in order; what a block prints is a part of that block."""
    lines, found, start, printing = page.read_text().splitlines(), [], None, False
    for at, line in enumerate(lines):
        if start is None and line.startswith("```"):
            start, language = at + 1, line[3:].strip()
        elif start is not None and line == "```":
            text = "\n".join(lines[start:at])
            if language == "text" and printing:
                found[-1] = replace(found[-1], output=range(start, at), shown=text)
            else:
                found.append(Block(language, start + 1, text))
            start, printing = None, language == "python"
        elif start is None and line.startswith("#"):
            printing = False
    return found


def run(page: Path, folder: Path) -> list[tuple[Block, str]]:
    """Run a page in a folder: its blocks of code, each with what it printed."""
    names: dict[str, object] = {"__name__": "__main__"}
    found = []
    with chdir(folder):
        for block in blocks(page):
            printed = io.StringIO()
            with redirect_stdout(printed):
                if block.language == "python":
                    # empty lines before it, so that a traceback has the number of the line on the page
                    exec(compile("\n" * (block.line - 1) + block.text, str(page), "exec"), names)
                elif block.language == "console":
                    for line in block.text.splitlines():
                        _command(line)
                else:
                    continue
            found.append((block, printed.getvalue().rstrip()))
    return found


def _command(line: str) -> None:
    from flowplane.cli import main

    if line.startswith("$ flowplane "):
        with mock.patch.object(sys, "argv", shlex.split(line.removeprefix("$ "), comments=True)):
            try:
                main()
            except SystemExit as done:
                assert done.code in (None, 0), f"{line}: exit code {done.code}"


def differences(shown: str, printed: str) -> list[str]:
    """Where a printed text is not what is shown; white space counts as one space, a shown `…` stands for any text."""
    words, others = (NUMBER.sub("0", " ".join(text.split())) for text in (shown, printed))
    if not re.fullmatch(".*?".join(map(re.escape, words.split("…"))), others):
        return [f"shown {shown!r}, printed {printed!r}"]
    if "…" in shown:
        return []
    pairs = zip(NUMBER.findall(shown), NUMBER.findall(printed), strict=True)
    return [f"shown {one}, printed {other}" for one, other in pairs if not _alike(one, other)]


def _alike(shown: str, printed: str) -> bool:
    """Whole numbers are the same, others differ by two units of the last digit shown at most."""
    one, other = (float(text.replace("−", "-").replace(",", "")) for text in (shown, printed))
    digits, _, power = shown.partition("e")
    decimals = len(digits.partition(".")[2])
    unit = 10.0 ** (int(power or 0) - decimals) if decimals or power else 0.0
    return abs(one - other) <= (LAST_DIGITS + 1e-6) * unit


def write(page: Path, found: list[tuple[Block, str]]) -> None:
    """Put what blocks printed under them."""
    lines = page.read_text().splitlines()
    for block, printed in reversed(found):
        if block.output is not None:
            lines[block.output.start : block.output.stop] = printed.splitlines()
        elif block.language == "python":
            after = block.line + len(block.text.splitlines())
            lines[after:after] = ["", "```text", *printed.splitlines(), "```"]
    page.write_text("\n".join(lines) + "\n")
