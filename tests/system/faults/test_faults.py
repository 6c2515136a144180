"""A dozen faults, one of each family, on three brokers: nothing is lost, doubled or out of order."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.product import ROOT

WANTED = {"SHUKE_TEST_FAULTS", "CI"}
"""It takes minutes: it runs where one of these is set."""

DOZEN = (
    "killed gateway",
    "killed worker",
    "killed leader",
    "ended service",
    "crashed PostgreSQL",
    "frozen worker",
    "frozen leader",
    "reset database",
    "half-open bus",
    "black hole gateway to service",
    "full disk under PostgreSQL",
    "poison event",
)


QUIET_S, BUSY = 240, 2.5
"""Seconds that it takes on a machine of its own, at most; how many times that on one that others use too."""
WITHIN = 5
"""How many times what is promised a recovery may take here, beside other tests; `bench faults` judges it by once."""
PROMISED = {"killed worker", "killed leader", "frozen worker", "frozen leader"}


@pytest.mark.skipif(WANTED.isdisjoint(os.environ), reason="Takes the machine for minutes: set SHUKE_TEST_FAULTS=1")
def test_a_dozen_faults_lose_double_and_disorder_nothing_and_are_got_over_in_time(
    record_property: Callable[[str, object], None], tmp_path: Path
) -> None:
    kinds, out = [word for kind in DOZEN for word in ("--kind", kind)], tmp_path / "faults.json"
    asked = ("bench", "faults", "--count", "12", "--seed", "1", "--per-s", "10", "--within", str(WITHIN))
    began = time.monotonic()
    command = (sys.executable, "-P", "-m", "deploy.cli", *asked, "--json", "--out", str(out), *kinds)
    status, said, progress = run(*command)
    record_property("took_s", round(time.monotonic() - began))

    assert status == 0, progress
    told, summary = json.loads(out.read_text()), json.loads(said)
    assert all(summary[name] == told[name] for name in summary if name != "recovery_s")
    assert told["faults"] == len(DOZEN) - len(told["left_out"])
    assert told["commands"] > 100
    assert told["events_told"] > 100
    assert told["digest_equal"]
    wrong = ("lost", "doubled", "out_of_order", "verify_disagreements", "state_differs", "stuck", "refused")
    assert [told[name] for name in (*wrong, "unexpected_dead_letters")] == [0] * 8
    recovery = told["recovery_s"]
    assert set(recovery) == set(DOZEN) - set(told["left_out"])
    assert {kind for kind in recovery if recovery[kind]["limit"] is not None} == PROMISED
    assert all(recovery[kind]["max"] <= WITHIN * recovery[kind]["limit"] for kind in PROMISED), recovery


def run(*command: str) -> tuple[int, str, str]:
    """Status, output and progress of a run; one that takes too long is told to end and fails."""
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as running:
        try:
            said, progress = running.communicate(timeout=QUIET_S * BUSY)
        except subprocess.TimeoutExpired:
            # It takes down all that it started; what does not go then is ended with its session.
            running.terminate()
            try:
                _, progress = running.communicate(timeout=60)
            except subprocess.TimeoutExpired:
                os.killpg(running.pid, signal.SIGKILL)
                _, progress = running.communicate()
            pytest.fail(f"Not done after {QUIET_S * BUSY} s:\n{progress}")
    return running.returncode, said, progress
