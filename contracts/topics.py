"""The topics, each written by one service. The partition count of a topic never changes."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Topic:
    """A named, partitioned, ordered stream."""

    name: str
    compacted: bool = False
    """Keeps only the last record of each key; exempt from gap checks."""
    partitions: int = 24
    holds: str = ""
    """What a reader finds there, in a sentence."""

    @property
    def service(self) -> str:
        """The one service that writes to it."""
        return self.name.split(".", 1)[0]


PARTIES = Topic("customers.party.events.v1", holds="Who is known to exist, and whose identity is whose.")
PURCHASES = Topic("customers.purchase.events.v1", holds="What was bought and returned, and which of it never counted.")
INTERACTIONS = Topic(
    "customers.interaction.events.v1", holds="What passed between a party and us, and problems opened and solved."
)
LEADS = Topic("leads.lead.events.v1", holds="Who showed interest, how promising it is, and what became of it.")
MEMBERS = Topic("community.member.events.v1", holds="Who joined a community, wrote, reacted and referred.")
STANDING_CHANGES = Topic("scoring.standing.events.v1", holds="Every change of a party's stage or tier, with its cause.")
STANDINGS = Topic("scoring.standing.state.v1", compacted=True, holds="How each party stands now, one record per party.")

TOPICS = (PARTIES, PURCHASES, INTERACTIONS, LEADS, MEMBERS, STANDING_CHANGES, STANDINGS)


def topics_of(service: str) -> tuple[Topic, ...]:
    """The topics that a service writes."""
    return tuple(topic for topic in TOPICS if topic.service == service)
