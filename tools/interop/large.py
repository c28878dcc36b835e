#!/usr/bin/env python3
"""Large Messages end to end: RP-DATA from a service centre, an INVITE, an MSRP session, true reports.

The service centre is that of `short.py`. The recipient is `msrp_endpoint.py`, directly or behind
Kamailio as an MSRP relay. What the recipient truly has, and which proof it gave of that, decides what
the program may say. tshark reads every packet (`session_packets.py`, `msrp_packets.py`).
"""

import contextlib
import dataclasses
import signal
import sys

import actors
import harness
import kamailio_msrp
import large_cases
import msrp_endpoint
import msrp_packets
import session_packets
import short
import short_packets
import sms
import tls_ends

# What a canary expects wrongly, or breaks.
SPOILT = ("truth", "verdicts", "attempts", "range", "response", "offer")


class World(short.World):
    """The program between a service centre and a recipient of Large Messages."""

    recipients = ("im",)

    def people(self, stack):
        self.sc, self.sc2 = (stack.enter_context(actors.Actor(name, self.family, self.ports[name]))
                             for name in ("sc", "sc2"))
        self.endpoint = self.im = stack.enter_context(
            msrp_endpoint.Endpoint(self.family, self.ports["im"]))
        count = harness.workers(self.case.settings, self.at["roger"])
        self.msrp_port = harness.ports_in_a_row(count)
        self.streams = [*range(self.msrp_port, self.msrp_port + count), self.endpoint.msrp_port]
        self.expected, self.verdicts_meant = {}, {}
        if self.case.settings.msrp_transport == "tls":
            tls = stack.enter_context(tls_ends.Ends(
                self.directory, self.family, self.endpoint.msrp_port))
            self.endpoint.tls = tls
            # What is encrypted is captured where it is plain.
            self.streams = [self.endpoint.msrp_port, tls.inside_port]
        if self.case.relay is not None:
            port = harness.ports_in_a_row(1)
            self.relay = stack.enter_context(kamailio_msrp.Relay(
                self.directory, self.family, port, **self.case.relay))
            self.endpoint.relays = [self.relay.uri]
            self.streams.append(port)

    def settings(self):
        return dataclasses.replace(
            super().settings(), msrp_listen=harness.endpoint(self.family, self.msrp_port))

    def large(self, *plans, text=None, recipient=None, attempts=1, **more):
        """One submission. `plans` are for the INVITEs about it in turn, so many as `attempts`."""
        number = len(self.submissions) + 1
        recipient = recipient or f"sip:+1555000{number:04}@im.example.net;user=phone"
        if plans:
            self.endpoint.plans[recipient] = list(plans)
        short_message = sms.Short(text or f"{number}: {large_cases.TEXT}"[:160], **more)
        submission = self.submit(short_message, recipient)
        self.expected[recipient] = self.expected.get(recipient, 0) + attempts
        return submission

    def verdict(self, submission, letters, kinds, told="taken 200"):
        """What the verdict line may say: some letters and some kinds of evidence."""
        self.verdicts_meant[submission.call_id] = (letters, kinds, told)
        submission.verdict = (letters, kinds, told)

    def over_for(self, recipient):
        return lambda: self.over(recipient)

    def over(self, recipient=None):
        """All dialogs have their ACK and their end, and all refusals their ACK."""
        calls = self.endpoint.calls(recipient)
        dialogs = [dialog for call in calls for dialog in call.dialogs]
        return (all(dialog.acked and dialog.ended for dialog in dialogs)
                and all(call.acked for call in calls if (call.status or 0) >= 300))


def run(case, family, options, ledger, spoil=None):
    name = f"{case.name} (IPv{family})"
    with contextlib.ExitStack() as stack:
        world = World(case, family, options, stack, ledger)
        case.script(world)
        counters = None
        if not world.stopped:
            world.counter("messages_open", 0)
            harness.wait_for("every session is over", actors.PATIENCE, world.over)
            counters = world.roger.counters()
            world.roger.signal(signal.SIGTERM)
        ledger.equal(f"{name}: roger ends by itself on SIGTERM", world.roger.wait(50), 0)
        world.capture.stop()
        lines = world.roger.verdicts()
        if counters:
            short.judge_counters(name, world, counters, lines, ledger, None)
        judge_verdicts(name, world, lines, ledger, spoil)
        judge_truth(name, world, lines, ledger, spoil)
        judge_endpoint(name, world, ledger, spoil)
        judge_packets(name, world, ledger, spoil)


def attempt(case, family, options, ledger):
    """A case that comes to no end has failed, and the others are still to be seen."""
    try:
        run(case, family, options, ledger)
    except Exception as fault:
        ledger.check(f"{case.name} (IPv{family}): comes to its end", False, repr(fault))


def judge_verdicts(name, world, lines, ledger, spoil):
    """One verdict line for each submission, and it says what the case expects."""
    meant = world.verdicts_meant
    ledger.equal(f"{name}: verdicts: one for each message",
                 sorted(line["sms_call_id"] for line in lines), sorted(meant))
    for line in lines:
        call_id = line["sms_call_id"]
        letters, kinds, told_meant = meant.get(call_id, ("", "", ""))
        submission = world.submissions[call_id]
        found = line["verdict"], line["evidence"]["kind"]
        is_meant = found[0] in letters and found[1] in kinds.split() and spoil != "verdicts"
        ledger.check(f"{name}: verdicts: {call_id}", is_meant,
                     f"found {found}, expected {letters} by {kinds}: {line}")
        told = " ".join(str(line["report"][key]) for key in ("outcome", "status")
                        if key in line["report"])
        ledger.equal(f"{name}: verdicts: the report of {call_id}", told, told_meant)
        ledger.equal(f"{name}: verdicts: recipient", line["recipient"], submission.recipient)
        calls = world.endpoint.calls(submission.recipient)
        if calls and found[1] != "earlier":
            ledger.check(f"{name}: verdicts: the Call-ID of its INVITE",
                         line["im_call_id"] in [call.call_id for call in calls], line)


def judge_truth(name, world, lines, ledger, spoil):
    """What roger said, beside what the recipient has and what it gave as a proof."""
    role = "endpoint" if world.case.settings.msrp == "endpoint" else "relay"
    for line in lines:
        submission = world.submissions[line["sms_call_id"]]
        is_there = delivered(world, submission, role) and spoil != "truth"
        letter = line["verdict"]
        if letter == "D":
            ledger.check(f"{name}: truth: delivered is what was proved", is_there, line)
        if letter in ("P", "T"):
            ledger.check(f"{name}: truth: failed is not what was proved", not is_there, line)
        ledger.equal(f"{name}: truth: RP-ACK is for what is delivered",
                     line["report"].get("rp"), "ack" if letter == "D" else "error")


def delivered(world, submission, role):
    """Every octet is there, once, and the proof that the role allows was given of it."""
    for held in world.endpoint.held(submission.recipient):
        if role in held.proved and text_of(held) == submission.short.text:
            return True
    if submission.recipient in {request.uri for request in world.endpoint.agent.messages}:
        return world.endpoint.pager.get(submission.recipient, 200) == 200
    return False


def text_of(held):
    """Of a message that is complete."""
    if not held.message.is_complete:
        return None
    text = held.octets.decode()
    if (held.chunks[0].value("content-type") or "").startswith("message/cpim"):
        # Header fields, those of the content, the content (RFC 3862 section 2).
        return text.split("\r\n\r\n", 2)[2]
    return text


def judge_endpoint(name, world, ledger, spoil):
    """What the recipient saw of it."""
    endpoint = world.endpoint
    ledger.equal(f"{name}: recipient: what it finds wrong", endpoint.faults, [])
    ledger.equal(f"{name}: recipient: it never breaks", endpoint.loop.broken, [])
    if tls := endpoint.tls:
        ledger.equal(f"{name}: recipient: handshakes that failed", tls.failed, [])
        ledger.check(f"{name}: recipient: the certificates that were shown",
                     set(tls.met) <= {tls.theirs.fingerprint()}
                     and (tls.met or not endpoint.held()), tls.met)
        owned = [held for held in endpoint.held()
                 if held.session.plan.certificate != "own"]
        ledger.equal(f"{name}: recipient: octets although it is somebody else", owned, [])
    attempts = {}
    for call in endpoint.calls():
        attempts[call.recipient] = attempts.get(call.recipient, 0) + 1
    expected = {recipient: count + (spoil == "attempts")
                for recipient, count in world.expected.items() if count}
    ledger.equal(f"{name}: recipient: attempts: INVITEs", attempts, expected)
    ledger.equal(f"{name}: recipient: MESSAGEs",
                 sorted(request.uri for request in endpoint.agent.messages),
                 sorted(endpoint.pager))
    by_message, everywhere = {}, set()
    for held in endpoint.held():
        key = held.session.dialog.call.recipient, held.chunks[0].body
        by_message.setdefault(key, set()).add(held.message.message_id)
    for ids in by_message.values():
        ledger.equal(f"{name}: recipient: one Message-ID for all attempts", len(ids), 1)
        ledger.check(f"{name}: recipient: no Message-ID of others", not ids & everywhere, ids)
        everywhere |= ids
    for call in endpoint.calls():
        used = [dialog for dialog in call.dialogs if dialog.session.messages]
        ledger.check(f"{name}: recipient: content in one dialog of a fork", len(used) <= 1)
        late = call.canceled and call.dialogs and used
        ledger.check(f"{name}: recipient: nothing is sent after CANCEL", not late)


class PagerJudge(short_packets.Judge):
    """Reports and what the service centre sent; of the IM side only MESSAGEs."""

    def judge(self):
        capture = self.world.capture
        found = capture.packets([*short_packets.FIELDS, *session_packets.FIELDS])
        self.sessions = [packet for packet in found
                         if session_packets.method_of(packet) in session_packets.METHODS]
        capture.packets = lambda _: [
            packet for packet in found if session_packets.method_of(packet) == "MESSAGE"
            and self.world.ports["im"] not in (packet.source[1], packet.destination[1])]
        super().judge()


def judge_packets(name, world, ledger, spoil):
    if spoil in session_packets.SPOILT:
        session_packets.spoil(world.capture.file, spoil)
    elif spoil in msrp_packets.SPOILT:
        msrp_packets.spoil(world.capture.file, spoil)
    pager = PagerJudge(ledger, name, world, None)
    pager.judge()
    roger = world.sc.address[0], world.ports["roger"]
    attempts = session_packets.Judge(
        ledger, name, lambda packet: packet.source == roger, world.endpoint.protocol).judge(
        pager.sessions)
    # What is longer than 1300 octets goes over TCP (RFC 3261 section 18.1.1).
    over_udp = [call for call in world.endpoint.calls()
                if not world.endpoint.agent.is_reliable(call.invite)]
    ledger.equal(f"{name}: sessions: one INVITE transaction for each attempt", len(attempts),
                 len(over_udp))
    agreed = [(session.peer, session.path) for session in world.endpoint.sessions]
    departures = msrp_packets.Judge(ledger, name, agreed).judge(
        world.capture.file, world.streams, world.directory)
    meant = {frame.tid for held in world.endpoint.held() for frame in held.chunks}
    found = {seen.frame.tid for seen in departures}
    if world.case.relay is None and not spoil:
        ledger.check(f"{name}: MSRP: chunks that the recipient has were captured", meant <= found,
                     meant - found)


def main():
    options = harness.arguments(__doc__.splitlines()[0])
    ledger = harness.Ledger()
    if options.canary:
        for spoil in SPOILT:
            seen = len(ledger.failed)
            run(large_cases.CANARY, options.family[0], options, ledger, spoil)
            kind = {"range": "MSRP", "response": "MSRP", "offer": "sessions"}.get(spoil, spoil)
            noticed = any(kind in each for each in ledger.failed[seen:])
            print(f"canary {spoil}: {'noticed' if noticed else 'NOT NOTICED'}")
        return ledger.close()
    for family in options.family:
        for case in large_cases.CASES:
            if not options.only or options.only in case.name:
                attempt(case, family, options, ledger)
    return ledger.close()


if __name__ == "__main__":
    sys.exit(main())
