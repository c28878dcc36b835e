#!/usr/bin/env python3
"""Short messages end to end: RP-DATA from a service centre, instant messages, and true reports.

A service centre and a recipient in Python (`actors.py`, `sms.py`) speak to the program, directly or
through Kamailio on both sides. What they saw is compared with the verdict lines and with `roger
status`, and every packet with what tshark tells of it (`short_packets.py`).
"""

import collections
import contextlib
import dataclasses
import itertools
import signal
import sys

import actors
import harness
import kamailio
import packets
import short_cases
import short_packets
import sms

# Who sends, as P-Asserted-Identity says it, and From.
SENDER, FROM = "sip:sc@sc.example.net", "sip:ip-sm-gw@sc.example.net"
DOMAIN = "sms.example.net"


@dataclasses.dataclass
class Submission:
    """A request of the service centre, and what must come of it."""

    call_id: str
    recipient: str
    reference: int
    body: bytes
    octets: bytes
    # What the body means, if it is an SMS-DELIVER.
    short: sms.Short | None
    # The final response to the request itself.
    status: int
    report: sms.Report | None = None
    # To which addresses the report goes.
    reported_to: list = dataclasses.field(default_factory=list)
    # The verdict, the kind of the evidence, and how the report ended.
    verdict: tuple | None = None
    # Status codes of the IM side.
    statuses: list = dataclasses.field(default_factory=list)
    # The Call-ID of its instant message.
    instant: str | None = None

    @property
    def branch(self):
        return actors.Message(self.octets).branch


class World:
    """The program between a service centre and a recipient; what a case does is written down."""

    # The addresses of the IM side, and the ports of TCP that are captured.
    recipients, streams = ("im", "im2"), ()

    def __init__(self, case, family, options, stack, ledger):
        self.case, self.family, self.ledger = case, family, ledger
        names = ("roger", "sc", "sc2", "im", "im2", "kamailio")
        self.ports = dict(zip(names, harness.free_ports(len(names)), strict=True))
        self.at = {name: harness.endpoint(family, port) for name, port in self.ports.items()}
        self.directory = stack.enter_context(harness.Directory(case.name, options.keep))
        self.people(stack)
        self.submissions, self.instants = {}, {}
        # Those whose instant message reaches nobody.
        self.unheard = []
        self.stopped = False
        self.numbers = itertools.count(1)
        self.start(options, stack)

    def people(self, stack):
        """Who sends and who receives."""
        self.sc, self.sc2, self.im, self.im2 = (
            stack.enter_context(actors.Actor(name, self.family, self.ports[name]))
            for name in ("sc", "sc2", "im", "im2"))

    def settings(self):
        settings = self.case.settings
        return dataclasses.replace(
            settings, gateway_lines=f'domain = "{DOMAIN}"\n{settings.gateway_lines}',
            im_lines=settings.im_lines.replace("@DIRECTORY@", str(self.directory)))

    def start(self, options, stack):
        (self.directory / "password").write_text(short_cases.PASSWORD + "\n")
        (self.directory / "password").chmod(0o600)
        settings = self.settings()
        sms_at = [self.at["sc"], self.at["sc2"]]
        im_at = [self.at[name] for name in self.recipients]
        if self.case.through_kamailio:
            sms_at = im_at = self.at["kamailio"]
        self.roger = stack.enter_context(harness.Roger(
            options.roger, self.directory,
            harness.configuration(settings, self.at["roger"], sms_at, im_at, self.directory)))
        self.capture = stack.enter_context(
            packets.Capture(self.directory, [self.ports["roger"]], streams=self.streams))
        self.target = (harness.LOOPBACK[self.family], self.ports["roger"])
        if self.case.through_kamailio:
            self.target = (harness.LOOPBACK[self.family], self.ports["kamailio"])
            sbc = stack.enter_context(kamailio.Kamailio(
                self.directory, self.family, self.ports["kamailio"], self.at["roger"],
                self.at["im"], self.at["sc2"], self.at["sc"]))
            harness.wait_for("Kamailio sees roger by its probes", 30,
                             lambda: sbc.flags() == "AP")

    def submit(self, short=None, recipient=None, body=None, status=200,
               content_type="application/vnd.3gpp.sms"):
        """Sends a request with RP-DATA, or with `body`, and waits for its final response."""
        number = next(self.numbers)
        reference = number * 37 % 256
        recipient = recipient or f"sip:+1555000{number:04}@im.example.net;user=phone"
        if body is None:
            body = sms.rp_data(reference, short.tpdu())
        elif callable(body):
            body = body(reference)
        call_id = f"{number}-{self.case.name}@sc.example.net"
        lines = [f"MESSAGE sip:ue-{number}@{self.at['roger']} SIP/2.0",
                 f"Via: SIP/2.0/UDP {self.sc.sent_by};branch=z9hG4bK-sc-{number};rport",
                 "Max-Forwards: 70", f"From: <{FROM}>;tag=sc{number}",
                 f"To: <sip:ue-{number}@im.example.net>", f"Call-ID: {call_id}",
                 "CSeq: 1 MESSAGE", f"P-Asserted-Identity: <{SENDER}>",
                 f"P-Called-Party-ID: <{recipient}>", "Request-Disposition: no-fork",
                 f"Content-Type: {content_type}", f"Content-Length: {len(body)}", "", ""]
        octets = "\r\n".join(lines).encode() + body
        submission = Submission(call_id, recipient, reference, body, octets, short, status)
        self.submissions[call_id] = submission
        self.sc.send(octets, self.target)
        self.sc.final(submission.branch)
        return submission

    def again(self, submission):
        """The service centre sends the short message again: another RP-MR, another Call-ID."""
        return self.submit(submission.short, submission.recipient)

    def instant(self, submission, at=None):
        """The request that reaches the recipient."""
        request = (at or self.im).request(f"instant message to {submission.recipient}",
                                  lambda each: each.uri == submission.recipient)
        self.instants[request.value("call-id"), request.value("cseq")] = submission
        submission.instant = request.value("call-id")
        return request

    def answer(self, submission, status, extra=(), at=None):
        """The recipient's user agent takes the instant message, and says this."""
        request = self.instant(submission, at)
        (at or self.im).answer(request, status, extra)
        submission.statuses.append(status)
        return request

    def report(self, submission, meant, status=200, at=None):
        """Waits for the report; answers it unless `status` is None."""
        centre = at or self.sc
        request = centre.request(
            f"report about {submission.call_id}",
            lambda each: each.value("in-reply-to") == submission.call_id)
        submission.report = meant
        submission.reported_to.append(centre.address)
        if status:
            centre.answer(request, status)
        return request

    def verdict(self, submission, letter, evidence, told="taken 200"):
        submission.verdict = (letter, evidence, told)

    def holds(self, what, holds, detail):
        self.ledger.check(f"{self.case.name} (IPv{self.family}): {what}", holds, detail)

    def stop(self):
        """Has the program refuse what is new, and end when what is open has come to its end."""
        self.roger.signal(signal.SIGTERM)
        harness.wait_for("new messages are refused", actors.PATIENCE,
                         lambda: "new messages are refused" in self.roger.said())
        self.stopped = True

    @property
    def sender(self):
        """Whom the reports go to: an identity is believed when a trusted peer asserts it."""
        return SENDER if self.case.settings.sms_trusted else FROM

    def counter(self, name, value):
        harness.wait_for(f"{name} is {value}", actors.PATIENCE,
                         lambda: self.roger.counters()[name] == value)


def run(case, family, options, ledger, spoil=None):
    name = f"{case.name} (IPv{family})"
    with contextlib.ExitStack() as stack:
        world = World(case, family, options, stack, ledger)
        case.script(world)
        counters = None
        if not world.stopped:
            world.counter("messages_open", 0)
            counters = world.roger.counters()
            world.roger.signal(signal.SIGTERM)
        ledger.equal(f"{name}: roger ends by itself on SIGTERM", world.roger.wait(50), 0)
        world.capture.stop()
        lines = world.roger.verdicts()
        if counters:
            judge_counters(name, world, counters, lines, ledger, spoil)
        judge_verdicts(name, world, lines, ledger, spoil)
        short_packets.Judge(ledger, name, world, spoil).judge()


def judge_counters(name, world, counters, lines, ledger, spoil):
    reports = [each.report for each in world.submissions.values() if each.report]
    told = collections.Counter(line["report"]["outcome"] for line in lines)
    letters = collections.Counter(line["verdict"] for line in lines)
    expected = {
        "rp_acks": sum(report.cause is None for report in reports),
        "rp_errors": sum(report.cause is not None for report in reports),
        "short_messages": len(lines), "messages_accepted": len(lines),
        "reports_unconfirmed": told["unconfirmed"], "allocations": 0,
        "verdict_delivered": letters["D"], "verdict_permanent": letters["P"],
        "verdict_temporary": letters["T"], "verdict_unknown": letters["U"],
        "verdict_accepted": letters["A"], **world.case.counters}
    if spoil == "counters":
        expected["rp_acks"] += 1
    for counter, value in expected.items():
        ledger.equal(f"{name}: counters: {counter}", counters.get(counter), value)


def judge_verdicts(name, world, lines, ledger, spoil):
    meant = {each.call_id: each for each in world.submissions.values() if each.verdict}
    ledger.equal(f"{name}: verdicts: one for each short message",
                 sorted(line["sms_call_id"] for line in lines), sorted(meant))
    for line in lines:
        submission = meant.get(line["sms_call_id"])
        if not submission:
            continue
        told = " ".join(str(line["report"][key]) for key in ("outcome", "status")
                        if key in line["report"])
        found = (line["verdict"], line["evidence"]["kind"], told)
        expected = ("spoilt",) if spoil == "verdicts" else submission.verdict
        ledger.equal(f"{name}: verdicts: {submission.call_id}", found, expected)
        ledger.equal(f"{name}: verdicts: recipient", line["recipient"], submission.recipient)
        ledger.equal(f"{name}: verdicts: statuses of {submission.call_id}", line["statuses"],
                     submission.statuses)
        if submission.instant and submission.statuses:
            ledger.equal(f"{name}: verdicts: the Call-ID of the instant message",
                         line["im_call_id"], submission.instant)


def main():
    options = harness.arguments(__doc__.splitlines()[0])
    ledger = harness.Ledger()
    if options.canary:
        for spoil in short_packets.SPOILT + ("counters", "verdicts"):
            seen = len(ledger.failed)
            run(short_cases.CANARY, options.family[0], options, ledger, spoil)
            noticed = any(spoil in each for each in ledger.failed[seen:])
            print(f"canary {spoil}: {'noticed' if noticed else 'NOT NOTICED'}")
        return ledger.close()
    for family in options.family:
        for case in short_cases.CASES:
            if not options.only or options.only in case.name:
                run(case, family, options, ledger)
    return ledger.close()


if __name__ == "__main__":
    sys.exit(main())
