"""What service centres and recipients do, and what must come of it.

A case is a function: it submits, waits for what arrives, answers, and says what it expects.
Nothing is waited for but what arrives; where nothing may arrive, the capture shows it afterwards.
"""

import collections.abc
import dataclasses
import datetime

import actors
import harness
import sms

USERNAME, PASSWORD = "roger", 'a "quoted" pass: word'

UNSPECIFIED, ALPHABET, TPDU = 0xFF, 0x90, 0xB0


@dataclasses.dataclass
class Case:
    script: collections.abc.Callable
    settings: harness.Settings = dataclasses.field(default_factory=harness.Settings)
    counters: dict = dataclasses.field(default_factory=dict)
    through_kamailio: bool = False
    # message/cpim instead of text/plain.
    cpim: bool = False
    variant: str = ""
    # The Route of the reports.
    route: list = dataclasses.field(default_factory=list)

    @property
    def name(self):
        return self.script.__name__.replace("_", "-") + self.variant


def patient(**changes):
    """T1 of 500 ms: what is answered at once is answered before any timer."""
    return harness.Settings(**changes)


def hasty(**changes):
    """T1 of 40 ms: a deadline after 2.2 s and timer F after 2.6 s."""
    return harness.Settings(t1="40ms", t2="320ms", sync_deadline="2200ms", **changes)


CASES = []


def case(**more):
    def put(script):
        CASES.append(Case(script, **more))
        return script
    return put


def delivered(world, short=None, recipient=None):
    """One short message, all the way."""
    submission = world.submit(short or sms.Short(), recipient)
    world.answer(submission, 200)
    world.report(submission, sms.ACK)
    world.verdict(submission, "D", "final")
    return submission


@case(variant="-uring", settings=patient(driver="io_uring"))
@case(variant="-mmsg", settings=patient(driver="mmsg"))
@case(variant="-of-a-proxy", settings=patient(im_role="proxy"))
@case(variant="-through-kamailio", settings=patient(im_role="proxy"), through_kamailio=True)
def final_responses(world):
    """Of every class. TP-FCS is what the mapping table has."""
    meant = {200: ("D", sms.ACK), 480: ("T", sms.error(UNSPECIFIED)),
             603: ("P", sms.error(UNSPECIFIED)), 404: ("P", sms.error(UNSPECIFIED)),
             415: ("P", sms.error(ALPHABET)), 405: ("P", sms.error(TPDU)),
             486: ("T", sms.error(UNSPECIFIED)), 302: ("T", sms.error(UNSPECIFIED)),
             500: ("T", sms.error(UNSPECIFIED)), 600: ("P", sms.error(UNSPECIFIED))}
    for status, (letter, report) in meant.items():
        submission = world.submit(sms.Short(f"answered {status}"))
        world.answer(submission, status)
        world.report(submission, report)
        world.verdict(submission, letter, "final")


@case()
def texts(world):
    """Alphabets, addresses, zones, parts."""
    delivered(world, sms.Short("@£$¥èéùìòÇØøÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./:;<=>?¡ÄÖÑÜ§¿à"))
    delivered(world, sms.Short("12 € [{~}] ^|\\"))
    delivered(world, sms.Short("x" * 160))
    delivered(world, sms.Short("Grüße, 語漢字, 😀🎉", alphabet="ucs2"))
    delivered(world, sms.Short("語" * 70, alphabet="ucs2"))
    delivered(world, sms.Short("", alphabet="gsm7"))
    delivered(world, sms.Short("a name", originator="Rogerwatch", toa=sms.NAMED))
    delivered(world, sms.Short("a short code", originator="40400", toa=0x81))
    west = datetime.timezone(datetime.timedelta(hours=-3, minutes=-30))
    delivered(world, sms.Short("a zone", sent=datetime.datetime(
        2024, 2, 29, 23, 59, 58, tzinfo=west)))
    delivered(world, sms.Short("part 2 of 3", header=bytes([5, 0x00, 3, 0x5A, 3, 2])))
    delivered(world, sms.Short("wide", header=bytes([6, 0x08, 4, 0x12, 0x34, 2, 1]),
                               alphabet="ucs2"))
    delivered(world, sms.Short("asks for a status report", status_report=True))


@case(cpim=True, settings=patient(im_lines='content = "cpim"'))
def cpim(world):
    delivered(world, sms.Short("wrapped: é€"))
    delivered(world, sms.Short("Grüße 😀", alphabet="ucs2", originator="40400", toa=0x81))


@case(counters={"possible_duplicates": 0, "retries_absorbed": 1},
      settings=hasty())
def accepted(world):
    """202 proves no delivery, which is said at the deadline; whoever accepted it has it."""
    submission = world.submit(sms.Short())
    world.answer(submission, 202)
    world.report(submission, sms.error(UNSPECIFIED))
    world.verdict(submission, "A", "final")
    again = world.again(submission)
    world.report(again, sms.error(UNSPECIFIED))
    world.verdict(again, "A", "earlier")


@case(settings=hasty(im_lines="ack_accepted = true"))
def accepted_and_acknowledged(world):
    submission = world.submit(sms.Short())
    world.answer(submission, 202)
    world.report(submission, sms.ACK)
    world.verdict(submission, "A", "final")
    asking = world.submit(sms.Short("who asks is not told", status_report=True))
    world.answer(asking, 202)
    world.report(asking, sms.error(UNSPECIFIED))
    world.verdict(asking, "A", "final")


@case(settings=patient(im_role="gateway", t1="40ms", t2="320ms", sync_deadline="2200ms"))
def taken_by_a_gateway(world):
    """Its 200 is its own and proves acceptance only."""
    submission = world.submit(sms.Short())
    world.answer(submission, 200)
    world.report(submission, sms.error(UNSPECIFIED))
    world.verdict(submission, "A", "final")


@case(counters={"deadlines": 1, "late_delivered": 1, "retries_absorbed": 1}, settings=hasty())
def silence_then_late_success(world):
    """The report is due before the proof; the proof is for the repetition."""
    submission = world.submit(sms.Short())
    instant = world.instant(submission)
    world.report(submission, sms.error(UNSPECIFIED))
    world.verdict(submission, "U", "deadline")
    world.im.answer(instant, 200)
    submission.statuses.append(200)
    world.counter("late_delivered", 1)
    again = world.again(submission)
    world.report(again, sms.ACK)
    world.verdict(again, "D", "earlier")


@case(counters={"late_proofs": 1, "retries_absorbed": 1, "timer_f": 1}, settings=hasty())
def silence_then_success_after_the_end(world):
    """Timer F has ended the transaction; its late 200 is still known for what it is."""
    submission = world.submit(sms.Short())
    instant = world.instant(submission)
    world.report(submission, sms.error(UNSPECIFIED))
    world.verdict(submission, "U", "deadline")
    world.counter("messages_open", 0)
    world.im.answer(instant, 200)
    world.counter("late_proofs", 1)
    again = world.again(submission)
    world.report(again, sms.ACK)
    world.verdict(again, "D", "earlier")


@case(counters={"retries_attempted": 1, "possible_duplicates": 1}, settings=hasty())
def silence_then_another_attempt(world):
    """Nothing was proved: the same Call-ID, the next CSeq."""
    submission = world.submit(sms.Short())
    first = world.instant(submission)
    world.report(submission, sms.error(UNSPECIFIED))
    world.verdict(submission, "U", "deadline")
    world.counter("messages_open", 0)
    world.im.ignore(first)
    again = world.again(submission)
    second = world.answer(again, 200)
    if (second.value("call-id"), second.value("cseq")) != (first.value("call-id"), "2 MESSAGE"):
        raise AssertionError(f"not a further attempt:\n{second.octets}")
    world.report(again, sms.ACK)
    world.verdict(again, "D", "final")


@case(counters={"retries_attached": 1, "retries_absorbed": 0})
def repeated_in_flight(world):
    """One instant message, two submissions, both reported."""
    submission = world.submit(sms.Short())
    instant = world.instant(submission)
    again = world.again(submission)
    world.counter("retries_attached", 1)
    world.im.answer(instant, 200)
    submission.statuses.append(200)
    world.report(submission, sms.ACK)
    world.report(again, sms.ACK)
    world.verdict(submission, "D", "final")
    world.verdict(again, "D", "earlier")


@case(counters={"retries_absorbed": 1})
def repeated_after_rp_ack(world):
    submission = delivered(world)
    again = world.again(submission)
    world.report(again, sms.ACK)
    world.verdict(again, "D", "earlier")


@case(counters={"retries_absorbed": 1})
def repeated_after_a_refusal(world):
    """The recipient's no stays a no."""
    submission = world.submit(sms.Short())
    world.answer(submission, 603)
    world.report(submission, sms.error(UNSPECIFIED))
    world.verdict(submission, "P", "final")
    again = world.again(submission)
    world.report(again, sms.error(UNSPECIFIED))
    world.verdict(again, "P", "earlier")


@case(counters={"uri_waits": 1}, settings=patient(gateway_lines='uri_wait = "20s"'))
def one_at_a_time(world):
    """RFC 3428 section 8: the second text waits for the final response to the first."""
    recipient = "sip:bob@im.example.net"
    first = world.submit(sms.Short("first"), recipient)
    instant = world.instant(first)
    second = world.submit(sms.Short("second"), recipient)
    world.counter("uri_waits", 1)
    world.im.answer(instant, 200)
    first.statuses.append(200)
    world.report(first, sms.ACK)
    world.verdict(first, "D", "final")
    world.answer(second, 200)
    world.report(second, sms.ACK)
    world.verdict(second, "D", "final")
    world.in_turn = recipient


@case(counters={"uri_waits": 1, "uri_waits_ended": 1},
      settings=patient(gateway_lines='uri_wait = "200ms"'))
def who_waits_too_long(world):
    """Of the second text nothing has left, which is certain."""
    recipient = "sip:bob@im.example.net"
    first = world.submit(sms.Short("first"), recipient)
    instant = world.instant(first)
    second = world.submit(sms.Short("second"), recipient)
    world.report(second, sms.error(UNSPECIFIED))
    world.verdict(second, "T", "uri_wait")
    world.im.answer(instant, 200)
    first.statuses.append(200)
    world.report(first, sms.ACK)
    world.verdict(first, "D", "final")


@case(counters={"refused_content": 3, "rp_refused": 1})
def what_nobody_can_read(world):
    silent = world.submit(sms.Short("type 0", pid=0x40))
    world.report(silent, sms.ACK)
    world.verdict(silent, "A", "discarded")
    for short in (sms.Short("\x00\xff", alphabet="8bit"), sms.Short("download", pid=0x7D),
                  sms.Short("ports", header=bytes([6, 0x05, 4, 0x0B, 0x84, 0x23, 0xF0]))):
        refused = world.submit(short)
        world.report(refused, sms.error(ALPHABET))
        world.verdict(refused, "P", "content")
    status = world.submit(body=lambda reference: sms.status_report(
        reference, "46708251358", sms.Short().sent))
    world.report(status, sms.error(TPDU))
    world.verdict(status, "P", "content")


@case(counters={"rp_refused": 1, "memory_available": 1, "rp_unexpected": 1, "rp_malformed": 2,
                "short_messages": 1, "messages_accepted": 1})
def other_rp_messages(world):
    submitted = world.submit(status=202, body=lambda reference: sms.rp_submission(
        reference, "15551230002", "not served"))
    world.report(submitted, sms.Report(cause=69, to_mobile=True))
    world.verdict(submitted, "P", "content")
    available = world.submit(status=202, body=sms.rp_smma)
    world.report(available, sms.Report(to_mobile=True))
    world.submit(body=sms.ACK.octets)
    world.submit(body=b"", status=400)
    world.submit(body=b"\x01", status=400)


@case(counters={"reports_repeated": 2})
def retransmitted(world):
    """The request is one transaction; its 200 comes again, before the report and behind it."""
    submission = world.submit(sms.Short())
    for count, then in ((2, lambda: world.answer(submission, 200)), (3, lambda: None)):
        world.sc.send(submission.octets, world.target)
        world.sc.wait("200 again", lambda: len(world.sc.responses[submission.branch]) == count)
        then()
        if count == 2:
            world.report(submission, sms.ACK)
            world.counter("messages_open", 0)
    world.verdict(submission, "D", "final")


@case(counters={"reports_taken": 1})
def report_to_the_second_address(world):
    submission = world.submit(sms.Short())
    world.answer(submission, 200)
    world.report(submission, sms.ACK, status=503)
    world.report(submission, sms.ACK, at=world.sc2)
    world.verdict(submission, "D", "final")


@case(counters={"reports_taken": 1, "icmp_matched": 1})
def report_past_a_closed_port(world):
    """A report may come twice, so that an ICMP error is reason enough to try the next address."""
    submission = world.submit(sms.Short())
    instant = world.instant(submission)
    world.sc.socket.close()
    world.im.answer(instant, 200)
    submission.statuses.append(200)
    submission.reported_to.append(world.sc.address)
    world.report(submission, sms.ACK, at=world.sc2)
    world.verdict(submission, "D", "final")


@case(counters={"reports_taken": 1, "reports_rejected": 1})
def report_refused(world):
    """The report has a fate of its own, and the verdict stays what it is."""
    submission = world.submit(sms.Short())
    world.answer(submission, 200)
    world.report(submission, sms.ACK, status=488)
    world.verdict(submission, "D", "final", "refused 488")
    again = world.again(submission)
    world.report(again, sms.ACK, status=202)
    world.verdict(again, "D", "earlier", "taken 202")


@case(counters={"reports_unconfirmed": 1, "reports_taken": 1}, settings=hasty())
def report_unanswered(world):
    submission = world.submit(sms.Short())
    world.answer(submission, 200)
    report = world.report(submission, sms.ACK, status=None)
    world.sc.wait("report again", lambda: world.sc.repeated >= 3)
    world.sc.ignore(report)
    world.counter("messages_open", 0)
    world.verdict(submission, "D", "final", "unconfirmed")
    again = world.again(submission)
    world.report(again, sms.ACK)
    world.verdict(again, "D", "earlier")


@case(settings=patient(sms_trusted=False, im_trusted=False), variant="-nobody")
@case(settings=patient(sms_trusted=False), variant="-the-im-side")
@case(settings=patient(im_trusted=False), variant="-the-sms-side")
def trusting(world):
    """Whose identity is believed and shown (RFC 3325)."""
    delivered(world)
    delivered(world, sms.Short("a short code", originator="40400", toa=0x81))


@case(settings=patient(sms_lines='route = "sip:term@s-cscf.example.net:6060"'),
      route=["<sip:term@s-cscf.example.net:6060;lr>"])
def report_with_a_route(world):
    delivered(world)


@case(counters={"next_server": 1})
def next_server(world):
    """503 says that nothing was taken: the next server gets the same request (RFC 3263 section 4.3)."""
    submission = world.submit(sms.Short())
    first = world.answer(submission, 503, ("Retry-After: 30",))
    second = world.answer(submission, 200, at=world.im2)
    same = [(each.value("call-id"), each.value("cseq"), each.body) for each in (first, second)]
    world.holds("the next server gets the same message", same[0] == same[1], same)
    world.holds("it is another transaction", first.branch != second.branch, first.branch)
    world.report(submission, sms.ACK)
    world.verdict(submission, "D", "final")
    # The first one is left alone now.
    later = world.submit(sms.Short("later"))
    world.answer(later, 200, at=world.im2)
    world.report(later, sms.ACK)
    world.verdict(later, "D", "final")


@case()
def draining(world):
    """What is open comes to its end and is reported; what is new is refused."""
    submission = world.submit(sms.Short())
    instant = world.instant(submission)
    world.stop()
    world.submit(sms.Short("too late"), status=503)
    world.im.answer(instant, 200)
    submission.statuses.append(200)
    world.report(submission, sms.ACK)
    world.verdict(submission, "D", "final")


@case(settings=hasty(), counters={"icmp_matched": 1})
def nobody_there(world):
    """ICMP says that the port is closed; nobody knows what became of the datagram."""
    world.im.socket.close()
    submission = world.submit(sms.Short())
    world.unheard.append(submission)
    world.report(submission, sms.error(UNSPECIFIED))
    world.verdict(submission, "U", "unreachable")


@case(counters={"authorized": 4},
      settings=patient(im_lines=f'username = "{USERNAME}"\n'
                                'password_file = "@DIRECTORY@/password"'))
def challenged(world):
    for challenge in (actors.Challenge(401, None, False), actors.Challenge(407, "MD5", True),
                      actors.Challenge(407, "SHA-256", True), actors.Challenge(401, "MD5", True)):
        submission = world.submit(sms.Short(f"{challenge}"[:100].translate({96: 32})))
        first = world.answer(submission, challenge.status, (challenge.field(),))
        second = world.answer(submission, 200)
        faults = challenge.faults(second, USERNAME, PASSWORD)
        same = (first.value("call-id"), "2 MESSAGE", first.body)
        if (second.value("call-id"), second.value("cseq"), second.body) != same:
            faults["request"] = second.octets
        world.holds(f"credentials for {challenge.algorithm}", not faults, faults)
        world.report(submission, sms.ACK)
        world.verdict(submission, "D", "final")


def canary(world):
    submission = world.submit(sms.Short("canary"))
    world.answer(submission, 415)
    world.report(submission, sms.error(ALPHABET))
    world.verdict(submission, "P", "final")


CANARY = Case(canary)
