"""What stands on the bus: CloudEvents 1.0 in structured mode, one JSON document per event."""

import re
from datetime import datetime
from uuid import UUID

import msgspec

from contracts.event import Event, event_class

CONTENT_TYPE = "application/cloudevents+json"


class Envelope(msgspec.Struct, frozen=True):
    """The parts of a CloudEvent that a consumer needs; `data` is left as bytes until its type is known."""

    id: UUID
    type: str
    subject: UUID
    recordedat: datetime
    sequence: str
    data: msgspec.Raw
    traceparent: str | None = None

    @property
    def place(self) -> tuple[int, int]:
        """(epoch, seq): the position in its partition, as the sequencer gave it."""
        epoch, _, seq = self.sequence.partition(".")
        return int(epoch), int(seq)


SAMPLED = re.compile(rb'"traceparent":"(00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f][13579bdf])"')


def sampled_trace(payload: bytes) -> bytes | None:
    """The traceparent of an event whose trace is recorded somewhere (W3C Trace Context, §3.2.2.5.1)."""
    end = payload.find(b',"data":')
    found = SAMPLED.search(payload, 0, end) if end >= 0 else None
    return found[1] if found else None


class Unreadable(Exception):
    """A record whose envelope or data cannot be decoded."""


_DECODER = msgspec.json.Decoder(Envelope)


def finish(payload: bytes, recorded_at: datetime, epoch: int, seq: int) -> bytes:
    """Complete what the outbox stored by what only the sequencer knows. Both transports send these bytes."""
    return b'%s,"recordedat":"%s","sequence":"%04d.%015d"}' % (
        payload[:-1],
        recorded_at.isoformat().encode(),
        epoch,
        seq,
    )


def open_envelope(value: bytes) -> Envelope:
    """Decode an envelope. Raises `Unreadable`."""
    try:
        envelope = _DECODER.decode(value)
        _ = envelope.place
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Unreadable(f"envelope: {error}") from None
    return envelope


def open_data(envelope: Envelope) -> Event | None:
    """Decode the event in an envelope, or None for a type that this version does not know. Raises `Unreadable`."""
    cls = event_class(envelope.type)
    if cls is None:
        return None
    try:
        return cls.decode(envelope.subject, bytes(envelope.data))
    except (ValueError, TypeError, RecursionError) as error:
        # pydantic's text repeats the input; a dead letter's reason must not.
        raise Unreadable(f"{envelope.type}: the data does not match its schema ({type(error).__name__})") from None
