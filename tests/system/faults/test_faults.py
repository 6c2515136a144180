"""A dozen faults, one of each family, on three brokers: nothing is lost, doubled or out of order."""

import json
import os
import subprocess
import sys

import pytest

from bench.product import ROOT

WANTED = {"SHUKE_TEST_FAULTS", "CI"}
"""It takes minutes: it runs where one of these is set."""

DOZEN = (
    "killed gateway",
    "killed worker",
    "killed publisher",
    "killed leader",
    "ended service",
    "crashed PostgreSQL",
    "frozen reader, briefly",
    "reset database",
    "half-open bus",
    "black hole gateway to service",
    "full disk under PostgreSQL",
    "poison event",
)


@pytest.mark.skipif(WANTED.isdisjoint(os.environ), reason="Takes the machine for minutes: set SHUKE_TEST_FAULTS=1")
def test_a_dozen_faults_lose_double_and_disorder_nothing() -> None:
    kinds = [word for kind in DOZEN for word in ("--kind", kind)]
    asked = ("bench", "faults", "--count", "12", "--seed", "1", "--per-s", "10", "--json", *kinds)
    done = subprocess.run(
        (sys.executable, "-P", "-m", "deploy.cli", *asked), cwd=ROOT, capture_output=True, text=True, check=False
    )

    told = json.loads(done.stdout) if done.stdout else {}
    assert done.returncode == 0, done.stderr
    assert told["faults"] == len(DOZEN) - len(told["left_out"])
    assert told["commands"] > 100
    assert told["digest_equal"]
    wrong = ("lost", "doubled", "out_of_order", "verify_disagreements", "state_differs", "stuck", "refused")
    assert [told[name] for name in (*wrong, "unexpected_dead_letters")] == [0] * 8
    assert set(told["recovery_s"]) == set(DOZEN) - set(told["left_out"])
