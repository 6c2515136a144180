import os
import subprocess
import sys
from pathlib import Path

from tests.system.conftest import Start

EXAMPLES = int(os.environ.get("SHUKE_TEST_EXAMPLES", "20"))
"""Requests of each operation in a round; rounds go on until the time is spent."""
SECONDS = 6 * EXAMPLES
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "allow_header_conformance",
)


def test_nothing_that_the_document_allows_or_forbids_breaks_the_product(start: Start, tmp_path: Path) -> None:
    with start("up", "--empty") as product:
        [own] = [key for key in product.client.get("/v1/keys").json()["data"] if key["current"]]
        command = [
            *(sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()"),
            *("run", f"{product.running.url}/openapi.json", "--checks", ",".join(CHECKS)),
            *(
                "--phases",
                "coverage,fuzzing",
                "--max-time",
                str(SECONDS),
                "--max-examples",
                str(EXAMPLES),
                "--seed",
                "1",
            ),
            *("--header", f"Authorization: {product.client.headers['Authorization']}"),
            # It closes the intake for everything that would come after it.
            *("--exclude-path", "/v1/drain"),
            # It ends when its reader does.
            *("--exclude-path", "/v1/stream"),
            *("--no-shrink", "--continue-on-failure", "--warnings", "off", "--request-timeout", "60"),
        ]
        variables = {"SCHEMATHESIS_HOOKS": "tests.system.hooks", "SHUKE_OWN_KEY": own["id"]}
        variables |= {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
        done = subprocess.run(
            command, cwd=tmp_path, env={**os.environ, **variables}, capture_output=True, text=True, timeout=SECONDS * 4
        )
        assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2_000:]
        assert "Operations:" in done.stdout
        for paused in product.get("/v1/status")["paused"]:
            said = {"service": paused["service"], "topic": paused["topic"]}
            product.client.post("/v1/consumers/resume", json=said).raise_for_status()
        product.settle()
        assert product.agrees()
        logs = {path.name: path.read_text() for path in (product.folder / "logs").glob("*.log")}
    assert [name for name, text in logs.items() if "request failed" in text or "task died" in text] == []
