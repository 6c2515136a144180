"""Tells a story to a product: step by step, in bulk, by files; and has other rulings decide meanwhile."""

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from contracts.money import major
from services.scoring.domain.facts import Kind
from services.scoring.domain.plain import Rows as Rates
from services.scoring.domain.presets import RETENTION_FIRST
from tests.system.doings import Did, Step, Withdraw
from tests.system.hand import EndOverride, Override
from tests.system.product import SYSTEM, Product, identifier, party_of
from tests.system.story import CORRECTED, LAST, POLICY, RATES, Correct, Story, Tell
from tests.system.whose import HandOver, Link, Merge, Own, Register, Unmerge

MEANWHILE = RETENTION_FIRST
"""What decides in the midst of a story."""


@dataclass
class Teller:
    """Tells steps to a product, keeping the ids that it gave."""

    product: Product
    ids: dict[str, str] = field(default_factory=dict)
    given: int = 0
    """Commands begun so far."""

    def begin(self, story: Story) -> None:
        self.organisations(story)
        self.rates(RATES)

    def organisations(self, story: Story) -> None:
        """Have them known before anything else is told of them."""
        rows = [[who, "organisation", at.isoformat()] for who, at in story.organisations.items()]
        columns = {"party": "party", "kind": "kind", "occurred_at": "since"}
        job = self.product.bring(_csv([*columns.values()], rows), "parties", **columns)
        assert job["accepted"] == len(rows), job

    def rates(self, rates: Rates) -> None:
        rows = [{"day": day.isoformat(), "currency": currency, "rate": str(rate)} for day, currency, rate in rates]
        self.product.post("/v1/rates", json={"rates": rows})

    def while_others_decide(self, steps: Sequence[Step], *, at_once: int = 1) -> None:
        """Tell steps one by one; meanwhile another policy and a model are activated, and everything is rebuilt."""
        with ThreadPoolExecutor(1) as thread:
            telling = thread.submit(self.one_by_one, steps, at_once=at_once)
            self.others_decide()
            self.product.rebuild()
            telling.result()

    def others_decide(self) -> None:
        self.product.have_decide(MEANWHILE)
        self.product.fit()

    def end(self) -> None:
        """Have decide what does at the end of every story: right rates, a policy, a model of all that was told."""
        self.rates(CORRECTED)
        self.product.have_decide(POLICY)
        assert self.product.settle().fit(LAST)["activated"]

    def one_by_one(self, steps: Iterable[Step], *, at_once: int = 1) -> None:
        """Each step in a request of its own, several at the same time, none before those that it needs."""
        told: dict[str, Future[None]] = {}

        def when_free(step: Step) -> None:
            for needed in step.needs:
                if needed in told:
                    told[needed].result()
            self.tell(step)

        with ThreadPoolExecutor(at_once) as threads:
            for step in steps:
                told[step.name] = threads.submit(when_free, step)
        for each in told.values():
            each.result()

    def by_files(self, story: Story) -> dict[str, tuple[str, int]]:
        """All that files can tell of a story; by the kind of file the id of the import that began, and its rows."""
        began = {}
        for kind, rows in files(story.steps).items():
            columns = list(rows[0])
            content = _csv(columns, ([row[column] for column in columns] for row in rows))
            began[kind] = self.product.send(content, kind, **{name: name for name in columns}), len(rows)
        return began

    def in_bulk(self, story: Story, rows_each: int = 400) -> None:
        """Everything told first, in as few requests as it takes; then what was thought of it later."""
        for kind in ("returns", "interactions", "purchases"):
            told = [step for step in story.steps if isinstance(step, Tell) and step.kind == kind]
            for start in range(0, len(told), rows_each):
                part = told[start : start + rows_each]
                outcome = self.product.bulk(kind, [step.row() for step in part])
                assert outcome["rejected"] == outcome["conflict"] == 0, outcome
                name = f"{kind[:-1]}_id"
                self.ids |= {step.name: row[name] for step, row in zip(part, outcome["data"], strict=True)}
        self.one_by_one((step for step in story.steps if not isinstance(step, Tell)), at_once=4)

    def tell(self, step: Step) -> None:
        self.given += 1
        post = self.product.post
        match step:
            case Register():
                self.product.register(step.customer)
            case Tell():
                self.ids[step.name] = post(f"/v1/{step.kind}", json=step.row())["id"]
            case Correct(told=told):
                path = f"/v1/{told.kind}/{self.ids[told.name]}/correct"
                post(path, json={**told.right(), "version": step.version})
            case Did():
                path = step.path.format(self.ids.get(step.of, ""))
                self.ids[step.name] = post(path, json=dict(step.body))["id"]
            case Withdraw():
                post(f"/v1/{step.kind}/{self.ids[step.told]}/withdraw", json={})
            case Merge():
                merged = post(f"/v1/parties/{_party(step.one)}/merge", json={"party_id": _party(step.other)})
                self.ids[step.name] = merged["id"]
            case Unmerge():
                post(f"/v1/parties/{_party(step.one)}/unmerge", json={"merge_id": self.ids[step.merge]})
            case Link():
                to = {"identifier": identifier(step.to)} if step.to else {}
                post(f"/v1/members/{self.ids[step.of]}/link", json=to)
            case HandOver():
                path = f"/v1/parties/{_party(step.phone)}/identifiers/identity_{party_of(step.phone).hex}/hand-over"
                day = step.from_day.isoformat()
                post(path, json={"to": {"identifier": identifier(step.to)}, "from_day": day})
            case Override():
                until = step.until and step.until.isoformat()
                value = {"field": step.field, "value": step.value, "why": "They said so.", "until": until}
                self.ids[step.name] = post(f"/v1/standings/{_party(step.customer)}/overrides", json=value)["id"]
            case EndOverride():
                post(f"/v1/overrides/{self.ids[step.override.name]}/end", json={})
            case Own():
                owner = {"owner_id": f"user_{step.owner.hex}", "team_id": None}
                self.product.put(f"/v1/parties/{_party(step.customer)}/owner", json=owner)


def files(steps: Iterable[Step]) -> dict[str, list[dict[str, str]]]:
    """The rows of each kind of file, as far as a file can tell what these steps do."""
    rows: defaultdict[str, list[dict[str, str]]] = defaultdict(list)
    for step in steps:
        match step:
            case Tell() if step.kind in IN_FILES and identifier(step.customer).get("system") == SYSTEM:
                told = {"party": step.customer, IN_FILES[step.kind]: step.name, "occurred_at": step.at.isoformat()}
                rows[step.kind].append(told | (said(step) if step.talks else paid(step)))
            # With needs, somebody is given to an owner before it is known who they are.
            case Did(kind=Kind.LEAD_CAPTURED, needs=()):
                who = dict(step.body.get("identifier", {}))
                named = {"party": who.get("value", ""), "email": step.body.get("email", ""), "phone": step.beside}
                told = {"occurred_at": step.at.isoformat(), "source": step.body["source"]}
                rows["leads"].append({"lead_id": step.name, **named, **told})
            case Did(kind=Kind.POSTED):
                member = dict(step.body["member"])
                place = {"community": member["community"], "member": member["source_id"]}
                text = {"occurred_at": step.at.isoformat(), "text": step.body["text"]}
                rows["posts"].append({"post_id": step.name, **place, **text})
    return dict(rows)


IN_FILES = {"purchases": "order_id", "interactions": "interaction_id"}
"""Kinds of what is told that files tell, too, and what the column with its id is."""


def said(told: Tell) -> dict[str, str]:
    rated = {name: str(rate or "") for name, rate in told.ratings().items()}
    return {**told.talk(), "loss_reason": told.reason or "", **rated}


def paid(told: Tell) -> dict[str, str]:
    return {"amount": f"{major(told.amount_minor, told.currency):f}", "currency": told.currency}


def _csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows([columns, *rows])
    return text.getvalue().encode()


def _party(customer: str) -> str:
    return f"party_{party_of(customer).hex}"
