"""The way from a command to the running product: its public API, like any other client."""

import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from deploy.cli.options import DEFAULT_DATA, HASH

if TYPE_CHECKING:
    import httpx

NO_WAYS: Mapping[str, str] = {}

KINDS = {"policies": "policy", "models": "model"}
"""The command of what the API has in lists."""


def fail(text: str, code: int = 1) -> NoReturn:
    """End the command, saying why on stderr."""
    typer.secho(text, err=True, fg=typer.colors.RED)
    raise typer.Exit(code)


def found(data: Path | None) -> tuple[str, str]:
    """Address and key of the product: from `SHUKE_URL` and `SHUKE_KEY` unless a data folder is named."""
    url, key = os.environ.get("SHUKE_URL"), os.environ.get("SHUKE_KEY")
    if data is None and url:
        if not key:
            fail("SHUKE_URL is set without SHUKE_KEY.")
        return url.rstrip("/"), key
    folder = data or DEFAULT_DATA
    endpoints = folder / "run" / "endpoints.json"
    if not endpoints.exists():
        fail(f"Shuke does not run on {folder}. Start it by `shuke up --data {folder}`, or set SHUKE_URL and SHUKE_KEY.")
    return json.loads(endpoints.read_text())["url"], (folder / "admin.key").read_text().strip()


@contextmanager
def product(data: Path | None = None) -> Iterator["httpx.Client"]:
    """A client of the running product."""
    with client_of(*found(data)) as client:
        yield client


@contextmanager
def client_of(url: str, key: str) -> Iterator["httpx.Client"]:
    """A client of an address; what goes wrong on the way ends the command with one clear line."""
    import httpx

    headers = {"Authorization": f"Bearer {key}"}
    with httpx.Client(base_url=url, headers=headers, timeout=httpx.Timeout(60, connect=5), trust_env=False) as client:
        try:
            yield client
        except httpx.ConnectError:
            fail(f"Nothing answers at {url}.")
        except httpx.TimeoutException:
            fail(f"{url} did not answer in time.")
        except httpx.TransportError as error:
            fail(f"The connection to {url} broke: {error}")


def answer(response: "httpx.Response", ways_out: Mapping[str, str] = NO_WAYS) -> Any:
    """The body of a good response; a problem ends the command with its detail, and with how to say it here by code."""
    if response.is_success:
        return response.json() if response.content else None
    response.read()
    try:
        problem = response.json()
    except ValueError:
        fail(f"{response.request.method} {response.request.url.path} was answered with {response.status_code}.")
    details = [f"{each['pointer']}: {each['detail']}" for each in problem.get("errors", [])]
    lines = [problem.get("detail") or problem.get("title", "Refused."), *details]
    if way_out := ways_out.get(problem.get("code", "")):
        lines.append(way_out)
    fail("\n".join([*lines, f"({problem.get('code')}, request {problem.get('request_id')})"]))


def pages(client: "httpx.Client", path: str, **asked: Any) -> Iterator[dict[str, Any]]:
    """Everything that a list holds, or what is asked for of it, page by page."""
    query: dict[str, Any] = {"limit": 100, **asked}
    while True:
        page = answer(client.get(path, params=query))
        yield from page["data"]
        if not page["has_more"]:
            return
        query["cursor"] = page["next_cursor"]


def whole(client: "httpx.Client", kind: str, begun: str) -> str:
    """The content hash that begins so, of `policies` or `models`, or that of the policy that is named so.

    None or several end the command.
    """
    if len(begun) == 64:
        return begun
    known: dict[str, str | None] = {each["hash"]: each.get("name") for each in pages(client, f"/v1/{kind}")}
    if kind == "policies" and begun not in known.values():
        known |= {each["hash"]: each["name"] for each in answer(client.get("/v1/policies/presets"))["data"]}
    named = [hash for hash, name in known.items() if name == begun]
    if len(named) > 1:
        fail("\n".join([f"{len(named)} {kind} are named {begun}. Write the first digits of one:", *named]))
    if named:
        return named[0]
    if not HASH.fullmatch(begun):
        fail(f"None of the {kind} is named {begun}. `shuke {KINDS[kind]} list` lists them.")
    return the_one(begun, kind, known)


def the_one(begun: str, kind: str, known: Iterable[str]) -> str:
    """The one of the known ids that begins so; none or several end the command."""
    found = [each for each in known if each.startswith(begun)]
    if not found:
        named = " or is named so" if kind == "policies" else ""
        fail(f"None of the {kind} begins with {begun}{named}. `shuke {KINDS[kind]} list` lists them.")
    if len(found) > 1:
        fail("\n".join([f"{len(found)} {kind} begin with {begun}. Write more digits of one:", *found]))
    return found[0]


def steps(client: "httpx.Client", path: str, what: str, **request: Any) -> Iterator[dict[str, Any]]:
    """Lines of JSON that tell how far something is. One that breaks off before it is `done` ends the command."""
    last: dict[str, Any] = {}
    with client.stream("POST", path, timeout=None, **request) as response:
        if not response.is_success:
            answer(response)
        for line in filter(None, response.iter_lines()):
            last = json.loads(line)
            yield last
    if not last.get("done"):
        fail(f"{what} was cut off before its end.")


def download(client: "httpx.Client", path: str, output: Path | None, **request: Any) -> None:
    """Write what is answered to a file, or to stdout. A problem ends the command and makes no file."""
    with client.stream("GET", path, **request) as response:
        if not response.is_success:
            answer(response)
        with output.open("wb") if output else nullcontext(sys.stdout.buffer) as file:
            for part in response.iter_bytes():
                file.write(part)
            file.flush()


def settle(client: "httpx.Client", seconds: float = 120) -> None:
    """Wait until every event has its number, every consumer has read it, and all stand under the newest ruling."""
    until = time.monotonic() + seconds
    while True:
        status = answer(client.get("/v1/status"))
        behind = sum(each["events"] for each in status["lag"])
        # Without a list of consumers none has begun to read.
        if status["lag"] and not behind and status["oldest_unsequenced_s"] == 0 and not status["reassessing"]:
            return
        if time.monotonic() > until:
            fail(f"Scoring has not caught up after {seconds:.0f} s: {behind:,} events behind.")
        time.sleep(0.1)
