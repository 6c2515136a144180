"""How far consumers are, what there is to read, and the words that pause, resume and replay."""

import json
from typing import Annotated, Any

import typer

from deploy.cli import options
from deploy.cli.client import answer, fail, product, steps
from deploy.cli.tables import ago, table

Service = Annotated[str, typer.Argument(metavar="SERVICE", help="Whose consumer, as `shuke lag` shows it.")]
OfService = Annotated[str | None, typer.Option("--service", metavar="NAME", help="Only of this service.")]
OfTopic = Annotated[str | None, typer.Option("--topic", metavar="TOPIC", help="Only this topic.")]


def lag(
    service: OfService = None,
    topic: OfTopic = None,
    every: Annotated[bool, typer.Option("--all", help="Also partitions of which everything is read.")] = False,
    data: options.Data = None,
    as_json: options.Json = False,
) -> None:
    """How far each consumer is: events behind, age of the oldest unread, the last place that took effect.

    Ends 2 where a service did not answer, so that what it would have said is not known.
    """
    with product(data) as client:
        asked = {name: value for name, value in (("service", service), ("topic", topic)) if value}
        told = answer(client.get("/v1/lag", params=asked))
    if as_json:
        typer.echo(json.dumps(told, indent=2))
    else:
        _show_lag(told["data"], every=every)
    if told["unavailable"]:
        fail(f"Not known: {', '.join(told['unavailable'])} did not answer.", 2)


def _show_lag(lines: list[dict[str, Any]], *, every: bool) -> None:
    shown = [line for line in lines if every or line["events"] != 0 or line["state"] != "reading"]
    if shown:
        table(
            {
                "service": line["service"],
                "topic": line["topic"],
                "partition": line["partition"],
                "behind": "unknown" if line["events"] is None else line["events"],
                "oldest": ago(line["oldest_s"]),
                "at": f"{line['epoch']}.{line['seq']}",
                "state": line["state"],
            }
            for line in shown
        )
    typer.echo(f"{len(lines) - len(shown)} partitions have nothing that waits." if lines else "Nobody reads that.")


def topics(
    name: Annotated[str | None, typer.Argument(metavar="TOPIC", help="One topic with each of its partitions.")] = None,
    data: options.Data = None,
    as_json: options.Json = False,
) -> None:
    """What is written where: partitions, events in the log, first and last sequence, how long they stay, who reads.

    Ends 2 where a service did not answer.
    """
    with product(data) as client:
        told = answer(client.get("/v1/topics"))
    found = [topic for topic in told["data"] if name in (None, topic["topic"])]
    if as_json:
        typer.echo(json.dumps({**told, "data": found}, indent=2))
    elif name and found:
        table(
            {
                "partition": each["partition"],
                "events": each["events"],
                "first": _place(each["first_epoch"], each["first_seq"]),
                "last": _place(each["epoch"], each["last_seq"]),
                "since": each["first_recorded_at"],
            }
            for each in found[0]["partitions"]
        )
    else:
        table(
            {
                "topic": topic["topic"],
                "partitions": len(topic["partitions"]),
                "events": topic["events"],
                "first": min((each["first_recorded_at"] for each in topic["partitions"] if each["events"]), default=""),
                "kept": "last of each key" if topic["compacted"] else f"{topic['retention_days']} days",
                "read by": ", ".join(topic["read_by"]),
            }
            for topic in found
        )
    if told["unavailable"]:
        fail(f"Not known: {', '.join(told['unavailable'])} did not answer.", 2)
    if name and not found:
        fail(f"There is no topic {name}; `shuke topics` lists them.")


def _place(epoch: int | None, seq: int | None) -> str:
    return "" if not seq else f"{epoch}.{seq}"


def pause(service: Service, topic: OfTopic = None, data: options.Data = None, as_json: options.Json = False) -> None:
    """Have a service read nothing more, or nothing of a topic. It stays so over a restart, until `shuke resume`."""
    _turn("pause", "stands", service, topic, data, as_json)


def resume(service: Service, topic: OfTopic = None, data: options.Data = None, as_json: options.Json = False) -> None:
    """Have a service read again what it was told not to read."""
    _turn("resume", "goes on", service, topic, data, as_json)


def _turn(word: str, does: str, service: str, topic: str | None, data: options.Data, as_json: bool) -> None:
    with product(data) as client:
        turned = answer(client.post(f"/v1/consumers/{word}", json={"service": service, "topic": topic}))
    if as_json:
        typer.echo(json.dumps(turned, indent=2))
    else:
        what = f" at {topic}" if topic else ""
        typer.echo(f"{service} {does}{what}: {turned['partitions']} partitions that did not before.")


def replay(
    service: Service,
    topic: OfTopic = None,
    partition: Annotated[int | None, typer.Option(metavar="N", min=0, help="Only this partition.")] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", callback=options.instant, help="What was recorded from this time on."),
    ] = None,
    sequence: Annotated[
        str | None,
        typer.Option(metavar="EPOCH.SEQ", help="From this event of the partition on, as `shuke topics` shows."),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(metavar="ID", callback=options.key_of_events, help="Only what is told of this identity or party."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only try it, and say how many would be refused; nothing is kept.")
    ] = False,
    data: options.Data = None,
    as_json: options.Json = False,
) -> None:
    """Have a service read again what it has read, up to where it is. What is known changes nothing.

    It is for what the service lacks: events that a gap made it give up and that are back in the log, a database that
    was restored from an older backup, events that an older version could not read. Ends 1 where an event was refused.
    """
    if since is None and sequence is None:
        raise typer.BadParameter("say from where on, by --since or by --sequence.")
    epoch, _, seq = (sequence or "1.0").rpartition(".")
    if sequence and not (seq.isdigit() and (epoch or "1").isdigit()):
        raise typer.BadParameter("write a sequence such as 1.4711: epoch and number.")
    asked: dict[str, Any] = {"service": service, "topic": topic, "partition": partition, "since": since}
    asked |= {"key": key, "dry_run": dry_run}
    if sequence:
        asked |= {"epoch": int(epoch or 1), "seq": int(seq)}
    last: dict[str, Any] = {}
    with product(data) as client:
        for last in steps(client, "/v1/replays", "The replay", json=asked):
            if not as_json and not last["done"]:
                typer.echo(f"{last['topic']} {last['partition']}: {last['events']:,} events so far.", err=True)
    if as_json:
        typer.echo(json.dumps(last, indent=2))
    else:
        was, were = ("would read", "would be") if dry_run else ("read", "were")
        typer.echo(f"{service} {was} {last['events']:,} events again, {last['refused']} of them {were} refused.")
    if last["refused"]:
        raise typer.Exit(1)
