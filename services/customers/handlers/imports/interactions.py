"""Files of what passed with parties: views, calls, campaign touches, complaints."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.imports.fields import CHANNEL, OCCURRED_AT, PARTY, Field, at_most, mostly
from chassis.imports.headers import weighted
from chassis.imports.kinds import ImportKind, Origin
from chassis.imports.plans import Cells, Plan, Row, Survey, id_of, slug
from chassis.imports.reasons import Reason, Unreadable
from contracts.customers import Department, Direction, InteractionKind
from contracts.identity import Identity
from contracts.loss import LossReason
from contracts.telling import Outcome
from services.customers.domain.interactions import NewInteraction
from services.customers.models.fields import LONGEST_TEXT
from services.customers.queries.interactions import record_interactions, withdraw_interactions

Named = TypeVar("Named", bound=StrEnum)


def _values(names: type[StrEnum]) -> Mapping[str, str]:
    return {str(name): str(name) for name in names}


def _word(text: str) -> str:
    return text.casefold().replace("-", "_").replace(" ", "_")


def _one_of(text: str, names: type[Named], what: str) -> Named:
    word = _word(text)
    if word not in _values(names):
        raise Unreadable(Reason.BAD_VALUE, f"The {what} is one of {', '.join(names)}.")
    return names(word)


INTERACTION_ID = Field(
    "interaction_id",
    weighted({3: "interaction contact call ticket event touch", 2: "interactionid eventid callid"}),
    at_most(200),
)
"""The id of the interaction in the source."""

KIND = Field(
    "kind",
    weighted({3: "kind type", 2: "event interaction action", 0: "contact"}),
    mostly(lambda text: _word(text) in _values(InteractionKind)),
    needed=True,
)

DIRECTION = Field(
    "direction", weighted({3: "direction richtung"}), mostly(lambda text: _word(text) in _values(Direction))
)

FIELDS = (
    PARTY.must_be(),
    INTERACTION_ID,
    OCCURRED_AT.must_be().called({2: "contacted called visited", 0: "event interaction contact call touch"}),
    Field("department", weighted({3: "department abteilung"}), mostly(lambda text: _word(text) in _values(Department))),
    CHANNEL,
    KIND,
    DIRECTION,
    Field("attitude", weighted({3: "attitude courtesy", 0: "rating"}), mostly(str.isdecimal)),
    Field("speed", weighted({3: "speed", 0: "rating"}), mostly(str.isdecimal)),
    Field("quality", weighted({3: "quality", 0: "rating"}), mostly(str.isdecimal)),
    Field("text", weighted({3: "text note notes comment comments remark message"}), at_most(LONGEST_TEXT)),
    Field(
        "loss_reason", weighted({3: "reason", 0: "loss lost"}), mostly(lambda text: _word(text) in _values(LossReason))
    ),
)


class Usual(NamedTuple):
    """With whom, by which way and who turned to whom, where a row does not say it."""

    department: Department
    channel: str
    direction: Direction


UNSAID = "unknown"

USUAL: Mapping[InteractionKind, Usual] = {
    InteractionKind.VISIT: Usual(Department.SALES, UNSAID, Direction.INBOUND),
    InteractionKind.VIEW: Usual(Department.ECOMMERCE, "web", Direction.INBOUND),
    InteractionKind.CART: Usual(Department.ECOMMERCE, "web", Direction.INBOUND),
    InteractionKind.INQUIRY: Usual(Department.SALES, UNSAID, Direction.INBOUND),
    InteractionKind.CONTACT: Usual(Department.SALES, UNSAID, Direction.INBOUND),
    InteractionKind.OFFER: Usual(Department.SALES, UNSAID, Direction.OUTBOUND),
    InteractionKind.CAMPAIGN: Usual(Department.MARKETING, UNSAID, Direction.OUTBOUND),
    InteractionKind.SUPPORT: Usual(Department.SERVICE, UNSAID, Direction.INBOUND),
    InteractionKind.SURVEY: Usual(Department.QUALITY, UNSAID, Direction.OUTBOUND),
    InteractionKind.COMPLAINT: Usual(Department.SERVICE, UNSAID, Direction.INBOUND),
    InteractionKind.PRAISE: Usual(Department.SERVICE, UNSAID, Direction.INBOUND),
    InteractionKind.DECLINED: Usual(Department.SALES, UNSAID, Direction.INBOUND),
}


@dataclass(frozen=True, slots=True)
class InteractionRead:
    """An interaction as a row tells it; its import is known only when it is recorded."""

    row: int
    interaction: NewInteraction


def read(plan: Plan, cells: Cells) -> InteractionRead:
    """The interaction that a row tells of. Raises `Unreadable`."""
    party, id, when, department, channel, said, direction, attitude, speed, quality, text, why = cells.texts
    named = plan.party(party)
    occurred_at = plan.instant(when)
    if not id and INTERACTION_ID.name in plan.positions:
        raise Unreadable(Reason.BAD_ID, "The id of the interaction is missing.")
    if not said:
        raise Unreadable(Reason.BAD_VALUE, f"The kind is missing; it is one of {', '.join(InteractionKind)}.")
    kind = _one_of(said, InteractionKind, "kind")
    usual = USUAL[kind]
    interaction = NewInteraction(
        party=named,
        source=plan.source,
        source_id=id_of(id) if id else None,
        occurred_at=occurred_at,
        department=_one_of(department, Department, "department") if department else usual.department,
        channel=slug(channel, "channel") if channel else usual.channel,
        kind=kind,
        direction=_one_of(direction, Direction, "direction") if direction else usual.direction,
        attitude=_rating(attitude),
        speed=_rating(speed),
        quality=_rating(quality),
        text=_text(text),
        loss_reason=_loss_reason(kind, why),
    )
    return InteractionRead(cells.row, interaction)


def _rating(text: str) -> int | None:
    if not text:
        return None
    if text not in ("1", "2", "3", "4", "5"):
        raise Unreadable(Reason.BAD_VALUE, "Attitude, speed and quality are from 1 (bad) to 5 (good).")
    return int(text)


def _text(text: str) -> str | None:
    if len(text) > LONGEST_TEXT:
        raise Unreadable(Reason.BAD_VALUE, f"A text has at most {LONGEST_TEXT} characters.")
    return text.replace("\x00", "") or None


def _loss_reason(kind: InteractionKind, why: str) -> LossReason | None:
    if kind is not InteractionKind.DECLINED:
        if why:
            raise Unreadable(Reason.BAD_VALUE, "Only what is declined has a loss reason.")
        return None
    return _one_of(why, LossReason, "loss reason") if why else LossReason.UNKNOWN


def shown(told: InteractionRead) -> Mapping[str, object]:
    """An interaction before it is recorded."""
    interaction = told.interaction
    said = {field.name: getattr(interaction, field.name, None) for field in FIELDS}
    return said | {
        "party": interaction.party.value if isinstance(interaction.party, Identity) else None,
        "interaction_id": interaction.source_id,
        "occurred_at": interaction.occurred_at.isoformat(),
    }


def notes(plan: Plan, survey: Survey, first: Sequence[Row]) -> Mapping[str, bool]:
    """What was decided about a file of interactions and might surprise."""
    kinds = _kinds(plan, first)
    return {
        "No column is the id of the interaction: a row is known by the content of its file and its number. The same "
        "file again changes nothing, but the same rows in another file count again.": (
            INTERACTION_ID.name not in plan.positions
        ),
        **{
            f"No column is the {name}: it goes by the kind, {by_kind(name, kinds)}.": bool(kinds)
            and not plan.says(name)
            for name in Usual._fields
        },
        "What is declined without a reason has the reason unknown.": (
            InteractionKind.DECLINED in kinds and not plan.says("loss_reason")
        ),
    }


def _kinds(plan: Plan, first: Sequence[Row]) -> list[InteractionKind]:
    """The kinds that the first rows name."""
    at = plan.positions.get(KIND.name, len(plan.columns))
    unsaid = plan.constants.get(KIND.name, "")
    named = {_word((cells[at].strip() if at < len(cells) else "") or unsaid) for _, cells in first}
    return [kind for kind in InteractionKind if kind in named]


def by_kind(name: str, kinds: Iterable[InteractionKind]) -> str:
    """What is usual for each of the kinds."""
    usual: dict[str, list[str]] = {}
    for kind in kinds:
        usual.setdefault(str(getattr(USUAL[kind], name)), []).append(str(kind))
    return "; ".join(f"{value} for {', '.join(those)}" for value, those in usual.items())


async def _record(session: AsyncSession, origin: Origin, told: Sequence[InteractionRead]) -> list[Outcome]:
    rows = [
        replace(
            each.interaction,
            source_id=each.interaction.source_id or origin.row_id(each.row),
            import_id=origin.import_id,
        )
        for each in told
    ]
    return await record_interactions(session, rows, origin.installation)


INTERACTIONS = ImportKind(
    name="interactions",
    prefix="interaction",
    fields=FIELDS,
    read=read,
    shown=shown,
    record=_record,
    withdraw=withdraw_interactions,
    notes=notes,
)
