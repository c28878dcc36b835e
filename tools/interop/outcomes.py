#!/usr/bin/env python3
"""SIPp as the SMS side and as the IM side of roger: every outcome, every shape, both families.

The figures are SIPp's own; the verdicts and counters of roger are compared with them, and
packets.py judges every packet that roger emitted meanwhile.
"""

import collections
import contextlib
import dataclasses
import functools
import sys

import harness
import packets
import shapes

CALLS = 20
REASONS = {200: "OK", 202: "Accepted", 302: "Moved Temporarily", 404: "Not Found",
           407: "Proxy Authentication Required", 480: "Temporarily Unavailable",
           486: "Busy Here", 500: "Server Internal Error", 503: "Service Unavailable",
           600: "Busy Everywhere"}
SHORT = harness.Settings.short()


@dataclasses.dataclass
class Case:
    """Who does what, and what must come of it."""

    name: str
    sms: str
    im: str | None
    # Figures by the names of SIPp: how often a message was sent or received over all calls.
    sms_counts: dict
    im_counts: dict = dataclasses.field(default_factory=dict)
    verdicts: dict = dataclasses.field(default_factory=dict)
    counters: dict = dataclasses.field(default_factory=dict)
    settings: harness.Settings = dataclasses.field(default_factory=harness.Settings)
    sms_options: tuple = ()
    im_options: tuple = ()
    calls: int = CALLS
    # What the SMS side was told, as the verdict lines say it: "sent 200", or "silence".
    report: str | None = None
    # From somewhere that the configuration does not list.
    stranger: bool = False
    forwarded: int | None = None
    # Whether P-Asserted-Identity must not reach the IM side.
    identity_hidden: bool = False


def message(shape="plain"):
    return shapes.SHAPES[shape]


def final(status, request=None, **more):
    return functools.partial(harness.scenario, "sms_final", status=status,
                             request=request or message(), **more)


def answered(status, extra=""):
    return functools.partial(harness.scenario, "im_final", status=status,
                             reason=REASONS[status], extra=extra)


def outcome(status, upstream, verdict, role="endpoint", extra=""):
    return Case(
        name=f"{status}-{role}", sms=final(upstream), im=answered(status, extra),
        sms_counts={"MESSAGE_Sent": CALLS, f"{upstream}_Recv": CALLS},
        im_counts={"MESSAGE_Recv": CALLS, f"{status}_Sent": CALLS},
        verdicts={verdict: CALLS}, report=f"sent {upstream}",
        counters={"messages_accepted": CALLS, "reports_sent": CALLS, "messages_open": 0},
        settings=harness.Settings(im_role=role))


def outcomes():
    yield outcome(200, 200, "D")
    yield outcome(200, 200, "D", role="proxy")
    yield outcome(200, 200, "A", role="im_server")
    yield outcome(200, 200, "A", role="gateway")
    yield outcome(202, 202, "A")
    yield outcome(302, 302, "T")
    yield outcome(404, 404, "P")
    yield outcome(407, 407, "T", extra='Proxy-Authenticate: Digest realm="a, b", nonce="c"\n      ')
    yield outcome(480, 480, "T")
    yield outcome(486, 486, "T")
    yield outcome(503, 500, "T", extra="Retry-After: 7\n      ")
    yield outcome(600, 600, "P")


def silences():
    wait = 1_700
    yield Case(
        name="no-answer",
        sms=functools.partial(harness.scenario, "sms_silence", request=message(), wait=wait),
        im=functools.partial(harness.scenario, "im_silent", wait=wait),
        sms_counts={"MESSAGE_Sent": CALLS, "100_Recv": CALLS},
        im_counts={"MESSAGE_Recv": CALLS},
        verdicts={"U": CALLS}, report="silence",
        counters={"messages_accepted": CALLS, "trying_out": CALLS, "reports_silent": CALLS,
                  "reports_sent": 0, "messages_open": 0},
        settings=SHORT, sms_options=("-nr",))
    yield Case(
        name="answer-after-the-deadline",
        sms=functools.partial(harness.scenario, "sms_silence", request=message(), wait=wait),
        im=functools.partial(harness.scenario, "im_later", status=200, reason="OK", wait=1_200),
        sms_counts={"MESSAGE_Sent": CALLS, "100_Recv": CALLS},
        im_counts={"MESSAGE_Recv": CALLS, "200_Sent": CALLS},
        verdicts={"U": CALLS}, report="silence",
        counters={"deadlines": CALLS, "late_delivered": CALLS, "reports_silent": CALLS,
                  "reports_sent": 0},
        settings=SHORT, sms_options=("-nr",))
    yield Case(
        name="answer-after-100",
        sms=functools.partial(harness.scenario, "sms_trying", request=message(), status=200),
        im=functools.partial(harness.scenario, "im_later", status=200, reason="OK", wait=400),
        sms_counts={"MESSAGE_Sent": CALLS, "100_Recv": CALLS, "200_Recv": CALLS},
        im_counts={"MESSAGE_Recv": CALLS, "200_Sent": CALLS},
        verdicts={"D": CALLS},
        counters={"trying_out": CALLS, "reports_sent": CALLS},
        settings=SHORT, sms_options=("-nr",))


def losses():
    yield Case(
        name="first-response-lost-on-the-im-side",
        sms=final(200), im=functools.partial(harness.scenario, "im_lost", status=200, reason="OK"),
        sms_counts={"MESSAGE_Sent": CALLS, "200_Recv": CALLS},
        im_counts={"MESSAGE_Recv": 2 * CALLS, "200_Sent": CALLS},
        verdicts={"D": CALLS}, counters={"retransmissions": CALLS, "reports_sent": CALLS},
        # T1 far above the time an answer takes, so that one retransmission means one loss.
        settings=harness.Settings(t1="200ms", t2="4s", sync_deadline="10s"),
        im_options=("-nr",), forwarded=2 * CALLS)
    for status, verdict in ((200, "D"), (480, "T")):
        yield Case(
            name=f"first-{status}-lost-on-the-sms-side",
            sms=functools.partial(harness.scenario, "sms_lost", status=status, request=message()),
            im=answered(status),
            sms_counts={"MESSAGE_Sent": 2 * CALLS, f"{status}_Recv": 2 * CALLS},
            im_counts={"MESSAGE_Recv": CALLS, f"{status}_Sent": CALLS},
            verdicts={verdict: CALLS},
            counters={"messages_accepted": CALLS, "reports_sent": CALLS,
                      "reports_repeated": CALLS},
            sms_options=("-nr",), forwarded=CALLS)
    yield Case(
        name="impatient-sms-side",
        sms=functools.partial(harness.scenario, "sms_impatient", status=200, request=message()),
        im=functools.partial(harness.scenario, "im_later", status=200, reason="OK", wait=150),
        sms_counts={"MESSAGE_Sent": 3 * CALLS, "200_Recv": CALLS},
        im_counts={"MESSAGE_Recv": CALLS, "200_Sent": CALLS},
        verdicts={"D": CALLS},
        counters={"messages_accepted": CALLS, "requests_absorbed": 2 * CALLS},
        sms_options=("-nr",), forwarded=CALLS)
    for second, counter in ((200, "dropped_response_repeated"), (500, "contradictions")):
        yield Case(
            name=f"200-then-{second}",
            sms=final(200),
            im=functools.partial(harness.scenario, "im_twice", status=200, reason="OK",
                                 second=second),
            sms_counts={"MESSAGE_Sent": CALLS, "200_Recv": CALLS},
            im_counts={"MESSAGE_Recv": CALLS},
            verdicts={"D": CALLS},
            counters={counter: CALLS, "reports_sent": CALLS})


def variations():
    for shape in shapes.SHAPES:
        yield Case(
            name=f"shape-{shape}", sms=final(200, message(shape)), im=answered(200),
            sms_counts={"MESSAGE_Sent": CALLS, "200_Recv": CALLS},
            im_counts={"MESSAGE_Recv": CALLS, "200_Sent": CALLS}, verdicts={"D": CALLS},
            forwarded=CALLS)
    # RFC 3325 section 7: "Privacy: id" holds towards whoever is not trusted; without it, or
    # towards a trusted peer, the identity is shown. Section 5: an identity that somebody asserts
    # who is not trusted goes no further.
    private = shapes.altered("      Content-Type", "      Privacy: id\n      Content-Type")
    for name, request, hidden, trust in (
            ("private-to-untrusted", private, True, {"im_trusted": False}),
            ("private-to-trusted", private, False, {}),
            ("public-to-untrusted", shapes.PLAIN, False, {"im_trusted": False}),
            ("asserted-by-untrusted", shapes.PLAIN, True, {"sms_trusted": False})):
        yield Case(
            name=f"identity-{name}", sms=final(200, request), im=answered(200),
            sms_counts={"MESSAGE_Sent": CALLS, "200_Recv": CALLS},
            im_counts={"MESSAGE_Recv": CALLS}, verdicts={"D": CALLS},
            settings=harness.Settings(**trust), identity_hidden=hidden)
    yield Case(
        name="advertised-name", sms=final(200), im=answered(200),
        sms_counts={"MESSAGE_Sent": CALLS, "200_Recv": CALLS},
        im_counts={"MESSAGE_Recv": CALLS}, verdicts={"D": CALLS},
        settings=harness.Settings(advertise="gateway.example.net:5060"))
    yield Case(
        name="driver-mmsg", sms=final(200), im=answered(200),
        sms_counts={"MESSAGE_Sent": CALLS, "200_Recv": CALLS},
        im_counts={"MESSAGE_Recv": CALLS}, verdicts={"D": CALLS},
        settings=harness.Settings(driver="mmsg"))


def others():
    yield Case(name="options", sms=final(200, shapes.OPTIONS), im=None,
               sms_counts={"OPTIONS_Sent": CALLS, "200_Recv": CALLS},
               counters={"options_answered": CALLS, "messages_accepted": 0})
    for method, status in (("SUBSCRIBE", 405), ("REGISTER", 405), ("FETCH", 501)):
        yield Case(name=f"method-{method}", sms=final(status, shapes.of_method(method)), im=None,
                   sms_counts={f"{method}_Sent": CALLS, f"{status}_Recv": CALLS},
                   counters={"refused_method": CALLS, "messages_accepted": 0})
    last_hop = shapes.altered("Max-Forwards: 70", "Max-Forwards: 0")
    yield Case(name="max-forwards-0", sms=final(483, last_hop), im=None,
               sms_counts={"MESSAGE_Sent": CALLS, "483_Recv": CALLS},
               counters={"refused_loop": CALLS, "messages_accepted": 0})
    extension = shapes.altered("      CSeq", "      Proxy-Require: teleport\n      CSeq")
    yield Case(name="proxy-require", sms=final(420, extension), im=None,
               sms_counts={"MESSAGE_Sent": CALLS, "420_Recv": CALLS},
               counters={"refused_unsupported": CALLS, "messages_accepted": 0})
    yield Case(name="stranger-refused", sms=final(403), im=None, stranger=True,
               sms_counts={"MESSAGE_Sent": CALLS, "403_Recv": CALLS},
               counters={"strangers_refused": CALLS, "messages_accepted": 0},
               settings=harness.Settings(strangers="forbid"))


def cases():
    for group in (outcomes, silences, losses, variations, others):
        yield from group()


def canaries():
    """Right runs with a wrong expectation each: every kind of check must notice its own."""
    right = outcome(480, 480, "T")
    yield "SIPp", dataclasses.replace(right, name="canary-status", sms=final(486),
                                      sms_counts={"MESSAGE_Sent": CALLS, "486_Recv": CALLS})
    yield "verdicts", dataclasses.replace(right, name="canary-verdict", verdicts={"D": CALLS})
    yield "counters", dataclasses.replace(right, name="canary-counter",
                                          counters={"reports_sent": CALLS + 1})
    yield "Max-Forwards", dataclasses.replace(right, name="canary-hops")
    yield "Via", dataclasses.replace(right, name="canary-vias")


def run(case, family, options, ledger, spoil=None):
    name = f"{case.name} (IPv{family})"
    ports = harness.free_ports(4)
    roger, sms, im, elsewhere = ports
    listen = harness.endpoint(family, roger)
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(harness.Directory(case.name, options.keep))
        config = harness.configuration(case.settings, listen, harness.endpoint(family, sms),
                                       harness.endpoint(family, im), directory)
        program = stack.enter_context(harness.Roger(options.roger, directory, config))
        capture = stack.enter_context(packets.Capture(directory, ports))
        im_side = case.im and stack.enter_context(harness.Sipp(
            "im", directory, family, im, case.im(), case.calls, options=case.im_options))
        if im_side:
            harness.wait_for("the IM side listens", 10, lambda: is_bound(im))
        text = case.sms(im_port=im)
        sms_side = stack.enter_context(harness.Sipp(
            "sms", directory, family, elsewhere if case.stranger else sms, text, case.calls,
            target=listen, options=case.sms_options))
        judge_sipp(name, case, sms_side, im_side, ledger)
        capture.stop()
        judge_counters(name, case, program, ledger)
        ledger.equal(f"{name}: roger ends by itself on SIGTERM", program.end(), 0)
        expected = packets.Expectations(
            roger=(harness.LOOPBACK[family], roger),
            sms=(harness.LOOPBACK[family], sms), im=(harness.LOOPBACK[family], im),
            sent_by=case.settings.advertise or listen, identity_hidden=case.identity_hidden,
            hops=2 if spoil == "Max-Forwards" else 1, vias=2 if spoil == "Via" else 1)
        judge = packets.Judge(ledger, name, expected)
        emitted = judge.judge(capture.packets())
        judge_verdicts(name, case, program, ledger, [call_id for call_id, _ in judge.requests])
        if case.forwarded is not None:
            ledger.equal(f"{name}: packets: forwarded requests", emitted["forwarded requests"],
                         case.forwarded)
        upstream = sum(count for what, count in case.sms_counts.items() if what.endswith("_Recv"))
        ledger.equal(f"{name}: packets: responses captured",
                     sum(emitted.values()) - emitted["forwarded requests"], upstream)


def is_bound(port):
    return any(line.split()[1].endswith(f":{port:04X}")
               for table in ("udp", "udp6")
               for line in open(f"/proc/net/{table}").read().splitlines()[1:])


def judge_sipp(name, case, sms_side, im_side, ledger):
    ledger.equal(f"{name}: SIPp: the SMS side ends well", sms_side.wait(60), 0)
    sides = [("SMS", sms_side, case.sms_counts)]
    if im_side:
        ledger.equal(f"{name}: SIPp: the IM side ends well", im_side.wait(20), 0)
        sides.append(("IM", im_side, case.im_counts))
    for side, sipp, counts in sides:
        statistics = sipp.statistics()
        ledger.equal(f"{name}: SIPp: successful calls, {side} side", statistics["successful"],
                     case.calls)
        ledger.equal(f"{name}: SIPp: failed calls, {side} side", statistics["failed"], 0)
        for what, expected in counts.items():
            ledger.equal(f"{name}: SIPp: {what}, {side} side", sipp.count(what), expected)


def judge_counters(name, case, program, ledger):
    counters = program.counters()
    for counter, expected in case.counters.items():
        ledger.equal(f"{name}: counters: {counter}", counters.get(counter), expected)
    ledger.equal(f"{name}: counters: allocations", counters.get("allocations"), 0)


def judge_verdicts(name, case, program, ledger, call_ids):
    lines = program.verdicts()
    found = collections.Counter(line["verdict"] for line in lines)
    ledger.equal(f"{name}: verdicts", dict(found), case.verdicts)
    told = {" ".join(map(str, line["report"].values())) for line in lines}
    if case.report:
        ledger.equal(f"{name}: verdicts: what was reported", told, {case.report})
    if case.verdicts:
        ledger.equal(f"{name}: verdicts: one for each Call-ID",
                     sorted(line["sms_call_id"] for line in lines), sorted(call_ids))


def main():
    options = harness.arguments(__doc__.splitlines()[0])
    ledger = harness.Ledger()
    if options.canary:
        for spoil, case in canaries():
            seen = len(ledger.failed)
            run(case, options.family[0], options, ledger, spoil)
            noticed = any(f": {spoil}" in each or spoil in each for each in ledger.failed[seen:])
            print(f"canary {spoil}: {'noticed' if noticed else 'NOT NOTICED'}")
    else:
        for family in options.family:
            for case in cases():
                if not options.only or options.only in case.name:
                    run(case, family, options, ledger)
    return ledger.close()


if __name__ == "__main__":
    sys.exit(main())
