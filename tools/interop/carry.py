#!/usr/bin/env python3
"""Sessions that pass through the program, between two ends that share nothing with it.

The sender is `msrp_caller.py`, the recipient `msrp_endpoint.py`: both go through the scripts of
`msrp_check.py`, which holds them against each other without anybody in between. What each of them is
told must be what the other one has said, but for what `CHANGES` names. tshark reads every packet, and
the verdicts are held against what the recipient has and the proof that it gave of that.
"""

import contextlib
import dataclasses
import signal
import sys

import harness
import msrp_caller
import msrp_check
import msrp_endpoint
import msrp_packets
import packets
import session_packets

# Scripts whose end is minutes away: somebody rings, or is waited for.
LONG = ("silent",)

ANYTHING = {"also": lambda outcome: True}
ENDED = {"also": lambda outcome: outcome.has_bye, "patience": 3.0}

# What is otherwise where the program stands between both, by the name of the script.
CHANGES = {
    # 503 speaks of one server, and not of who passes it on (RFC 3261 section 16.7 step 6).
    "refused-503": {"finals": (500,)},
    # What cannot be used is refused, instead of shown to the caller.
    "no-port": {"finals": (488,), **ANYTHING},
    "no-path": {"finals": (488,), **ANYTHING},
    # The session of the caller is there; nobody takes its octets.
    "never-connects": {"statuses": (None, None, None), "reports": (), "proofs": (), **ANYTHING},
    # One dialog of a fork is used, the other one is ended.
    "forks": {"finals": (200,)},
    # The program says 100 by itself, and what comes after CANCEL is its own to end.
    "delayed-200": {"also": lambda outcome: outcome.provisional == [100, 180]},
    "canceled-too-late": {"finals": (487,), "statuses": None, "reports": (), "is_had": False},
    # Which connection a session has is between two that are beside each other.
    "second-chunk-506": {"statuses": (200, 481, 200)},
    # What is said of a message that nobody has sent, or in words that nobody knows, is passed on to nobody.
    "report-of-nobody": {"reports": ()},
    "report-elsewhere": {"reports": ()},
    # A REPORT and a response may overtake each other.
    "report-first": ANYTHING,
    # The connection of one side is not that of the other: there the session ends with BYE.
    "bye-at-last": ENDED,
    "reset-at-last": ENDED,
    "finish-at-last": ENDED,
    "finish-with-response": {**ENDED, "send": {
        "settled": lambda caller: lambda total: caller.outcome.has_bye}},
}


# One total in the chunks and another one in a REPORT: what is there is not known.
CONTRADICTORY = [script.plan for script in msrp_check.SCRIPTS if script.name == "report-of-less"]


def scripts():
    for script in msrp_check.SCRIPTS:
        if script.name not in LONG:
            yield dataclasses.replace(script, **CHANGES.get(script.name, {}))


@dataclasses.dataclass
class World:
    """The program, its configuration, and both ends."""

    family: int
    ports: dict
    endpoint: msrp_endpoint.Endpoint
    roger: harness.Roger
    # The pairs of paths of the sessions of callers.
    agreed: list = dataclasses.field(default_factory=list)
    # What is known of each message, by its Message-ID.
    known: dict = dataclasses.field(default_factory=dict)


def configuration(family, role, ports, msrp_port, directory):
    def at(name):
        return harness.endpoint(family, ports[name])

    caller = harness.peer("caller", "im", at("caller"), True, "endpoint", 'msrp = "endpoint"')
    settings = harness.Settings(
        t1="100ms", t2="800ms", sync_deadline="5s", msrp=role,
        msrp_listen=harness.endpoint(family, msrp_port),
        large_lines=f'carry = true\nreport_wait = "1s"\n{caller}')
    return harness.configuration(settings, at("roger"), at("sc"), at("im"), directory)


def call(script, world, recipient):
    """One message through the program; what its sender saw."""
    endpoint, ports = world.endpoint, world.ports
    target = (harness.LOOPBACK[world.family], ports["roger"])
    with msrp_caller.Caller(world.family, target, "udp", recipient, script.patience,
                            ports["sender"], ports["caller"]) as caller:
        finals = caller.invite(script.cancel_after, len(script.finals))
        if finals and finals[0].status == 200 and caller.session(finals[0]):
            world.agreed.append(([caller.uri], caller.path))
            more = dict(script.send)
            if settled := more.pop("settled", None):
                more["settled"] = settled(caller)
            caller.send(msrp_check.TEXT, **more)
        for final in finals:
            if final.status < 300 and not caller.outcome.has_bye:
                caller.bye(final)
        calls = endpoint.calls(recipient)
        harness.wait_for("every dialog is over", 10, lambda: calls and all(
            dialog.ended and dialog.acked for each in calls for dialog in each.dialogs))
        return caller.outcome


def compare(ledger, name, script, outcome, world, recipient):
    held = world.endpoint.held(recipient)
    if held or script.statuses is None:
        msrp_check.compare(ledger, name, script, outcome, world.endpoint, recipient)
    else:
        ledger.equal(f"{name}: responses to chunks", tuple(outcome.statuses), script.statuses)
        ledger.equal(f"{name}: messages that begin", len(held), 0)
    if outcome.message_id:
        world.known[outcome.message_id] = (name, held)


def judge_verdicts(ledger, name, world, role, spoil):
    """One verdict for each message of which a chunk came, and none that is not so."""
    lines = {line["message_id"]: line for line in world.roger.verdicts()}
    ledger.equal(f"{name}: verdicts: one for each message", sorted(lines), sorted(world.known))
    letters = set()
    for message_id, line in lines.items():
        script, held = world.known.get(message_id, ("nobody", []))
        proved = any(role in each.proved for each in held) and spoil != "truth"
        # Who says no after his last 200 has said both.
        refused = any(each.refusals for each in held)
        letters.add(line["verdict"])
        if line["verdict"] == "D":
            ledger.check(f"{script}: truth: delivered is what was proved", proved, line)
        if line["verdict"] in ("P", "T"):
            ledger.check(f"{script}: truth: failed is not what was proved", not proved or refused,
                         line)
        if proved and not refused and held[0].session.plan not in CONTRADICTORY:
            ledger.equal(f"{script}: truth: what was proved is delivered", line["verdict"], "D")
        ledger.equal(f"{script}: verdicts: who they are", (line["form"], line["sms_peer"],
                                                           line["im_peer"]), ("msrp", "caller", "im"))
    if not spoil:
        ledger.check(f"{name}: verdicts: of several kinds", {"D", "P", "U"} <= letters, letters)


def judge_packets(ledger, name, world, capture, streams, directory, spoil):
    if spoil in session_packets.SPOILT:
        session_packets.spoil(capture.file, spoil)
    elif spoil in msrp_packets.SPOILT:
        msrp_packets.spoil(capture.file, spoil)
    agreed = world.agreed + msrp_check.agreed(world.endpoint)
    departures = msrp_packets.Judge(ledger, name, agreed, size_min=1).judge(
        capture.file, streams, directory)
    ledger.check(f"{name}: MSRP: there are departures", departures or spoil == "framing")
    roger, caller = ((harness.LOOPBACK[world.family], world.ports[one])
                     for one in ("roger", "caller"))
    found = capture.packets(session_packets.FIELDS)
    for side, sender, hops in (("im", roger, 69), ("caller", caller, 70)):
        port = world.ports[side]
        attempts = session_packets.Judge(
            ledger, f"{name}: {side}", lambda packet, of=sender: packet.source == of, hops=hops).judge(
            [packet for packet in found if port in (packet.source[1], packet.destination[1])])
        ledger.check(f"{name}: sessions: there are attempts", attempts)


def run(family, role, options, ledger, spoil=None):
    name = f"carry to an {role} (IPv{family})"
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(harness.Directory("carry", options.keep))
        names = ("roger", "sc", "im", "caller", "sender")
        ports = dict(zip(names, harness.free_ports(len(names)), strict=True))
        # Over IPv6 three workers share all this.
        msrp_port = harness.ports_in_a_row(3)
        endpoint = stack.enter_context(msrp_endpoint.Endpoint(family, ports["im"], t1=0.1))
        streams = [*range(msrp_port, msrp_port + 3), endpoint.msrp_port]
        capture = stack.enter_context(packets.Capture(
            directory, [ports["roger"]], streams=streams))
        roger = stack.enter_context(harness.Roger(
            options.roger, directory, configuration(family, role, ports, msrp_port, directory)))
        world = World(family, ports, endpoint, roger)
        chosen = list(scripts())
        if spoil:
            chosen = chosen[:1]
        if spoil == "script":
            chosen = [dataclasses.replace(chosen[0], plan=msrp_endpoint.Plan(responses={2: 413}))]
        for number, script in enumerate(chosen):
            if options.only and options.only not in script.name:
                continue
            recipient = f"sip:+1555000{number:04}@im.example.net;user=phone"
            endpoint.plans[recipient] = [script.plan]
            title = f"{script.name} ({role}, IPv{family})"
            try:
                outcome = call(script, world, recipient)
            except Exception as fault:
                ledger.check(f"{title}: comes to its end", False, repr(fault))
                continue
            compare(ledger, title, script, outcome, world, recipient)
        ledger.equal(f"{name}: the endpoint never breaks", endpoint.loop.broken, [])
        roger.signal(signal.SIGTERM)
        ledger.equal(f"{name}: roger ends by itself on SIGTERM", roger.wait(50), 0)
        capture.stop()
        judge_verdicts(ledger, name, world, role, spoil or options.only)
        judge_packets(ledger, name, world, capture, streams, directory, spoil)


def main():
    options = harness.arguments(__doc__.splitlines()[0])
    ledger = harness.Ledger()
    if options.canary:
        kinds = {"script": "responses to chunks", "truth": "truth",
                 **dict.fromkeys(msrp_packets.SPOILT, "MSRP"),
                 **dict.fromkeys(session_packets.SPOILT, "sessions")}
        for spoil, kind in kinds.items():
            seen = len(ledger.failed)
            run(options.family[0], "endpoint", options, ledger, spoil)
            noticed = any(kind in each for each in ledger.failed[seen:])
            print(f"canary {spoil}: {'noticed' if noticed else 'NOT NOTICED'}")
        return ledger.close()
    for family in options.family:
        for role in ("endpoint", "relay"):
            run(family, role, options, ledger)
    return ledger.close()


if __name__ == "__main__":
    sys.exit(main())
