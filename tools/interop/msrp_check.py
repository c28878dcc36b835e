#!/usr/bin/env python3
"""The endpoint of Large Messages and its judges, held against each other before the program is.

A sender (`msrp_caller.py`) puts messages through every script of the endpoint
(`msrp_endpoint.py`), and what each of them wrote down must be what the other one saw. tshark reads
all of it (`msrp_packets.py`), and Kamailio stands between them as an MSRP relay.
"""

import collections.abc
import contextlib
import dataclasses
import random
import sys

import harness
import kamailio_msrp
import msrp
import msrp_caller
import msrp_endpoint
import msrp_packets
import packets
import session_packets
from msrp_endpoint import Plan, Report

TEXT = "".join(random.Random(4975).choices("parcel é ----- $+#\r\n", k=5_000)).encode()
REFUSED = (302, 404, 415, 480, 486, 488, 500, 503, 603)


@dataclasses.dataclass
class Script:
    """What the endpoint does, and what the sender must see of it."""

    name: str
    plan: Plan
    # Responses to the INVITE, and to the three chunks; REPORTs by their status.
    finals: tuple = (200,)
    statuses: tuple | None = (200, 200, 200)
    reports: tuple = (200,)
    # The proof that an endpoint and a relay allow.
    proofs: tuple = ("endpoint", "relay")
    is_had: bool = True
    # How the sender behaves.
    send: dict = dataclasses.field(default_factory=dict)
    cancel_after: float | None = None
    # What else it must see.
    also: collections.abc.Callable = lambda outcome: True
    patience: float = 0.4


def one_by_one(octets):
    return [octets[at:at + 1] for at in range(len(octets))]


def at_random(octets):
    chance, at, parts = random.Random(1), 0, []
    while at < len(octets):
        length = chance.choice([1, 2, 3, 7, 100, 1_000])
        parts.append(octets[at:at + length])
        at += length
    return parts


def answered(count):
    """Settled when so many chunks are answered."""
    return lambda caller: lambda total: caller.outcome.is_lost or sum(
        status is not None for status in caller.outcome.statuses) >= count


def order(*wanted):
    return lambda outcome: tuple(kind for kind, _ in outcome.order if kind) == wanted


SCRIPTS = [
    Script("plain", Plan()),
    Script("active", Plan(setup="active")),
    Script("active-later", Plan(setup="active", connects=0.2), patience=2.0),
    Script("octets-one-by-one", Plan(), send={"cut": one_by_one}),
    Script("octets-at-random", Plan(), send={"cut": at_random, "is_empty_first": True},
           also=lambda outcome: len(outcome.order) == 5),
    Script("one-large-chunk", Plan(), statuses=(200,), send={"size": 100_000}),
    Script("chunks-of-100", Plan(), statuses=(200,) * -(-len(TEXT) // 100), send={"size": 100}),
    Script("responses-slowly", Plan(slowly=True), patience=30.0),
    Script("delayed-200", Plan(provisional=(180,), delay=0.3), patience=5.0,
           also=lambda outcome: outcome.provisional == [180]),
    Script("hangs-up", Plan(hangs_up=True), also=lambda outcome: outcome.has_bye,
           send={"settled": lambda caller: lambda total: caller.outcome.has_bye}),
    *(Script(f"refused-{status}", Plan(status=status), finals=(status,), statuses=None,
             is_had=False) for status in REFUSED),
    Script("silent", Plan(status=None), finals=(), statuses=None, is_had=False),
    Script("canceled", Plan(status=None), finals=(487,), statuses=None, is_had=False,
           cancel_after=0.1),
    Script("canceled-too-late", Plan(delay=0.2, ignores_cancel=True), cancel_after=0.1,
           patience=2.0),
    Script("no-port", Plan(has_port=False), statuses=None, is_had=False,
           also=lambda outcome: outcome.unusable == "description"),
    Script("no-path", Plan(has_path=False), statuses=None, is_had=False,
           also=lambda outcome: outcome.unusable == "description"),
    Script("never-connects", Plan(setup="active", connects=None), statuses=None, is_had=False,
           also=lambda outcome: outcome.unusable == "nobody connects"),
    Script("forks", Plan(forks=True), finals=(200, 200)),
    *(Script(f"second-chunk-{status}", Plan(responses={2: status}), statuses=(200, status, 200),
             reports=(), proofs=(), is_had=False, send={"settled": answered(3)})
      for status in (400, 413, 415, 481, 506)),
    Script("last-chunk-413", Plan(responses={"last": 413}), statuses=(200, 200, 413), reports=(),
           proofs=(), is_had=False, send={"settled": answered(3)}),
    Script("second-chunk-silent", Plan(responses={2: None}, reports=()),
           statuses=(200, None, 200), reports=(), proofs=()),
    Script("second-chunk-silent-but-reported", Plan(responses={2: None}),
           statuses=(200, None, 200)),
    Script("second-chunk-later", Plan(delays={2: 0.15})),
    Script("no-report", Plan(reports=()), reports=(), proofs=("endpoint",)),
    Script("no-response", Plan(responses={1: None, 2: None, "last": None}),
           statuses=(None, None, None)),
    Script("report-of-parts", Plan(reports=(Report(msrp_endpoint.in_parts),)), reports=(200, 200)),
    Script("report-with-gap", Plan(reports=(Report(msrp_endpoint.with_gap),)), reports=(200, 200),
           proofs=("endpoint",)),
    Script("report-first", Plan(reports=(Report(is_first=True),)),
           also=order("response", "response", "report", "response")),
    Script("report-later", Plan(reports=(Report(delay=0.2),)), patience=2.0,
           also=order("response", "response", "response", "report")),
    Script("report-twice", Plan(reports=(Report(copies=2),)), reports=(200, 200),
           send={"settled": lambda caller: lambda total: len(caller.outcome.reports) == 2}),
    Script("report-413", Plan(reports=(Report(status=413),)), reports=(413,), is_had=False,
           proofs=("endpoint",)),
    Script("report-413-then-200", Plan(reports=(Report(status=413), Report())),
           reports=(413, 200), is_had=False),
    Script("report-of-nobody", Plan(reports=(Report(message_id="0123456789ab"),)),
           proofs=("endpoint",)),
    Script("report-of-less", Plan(reports=(Report(total=lambda total: total - 1),)),
           proofs=("endpoint",)),
    Script("report-elsewhere", Plan(reports=(Report(namespace="001"),)), proofs=("endpoint",)),
    Script("bye-at-last", Plan(at_last="bye"), statuses=(200, 200, None), reports=(), proofs=(),
           also=lambda outcome: outcome.has_bye),
    Script("reset-at-last", Plan(at_last="reset"), statuses=(200, 200, None), reports=(),
           proofs=(), also=lambda outcome: outcome.is_lost),
    Script("finish-at-last", Plan(at_last="finish"), statuses=(200, 200, None), reports=(),
           proofs=(), also=lambda outcome: outcome.is_lost),
    Script("finish-with-response", Plan(finishes_with_response=True, reports=()), reports=(),
           proofs=("endpoint",), also=lambda outcome: outcome.is_lost,
           send={"settled": lambda caller: lambda total: caller.outcome.is_lost}),
]


def call(script, family, transport, endpoint, ports, recipient):
    """One message; what its sender saw."""
    target = (harness.LOOPBACK[family], ports["im"])
    with msrp_caller.Caller(family, target, transport, recipient, script.patience,
                            ports["sender"]) as caller:
        finals = caller.invite(script.cancel_after, len(script.finals))
        if finals and finals[0].status == 200 and caller.session(finals[0]):
            more = dict(script.send)
            if settled := more.pop("settled", None):
                more["settled"] = settled(caller)
            caller.send(TEXT, **more)
        for final in finals:
            if final.status < 300 and not caller.outcome.has_bye:
                caller.bye(final)
        calls = endpoint.calls(recipient)
        harness.wait_for("every dialog is over", 10, lambda: all(
            dialog.ended and dialog.acked for each in calls for dialog in each.dialogs))
        return caller.outcome


def compare(ledger, name, script, outcome, endpoint, recipient):
    """What each of the two wrote down, beside the script and beside the other one."""
    def equal(what, found, expected):
        ledger.equal(f"{name}: {what}", found, expected)

    def told(status):
        return tuple(int(each.value("status").split()[1]) for each in outcome.reports) \
            if status is not None else ()

    equal("final responses", tuple(outcome.finals), script.finals)
    equal("responses to chunks", tuple(outcome.statuses), script.statuses or ())
    equal("REPORTs", told(script.statuses), script.reports if script.statuses else ())
    ledger.check(f"{name}: as it was meant", script.also(outcome), outcome)
    equal("what its sender finds wrong", outcome.faults, [])
    equal("what it finds wrong", endpoint.faults, [])
    endpoint.faults.clear()
    held = endpoint.held(recipient)
    equal("messages that it has", [each.octets for each in held if each.is_had],
          [TEXT] if script.is_had else [])
    if script.statuses is None:
        equal("messages that begin", len(held), 0)
        return
    proofs = {role for each in held for role in each.proved}
    equal("the proof that it gave", proofs, set(script.proofs))
    equal("Message-ID", [each.message.message_id for each in held], [outcome.message_id])
    equal("octets with a 200", outcome.answered.spans, held[0].answered.spans)
    equal("octets with a REPORT", genuine(outcome, len(TEXT)), held[0].reported.spans)


def genuine(outcome, total):
    """Octets that success REPORTs told of in the namespace and with the total that count."""
    found = msrp.Ranges()
    for report in outcome.reports:
        start, end, of = report.range
        if (report.value("status").startswith("000 200") and of == total
                and report.value("message-id") == outcome.message_id):
            found.add(start, end)
    return found.spans


def agreed(endpoint):
    """The pairs of paths that were exchanged."""
    return [(session.peer, session.path) for session in endpoint.sessions]


def run(family, options, ledger, spoil=None):
    name = f"endpoint (IPv{family})"
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(harness.Directory("msrp-endpoint", options.keep))
        ports = dict(zip(("im", "sender"), harness.free_ports(2), strict=True))
        endpoint = stack.enter_context(msrp_endpoint.Endpoint(family, ports["im"], t1=0.1))
        # Of each connection one side listens.
        listening = [endpoint.msrp_port, ports["sender"]]
        capture = stack.enter_context(
            packets.Capture(directory, [ports["im"]], streams=listening))
        scripts = SCRIPTS[:1] if spoil else SCRIPTS
        if spoil == "script":
            scripts = [dataclasses.replace(SCRIPTS[0], plan=Plan(responses={2: 413}))]
        for number, script in enumerate(scripts):
            if options.only and options.only not in script.name:
                continue
            recipient = f"sip:+1555000{number:04}@im.example.net;user=phone"
            endpoint.plans[recipient] = [script.plan]
            transport = ("udp", "tcp")[number % 2]
            outcome = call(script, family, transport, endpoint, ports, recipient)
            compare(ledger, f"{script.name} (IPv{family}, {transport})", script, outcome,
                    endpoint, recipient)
        ledger.equal(f"{name}: the endpoint never breaks", endpoint.loop.broken, [])
        capture.stop()
        if spoil in session_packets.SPOILT:
            session_packets.spoil(capture.file, spoil)
        elif spoil in msrp_packets.SPOILT:
            msrp_packets.spoil(capture.file, spoil)
        departures = msrp_packets.Judge(ledger, name, agreed(endpoint), size_min=1).judge(
            capture.file, listening, directory)
        ledger.check(f"{name}: MSRP: there are departures", departures or spoil == "framing")
        found = capture.packets(session_packets.FIELDS)
        attempts = session_packets.Judge(ledger, name, lambda packet: packet.source[1] != ports["im"])\
            .judge(found)
        ledger.check(f"{name}: sessions: there are attempts", attempts)


def main():
    options = harness.arguments(__doc__.splitlines()[0])
    ledger = harness.Ledger()
    if options.canary:
        kinds = {"script": "responses to chunks", **dict.fromkeys(msrp_packets.SPOILT, "MSRP"),
                 **dict.fromkeys(session_packets.SPOILT, "sessions")}
        for spoil, kind in kinds.items():
            seen = len(ledger.failed)
            run(options.family[0], options, ledger, spoil)
            noticed = any(kind in each for each in ledger.failed[seen:])
            print(f"canary {spoil}: {'noticed' if noticed else 'NOT NOTICED'}")
        return ledger.close()
    for family in options.family:
        if not options.only or any(options.only in script.name for script in SCRIPTS):
            run(family, options, ledger)
        kamailio_msrp.run(family, options, ledger)
    return ledger.close()


if __name__ == "__main__":
    sys.exit(main())
