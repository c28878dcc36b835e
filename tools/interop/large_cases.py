"""What recipients of Large Messages do, and what must come of it.

A case is a function, as in `short_cases.py`: it submits with the plans of the calls that follow, waits
for the report, and says which verdict and which evidence it expects.
"""

import dataclasses
import socket

import actors
import harness
import msrp
import msrp_endpoint
import short_cases
import sms
from msrp_endpoint import Plan, Report
from short_cases import ALPHABET, TPDU, UNSPECIFIED

# Of 160 septets, longer than a MESSAGE may be here.
TEXT = ("Nur was der Empfänger wirklich hat und bestätigt, gilt als zugestellt: alles andere ist "
        "ein Fehler, oder niemand weiß es. ") * 2
SILENT = {1: None, "last": None}
# Everything goes in a session; who does not report holds it for a second.
GATEWAY, LARGE = "pager_max = 500", 'report_wait = "1s"'


@dataclasses.dataclass
class Case(short_cases.Case):
    # How Kamailio is set up that stands between as an MSRP relay; None: it does not.
    relay: dict | None = None


def patient(msrp_role="endpoint", **changes):
    """What is answered at once is answered before any timer."""
    return harness.Settings(msrp=msrp_role, **{
        "gateway_lines": GATEWAY, "large_lines": LARGE, **changes})


def hasty(msrp_role="endpoint", **changes):
    """A deadline after 2.6 s, and half a second for the answer to INVITE."""
    return harness.Settings(msrp=msrp_role, **{
        "t1": "50ms", "t2": "400ms", "sync_deadline": "2600ms", "gateway_lines": GATEWAY,
        "large_lines": f'{LARGE}\ninvite_wait = "1s"', **changes})


CASES = []


def case(**more):
    def put(script):
        CASES.append(Case(script, **{"settings": patient(), **more}))
        return script
    return put


def delivered(world, *plans, kinds="acknowledged reported", **more):
    """One Large Message, all the way."""
    submission = world.large(*plans, **more)
    world.report(submission, sms.ACK)
    world.verdict(submission, "D", kinds)
    return submission


def failed(world, letter, kinds, *plans, fcs=UNSPECIFIED, **more):
    submission = world.large(*plans, **more)
    world.report(submission, sms.error(fcs))
    world.verdict(submission, letter, kinds)
    return submission


@case(variant="-uring", settings=patient(driver="io_uring"))
@case(variant="-mmsg", settings=patient(driver="mmsg"))
@case(variant="-over-tcp", settings=patient(im_lines='transport = "tcp"'))
@case(variant="-to-a-relay", settings=patient("relay"))
@case(variant="-to-a-b2bua", settings=patient("b2bua"))
@case()
def whole_messages(world):
    """In all legal ways. Of somebody in between only REPORTs prove it."""
    kinds = "acknowledged reported" if world.case.settings.msrp == "endpoint" else "reported"
    for plan in (Plan(), Plan(setup="active"), Plan(setup="active", connects=0.3),
                 Plan(provisional=(180,), delay=0.5), Plan(provisional=()), Plan(slowly=True),
                 Plan(hangs_up=True), Plan(types="text/plain message/cpim"),
                 Plan(size_max=100_000)):
        delivered(world, plan, kinds=kinds)


@case(variant="-uring", settings=patient(driver="io_uring", msrp_transport="tls"))
@case(variant="-mmsg", settings=patient(driver="mmsg", msrp_transport="tls"))
def over_tls(world):
    """The certificate is the one that the SDP names, whoever connects."""
    for plan in (Plan(), Plan(setup="active"), Plan(setup="active", connects=0.3),
                 Plan(slowly=True), Plan(setup="active", slowly=True), Plan(hangs_up=True)):
        delivered(world, plan)
    submissions = [world.large(Plan(delay=0.3, setup=setup))
                   for setup in ("active", "passive") * 6]
    for submission in submissions:
        world.report(submission, sms.ACK)
        world.verdict(submission, "D", "acknowledged reported")


@case(settings=patient(msrp_transport="tls"), counters={"msrp_wrong_certificate": 2})
def over_tls_with_somebody_else(world):
    """He gets nothing, which is certain, and once more in another session."""
    other = Plan(certificate="other")
    failed(world, "T", "connection_unused", other, attempts=2)


@case(settings=hasty(msrp_transport="tls"), counters={"msrp_wrong_certificate": 1})
def over_tls_from_somebody_else(world):
    """He is sent away, and nobody else comes."""
    failed(world, "T", "never_connected deadline_unsent",
           Plan(certificate="other", setup="active"))


@case(settings=patient(msrp_transport="tls"), counters={"msrp_no_fingerprint": 4})
def over_tls_with_nobody_knows_whom(world):
    """No fingerprint, or one by SHA-1 only: no session can be made of it."""
    for certificate in ("none", "weak"):
        for setup in ("active", "passive"):
            failed(world, "P", "answer_unusable",
                   Plan(certificate=certificate, setup=setup, connects=None))


@case(settings=patient(im_lines='content = "cpim"'), cpim=True)
def cpim(world):
    delivered(world, Plan(types="message/cpim", wrapped="*"))
    delivered(world, Plan(types="message/cpim text/plain"))
    delivered(world, Plan(), text="Grüße, 語漢字, 😀🎉" * 3, alphabet="ucs2")


@case()
def texts(world):
    delivered(world, Plan(), text="語" * 70, alphabet="ucs2")
    delivered(world, Plan(), text="€" * 80)
    delivered(world, Plan(), text="\r\n-------" * 15)
    delivered(world, Plan(), text="x" * 160)


@case()
def many_at_once(world):
    """Sessions do not wait for each other."""
    submissions = [world.large(Plan(delay=0.5)) for _ in range(12)]
    for submission in submissions:
        world.report(submission, sms.ACK)
        world.verdict(submission, "D", "acknowledged reported")


@case()
def what_proves_it_directly(world):
    """The recipient's 200 to every chunk, or its REPORTs, in any order and in any number."""
    delivered(world, Plan(reports=()), kinds="acknowledged")
    delivered(world, Plan(responses=SILENT), kinds="reported")
    delivered(world, Plan(reports=(Report(is_first=True),)), kinds="reported acknowledged")
    delivered(world, Plan(reports=(Report(msrp_endpoint.with_gap),)), kinds="acknowledged")
    delivered(world, Plan(reports=(Report(copies=3),)))
    delivered(world, Plan(reports=(Report(message_id="0123456789ab"),)), kinds="acknowledged")
    delivered(world, Plan(delays={"last": 0.4}, reports=()), kinds="acknowledged")
    delivered(world, Plan(finishes_with_response=True, reports=()), kinds="acknowledged")


@case(settings=patient("relay"))
def what_proves_it_through_a_relay(world):
    """REPORTs of success that cover every octet."""
    delivered(world, Plan(reports=(Report(msrp_endpoint.in_parts),)), kinds="reported")
    delivered(world, Plan(reports=(Report(is_first=True),)), kinds="reported")
    delivered(world, Plan(reports=(Report(delay=0.5),)), kinds="reported")
    delivered(world, Plan(reports=(Report(copies=2),)), kinds="reported")
    delivered(world, Plan(responses=SILENT), kinds="reported")


@case(settings=hasty("relay"))
def what_proves_nothing_through_a_relay(world):
    """200 to everything, and no REPORT or none that covers it (hazards H17, H18, H23, H26)."""
    for reports in ((), (Report(msrp_endpoint.with_gap),), (Report(msrp_endpoint.first_half),),
                    (Report(message_id="0123456789ab"),), (Report(namespace="001"),),
                    (Report(total=lambda total: total - 1),)):
        failed(world, "U", "report_missing deadline", Plan(reports=reports))


@case(settings=hasty(large_lines='report_wait = "20s"'))
def silence_in_the_session(world):
    """Neither a response nor a REPORT: nobody knows."""
    failed(world, "U", "deadline", Plan(responses=SILENT, reports=()))


@case()
def invite_refused(world):
    """Nothing was transferred: every refusal is certain."""
    meant = {302: ("T", UNSPECIFIED), 403: ("P", UNSPECIFIED), 404: ("P", UNSPECIFIED),
             405: ("P", TPDU), 410: ("P", UNSPECIFIED), 415: ("P", ALPHABET),
             420: ("P", UNSPECIFIED), 480: ("T", UNSPECIFIED), 484: ("P", UNSPECIFIED),
             486: ("T", UNSPECIFIED), 487: ("T", UNSPECIFIED), 488: ("P", ALPHABET),
             491: ("T", UNSPECIFIED), 500: ("T", UNSPECIFIED), 501: ("P", TPDU),
             502: ("T", UNSPECIFIED), 503: ("T", UNSPECIFIED), 504: ("T", UNSPECIFIED),
             600: ("T", UNSPECIFIED), 603: ("P", UNSPECIFIED), 604: ("P", UNSPECIFIED),
             606: ("P", ALPHABET), 408: ("T", UNSPECIFIED)}
    for status, (letter, fcs) in meant.items():
        failed(world, letter, "invite", Plan(status=status), fcs=fcs)


@case(settings=hasty())
def invite_unanswered(world):
    """CANCEL, where a provisional response allows it; no content, whatever comes then (H59)."""
    kinds = "invite invite_timeout deadline_unsent"
    ringing = failed(world, "T", kinds, Plan(status=None))
    [call] = world.endpoint.calls(ringing.recipient)
    harness.wait_for("it is cancelled", 10, lambda: call.canceled)
    failed(world, "T", kinds, Plan(status=None, provisional=()))
    failed(world, "T", kinds, Plan(delay=1.5, ignores_cancel=True))


@case()
def answers_of_no_use(world):
    """A session that cannot be: ACK, BYE, and a certain failure."""
    failed(world, "P", "answer_unusable", Plan(has_port=False))
    failed(world, "P", "answer_unusable", Plan(has_path=False))


@case()
def what_is_not_accepted(world):
    """The answer itself says that it would not take the content."""
    failed(world, "P", "answer_unusable", Plan(types="image/png"))


@case(settings=hasty())
def nobody_connects(world):
    """Nothing has left, which is certain."""
    failed(world, "T", "never_connected deadline_unsent", Plan(setup="active", connects=None))


@case()
def nobody_listens(world):
    """The connection is refused: certain, and once more in another session."""
    failed(world, "T", "connection_unused", Plan(listens=False), attempts=2)
    delivered(world, Plan(listens=False), Plan(), attempts=2)


@case()
def chunk_refused(world):
    meant = {400: ("P", UNSPECIFIED), 403: ("P", UNSPECIFIED), 413: ("P", UNSPECIFIED),
             415: ("P", ALPHABET), 423: ("P", UNSPECIFIED), 501: ("P", TPDU)}
    for status, (letter, fcs) in meant.items():
        failed(world, letter, "msrp_response",
               Plan(responses={"last": status}, reports=()), fcs=fcs)


@case()
def session_unknown(world):
    """481 and 506: this chunk was not taken, and another session may take it."""
    for status in (481, 506):
        no = Plan(responses={"last": status}, reports=())
        delivered(world, no, Plan(), attempts=2)
        failed(world, "T", "msrp_response", no, attempts=2)


@case(variant="-to-a-relay", settings=patient("relay"))
@case()
def report_of_failure(world):
    """The recipient says no by REPORT: before its 200, or in its place."""
    no = (Report(status=413, is_first=True),)
    failed(world, "P", "msrp_report", Plan(reports=no, responses={"last": None}))
    no = (Report(status=415, is_first=True),)
    failed(world, "P", "msrp_report", Plan(reports=no, responses={"last": None}), fcs=ALPHABET)


@case(counters={"contradictions": 1})
def report_of_failure_too_late(world):
    """The verdict stands, and the contradiction is counted (hazard H20)."""
    submission = delivered(world, Plan(reports=(Report(status=413, delay=0.4),)),
                           kinds="acknowledged")
    world.refuted = submission.call_id
    world.counter("contradictions", 1)


@case()
def parting_at_last(world):
    """BYE, RST or FIN after the last octet, before its 200: once more with the same Message-ID (H27)."""
    for what, kinds in (("bye", "bye_after_end"), ("reset", "connection_lost"),
                        ("finish", "connection_lost")):
        parts = Plan(at_last=what)
        delivered(world, parts, Plan(), attempts=2)
        failed(world, "U", kinds, parts, attempts=2)


@case()
def forks(world):
    """Content goes to one of them, the other one is ended at once."""
    delivered(world, Plan(forks=True))


@case(settings=hasty("relay", large_lines='report_wait = "20s"'),
      counters={"late_delivered": 1, "retries_absorbed": 1})
def report_after_the_deadline(world):
    """The proof is for the repetition, which starts nothing (hazard H60)."""
    late = Plan(reports=(Report(delay=3.2),))
    submission = failed(world, "U", "deadline", late)
    world.counter("late_delivered", 1)
    again = world.again(submission)
    world.report(again, sms.ACK)
    world.verdict(again, "D", "earlier")


@case(settings=hasty("relay"), counters={"retries_attempted": 1})
def submitted_again(world):
    """Nothing was proved: another session, the same Message-ID (H13)."""
    submission = failed(world, "U", "deadline report_missing", Plan(reports=()), Plan(), attempts=2)
    world.counter("messages_open", 0)
    again = world.again(submission)
    world.report(again, sms.ACK)
    world.verdict(again, "D", "reported")


@case(counters={"retries_absorbed": 1})
def repeated_after_rp_ack(world):
    submission = delivered(world, Plan())
    again = world.again(submission)
    world.report(again, sms.ACK)
    world.verdict(again, "D", "earlier")


@case(counters={"retries_attached": 1})
def repeated_in_flight(world):
    submission = world.large(Plan(delay=1.0))
    again = world.again(submission)
    for each, kinds in ((submission, "acknowledged reported"), (again, "earlier")):
        world.report(each, sms.ACK)
        world.verdict(each, "D", kinds)


@case(counters={"authorized": 2},
      settings=patient(im_lines=f'username = "{short_cases.USERNAME}"\n'
                                'password_file = "@DIRECTORY@/password"'))
def challenged(world):
    for challenge in (actors.Challenge(401, "MD5", True), actors.Challenge(407, "SHA-256", True)):
        asks = Plan(status=challenge.status, extra=(challenge.field(),))
        submission = delivered(world, asks, Plan(), attempts=2)
        calls = world.endpoint.calls(submission.recipient)
        faults = challenge.faults(calls[1].invite, short_cases.USERNAME, short_cases.PASSWORD)
        world.holds(f"credentials for {challenge.algorithm}", not faults, faults)


@case(settings=patient(large_lines=f'{LARGE}\nsession_idle = "2s"'))
def sessions_that_stay(world):
    """The next message of the same originator goes into the same session, unless that is over."""
    recipient = "sip:bob@im.example.net"
    for count in range(3):
        delivered(world, recipient=recipient, text=f"message {count}", attempts=count == 0)
    [session] = world.endpoint.sessions
    world.holds("all of them came in one session", len(session.messages) == 3, session.messages)
    recipient = "sip:carol@im.example.net"
    for count in range(2):
        delivered(world, Plan(hangs_up=True), recipient=recipient, text=f"{count} {TEXT}"[:160])
        harness.wait_for("it is over", 10, world.over_for(recipient))


@case(settings=patient(im_lines='im.profile = "cpm"'), cpim=True)
def cpm(world):
    """OMA CPM: its service, its identifiers, and content in CPIM."""
    submission = delivered(world, Plan(types="message/cpim", wrapped="*"))
    [call] = world.endpoint.calls(submission.recipient)
    service = "3gpp-service.ims.icsi.oma.cpm.largemsg"
    for name in ("accept-contact", "p-preferred-service"):
        found = call.invite.value(name) or call.invite.value("p-asserted-service")
        world.holds(f"{name} has the service", service in found.replace("%3A", ":"), found)
    for name in ("conversation-id", "contribution-id"):
        world.holds(f"INVITE has {name}", call.invite.value(name), call.invite.start)
    [held] = world.endpoint.held(submission.recipient)
    world.holds("CPIM has a Message-ID", b"imdn.Message-ID: " in held.octets, held.octets)


@case()
def simple_im(world):
    """OMA SIMPLE IM: its feature tag."""
    submission = delivered(world, Plan())
    [call] = world.endpoint.calls(submission.recipient)
    found = call.invite.value("accept-contact")
    world.holds("Accept-Contact has the service", "+g.oma.sip-im.large-message" in found, found)


@case(settings=patient(gateway_lines=""))
def pager_refused(world):
    """413 to a MESSAGE: the same as a Large Message, once."""
    recipient = "sip:bob@im.example.net"
    world.endpoint.pager[recipient] = 413
    delivered(world, Plan(), recipient=recipient, text="short")


@case()
def draining(world):
    """What is open comes to its end and is reported."""
    submission = world.large(Plan(delay=1.5))
    world.stop()
    world.report(submission, sms.ACK)
    world.verdict(submission, "D", "acknowledged reported")


def ask(world, port, frame):
    """Somebody connects to roger's MSRP port and says this; what comes back."""
    with socket.create_connection((harness.LOOPBACK[world.family], port), 5) as line:
        line.sendall(frame)
        reader = msrp.Reader()
        line.settimeout(5)
        while octets := line.recv(65_536):
            if frames := reader.feed(octets):
                return frames[0]
    return None


@case()
def strangers(world):
    """Who guesses a session gets 481, who knows one that is taken gets 506, and neither does harm."""
    submission = world.large(Plan(delays={"last": 0.6}, reports=()))
    harness.wait_for("the message is there", 10, lambda: any(
        held.message.is_complete for held in world.endpoint.held()))
    [session] = world.endpoint.sessions
    port = msrp.address(session.peer[0])[1]
    guessed = f"msrp://{harness.endpoint(world.family, port)}/0123456789abcdef;tcp"
    for target, status in ((guessed, 481), (session.peer[0], 506)):
        answer = ask(world, port, msrp.write(msrp.ident(), "SEND", [
            ("To-Path", target), ("From-Path", session.uri), ("Message-ID", msrp.ident()),
            ("Byte-Range", "1-0/0")]))
        world.holds(f"{status} for a stranger", answer and answer.status == status, answer)
    world.report(submission, sms.ACK)
    world.verdict(submission, "D", "acknowledged")


@case(settings=patient("relay"), relay={})
def through_kamailio(world):
    """An MSRP relay in the path: its 200s come first, the REPORT decides."""
    for _ in range(3):
        delivered(world, Plan(), kinds="reported")


@case(settings=patient("relay"), relay={"tracks": False})
def through_kamailio_that_connects(world):
    """REPORTs come on a connection that the relay opens, and a session is bound to one only (section 5.4)."""
    failed(world, "U", "report_missing", Plan())


@case(settings=hasty("relay"), relay={"loses": True})
def through_kamailio_that_loses(world):
    failed(world, "U", "report_missing deadline", Plan())


@case(settings=hasty("relay"), relay={})
def refused_behind_kamailio(world):
    """It answers 200 itself, and tells nobody of the 413 behind it."""
    failed(world, "U", "report_missing deadline",
           Plan(responses={"last": 413}, reports=()))


def canary(world):
    delivered(world, Plan())


CANARY = Case(canary, settings=patient())
