"""The ledger: every claim of both papers, run or not."""

import json
import re
from pathlib import Path

import pytest
from rich.console import Console

from flowplane.experiments import EXPERIMENTS
from flowplane.experiments.claim import ROLES, Claim
from flowplane.experiments.papers import PAPER_CLAIMS, PAPERS, head_of
from flowplane.experiments.registry import experiments_of
from flowplane.reporting.ledger import count_verdicts, paper_tables, read_claims


def claim(name, verdict="reproduced", role="part"):
    return Claim(id=name, role=role, statement=f"statement of {name}", measured=(1.0,), verdict=verdict, units="bits")


def lines_of(claims):
    """The tables as printed, one text a line."""
    console = Console(width=140, highlight=False, markup=False)
    with console.capture() as capture:
        for table in paper_tables(claims):
            console.print(table)
    return capture.get().splitlines()


def ids_of(claims):
    words = [line.split() for line in lines_of(claims)]
    return [line[0] for line in words if line and re.match(r"[AB]-\d|X-", line[0])]


def test_both_papers_claims_are_all_there():
    expected = [f"A-{k}" for k in range(1, 10)] + [f"B-{k}" for k in range(1, 11)]
    assert list(PAPER_CLAIMS) == expected
    assert ids_of([]) == expected
    assert {claim.paper for claim in PAPER_CLAIMS.values()} == set(PAPERS)


@pytest.mark.parametrize("name", PAPER_CLAIMS)
def test_an_experiment_tests_each(name):
    assert experiments_of(name)
    assert set(experiments_of(name)) <= set(EXPERIMENTS)


def test_experiments_speak_of_known_claims():
    """What is under no claim of a paper is named by words after an X."""
    for experiment in EXPERIMENTS.values():
        for name in experiment.claims:
            assert head_of(name) or re.fullmatch(r"X(-[a-z]+)+(\.[a-z]+)*", name), name


def test_what_was_not_run_says_what_to_run():
    text = "\n".join(lines_of([claim("A-1")]))
    assert "statement of A-1" in text
    assert "flowplane reproduce gaussian-dae" not in text.split("A-2 ")[0]
    assert text.count("not run") == 18
    for name in PAPER_CLAIMS:
        if name != "A-1":
            assert f"to run: flowplane reproduce {experiments_of(name)[0]}" in text


def test_parts_stand_under_their_claim_in_order():
    claims = [claim("B-10.relu"), claim("A-1.random"), claim("B-1.start"), claim("A-1"), claim("B-10"), claim("B-1")]
    ids = ids_of(claims)
    assert ids[:2] == ["A-1", "A-1.random"]
    assert ids[ids.index("B-1") + 1] == "B-1.start"
    assert ids[-2:] == ["B-10", "B-10.relu"]
    assert "  A-1.random" in "\n".join(lines_of(claims))


def test_parts_without_their_claim():
    """No verdict is made up for a claim of which there are parts only."""
    lines = lines_of([claim("A-1.limit", "contradicted")])
    row = next(line for line in lines if line.split()[:1] == ["A-1"])
    assert "in part" in row
    assert not any(word in row for word in ("contradicted", "not run"))
    assert count_verdicts([claim("A-1.limit", "contradicted")]).splitlines() == [
        "the papers' 19 claims: 1 in part, 18 not run",
        "1 row in this folder: 1 contradicted",
    ]


def test_claims_of_neither_paper_stand_apart():
    lines = lines_of([claim("X-shallow-optimal")])
    titles = [line.strip() for line in lines if line.strip() in (*PAPERS.values(), "Claims of neither paper")]
    assert titles == [*PAPERS.values(), "Claims of neither paper"]
    assert ids_of([claim("X-shallow-optimal")])[-1] == "X-shallow-optimal"
    assert count_verdicts([claim("X-shallow-optimal")]).startswith("the papers' 19 claims: 19 not run")


@pytest.mark.parametrize("role", ROLES)
def test_every_row_says_its_role(role):
    row = next(line for line in lines_of([claim("B-3.x", role=role)]) if line.split()[:1] == ["B-3.x"])
    assert row.split()[1] == role


def test_counts():
    claims = [
        claim("A-1"),
        claim("A-2", "contradicted"),
        claim("B-1", "inconclusive"),
        claim("B-1.start"),
        claim("B-2", "not run"),
    ]
    assert count_verdicts(claims).splitlines() == [
        "the papers' 19 claims: 1 reproduced, 1 contradicted, 1 inconclusive, 16 not run",
        "5 rows, parts and controls included, in this folder: 2 reproduced, 1 contradicted, 1 inconclusive, 1 not run",
    ]


def test_reading_a_folder_and_one_experiment_of_it(tmp_path: Path):
    assert read_claims(tmp_path) == []
    for name in ("x", "y"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "claims.json").write_text(json.dumps([claim(f"A-1.{name}").to_json()]))
    assert [found.id for found in read_claims(tmp_path)] == ["A-1.x", "A-1.y"]
    assert [found.id for found in read_claims(tmp_path / "y")] == ["A-1.y"]
