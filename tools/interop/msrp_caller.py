"""A sender of Large Messages, to hold `msrp_endpoint.py` against somebody before the program is.

One call at a time: INVITE, a session, one message in chunks, what was said of it, BYE.
"""

import dataclasses
import itertools
import re
import secrets
import select
import socket
import time

import actors
import ends
import harness
import invite
import msrp

NUMBERS = itertools.count(1)


@dataclasses.dataclass
class Outcome:
    """What the sender of one message saw."""

    # Final responses to the INVITE, and to the chunks in their order; None: nothing.
    finals: list = dataclasses.field(default_factory=list)
    provisional: list = dataclasses.field(default_factory=list)
    responses: dict = dataclasses.field(default_factory=dict)
    # Chunks by their transaction: the octets of each.
    spans: dict = dataclasses.field(default_factory=dict)
    reports: list = dataclasses.field(default_factory=list)
    # In the order of their arrival: ("response", status) and ("report", status).
    order: list = dataclasses.field(default_factory=list)
    answered: msrp.Ranges = dataclasses.field(default_factory=msrp.Ranges)
    reported: msrp.Ranges = dataclasses.field(default_factory=msrp.Ranges)
    # Why no session came to be.
    unusable: str | None = None
    is_lost: bool = False
    # Frames that came on connections that somebody else opened.
    elsewhere: int = 0
    has_bye: bool = False
    message_id: str = ""
    faults: list = dataclasses.field(default_factory=list)
    seconds: float = 0.0

    @property
    def statuses(self):
        return [self.responses.get(tid) for tid in self.spans]


class Line:
    """SIP over UDP or TCP, from one address to one address."""

    def __init__(self, family, target, transport, port=0):
        kind = {4: socket.AF_INET, 6: socket.AF_INET6}[family]
        self.transport, self.held = transport, b""
        how = {"udp": socket.SOCK_DGRAM, "tcp": socket.SOCK_STREAM}[transport]
        self.socket = socket.socket(kind, how)
        if transport == "udp":
            port = port or harness.free_ports(1)[0]
        self.socket.bind((harness.LOOPBACK[family], port))
        self.socket.connect(target)
        self.sent_by = harness.endpoint(family, self.socket.getsockname()[1])

    def read(self):
        octets = self.socket.recv(65_536)
        if self.transport == "udp":
            return [actors.Message(octets)]
        self.held, found = self.held + octets, []
        while (length := ends.frame(self.held)) is not None:
            found.append(actors.Message(self.held[:length]))
            self.held = self.held[length:]
        return found


class Caller:
    """One message to one recipient."""

    def __init__(self, family, target, transport="udp", recipient="sip:bob@im.example.net",
                 patience=5.0, port=0, sip_port=0):
        self.family, self.patience, self.recipient = family, patience, recipient
        self.host = harness.LOOPBACK[family]
        self.line = Line(family, target, transport, sip_port)
        kind = {4: socket.AF_INET, 6: socket.AF_INET6}[family]
        self.listening = socket.socket(kind, socket.SOCK_STREAM)
        self.listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listening.bind((self.host, port))
        self.listening.listen(4)
        authority = harness.endpoint(family, self.listening.getsockname()[1])
        self.uri = f"msrp://{authority}/{secrets.token_hex(10)};tcp"
        self.outcome, self.tcp, self.readers = Outcome(), None, {}
        self.call_id, self.tag = f"{next(NUMBERS)}-{secrets.token_hex(8)}", secrets.token_hex(6)
        self.cseq, self.finals, self.byes, self.deadline = 1, [], [], 0.0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for each in (self.line.socket, self.listening, *self.readers):
            each.close()

    # SIP.

    def request(self, method, to, branch, body=b"", uri=None):
        number = self.cseq
        lines = [f"{method} {uri or self.recipient} SIP/2.0",
                 f"Via: SIP/2.0/{self.line.transport.upper()} {self.line.sent_by};branch={branch};rport",
                 "Max-Forwards: 70", f"From: <sip:caller@sms.example.net>;tag={self.tag}",
                 f"To: {to}", f"Call-ID: {self.call_id}", f"CSeq: {number} {method}",
                 f"Contact: <sip:caller@{self.line.sent_by};transport={self.line.transport}>"]
        if body:
            lines.append("Content-Type: application/sdp")
        lines += [f"Content-Length: {len(body)}", "", ""]
        self.line.socket.send("\r\n".join(lines).encode() + body)

    def offer(self):
        kind = {4: "IP4", 6: "IP6"}[self.family]
        port = self.listening.getsockname()[1]
        lines = ["v=0", f"o=- 1 1 IN {kind} {self.host}", "s=-", f"c=IN {kind} {self.host}",
                 "t=0 0", f"m=message {port} TCP/MSRP *", f"a=path:{self.uri}",
                 "a=accept-types:*", "a=setup:actpass", "a=sendonly", ""]
        return "\r\n".join(lines).encode()

    def invite(self, cancel_after=None, wanted=1):
        """The final responses that come, all acknowledged; of a fork `wanted` is 2."""
        branch = f"z9hG4bK-{secrets.token_hex(8)}"
        self.branch = branch
        self.request("INVITE", f"<{self.recipient}>", branch, self.offer())
        if cancel_after is not None:
            self.wait(lambda: self.finals, cancel_after)
            if not self.finals:
                self.request("CANCEL", f"<{self.recipient}>", branch)
        self.wait(lambda: len(self.finals) >= wanted)
        return self.finals

    def message(self, message):
        """What comes by SIP."""
        if message.value("call-id") != self.call_id:
            # It is for who was here before.
            if not message.is_response:
                self.line.socket.send(actors.response(message, 481, ""))
            return
        if not message.is_response:
            if message.value("cseq").endswith("BYE") and message.branch not in self.byes:
                self.byes.append(message.branch)
                self.outcome.has_bye = True
            self.line.socket.send(actors.response(message, 200, ""))
            return
        if not message.value("cseq").endswith("INVITE"):
            return
        if message.status < 200:
            self.outcome.provisional.append(message.status)
            return
        tag = invite.tag_of(message.value("to"))
        if tag not in [invite.tag_of(final.value("to")) for final in self.finals]:
            self.finals.append(message)
            self.outcome.finals.append(message.status)
        is_success = message.status < 300
        uri = invite.inside(message.value("contact")) if is_success else None
        branch = f"z9hG4bK-{secrets.token_hex(8)}" if is_success else self.branch
        self.request("ACK", message.value("to"), branch, uri=uri)

    def bye(self, final):
        self.cseq += 1
        self.request("BYE", final.value("to"), f"z9hG4bK-{secrets.token_hex(8)}",
                     uri=invite.inside(final.value("contact")))
        self.cseq -= 1

    # MSRP.

    def session(self, final):
        """Whether there is one now."""
        self.path = msrp.path_of(final.body)
        media = re.search(rb"(?m)^m=message (\d+) ", final.body)
        setup = re.search(rb"(?m)^a=setup:(\w+)", final.body)[1]
        if not self.path or not media or media[1] == b"0":
            self.outcome.unusable = "description"
            return False
        if setup == b"passive":
            self.tcp = socket.create_connection(msrp.address(self.path[0]), timeout=5)
        else:
            self.listening.settimeout(self.patience)
            try:
                self.tcp = self.listening.accept()[0]
            except TimeoutError:
                self.outcome.unusable = "nobody connects"
                return False
        self.tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.readers[self.tcp] = msrp.Reader()
        return True

    def send(self, octets, size=2_048, is_empty_first=False, message_id=None, total=None,
             settled=None, cut=None):
        """One message in chunks of `size`; what is waited for is `settled`.

        `cut` writes other octets to the connection than those of the frames.
        """
        outcome = self.outcome
        outcome.message_id = message_id or msrp.ident()
        frames = []
        path = [("To-Path", " ".join(self.path)), ("From-Path", self.uri)]
        if is_empty_first:
            frames.append(msrp.write(msrp.ident(), "SEND", [
                *path, ("Message-ID", msrp.ident()), ("Byte-Range", "1-0/0")]))
        for at in range(0, len(octets), size):
            part = octets[at:at + size]
            tid = msrp.ident()
            outcome.spans[tid] = (at + 1, at + len(part))
            end = at + len(part) if len(part) <= msrp.INTERRUPTIBLE_SIZE else "*"
            frames.append(msrp.write(tid, "SEND", [
                *path, ("Message-ID", outcome.message_id),
                ("Byte-Range", f"{at + 1}-{end}/{total or len(octets)}"),
                ("Success-Report", "yes"), ("Failure-Report", "yes"),
                ("Content-Type", "text/plain")], part, "$" if at + size >= len(octets) else "+"))
        began = time.monotonic()
        for written in (cut or (lambda all_octets: [all_octets]))(b"".join(frames)):
            try:
                self.tcp.sendall(written)
            except OSError:
                outcome.is_lost = True
                break
        self.wait(lambda: (settled or self.is_settled)(len(octets)) or outcome.has_bye)
        outcome.seconds = time.monotonic() - began

    def is_settled(self, total):
        outcome = self.outcome
        return outcome.is_lost or None not in outcome.statuses and outcome.reported.covers(total)

    def frame(self, frame):
        outcome = self.outcome
        outcome.faults += frame.faults()
        if not msrp.same(frame.to_path[-1], self.uri):
            outcome.faults.append(f"To-Path: {frame.to_path}")
        if frame.status is not None:
            outcome.order.append(("response", frame.status))
            if frame.tid in outcome.spans:
                if frame.tid in outcome.responses:
                    outcome.faults.append(f"a second response to {frame.tid}")
                outcome.responses[frame.tid] = frame.status
                if frame.status == 200:
                    outcome.answered.add(*outcome.spans[frame.tid])
        elif frame.method == "REPORT":
            status = int(frame.value("status").split()[1])
            outcome.order.append(("report", status))
            outcome.reports.append(frame)
            if status == 200 and frame.value("message-id") == outcome.message_id:
                start, end, total = frame.range
                outcome.reported.add(start, end or total)
        elif frame.method == "SEND":
            self.tcp.sendall(msrp.write(frame.tid, "200 OK", [
                ("To-Path", frame.from_path[0]), ("From-Path", frame.to_path[0])]))

    def wait(self, holds, patience=None):
        """Takes what comes by SIP, by MSRP, and on connections that somebody else opens."""
        deadline = time.monotonic() + (patience or self.patience)
        while not holds() and (left := deadline - time.monotonic()) > 0:
            waiting = [self.line.socket, *self.readers, *([self.listening] if self.tcp else [])]
            for ready in select.select(waiting, [], [], left)[0]:
                if ready is self.line.socket:
                    for message in self.line.read():
                        self.message(message)
                elif ready is self.listening:
                    self.readers[self.listening.accept()[0]] = msrp.Reader()
                else:
                    self.receive(ready)

    def receive(self, connected):
        try:
            octets = connected.recv(65_536)
        except ConnectionResetError:
            octets = b""
        reader = self.readers[connected]
        if not octets:
            self.outcome.is_lost |= connected is self.tcp
            connected.close()
            del self.readers[connected]
        for frame in reader.feed(octets):
            self.outcome.elsewhere += connected is not self.tcp
            self.frame(frame)
