"""Judges every packet of a case with short messages: as tshark reads it, and as it was meant."""

import re

import sms

# What tshark tells beside the fields of packets.py.
FIELDS = ["sip.r-uri", "sip.from.addr", "sip.to.addr", "sip.In-Reply-To", "sip.Content-Type",
          "gsm_a.rp.msg_type", "gsm_a.rp.rp_message_reference", "gsm_a.rp.cause",
          "gsm_sms.tp-mti", "gsm_sms.tp-fcs", "gsm_sms.tp.parameter_indicator",
          "gsm_sms.tp-oa", "gsm_sms.tp-pid", "gsm_sms.tp-dcs", "gsm_sms.tp-sri",
          "gsm_sms.tp-udhi", "gsm_sms.sms_text"]
NUMBERS = re.compile(r"^gsm_(a\.rp|sms\.tp)")
MEDIA_TYPE = "application/vnd.3gpp.sms"
# What a canary expects wrongly, or breaks.
SPOILT = ("TP-FCS", "In-Reply-To", "text", "malformed")


# tshark takes the header section for a string that goes on to the end of the packet, and complains
# of what stands behind a NUL in it: of every binary body.
STRAY = "Trailing stray characters"


def notes(packet):
    """Expert notes of tshark that mean something."""
    found = list(filter(None, packet.fields["_ws.expert.message"].split("|")))
    if STRAY in found and packet.body.partition(b"\0")[2].strip(b"\0"):
        found.remove(STRAY)
    return found


def read(packet, name):
    """A field as tshark shows it: a number where it is one, None where it is not there."""
    text = packet.fields[name]
    if not NUMBERS.match(name) or name.endswith("tp-oa"):
        return text or None
    if text in ("True", "False"):
        return int(text == "True")
    return int(text, 0) if text else None


class Judge:
    def __init__(self, ledger, case, world, spoil):
        self.ledger, self.case, self.world, self.spoil = ledger, case, world, spoil
        self.faults, self.examined = {}, {}
        self.first, self.instants, self.reports, self.answered = {}, {}, {}, set()

    def hold(self, name, packet, holds, detail=""):
        self.examined[name] = self.examined.get(name, 0) + 1
        if not holds:
            self.faults.setdefault(name, []).append(f"{packet}: {detail}")

    def expect(self, name, packet, found, expected):
        self.hold(name, packet, found == expected, f"found {found!r}, expected {expected!r}")

    def judge(self):
        capture = self.world.capture
        if self.spoil == "malformed":
            # TP-UD of the report now claims to be longer than the packet.
            octets = capture.file.read_bytes()
            capture.file.write_bytes(octets.replace(b"\x6f\x41\x03\x00", b"\x6f\x41\x0b\x00"))
        packets = capture.packets(FIELDS)
        roger = self.world.sc.address[0], self.world.ports["roger"]
        for packet in packets:
            self.on_any(packet)
            if packet.source == roger:
                self.on_departure(packet)
            elif not packet.is_response and packet.body:
                self.on_submission(packet)
        self.judge_counts(packets, roger)
        for name, examined in sorted(self.examined.items()):
            faults = self.faults.get(name, [])
            detail = f"{len(faults)} of {examined}, the first: {faults[0]}" if faults else ""
            self.ledger.check(f"{self.case}: packets: {name}", not faults, detail)

    def judge_counts(self, packets, roger):
        equal = self.ledger.equal
        equal(f"{self.case}: packets: instant messages to nobody", self.world.unheard, [])
        equal(f"{self.case}: packets: instant messages, no more and no fewer",
              sorted(self.instants), sorted(self.world.instants))
        meant = {each.call_id: sorted(self.hops(each.reported_to))
                 for each in self.world.submissions.values() if each.reported_to}
        found = {call_id: sorted(self.hops(branches.values()))
                 for call_id, branches in self.reports.items()}
        equal(f"{self.case}: packets: reports, no more and no fewer", found, meant)
        equal(f"{self.case}: packets: every request has its final response", self.answered,
              {each.call_id for each in self.world.submissions.values()})
        if recipient := getattr(self.world, "in_turn", None):
            self.in_turn(packets, roger, recipient)

    def hops(self, addresses):
        """Kamailio stands between."""
        if self.world.case.through_kamailio:
            return [(self.world.sc.address[0], self.world.ports["kamailio"])] * len(addresses)
        return list(addresses)

    def in_turn(self, packets, roger, recipient):
        """Each instant message to them is behind the final response to the one before."""
        pending = None
        for packet in packets:
            if packet.source == roger and packet.start == f"MESSAGE {recipient} SIP/2.0":
                self.hold("one instant message is pending at a time", packet,
                          pending in (None, packet.key), f"{pending} had no answer yet")
                pending = packet.key
            elif packet.is_response and packet.destination == roger and packet.key == pending:
                pending = None

    def on_any(self, packet):
        fields = packet.fields
        self.hold("tshark sees SIP", packet, fields["sip.Method"] or fields["sip.Status-Code"])
        is_broken = packet.body in (b"", b"\x01")
        if not is_broken:
            self.expect("tshark calls nothing malformed", packet, fields["_ws.malformed"], "")
            self.expect("tshark has no expert note", packet, notes(packet), [])
        self.expect("Content-Length is the length of the body", packet,
                    packet.values("content-length"), [str(len(packet.body))])

    def on_submission(self, packet):
        """What the service centre wrote is what tshark reads: our own encoder is judged."""
        submission = self.world.submissions.get(packet.value("call-id"))
        if not submission or not submission.short:
            return
        short = submission.short
        told = {"gsm_a.rp.msg_type": 1, "gsm_a.rp.rp_message_reference": submission.reference,
                "gsm_sms.tp-mti": 0, "gsm_sms.tp-oa": short.originator,
                "gsm_sms.tp-pid": short.pid, "gsm_sms.tp-dcs": sms.DCS[short.alphabet],
                "gsm_sms.tp-sri": int(short.status_report),
                "gsm_sms.tp-udhi": int(bool(short.header))}
        if short.alphabet != "8bit":
            # tshark writes line ends as C does.
            told["gsm_sms.sms_text"] = \
                short.text.replace("\r", r"\r").replace("\n", r"\n") or None
        for name, value in told.items():
            self.expect(f"submissions: tshark reads {name}", packet, read(packet, name), value)

    def on_departure(self, packet):
        branch = re.search("branch=([^;]*)", packet.value("via"))[1]
        first = self.first.setdefault((packet.is_response, branch), packet)
        self.expect("what is sent again is the same octets", packet, packet.octets, first.octets)
        if packet.is_response:
            self.on_response(packet)
        elif packet.value("content-type") == MEDIA_TYPE:
            self.on_report(packet, branch)
        else:
            self.on_instant(packet)

    def on_response(self, packet):
        submission = self.world.submissions.get(packet.value("call-id"))
        if not submission:
            self.hold("a response to a request of ours", packet,
                      packet.value("cseq").endswith("OPTIONS"))
            return
        self.answered.add(submission.call_id)
        self.expect("responses: the status", packet, packet.status, submission.status)
        self.expect("responses: tshark reads the status", packet,
                    packet.fields["sip.Status-Code"], str(submission.status))
        self.expect("responses: no body", packet, packet.body, b"")
        self.hold("responses: a To-tag", packet, ";tag=" in packet.value("to"))

    def on_request(self, kind, packet, uri, identity):
        """What reports and instant messages have in common. `identity` is a name-addr."""
        vias = packet.vias()
        own = f"SIP/2.0/UDP {self.world.at['roger']};branch=z9hG4bK"
        self.hold(f"{kind}: one Via, our own, which asks for rport", packet,
                  len(vias) == 1 and vias[0].startswith(own) and vias[0].endswith(";rport"), vias)
        self.expect(f"{kind}: Request-URI", packet, packet.start, f"MESSAGE {uri} SIP/2.0")
        self.expect(f"{kind}: To", packet, packet.values("to"), [f"<{uri}>"])
        self.expect(f"{kind}: From", packet, re.sub(";tag=[0-9a-f]{16}$", "", packet.value("from")),
                    identity)
        self.expect(f"{kind}: Max-Forwards", packet, packet.values("max-forwards"), ["70"])
        self.expect(f"{kind}: no Contact (RFC 3428 section 4)", packet, packet.values("contact"), [])
        told = {"sip.Method": "MESSAGE", "sip.r-uri": uri, "sip.to.addr": uri,
                "sip.from.addr": re.search("<(.*)>", identity)[1],
                "sip.Content-Type": packet.value("content-type")}
        for name, value in told.items():
            self.expect(f"{kind}: tshark reads {name}", packet, read(packet, name), value)

    def on_report(self, packet, branch):
        call_id = packet.value("in-reply-to")
        submission = self.world.submissions.get(call_id)
        self.hold("reports: In-Reply-To is the Call-ID of a submission", packet, submission,
                  call_id)
        if not submission:
            return
        if self.spoil == "In-Reply-To":
            call_id = "spoilt"
        self.reports.setdefault(submission.call_id, {})[branch] = packet.destination
        meant = submission.report
        self.hold("reports: the case expects one", packet, meant, submission.call_id)
        if not meant:
            return
        if self.spoil == "TP-FCS":
            meant = sms.error(0xD3)
        identity = f"<{submission.recipient}>"
        self.on_request("reports", packet, self.world.sender, identity)
        # RFC 3325 section 9: what a trusted peer is told is asserted, another one is only asked.
        settings = self.world.case.settings
        asserted = ([identity], []) if settings.sms_trusted else ([], [identity])
        self.expect("reports: P-Asserted-Identity and P-Preferred-Identity", packet, tuple(
            packet.values(name) for name in ("p-asserted-identity", "p-preferred-identity")),
            asserted)
        self.expect("reports: Route", packet, packet.values("route"), self.world.case.route)
        self.hold("reports: a Call-ID of its own", packet,
                  packet.value("call-id") not in self.world.submissions)
        self.expect("reports: RP and TP-FCS, octet by octet", packet, packet.body.hex(),
                    meant.octets(submission.reference).hex())
        self.expect("reports: tshark reads In-Reply-To", packet, read(packet, "sip.In-Reply-To"),
                    call_id)
        for name, value in meant.fields(submission.reference).items():
            self.expect(f"reports: tshark reads {name}", packet, read(packet, name), value)

    def on_instant(self, packet):
        key = packet.value("call-id"), packet.value("cseq")
        self.instants[key] = packet
        for unheard in self.world.unheard:
            if packet.start == f"MESSAGE {unheard.recipient} SIP/2.0":
                self.world.unheard.remove(unheard)
                self.world.instants[key] = unheard
                break
        submission = self.world.instants.get(key)
        if not submission:
            return
        short, settings = submission.short, self.world.case.settings
        identity, asserted = originator(short)
        self.on_request("instant messages", packet, submission.recipient, identity)
        text = "spoilt" if self.spoil == "text" else short.text
        for name, value in (
                ("p-asserted-identity",
                 [identity] if asserted and settings.sms_trusted and settings.im_trusted else []),
                ("date", [short.date()]), ("in-reply-to", []),
                ("request-disposition", ["no-fork"])):
            self.expect(f"instant messages: {name}", packet, packet.values(name), value)
        if self.world.case.cpim:
            return self.on_cpim(packet, submission, identity)
        self.expect("instant messages: Content-Type", packet, packet.values("content-type"),
                    ["text/plain;charset=UTF-8"])
        self.expect("instant messages: the text", packet, packet.body.decode(), text)

    def on_cpim(self, packet, submission, identity):
        """RFC 3862 section 2: two blocks of header fields, then the text."""
        short = submission.short
        self.expect("cpim: Content-Type", packet, packet.value("content-type"), "message/cpim")
        fields, inner, text = packet.body.decode().split("\r\n\r\n", 2)
        found = dict(line.split(": ", 1) for line in fields.split("\r\n"))
        expected = {"From": identity, "To": f"<{submission.recipient}>",
                    "DateTime": short.sent.isoformat()}
        self.expect("cpim: its header fields", packet,
                    {name: found.get(name) for name in expected}, expected)
        self.expect("cpim: its content", packet, (inner.split("\r\n")[0], text),
                    ("Content-Type: text/plain;charset=UTF-8", short.text))


def originator(short):
    """Who the sender is on the IM side, and whether that is somebody's identity."""
    domain = "sms.example.net"
    if short.toa == sms.NAMED:
        return f'"{short.originator}" <sip:{domain}>', False
    if short.toa == sms.NUMBERED:
        return f"<sip:+{short.originator}@{domain};user=phone>", True
    return f"<sip:{short.originator};phone-context={domain}@{domain};user=phone>", True
