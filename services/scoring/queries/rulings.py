"""What decides besides the facts: versions of policy, cut points, rates and currency, each active from an instant."""

from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any, NamedTuple, TypeAlias, TypeVar
from zoneinfo import ZoneInfo

import asyncpg
import msgspec

from contracts.moments import ModelCurrency, ModelNotFound, PolicyNotFound
from services.scoring.domain.days import local_day
from services.scoring.domain.model import Model
from services.scoring.domain.money import CurrencyFixed, NoReportingCurrency, Rates
from services.scoring.domain.policy import Policy
from services.scoring.domain.presets import DEFAULT_1, PRESETS
from services.scoring.domain.ruling import Decided, Ruling
from services.scoring.domain.tiers import Cuts
from services.scoring.domain.trajectory import Activation

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
RateRows = tuple[tuple[date, str, Decimal], ...]

BARRIER = 7_001
"""Advisory lock: shared by whoever writes standings, exclusive for what must not happen beside them."""


class Lived(NamedTuple):
    """What decided of stages before a ruling, and whose first day of a stage can be built upon."""

    earlier: tuple[Decided, ...] = ()
    """The latest first."""
    own_from: int = 0
    """The rulings from this one on decide of stages as the present one does."""
    built_on_from: int = 0
    """Those before them, from this one on, all decide as `earlier[0]` does, by the calendars of now."""


NOTHING_BEFORE = Lived()


@dataclass(frozen=True, slots=True)
class Present:
    """The ruling in force, ready to decide with."""

    ruling_id: int
    ruling: Ruling
    rate_rows: RateRows
    currency_fixed: bool
    rebuilding: bool
    applied: bool
    """Whether every party was assessed under it."""
    lived: Lived = NOTHING_BEFORE

    @property
    def as_lived(self) -> Ruling:
        """The same with what decided of stages before."""
        return msgspec.structs.replace(self.ruling, earlier=self.lived.earlier)

    @property
    def currency(self) -> str | None:
        """The reporting currency."""
        return self.ruling.rates.currency


_known: OrderedDict[tuple[Any, ...], tuple[Ruling, RateRows, Lived]] = OrderedDict()


async def open_installation(connection: Connection, time_zone: str, currency: str | None, at: datetime) -> str:
    """Have an installation with a first ruling, under its barrier. Raises `CurrencyFixed`.

    Return the time zone that its calendars are kept in: that of the first start, until a rebuild changes it.
    """
    await connection.execute("SELECT pg_advisory_xact_lock($1)", BARRIER)
    await connection.execute(
        "INSERT INTO installation (time_zone) VALUES ($1) ON CONFLICT DO NOTHING", ZoneInfo(time_zone).key
    )
    if not await connection.fetchval("SELECT EXISTS (SELECT FROM ruling)"):
        await connection.execute(
            "INSERT INTO policy (hash, document, state) VALUES ($1, $2::text::jsonb, 'active') ON CONFLICT DO NOTHING",
            DEFAULT_1.content_hash,
            DEFAULT_1.model_dump_json(),
        )
        # The first ruling counts from the beginning, and has nobody to be applied to.
        await connection.execute(
            "INSERT INTO ruling (active_from, reason, policy, last_rate, applied_at) VALUES ($1, 'first', $2, 0, $1)",
            at,
            DEFAULT_1.content_hash,
        )
    if currency is not None:
        await set_currency(connection, currency, provisional=False, at=at)
    kept: str = await connection.fetchval("SELECT time_zone FROM installation")
    return kept


async def decided_for_good(connection: Connection) -> tuple[str | None, str | None]:
    """The time zone of the calendars and the fixed reporting currency; None where still open."""
    row = await connection.fetchrow(_DECIDED)
    return (row["time_zone"], row["currency"]) if row else (None, None)


async def present(connection: Connection) -> Present:
    """The ruling in force, as the statement sees it: ask after the barrier and the locks."""
    row = await connection.fetchrow(_PRESENT)
    if row is None:
        raise LookupError("the installation was never opened")
    return await _ready(connection, row)


async def still(connection: Connection, here: Present) -> bool:
    """Whether the ruling in force is the one that was decided with: ask after the barrier."""
    again = await present(connection)
    return again.ruling_id == here.ruling_id and again.ruling == here.ruling


async def present_of(connection: Connection, row: asyncpg.Record) -> Present:
    """The ruling in force that a row of `IN_FORCE_NOW` names; its documents are read where they are not known."""
    return await (_ready(connection, row) if _key(row) in _known else present(connection))


def _key(row: asyncpg.Record | Mapping[str, Any]) -> tuple[Any, ...]:
    return row["installation"], row["id"], row["time_zone"], row["currency"]


async def _ready(connection: Connection, row: asyncpg.Record | Mapping[str, Any]) -> Present:
    key = _key(row)
    if key not in _known:
        zone = ZoneInfo(row["time_zone"])
        found = await connection.fetch(_RATES, row["currency"], row["last_rate"])
        rates = tuple((rate["day"], rate["currency"], Decimal(rate["rate"])) for rate in found)
        decisions = await _decisions(connection, row["id"], row["currency"])
        _known[key] = decisions[-1].ruling(Rates(row["currency"], rates), zone), rates, _lived(decisions, zone)
        if len(_known) > 16:
            _known.popitem(last=False)
    ruling, rates, lived = _known[key]
    return Present(row["id"], ruling, rates, row["currency_fixed"], row["rebuilding"], row["applied"], lived)


async def ruling_of(connection: Connection, ruling_id: int) -> Present:
    """A ruling that is or was in force."""
    row = await connection.fetchrow(f"{_OF_RULING} WHERE ruling.id = $1", ruling_id)
    if row is None:
        raise LookupError(f"there is no ruling {ruling_id}")
    return await _ready(connection, row)


async def document_of(connection: Connection, hash: str) -> Policy:
    """What a policy says, or a preset that nobody has drafted. Raises `PolicyNotFound`."""
    stored = await connection.fetchval("SELECT document::text FROM policy WHERE hash = $1", hash)
    if stored is not None:
        return Policy.stored(stored)
    preset = next((each for each in PRESETS.values() if each.content_hash == hash), None)
    if preset is None:
        raise PolicyNotFound
    return preset


async def ruling_asked(
    connection: Connection, known_at: datetime | None, *, policy: str | None, model: str | None
) -> Ruling:
    """The ruling in force now or at an instant, with the policy or the model of a hash in the place of its own.

    A model brings cut points of its own. The first ruling counts from the beginning, and so does one that decides
    otherwise than the one in force. Raises `PolicyNotFound`, `ModelNotFound`, and `ModelCurrency` where the amounts of
    that model are in another currency than the reporting one.
    """
    row = await connection.fetchrow(_IN_FORCE, known_at)
    if row is None:
        raise LookupError("the installation was never opened")
    here = (await _ready(connection, row)).as_lived
    if policy is None and model is None:
        return here
    asked = here.policy if policy is None else await document_of(connection, policy)
    fitted = here.model
    if model is not None:
        document = await connection.fetchval(_MODEL, model)
        if document is None:
            raise ModelNotFound
        fitted = Model.model_validate_json(document)
        check_currency(fitted.currency, here.rates.currency, "Ask for a model in that one.")
    by_themselves = dict(row) | ({"cut_points": None} if model is not None else {})
    cuts, earlier = (
        _cuts(by_themselves, asked, fitted),
        here.earlier if (asked, fitted) == (here.policy, here.model) else (),
    )
    return Ruling(asked, cuts, here.rates, here.zone, fitted, earlier)


def check_currency(currency: str | None, reporting: str | None, way_out: str) -> None:
    """Raise `ModelCurrency` where the amounts of a model are in another currency than the reporting one."""
    if currency not in (None, reporting):
        raise ModelCurrency(
            f"Its amounts are in another currency than the reporting one. {way_out}",
            currency=currency,
            reporting_currency=reporting,
        )


async def activations(connection: Connection) -> list[Activation]:
    """Every policy, model and cut points that were in force, from when, with the rates of the present."""
    here = await present(connection)
    found: list[Activation] = []
    for decision in await _decisions(connection, here.ruling_id, here.currency):
        ruling = decision.ruling(here.ruling.rates, here.ruling.zone)
        if not found or found[-1].ruling != ruling:
            found.append(Activation(decision.active_from, ruling))
    return found


class _Decision(NamedTuple):
    """One ruling of those that were ever in force."""

    id: int
    active_from: datetime
    reason: str
    policy: Policy
    model: Model | None
    cuts: Cuts

    def ruling(self, rates: Rates, zone: ZoneInfo) -> Ruling:
        return Ruling(self.policy, self.cuts, rates, zone, self.model)

    def stages_as(self, other: "_Decision") -> bool:
        """Whether it decides of stages as another does: cut points decide of none."""
        return self.policy is other.policy and self.model is other.model


async def _decisions(connection: Connection, last: int, currency: str | None) -> list[_Decision]:
    """The rulings up to the one with a number.

    Cut points and models in another currency than the one that is given mean nothing any more.
    """
    rows = await connection.fetch(_DECIDED_BY, currency, last)
    await _read(connection, _policies, _POLICIES, Policy.stored, {row["policy"] for row in rows})
    await _read(connection, _models, _MODELS, Model.model_validate_json, {row["model"] for row in rows} - {None})
    found: list[_Decision] = []
    for row in rows:
        policy, model = _policies[row["policy"]], row["model"] and _models[row["model"]]
        cuts = _cuts(row, policy, model)
        found.append(_Decision(row["id"], row["active_from"], row["reason"], policy, model, cuts))
    return found


V = TypeVar("V")


async def _read(
    connection: Connection, known: dict[str, V], query: str, parsed: Callable[[str], V], hashes: Collection[str]
) -> None:
    """Read the documents that are not known yet; a hash says the same in every installation."""
    if missing := [hash for hash in hashes if hash not in known]:
        known |= {row["hash"]: parsed(row["document"]) for row in await connection.fetch(query, missing)}


_policies: dict[str, Policy] = {}
_models: dict[str, Model] = {}


def _lived(decisions: Sequence[_Decision], zone: ZoneInfo) -> Lived:
    earlier: list[Decided] = []
    begins = [decisions[0].id]
    for before, after in pairwise(decisions):
        if not after.stages_as(before):
            earlier.append(Decided(before.policy, before.model, local_day(after.active_from, zone)))
            begins.append(after.id)
    # Before these days were counted otherwise, or models decided that mean nothing in the currency of now.
    rebuilt = max((each.id for each in decisions if each.reason in ("rebuild", "currency")), default=0)
    return Lived(tuple(reversed(earlier)), max(begins[-1], rebuilt), max(begins[-2:][0], rebuilt))


def _cuts(row: asyncpg.Record | Mapping[str, Any], policy: Policy, model: Model | None) -> Cuts:
    """Those that were fitted by themselves, or with the model, or those of the policy."""
    if row["cut_points"]:
        return Cuts(top=row["top_minor"], high=row["high_minor"], mid=row["mid_minor"])
    return (model and model.cuts) or policy.cuts


async def take_currency(connection: Connection, here: Present, currency: str) -> Present:
    """The first money makes its currency the reporting one, provisionally; no standing has had money before it.

    Two transactions with the first money agree by the lock of the ruling's row, taken after all party locks.
    """
    await connection.execute(
        "UPDATE ruling SET currency = $2 WHERE id = $1 AND currency IS NULL", here.ruling_id, currency
    )
    taken = await connection.fetchval("SELECT currency FROM ruling WHERE id = $1", here.ruling_id)
    return replace(here, ruling=msgspec.structs.replace(here.ruling, rates=Rates(taken)))


async def set_currency(connection: Connection, currency: str, *, provisional: bool, at: datetime) -> None:
    """Set the reporting currency. A provisional one gives way once. Raises `CurrencyFixed`."""
    await connection.execute("SELECT pg_advisory_xact_lock($1)", BARRIER)
    here = await present(connection)
    if provisional and here.currency is not None:
        return
    if here.currency is None:
        await connection.execute("UPDATE ruling SET currency = $1 WHERE id = $2", currency, here.ruling_id)
    elif here.currency != currency:
        if here.currency_fixed:
            raise CurrencyFixed("The reporting currency was set before and stays.", currency=here.currency)
        await new_ruling(connection, "currency", at, currency=currency)
    if not provisional:
        await connection.execute("UPDATE installation SET currency_fixed = true")


async def keep_currency(connection: Connection) -> None:
    """Have a provisional currency stay: somebody has said an amount in it. The caller has passed the barrier.

    Raises `NoReportingCurrency`.
    """
    here = await present(connection)
    if here.currency is None:
        raise NoReportingCurrency("Amounts are in the reporting currency, which is not set yet.")
    if not here.currency_fixed:
        await connection.execute("UPDATE installation SET currency_fixed = true")


async def add_rates(connection: Connection, rows: Sequence[tuple[date, str, str]], at: datetime) -> int:
    """Append rates that say something new; return how many. They make a new ruling. Raises `NoReportingCurrency`."""
    await connection.execute("SELECT pg_advisory_xact_lock($1)", BARRIER)
    here = await present(connection)
    if here.currency is None:
        raise NoReportingCurrency("Rates lead to the reporting currency, which is not set yet.")
    known = {(day, currency): rate for day, currency, rate in here.rate_rows}
    fresh: list[tuple[date, str, str]] = []
    for day, currency, rate in rows:
        if known.get((day, currency)) != Decimal(rate):
            known[day, currency] = Decimal(rate)
            fresh.append((day, currency, rate))
    if fresh:
        last = await connection.fetchval(_ADD_RATES, here.currency, *map(list, zip(*fresh, strict=True)), at)
        await new_ruling(connection, "rates", at, last_rate=last)
    return len(fresh)


async def add_cut_points(connection: Connection, cuts: Cuts, customers: int, at: datetime) -> None:
    """Cut points become part of a new ruling."""
    await connection.execute("SELECT pg_advisory_xact_lock($1)", BARRIER)
    here = await present(connection)
    made = await connection.fetchval(
        "INSERT INTO cut_points (top_minor, high_minor, mid_minor, currency, customers, fitted_at)"
        " VALUES ($1, $2, $3, $4, $5, $6) RETURNING id",
        cuts.top, cuts.high, cuts.mid, here.currency, customers, at,
    )  # fmt: skip
    await new_ruling(connection, "cut_points", at, cut_points=made)


async def new_ruling(connection: Connection, reason: str, at: datetime, **changed: Any) -> int:
    """The ruling in force with something changed. The caller holds the barrier; the sweeper applies it to everybody.

    `changed` are columns of the ruling; `policy` and `model` are hashes. A model brings cut points of its own. Rulings
    follow each other in time: what was decided meanwhile holds until this one does.
    """
    row = await connection.fetchrow(
        "SELECT active_from, policy, model, cut_points, last_rate, currency FROM ruling ORDER BY id DESC LIMIT 1"
    )
    assert row is not None
    versions = {**dict(row), **({"cut_points": None} if "model" in changed else {}), **changed}
    if "currency" in changed:
        # Amounts and rates in another currency mean nothing any more.
        versions |= {"model": None, "cut_points": None, "last_rate": 0}
    made: int = await connection.fetchval(
        "INSERT INTO ruling (active_from, reason, policy, model, cut_points, last_rate, currency)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id",
        max(at, row["active_from"]), reason, versions["policy"], versions["model"], versions["cut_points"],
        versions["last_rate"], versions["currency"],
    )  # fmt: skip
    return made


_OF_RULING = """
SELECT ruling.id, ruling.cut_points, ruling.last_rate, ruling.currency, ruling.applied_at IS NOT NULL AS applied,
       cut_points.top_minor, cut_points.high_minor, cut_points.mid_minor,
       installation.id AS installation, installation.time_zone, installation.currency_fixed, installation.rebuilding
FROM installation
CROSS JOIN ruling
LEFT JOIN cut_points ON cut_points.id = ruling.cut_points
"""

IN_FORCE_NOW = """
SELECT ruling.id, ruling.currency, ruling.applied_at IS NOT NULL AS applied,
    installation.id AS installation, installation.time_zone, installation.currency_fixed, installation.rebuilding
FROM installation CROSS JOIN ruling ORDER BY ruling.id DESC LIMIT 1
"""
"""Which ruling is in force, without what is in it."""

_DECIDED = """
SELECT time_zone, CASE WHEN currency_fixed THEN (SELECT currency FROM ruling ORDER BY id DESC LIMIT 1) END AS currency
FROM installation
"""

_PRESENT = f"{_OF_RULING} ORDER BY ruling.id DESC LIMIT 1"

_IN_FORCE = f"""
{_OF_RULING}
WHERE $1::timestamptz IS NULL OR active_from <= $1 OR ruling.id = (SELECT min(id) FROM ruling)
ORDER BY ruling.id DESC LIMIT 1
"""

_MODEL = "SELECT document::text FROM model WHERE hash = $1"

_DECIDED_BY = """
SELECT ruling.id, ruling.active_from, ruling.reason, ruling.policy, model.hash AS model,
       cut_points.id AS cut_points, cut_points.top_minor, cut_points.high_minor, cut_points.mid_minor
FROM ruling
LEFT JOIN model ON model.hash = ruling.model
     AND coalesce(model.document ->> 'currency', $1::text) IS NOT DISTINCT FROM $1::text
LEFT JOIN cut_points ON cut_points.id = ruling.cut_points AND cut_points.currency IS NOT DISTINCT FROM $1
WHERE ruling.id <= $2
ORDER BY ruling.id
"""

_POLICIES = "SELECT hash, document::text AS document FROM policy WHERE hash = ANY($1)"
_MODELS = "SELECT hash, document::text AS document FROM model WHERE hash = ANY($1)"

_RATES = "SELECT day, currency, rate FROM rate WHERE reporting = $1 AND id <= $2 ORDER BY id"

_ADD_RATES = """
WITH added AS (
    INSERT INTO rate (reporting, day, currency, rate, added_at)
    SELECT $1, day, currency, rate, $5
    FROM unnest($2::date[], $3::text[], $4::text[]) WITH ORDINALITY AS row(day, currency, rate, place) ORDER BY place
    RETURNING id
)
SELECT max(id) FROM added
"""
