"""Judges the SIP of sessions: INVITE, ACK, CANCEL and BYE of whoever sends Large Messages.

Every packet is judged as tshark reads it and by RFC 3261 sections 9, 12, 13 and 15, the offers by RFC
4975 section 8, RFC 6135 section 4 and RFC 4566.
"""

import collections
import re

import invite
import msrp
import short_packets

# What tshark tells beside the fields of packets.py.
FIELDS = ["sdp.media.media", "sdp.media.port", "sdp.media.proto", "sdp.media_attribute.field",
          "sdp.media_attribute.value", "sdp.version", "sdp.owner.version"]
# What a canary breaks in the capture.
SPOILT = {"offer": (rb"a=setup:actpass", rb"a=setup:passive"),
          "acknowledgement": (rb"CSeq: (\d) ACK", rb"CSeq: 9 ACK"),
          "target": (rb"BYE sip:", rb"BYE sap:"),
          "description": (rb"m=message (\d+) TCP", rb"m=massage \1 TCP")}
METHODS = ("INVITE", "ACK", "CANCEL", "BYE", "UPDATE")


def spoil(file, what):
    """Breaks the capture; every piece stays as long as it was."""
    file.write_bytes(re.sub(*SPOILT[what], file.read_bytes()))


def method_of(packet):
    return packet.value("cseq").split()[1]


def number_of(packet):
    return int(packet.value("cseq").split()[0])


def branch_of(packet):
    return re.search("branch=([^;]*)", packet.value("via"))[1]


def attributes(body):
    """Attributes of the description by their name."""
    found = collections.defaultdict(list)
    for line in body.decode(errors="replace").split("\r\n"):
        if line.startswith("a="):
            name, _, value = line[2:].partition(":")
            found[name].append(value)
    return found


class Attempt:
    """One INVITE transaction, by its branch: what was sent and said."""

    def __init__(self, packet):
        self.invite = packet
        self.acks, self.cancels, self.byes = [], [], {}
        # Final responses by their To-tag.
        self.finals = {}
        self.provisional = 0


class Judge:
    """`is_sender` says of a packet whether it comes from who is judged, whose INVITEs have so many `hops`."""

    def __init__(self, ledger, case, is_sender, protocol="TCP/MSRP", hops=70):
        self.hops = hops
        self.ledger, self.case, self.is_sender = ledger, case, is_sender
        self.protocol = protocol
        self.faults, self.examined = collections.defaultdict(list), collections.Counter()
        self.attempts, self.first = {}, {}

    def hold(self, name, packet, holds, detail=""):
        self.examined[name] += 1
        if not holds:
            self.faults[name].append(f"{packet}: {detail}")

    def expect(self, name, packet, found, expected):
        self.hold(name, packet, found == expected, f"found {found!r}, expected {expected!r}")

    def judge(self, packets):
        """The attempts, in the order in which they began."""
        for packet in packets:
            if method_of(packet) not in METHODS:
                continue
            self.on_any(packet)
            if packet.is_response:
                self.on_response(packet)
            elif self.is_sender(packet):
                getattr(self, f"on_{method_of(packet).lower()}")(packet)
        for attempt in self.attempts.values():
            self.at_end(attempt)
        for name, examined in sorted(self.examined.items()):
            faults = self.faults.get(name, [])
            detail = f"{len(faults)} of {examined}, the first: {faults[0]}" if faults else ""
            self.ledger.check(f"{self.case}: sessions: {name}", not faults, detail)
        return list(self.attempts.values())

    def on_any(self, packet):
        fields = packet.fields
        self.hold("tshark sees SIP", packet, fields["sip.Method"] or fields["sip.Status-Code"])
        self.expect("tshark calls nothing malformed", packet, fields["_ws.malformed"], "")
        self.expect("tshark has no expert note", packet, short_packets.notes(packet), [])
        self.expect("Content-Length is the length of the body", packet,
                    packet.values("content-length"), [str(len(packet.body))])
        if self.is_sender(packet):
            key = packet.status, branch_of(packet), method_of(packet), packet.value("to")
            first = self.first.setdefault(key, packet)
            if packet.status < 100 or packet.status >= 200:
                self.expect("what is sent again is the same octets", packet, packet.octets,
                            first.octets)

    def on_request(self, packet):
        vias = packet.vias()
        self.hold("one Via, which asks for rport", packet,
                  len(vias) == 1 and vias[0].rpartition(";")[2] == "rport", vias)
        hops = self.hops if method_of(packet) == "INVITE" else 70
        self.expect("Max-Forwards", packet, packet.values("max-forwards"), [str(hops)])
        self.hold("From has a tag", packet, invite.tag_of(packet.value("from")))
        self.expect("tshark reads the method", packet, packet.fields["sip.Method"],
                    method_of(packet))

    def on_invite(self, packet):
        branch = branch_of(packet)
        if branch in self.attempts:
            return
        self.on_request(packet)
        self.attempts[branch] = Attempt(packet)
        self.expect("INVITE has one Contact", packet, len(packet.values("contact")), 1)
        self.expect("INVITE has an offer", packet, packet.value("content-type"),
                    "application/sdp")
        self.hold("INVITE outside of a dialog has no To-tag", packet,
                  not invite.tag_of(packet.value("to")))
        self.on_offer(packet)

    def on_offer(self, packet):
        told = {name: packet.fields[name].split("|") for name in FIELDS}
        lines = packet.body.decode().split("\r\n")
        found = attributes(packet.body)
        self.expect("offers: one media description, tshark says", packet,
                    (told["sdp.media.media"], told["sdp.media.proto"]),
                    (["message"], [self.protocol]))
        self.expect("offers: the format is * (RFC 4975 section 8.1)", packet,
                    [line.split()[-1] for line in lines if line.startswith("m=")], ["*"])
        for name in ("path", "accept-types", "setup"):
            self.expect(f"offers: one {name}", packet, len(found[name]), 1)
            self.hold(f"offers: tshark reads {name}", packet,
                      name in told["sdp.media_attribute.field"])
        self.expect("offers: setup (RFC 6135 section 4.1)", packet, found["setup"], ["actpass"])
        self.hold("offers: sendonly", packet, "sendonly" in found)
        self.hold("offers: no connection attribute (RFC 6135 section 4.1)", packet,
                  "connection" not in found)
        path = " ".join(found["path"]).split()
        self.hold("offers: the path is one MSRP URI with a port", packet,
                  len(path) == 1 and msrp.URI.fullmatch(path[0]), path)
        if len(path) == 1 and msrp.URI.fullmatch(path[0]):
            host, port = msrp.address(path[0])
            self.expect("offers: c= and m= are what the path has", packet,
                        [line for line in lines if line.startswith(("c=", "m="))],
                        [f"c=IN {'IP6' if ':' in host else 'IP4'} {host}",
                         f"m=message {port} {self.protocol} *"])
            scheme = "msrps" if "TLS" in self.protocol else "msrp"
            self.expect("offers: the scheme is that of the protocol (RFC 4975 section 8.1)", packet,
                        path[0].partition(":")[0], scheme)
        self.expect("offers: one fingerprint where there is TLS", packet,
                    len(found["fingerprint"]) if "fingerprint" in found else 0,
                    int("TLS" in self.protocol))
        kinds = [line[:1] for line in lines if line]
        order = [kind for kind in kinds if kind in "vostm"]
        self.hold("offers: lines in the order of RFC 4566 section 5", packet,
                  order == list("vostm") and lines[-1] == "", kinds)

    def attempt_of(self, packet):
        """By the branch, or as the dialog that the INVITE makes."""
        if attempt := self.attempts.get(branch_of(packet)):
            return attempt
        tags = invite.tag_of(packet.value("from"))
        return next((each for each in self.attempts.values() if (
            each.invite.value("call-id"), invite.tag_of(each.invite.value("from"))) == (
                packet.value("call-id"), tags)
            and (invite.tag_of(packet.value("to")) in each.finals)), None)

    def on_ack(self, packet):
        attempt = self.attempt_of(packet)
        self.hold("ACK is to an INVITE", packet, attempt)
        if not attempt:
            return
        self.on_request(packet)
        attempt.acks.append(packet)
        self.expect("ACK has the number of its INVITE", packet, number_of(packet),
                    number_of(attempt.invite))
        self.expect("ACK has no body", packet, packet.body, b"")
        final = attempt.finals.get(invite.tag_of(packet.value("to")))
        self.hold("ACK has the To-tag of a final response", packet, final, packet.value("to"))
        if not final:
            return
        is_own = branch_of(packet) == branch_of(attempt.invite)
        self.expect("ACK to a 2xx is a transaction of its own, to others it is not", packet,
                    is_own, final.status >= 300)
        target = attempt.invite.start.split()[1]
        if final.status < 300:
            target = invite.inside(final.value("contact"))
        self.expect("ACK goes to", packet, packet.start, f"ACK {target} SIP/2.0")

    def on_cancel(self, packet):
        attempt = self.attempts.get(branch_of(packet))
        self.hold("CANCEL has the branch of an INVITE", packet, attempt)
        if not attempt:
            return
        self.on_request(packet)
        attempt.cancels.append(packet)
        for name in ("from", "to", "call-id", "via"):
            self.expect("CANCEL is as its INVITE (section 9.1)", packet, packet.values(name),
                        attempt.invite.values(name))
        self.expect("CANCEL has the number of its INVITE", packet, number_of(packet),
                    number_of(attempt.invite))
        self.hold("CANCEL waits for a provisional response", packet, attempt.provisional)
        self.hold("CANCEL is for what has no final response", packet, not attempt.finals)

    def on_bye(self, packet):
        attempt = self.attempt_of(packet)
        self.hold("BYE is in a dialog", packet, attempt)
        if not attempt:
            return
        self.on_request(packet)
        final = attempt.finals[invite.tag_of(packet.value("to"))]
        attempt.byes.setdefault(invite.tag_of(packet.value("to")), {})[branch_of(packet)] = packet
        self.hold("BYE has a higher number", packet,
                  number_of(packet) > number_of(attempt.invite))
        self.expect("BYE goes to", packet, packet.start,
                    f"BYE {invite.inside(final.value('contact'))} SIP/2.0")
        self.hold("BYE comes after ACK", packet, attempt.acks)

    def on_update(self, packet):
        self.hold("UPDATE is in a dialog", packet, self.attempt_of(packet))

    def on_response(self, packet):
        attempt = self.attempts.get(branch_of(packet))
        if method_of(packet) != "INVITE" or self.is_sender(packet) or not attempt:
            return
        if packet.status < 200:
            attempt.provisional += 1
        else:
            attempt.finals.setdefault(invite.tag_of(packet.value("to")), packet)

    def at_end(self, attempt):
        """What every final response brings with it."""
        for tag, final in attempt.finals.items():
            acks = [ack for ack in attempt.acks if invite.tag_of(ack.value("to")) == tag]
            self.hold("every final response has its ACK", final, acks)
            byes = len(attempt.byes.get(tag, ()))
            self.hold("BYE ends each dialog, once, and nothing else", final,
                      byes <= 1 if final.status < 300 else byes == 0, byes)
