"""What decides: the policies and their life, and one of them as a form."""

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from gateway.console.api import Refused
from gateway.console.begun import Shown, begun
from gateway.console.frame import Page, Somebody
from gateway.console.policy_form import FIELDS, groups_of, limits, rest_of, shown, value_at, written

router = APIRouter(prefix="/policies", include_in_schema=False)

LISTED = 20
LIFE = ("draft", "tried", "approved", "active", "retired")


@router.get("")
async def read_policies(page: Somebody, cursor: str = "") -> Response:
    """All of them, the one that decides first in sight, and those to begin with."""
    parts = await page.api.together(
        active=("/v1/policies", {"state": "active"}),
        policies=("/v1/policies", {"limit": LISTED, "cursor": cursor}),
        presets="/v1/policies/presets",
        planned=("/v1/activations", {"open": True}),
    )
    return page.render(
        "policies/index.html",
        active=parts["active"],
        policies=parts["policies"],
        presets=parts["presets"],
        planned=[each for each in parts["planned"]["data"] if each["policy"]] if parts["planned"] else [],
        first=not cursor,
        may_draft=page.may("POST", "/v1/policies"),
    )


@router.get("/new")
async def read_form(page: Somebody, base: str = "") -> Response:
    """A policy to be changed, laid over another one or over the one that decides."""
    if base:
        template, values = await _laid_over(page, base)
        return page.render(template, **values)
    return await begun(page, "/v1/policies", "policies/form.html", partial(_laid_over, page, base))


async def _laid_over(page: Page, base: str) -> Shown:
    hash = base or (await page.api.get("/v1/policies", state="active"))["data"][0]["hash"]
    policy = await page.api.get(f"/v1/policies/{hash}")
    return await _filled(page, policy, policy["document"], rest_of(policy["document"]), {}, None)


@router.post("/preset")
async def draft_preset(page: Somebody) -> Response:
    """Draft one of those to begin with."""
    made = await page.api.post("/v1/policies", {"preset": str(page.form.get("preset", ""))})
    return page.to(f"/policies/{made['hash']}", notice="policies.drafted")


@router.post("")
async def draft(page: Somebody) -> Response:
    """Draft what the form says; what cannot be is said at its field."""
    base = await page.api.get(f"/v1/policies/{page.form.get('base', '')}")
    currency = await _currency(page)
    try:
        document = written(page.form, currency)
    except ValueError as error:
        said = {"rest": page.telling.sentence(str(error))}
        return await _wrong(page, base, said)
    try:
        made = await page.api.post("/v1/policies", {"document": document, "base": base["hash"]})
    except Refused as refused:
        if not refused.returns_form:
            raise
        errors = page.telling.errors(refused.problem)
        wrong = {at.removeprefix("document/"): why for at, why in errors.items()}
        wrong = wrong or {"": page.telling.problem(refused.problem)}
        return await _wrong(page, base, wrong)
    return page.to(f"/policies/{made['hash']}", notice="policies.drafted")


@router.get("/{policy_hash}")
async def read_policy(page: Somebody, policy_hash: str) -> Response:
    """Where it is in its life, what it says otherwise, and what can be done next."""
    policy = await page.api.get(f"/v1/policies/{policy_hash}")
    path = f"/v1/policies/{policy_hash}"
    asked: dict[str, Any] = {"trials": ("/v1/trials", {"policy": policy_hash, "limit": 10})}
    if policy["state"] != "active":
        asked |= {"differs": f"{path}/diff", "active": ("/v1/policies", {"state": "active"})}
    parts = await page.api.together(**asked)
    other = await page.api.part(f"/v1/policies/{parts['differs']['against']}") if parts.get("differs") else None
    currency = await _currency(page)
    return page.render(
        "policies/one.html",
        policy=policy,
        life=LIFE,
        trials=parts["trials"],
        differs=parts.get("differs"),
        lines=_lines(policy["document"], other["document"], parts["differs"]["differences"]) if other else [],
        groups=groups_of(policy["document"]),
        value_at=value_at,
        currency=currency,
        rest=rest_of(policy["document"]),
        may={act: page.may("POST", f"{path}/{act}") for act in ("trials", "approve", "activate", "retire")},
        may_cancel=page.may("DELETE", "/v1/activations/x"),
        may_draft=page.may("POST", "/v1/policies"),
    )


@router.post("/{policy_hash}/approve")
async def approve(page: Somebody, policy_hash: str) -> Response:
    """Say that it may decide."""
    await page.api.post(f"/v1/policies/{policy_hash}/approve")
    return page.to(f"/policies/{policy_hash}", notice="policies.approved_notice")


@router.post("/{policy_hash}/activate")
async def activate(page: Somebody, policy_hash: str) -> Response:
    """Have it decide, now or from a time to come."""
    at = page.instant("active_from")
    await page.api.post(f"/v1/policies/{policy_hash}/activate", {"active_from": at} if at else {})
    return page.to(f"/policies/{policy_hash}", notice="policies.planned_notice" if at else "policies.active_notice")


@router.post("/{policy_hash}/retire")
async def retire(page: Somebody, policy_hash: str) -> Response:
    """Put it away."""
    await page.api.post(f"/v1/policies/{policy_hash}/retire")
    return page.to(f"/policies/{policy_hash}", notice="policies.retired_notice")


@router.post("/{policy_hash}/redraft")
async def redraft(page: Somebody, policy_hash: str) -> Response:
    """Begin anew with one that was put away."""
    policy = await page.api.get(f"/v1/policies/{policy_hash}")
    await page.api.post("/v1/policies", {"document": policy["document"], "base": policy_hash})
    return page.to(f"/policies/{policy_hash}", notice="policies.drafted")


@router.post("/{policy_hash}/planned/{activation_id}/cancel")
async def cancel_activation(page: Somebody, policy_hash: str, activation_id: str) -> Response:
    """Have a planned activation not take place."""
    await page.api.delete(f"/v1/activations/{activation_id}")
    return page.to(f"/policies/{policy_hash}", notice="policies.cancelled_notice")


async def _currency(page: Page) -> str | None:
    """In which amounts are told; none before the first money."""
    rates = await page.api.part("/v1/standings/summary")
    return rates["currency"] if rates else None


async def _wrong(page: Page, base: Mapping[str, Any], wrong: Mapping[str, str]) -> Response:
    """The form as it was filled in, with what is wrong at its fields."""
    rest = str(page.form.get("rest", ""))
    template, values = await _filled(page, base, base["document"], rest, wrong, page.form)
    return page.render(template, status=422, **values)


async def _filled(
    page: Page,
    base: Mapping[str, Any],
    document: Mapping[str, Any],
    rest: str,
    wrong: Mapping[str, str],
    said: Mapping[str, Any] | None,
) -> Shown:
    schema, currency = await asyncio.gather(page.api.get("/v1/policies/schema"), _currency(page))
    groups = groups_of(document)
    values = {
        field.path: str(said[field.name])
        if said and field.name in said
        else shown(field, value_at(document, field.path), currency)
        for fields in groups.values()
        for field in fields
    }
    elsewhere = {at: told for at, told in wrong.items() if at not in values}
    return "policies/form.html", {
        "base": base,
        "by": value_at(document, "persons/customers/by"),
        "groups": {name: fields for name, fields in groups.items() if fields},
        "values": values,
        "limits": {path: _limits(schema, path, currency) for path in values},
        "rest": rest,
        "wrong": wrong,
        "elsewhere": elsewhere,
        "currency": currency,
    }


def _limits(schema: Mapping[str, Any], path: str, currency: str | None) -> Mapping[str, Any]:
    found = dict(limits(schema, path))
    if found.get("default") is not None:
        found["default"] = shown(FIELDS[path], found["default"], currency)
    return found


def _lines(now: Mapping[str, Any], before: Mapping[str, Any], differences: list[Mapping[str, Any]]) -> list[Any]:
    """Each difference: a field of the form with both values, or the sentence of the API."""
    return [
        {
            "field": FIELDS.get(each["field"].removeprefix("/")),
            "before": value_at(before, each["field"].removeprefix("/")),
            "now": value_at(now, each["field"].removeprefix("/")),
            "sentence": each["sentence"],
        }
        for each in differences
    ]
