"""Clients made from the OpenAPI document, and a reader of the bus: what `docs/integrate.md` shows is what works."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.product import ROOT
from deploy import supervisor
from tests.system.conftest import Start
from tests.system.product import Product, party_of

HERE = Path(__file__).parent / "clients"
DOCUMENT = ROOT / "contracts" / "openapi" / "shuke.json"
PACKAGES = ROOT / ".tools" / "clients"


def run(*command: object, cwd: Path) -> str:
    done = subprocess.run(list(map(str, command)), cwd=cwd, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-4_000:] + done.stderr[-4_000:]
    return done.stdout


def key(product: Product) -> str:
    return product.client.headers["Authorization"].removeprefix("Bearer ")


def has_bought(product: Product, said: str, customer: str) -> None:
    told: dict[str, Any] = json.loads(said)
    assert told == {"party": f"party_{party_of(customer).hex}", "stage": "customer", "refused": "invalid_request"}
    [purchase] = product.get("/v1/purchases", party_id=told["party"])["data"]
    assert purchase["amount_minor"] == 4990


def test_a_python_client_is_made_from_the_document_and_does_its_journey(shared: Product, tmp_path: Path) -> None:
    config = tmp_path / "generator.yml"
    config.write_text("content_type_overrides:\n  application/x-ndjson: application/octet-stream\n")
    # The generator wants other versions than the product does, so it has an environment of its own.
    environment = PACKAGES / "python"
    uv, python = ROOT / ".tools" / "uv" / "bin" / "uv", environment / "bin" / "python"
    if not python.exists():
        run(uv, "venv", "--quiet", "--python", sys.executable, environment, cwd=tmp_path)
    run(uv, "pip", "install", "--quiet", "--python", python, "--require-hashes", "-r", HERE / "requirements.lock",
        cwd=tmp_path)  # fmt: skip
    made = ("--path", DOCUMENT, "--output-path", tmp_path / "shuke_client", "--meta", "none", "--config", config)

    said = run(environment / "bin" / "openapi-python-client", "generate", *made, cwd=tmp_path)
    shutil.copy(HERE / "journey.py", tmp_path)
    run(python, "-m", "compileall", "-q", "-j", "2", "shuke_client", cwd=tmp_path)
    run(python, "-m", "mypy", "--strict", "--follow-imports=silent", "journey.py", cwd=tmp_path)

    assert "Unable" not in said
    assert "WARNING" not in said
    has_bought(shared, run(python, "journey.py", shared.running.url, key(shared), cwd=tmp_path), "python")


def test_a_typescript_client_is_made_from_the_document_and_does_its_journey(shared: Product) -> None:
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        pytest.skip("Needs node and npm")
    PACKAGES.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json", "journey.ts"):
        shutil.copy(HERE / name, PACKAGES)
    shutil.copy(DOCUMENT, PACKAGES / "openapi.json")

    run(npm, "ci", "--no-audit", "--no-fund", cwd=PACKAGES)
    run(npm, "run", "generate", cwd=PACKAGES)
    run(npm, "run", "compile", cwd=PACKAGES)

    has_bought(shared, run(node, "journey.js", shared.running.url, key(shared), cwd=PACKAGES), "typescript")


def test_a_reader_of_the_bus_knows_how_everybody_stands_from_twenty_lines(start: Start) -> None:
    with start("cluster", "--workers", "1") as product:
        product.buy("ann", "2025-01-01T12:00:00Z", 1_000)
        product.settle()
        servers = supervisor.endpoints(product.folder)["bus"].removeprefix("kafka://")
        command = (sys.executable, ROOT / "examples" / "standings.py", servers)
        with subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True) as reader:
            assert reader.stdout is not None
            party, revision, *stands = reader.stdout.readline().split()
            product.buy("ann", "2025-01-02T12:00:00Z", 1_000)
            party_again, later, *_ = reader.stdout.readline().split()
            reader.terminate()

    assert party == party_again == str(party_of("ann"))
    assert int(later) > int(revision)
    assert len(stands) == 2
