"""Every page that a product has to show, by a name of its own."""

from collections.abc import Mapping
from typing import Any

import httpx

OPEN_TO_ALL: Mapping[str, str] = {"sign-in": "/sign-in", "no-link": "/invitation?token=none"}
"""What is seen without a session."""
PLAIN: Mapping[str, str] = {
    "today": "/?scope=all",
    "unanswered": "/unanswered?scope=all",
    "problems": "/problems?scope=all",
    "population": "/population",
    "flows": "/population/flows?days=365",
    "moves": "/population/moves?from_stage=none&to_stage=customer&days=365",
    "list": "/parties",
    "list-filtered": "/parties?stage=customer&tier=top&sort=next_change_at&changes_within_days=90",
    "list-empty": "/parties?min_value=1000000000",
    "people": "/parties/people",
    "search": "/search",
    "search-hits": "/search?q=meg+twice",
    "search-nothing": "/search?q=nobody+at+all",
    "import": "/import",
    "duplicates": "/duplicates",
    "duplicate-rules": "/duplicates/rules",
    "policies": "/policies",
    "policy-form": "/policies/new",
    "models": "/models",
    "operations": "/operations",
    "dead-letters": "/operations/dead-letters",
    "keys": "/operations/keys",
    "webhooks": "/operations/webhooks",
    "audit": "/operations/audit",
    "users": "/users",
    "user-new": "/users/new",
    "teams": "/teams",
    "account": "/account",
    "missing": "/nowhere",
}
"""Pages that there always are."""
FOUND: Mapping[str, tuple[str, Mapping[str, Any], str, str]] = {
    "party": ("/v1/standings", {"limit": 1}, "party_id", "/parties/{}"),
    "party-dormant": ("/v1/standings", {"limit": 1, "stage": "dormant_customer"}, "party_id", "/parties/{}"),
    "party-owner": ("/v1/standings", {"limit": 1}, "party_id", "/parties/{}/owner"),
    "import-one": ("/v1/imports", {"limit": 1}, "id", "/import/{}"),
    "duplicate": ("/v1/duplicates", {"limit": 1}, "id", "/duplicates/{}"),
    "policy": ("/v1/policies", {"state": "active"}, "hash", "/policies/{}"),
    "policy-tried": ("/v1/policies", {"state": "tried"}, "hash", "/policies/{}"),
    "trial": ("/v1/trials", {"limit": 1}, "id", "/policies/trials/{}"),
    "elsewhere": ("/v1/policies", {"state": "tried"}, "hash", "/policies/{}/elsewhere"),
    "model": ("/v1/models", {"limit": 1}, "hash", "/models/{}"),
    "dead-letter": ("/v1/dead-letters", {"limit": 1}, "id", "/operations/dead-letters/{}"),
    "key": ("/v1/keys", {"limit": 1}, "id", "/operations/keys/{}"),
    "webhook": ("/v1/webhooks", {"limit": 1}, "id", "/operations/webhooks/{}"),
    "user": ("/v1/users", {"limit": 1}, "id", "/users/{}"),
}
"""Pages about one thing: where the first is asked for, by what it is known, and where it is shown."""


class NothingToShow(Exception):
    """A product has nothing that pages are about."""


def pages(client: httpx.Client, *, whole: bool = False) -> dict[str, str]:
    """Path by name of what somebody who is signed in can look at. Raises `NothingToShow` where `whole` wants all."""
    found = dict(PLAIN)
    for name, (path, query, id, shown) in FOUND.items():
        answer = client.get(path, params=dict(query)).raise_for_status().json()["data"]
        if answer:
            found[name] = shown.format(answer[0][id])
    if whole and (missing := FOUND.keys() - found.keys()):
        raise NothingToShow(", ".join(sorted(missing)))
    return found
