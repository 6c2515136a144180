from datetime import UTC, datetime, timedelta
from uuid import UUID

import httpx
import pytest

from services.scoring.domain.sentences import Language
from services.scoring.routes.languages import preferred
from tests.scoring.by_hand import decided
from tests.scoring.feeding import Feeding

JUNE = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.fixture
async def party(feed: Feeding) -> UUID:
    """Bought for 120.50 EUR ninety days before, and never again."""
    identity = feed.identity()
    await feed.bought(identity, JUNE - timedelta(days=90), 12_050)
    return identity


async def test_the_reason_is_told_in_the_language_that_the_reader_prefers(api: httpx.AsyncClient, party: UUID) -> None:
    path = f"/v1/standings/party_{party.hex}"

    english = await api.get(path)
    taiwan = await api.get(path, headers={"Accept-Language": "zh-TW,zh;q=0.9,en;q=0.8"})
    asked = await api.get(path, params={"language": "zh-Hans"}, headers={"Accept-Language": "en"})

    assert "One purchase before 2026-06-02 keeps this customer." in english.json()["reasons"]["sentence"]
    assert "只要在 2026-06-02 之前再購買一次，就仍是成交客戶。" in taiwan.json()["reasons"]["sentence"]
    assert "只要在 2026-06-02 之前再购买一次，就仍是成交客户。" in asked.json()["reasons"]["sentence"]
    for answer, said in (english, "One purchase before"), (taiwan, "只要在"), (asked, "只要在"):
        reasons = answer.json()["reasons"]
        assert any(each.startswith(said) for each in reasons["advice"])
        between = " " if answer is english else ""
        assert reasons["sentence"].endswith(between.join(reasons["advice"]))
    told = [(answer.headers["content-language"], answer.headers["vary"]) for answer in (english, taiwan, asked)]
    assert told == [(tag, "Accept-Language") for tag in ("en", "zh-Hant", "zh-Hans")]


async def test_a_language_that_is_not_told_is_refused(api: httpx.AsyncClient, party: UUID) -> None:
    answer = await api.get(f"/v1/standings/party_{party.hex}", params={"language": "fr"})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "#/query/language"


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("", Language.ENGLISH),
        ("fr-CH, fr;q=0.9", Language.ENGLISH),
        ("fr, zh-HK;q=0.5, en;q=0.4", Language.TRADITIONAL_CHINESE),
        ("zh", Language.SIMPLIFIED_CHINESE),
        ("zh-Hans-TW", Language.SIMPLIFIED_CHINESE),
        ("zh-hant-cn", Language.TRADITIONAL_CHINESE),
        ("zh;q=0, en-GB", Language.ENGLISH),
        ("en;q=0.2, zh-CN;q=0.8", Language.SIMPLIFIED_CHINESE),
        ("zh;q=much, *;q=0.1", Language.ENGLISH),
    ],
)
def test_the_first_language_of_those_told_is_taken(accepted: str, language: Language) -> None:
    assert preferred(accepted) is language


async def test_whoever_sees_the_answer_alone_can_decide_again(api: httpx.AsyncClient, party: UUID) -> None:
    told = (await api.get(f"/v1/standings/party_{party.hex}")).json()

    by_hand = decided(told["reasons"])
    shown = {"satisfaction": "satisfaction_band", "loyalty": "loyalty_band"}
    shown |= {"satisfaction_index": "satisfaction", "loyalty_index": "loyalty"}
    assert by_hand == {name: told[shown.get(name, name)] for name in by_hand}
    assert len(by_hand) == 18
