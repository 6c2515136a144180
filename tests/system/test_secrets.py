"""What a running product writes about itself, after every kind of secret went through it."""

import base64
import json
import re
import time
from pathlib import Path
from secrets import token_urlsafe

import httpx
import pytest

from deploy import postgres
from gateway.console.api import SESSION
from gateway.domain import totp
from tests.system.product import KEY, Product

PASSWORD, OTHER = "quiet lantern over 7 rivers", "loud lantern under 8 rivers"


def planted(product: Product) -> dict[str, str]:
    """Every secret that the product was given or gave out, each used rightly and wrongly."""
    files = postgres.passwords(product.folder)
    found = {f"password of {name}": secret for name, secret in files.items()} | {"identity key": KEY}
    found["admin key"] = product.client.headers["Authorization"].removeprefix("Bearer ")
    found |= of_a_person(product)
    found |= of_systems(product)
    return found


def of_a_person(product: Product) -> dict[str, str]:
    """Somebody comes in by a link, sets up a second step, and signs in by page and by API."""
    url = product.running.url
    found = {"password": PASSWORD, "wrong password": OTHER}
    link = product.post("/v1/invitations/first")
    found["invitation"] = link["token"]
    with httpx.Client(base_url=url, trust_env=False, timeout=60) as browser:
        form = form_token_of(browser.get(link["path"]).text)
        found["form token of a visitor"] = form
        said = {"csrf": form, "token": link["token"], "password": PASSWORD, "again": OTHER, "name": "Olga"}
        browser.post("/invitation", data=said | {"email": "olga@people.example"})
        accepted = {"token": link["token"], "password": PASSWORD, "name": "Olga", "email": "olga@people.example"}
        come = browser.post("/v1/invitations/accept", json=accepted)
        assert come.status_code == 201, come.text
        found["session"], found["device"] = come.json()["token"], come.json()["device"]
        mine = {"Authorization": f"Bearer {found['session']}"}
        begun = browser.post("/v1/me/second-step", json={"password": PASSWORD}, headers=mine).json()
        found["TOTP secret"] = begun["secret"]
        secret = base64.b32decode(begun["secret"] + "=" * (-len(begun["secret"]) % 8))
        now_code = totp.code(secret, int(time.time()) // totp.STEP_S)
        confirmed = browser.post("/v1/me/second-step/confirm", json={"code": now_code}, headers=mine)
        assert confirmed.status_code == 200, confirmed.text
        codes = confirmed.json()["recovery_codes"]
        found["recovery code"], found["another recovery code"] = codes[:2]
        browser.cookies.set(SESSION, found["session"])
        account = browser.get("/account")
        assert account.status_code == 200
        found["form token"] = form_token_of(account.text)
        changed = browser.post("/language", data={"csrf": found["form token"], "language": "en"})
        assert changed.status_code == 303
        browser.post("/language", data={"csrf": found["form token"] + "x", "language": "en"})
        browser.cookies.clear()
        said = {"email": "olga@people.example", "password": OTHER}
        assert browser.post("/v1/sessions", json=said).status_code == 401
        asked = browser.post("/v1/sessions", json=said | {"password": PASSWORD}).json()
        found["ticket"] = asked["ticket"]
        by_code = {"ticket": asked["ticket"], "code": codes[0]}
        again = browser.post("/v1/sessions/second-step", json=by_code)
        assert again.status_code == 201, again.text
        found["session by a recovery code"] = again.json()["token"]
        assert browser.post("/v1/sessions/second-step", json=by_code).status_code >= 400
        browser.get(f"/v1/me?token={found['session']}", headers={"Authorization": f"Bearer {found['session']}x"})
    return found


def of_systems(product: Product) -> dict[str, str]:
    """An API key that is used, rotated and revoked; a webhook that is called, and rotated."""
    made = product.post("/v1/keys", json={"name": "Shop", "scopes": ["reader"]})
    found = {"API key": made["secret"], "wrong API key": f"shuke_{token_urlsafe(32)}"}
    for name in ("API key", "wrong API key"):
        asked = httpx.get(
            f"{product.running.url}/v1/parties",
            headers={"Authorization": f"Bearer {found[name]}"},
            trust_env=False,
            timeout=60,
        )
        assert asked.status_code == (200 if name == "API key" else 401)
    webhook = product.post("/v1/webhooks", json={"url": "http://127.0.0.1:1/hooks"})
    found["webhook secret"] = webhook["secret"]
    product.client.post(f"/v1/webhooks/{webhook['id']}/test")
    rotated = product.client.post(f"/v1/webhooks/{webhook['id']}/rotate")
    found["new webhook secret"] = rotated.json()["secret"]
    product.register("anna@example.org")
    product.buy("anna@example.org", "2026-02-01T10:00:00Z", 1_000)
    product.settle()
    return found


def form_token_of(page: str) -> str:
    [token] = set(re.findall(r'name="csrf" (?:value|content)="([^"]+)"', page))
    return str(token)


def test_no_secret_is_in_any_log_of_a_product_in_which_all_were_used_and_processes_died(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_WEBHOOK_ALLOW", "127.0.0.1/32")
    product = Product(tmp_path / "data", "up").up()
    try:
        found = planted(product)
        product.kill_and_await("gateway")
        product.kill_and_await("customers")
        product.settle()
    finally:
        product.down()

    logs = {path.name: path.read_text(errors="replace") for path in sorted((product.folder / "logs").iterdir())}
    assert {"gateway.log", "gateway-feed.log", "customers.log", "postgres.log", "supervisor.log"} <= logs.keys()
    requests = [line for line in logs["gateway.log"].splitlines() if '"request"' in line]
    paths = {json.loads(line).get("path") for line in requests if line.startswith("{")}
    assert {"/v1/sessions", "/v1/me/second-step", "/language", "/v1/webhooks"} <= paths
    assert len(found) >= 20
    assert all(len(secret) >= 8 for secret in found.values())
    assert [(name, log) for name, secret in found.items() for log, text in logs.items() if secret in text] == []
