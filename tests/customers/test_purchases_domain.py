from datetime import UTC, datetime, timedelta
from itertools import permutations
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from contracts.identity import BadIdentifier, FutureDate, Installation, Scheme, check_not_ahead
from contracts.telling import StaleVersion, check_version
from services.customers.domain.purchases import Line, NewPurchase

HERE = Installation(bytes(32), ZoneInfo("Asia/Shanghai"), "CN")
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


def purchase(**other):
    said = {"party": UUID(int=1), "source": "shop", "occurred_at": NOON, "currency": "EUR", "amount_minor": 5}
    return NewPurchase(**(said | other))


def test_spellings_of_one_identifier_are_one_identity():
    spelled = ["+86 10 6552 9988", "010-6552-9988", " 010 65529988 "]
    assert len({HERE.identity(Scheme.PHONE, text).id for text in spelled}) == 1
    assert HERE.identity(Scheme.EMAIL, "Ann@Example.org") == HERE.identity(Scheme.EMAIL, "ann@example.org ")


def test_an_external_id_belongs_to_its_system():
    ids = {HERE.identity(Scheme.EXTERNAL, "7", system=system).id for system in ("shop", "erp")}
    assert len(ids) == 2
    for scheme, system in ((Scheme.EXTERNAL, None), (Scheme.EMAIL, "shop")):
        with pytest.raises(BadIdentifier):
            HERE.identity(scheme, "a@example.org", system=system)


def test_the_key_is_not_shown():
    assert repr(HERE.key) not in repr(HERE)


def test_a_day_is_the_installations():
    assert str(HERE.day(datetime(2026, 1, 5, 16, tzinfo=UTC))) == "2026-01-06"


def test_up_to_a_day_ahead_is_a_matter_of_clocks():
    check_not_ahead(NOON + timedelta(hours=24), NOON)
    with pytest.raises(FutureDate):
        check_not_ahead(NOON + timedelta(hours=24, microseconds=1), NOON)


def test_the_order_of_lines_is_no_content():
    lines = [Line("tea", 2, 100), Line("tea"), Line(None, 1, None), Line("cup", None, -5)]
    assert len({str(purchase(lines=order).content()) for order in permutations(lines)}) == 1


def test_where_a_telling_came_from_is_no_content_and_everything_else_is():
    assert purchase(source="erp", import_id=UUID(int=9)).content() == purchase().content()
    for other in ({"amount_minor": 6}, {"currency": "USD"}, {"channel": "web"}, {"lines": (Line("tea"),)}):
        assert purchase(**other).content() != purchase().content()


def test_only_the_latest_version_may_be_named():
    check_version(None, 3)
    check_version(3, 3)
    with pytest.raises(StaleVersion):
        check_version(2, 3)
