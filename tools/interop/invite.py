"""A user agent that answers INVITE: server transactions and dialogs of RFC 3261, over UDP and TCP.

It knows SIP only. What it answers with, and what becomes of it, is up to who takes its calls
(`Taker`). Written from RFC 3261 (sections 12, 13.3, 15, 17.2) and RFC 3311 alone.
"""

import dataclasses
import functools
import itertools
import re
import secrets
import socket
import time

import actors
import ends
import harness
import msrp_loop

T1, T2 = 0.5, 4.0
ALLOW = "INVITE, ACK, CANCEL, BYE, UPDATE, MESSAGE, OPTIONS"


def inside(value):
    """The URI of a name-addr or addr-spec."""
    found = re.search("<([^>]*)>", value)
    return found[1] if found else value.partition(";")[0].strip()


def address(uri):
    """Host and port of a SIP URI."""
    found = re.match(r"sips?:(?:[^@]*@)?(\[[^\]]*\]|[^:;?]*)(?::([0-9]+))?", uri)
    return found[1].strip("[]"), int(found[2] or 5060)


def tag_of(value):
    found = re.search(r";\s*tag=([^;\s]*)", value)
    return found[1] if found else ""


@dataclasses.dataclass(eq=False)
class Dialog:
    """One that a 2xx of ours made."""

    call: "Call"
    tag: str
    body: bytes
    # Sends a request or response to where its peer is.
    respond: object
    accepted: float
    acked: float | None = None
    # Who ended it, and when.
    ended: tuple | None = None
    # Final response to our BYE.
    bye_status: int | None = None
    cseq: int = 0
    # Whatever the taker keeps with it.
    session: object = None

    @property
    def invite(self):
        return self.call.invite


@dataclasses.dataclass(eq=False)
class Call:
    """One INVITE that made no part of a dialog yet, and what became of it."""

    invite: actors.Message
    respond: object
    arrived: float
    tag: str = dataclasses.field(default_factory=lambda: secrets.token_hex(6))
    # What was said last; it is said again when the INVITE comes again.
    said: bytes | None = None
    status: int | None = None
    canceled: float | None = None
    acked: float | None = None
    repeated: int = 0
    dialogs: list = dataclasses.field(default_factory=list)

    @property
    def recipient(self):
        return self.invite.uri

    @property
    def call_id(self):
        return self.invite.value("call-id")


class Taker:
    """What is asked of who takes the calls."""

    def invited(self, call):
        """Answers `call`, now or later, or never."""

    def renegotiated(self, dialog, request):
        """The body of the 200 to a re-INVITE or UPDATE."""
        return dialog.body

    def acknowledged(self, dialog):
        """The peer has our 2xx."""

    def canceled(self, call):
        """Whether the INVITE gets its 487."""
        return True

    def ended(self, dialog):
        """The peer has sent BYE."""

    def messaged(self, request):
        """The status code that a MESSAGE gets, or none."""
        return 200


class Agent:
    """One address of SIP."""

    def __init__(self, loop, family, port, taker, t1=T1):
        self.loop, self.family, self.port, self.taker, self.t1 = loop, family, port, taker, t1
        self.host = harness.LOOPBACK[family]
        self.sent_by = harness.endpoint(family, port)
        kind = {4: socket.AF_INET, 6: socket.AF_INET6}[family]
        self.socket = socket.socket(kind, socket.SOCK_DGRAM)
        self.socket.bind((self.host, port))
        loop.run_within(lambda: loop.watch(self.socket, self.datagram))
        self.listening = loop.run_within(
            lambda: msrp_loop.listener(loop, self.host, port, self.accepted))
        self.connections, self.ours = [], {}
        self.calls, self.dialogs, self.messages, self.others = [], [], [], []
        # Final responses by branch and method: what comes again gets them again.
        self.answers, self.pending, self.branches = {}, {}, itertools.count(1)

    # What arrives.

    def datagram(self):
        octets, source = self.socket.recvfrom(65_536)
        self.take(actors.Message(octets, source[:2]),
                  lambda answer: self.socket.sendto(answer, source[:2]))

    def accepted(self, connected):
        self.connect(connected)

    def connect(self, connected):
        held = b""

        def take(octets):
            nonlocal held
            held += octets
            while (length := ends.frame(held)) is not None:
                one, held = held[:length], held[length:]
                if one.strip():
                    self.take(actors.Message(one, connection.socket.getpeername()[:2]),
                              connection.send)

        connection = msrp_loop.Connection(self.loop, connected, take, lambda: None)
        self.connections.append(connection)
        return connection

    def take(self, message, respond):
        if message.is_response:
            if call := self.pending.get((message.branch, message.value("cseq").split()[1])):
                call(message)
            return
        method = message.value("cseq").split()[1]
        known = self.answers.get((message.branch, method))
        if known and method != "ACK":
            respond(known)
            return
        handler = {"INVITE": self.on_invite, "ACK": self.on_ack, "CANCEL": self.on_cancel,
                   "BYE": self.on_bye, "UPDATE": self.on_update,
                   "MESSAGE": self.on_message}.get(method, self.on_other)
        handler(message, respond)

    def dialog_of(self, request):
        """By Call-ID and both tags (section 12.2.2)."""
        wanted = (request.value("call-id"), tag_of(request.value("to")),
                  tag_of(request.value("from")))
        return next((dialog for dialog in self.dialogs if wanted == (
            dialog.call.call_id, dialog.tag, tag_of(dialog.invite.value("from")))), None)

    def on_invite(self, request, respond):
        if tag_of(request.value("to")):
            self.on_update(request, respond)
            return
        for call in self.calls:
            if call.invite.branch == request.branch:
                call.repeated += 1
                if call.said:
                    respond(call.said)
                return
        call = Call(request, respond, time.monotonic())
        self.calls.append(call)
        self.taker.invited(call)

    def on_ack(self, request, _):
        if dialog := self.dialog_of(request):
            if dialog.acked is None:
                dialog.acked = time.monotonic()
                self.taker.acknowledged(dialog)
            return
        for call in self.calls:
            if call.invite.branch == request.branch and call.acked is None:
                call.acked = time.monotonic()

    def on_cancel(self, request, respond):
        call = next((call for call in self.calls if call.invite.branch == request.branch), None)
        self.final(request, respond, 200 if call else 481)
        if call and call.canceled is None:
            call.canceled = time.monotonic()
            if not call.dialogs and (call.status or 0) < 200 and self.taker.canceled(call):
                self.refuse(call, 487)

    def on_bye(self, request, respond):
        dialog = self.dialog_of(request)
        self.final(request, respond, 200 if dialog and not dialog.ended else 481)
        if dialog and not dialog.ended:
            dialog.ended = ("peer", time.monotonic())
            self.taker.ended(dialog)

    def on_update(self, request, respond):
        """UPDATE and INVITE in a dialog."""
        dialog = self.dialog_of(request)
        self.others.append(request)
        if not dialog or dialog.ended:
            self.final(request, respond, 481)
            return
        body = self.taker.renegotiated(dialog, request) if request.body else b""
        self.final(request, respond, 200, body)

    def on_message(self, request, respond):
        self.messages.append(request)
        if status := self.taker.messaged(request):
            self.final(request, respond, status)

    def on_other(self, request, respond):
        self.others.append(request)
        self.final(request, respond, 200 if request.start.startswith("OPTIONS ") else 501)

    # What is answered.

    def written(self, request, status, tag, body=b"", extra=()):
        lines = [f"SIP/2.0 {status} Answered"]
        lines += [f"Via: {value}" for value in request.values("via")]
        lines += [f"Record-Route: {value}" for value in request.values("record-route")]
        to = request.value("to")
        if tag and not tag_of(to):
            to += f";tag={tag}"
        lines += [f"From: {request.value('from')}", f"To: {to}",
                  f"Call-ID: {request.value('call-id')}", f"CSeq: {request.value('cseq')}", *extra]
        if status < 300:
            lines += [f"Contact: <{self.contact(request)}>", f"Allow: {ALLOW}"]
        if body:
            lines.append("Content-Type: application/sdp")
        return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body

    def contact(self, request):
        transport = request.value("via").split()[0].rpartition("/")[2].lower()
        return f"sip:bob@{self.sent_by};transport={transport}"

    def final(self, request, respond, status, body=b""):
        answer = self.written(request, status, secrets.token_hex(6), body)
        self.answers[request.branch, request.value("cseq").split()[1]] = answer
        respond(answer)

    def provisional(self, call, status):
        if call.status is None or call.status < 200:
            call.status = status
            call.said = self.written(call.invite, status, None if status == 100 else call.tag)
            call.respond(call.said)

    def refuse(self, call, status, extra=()):
        """3xx to 6xx, which is sent again until its ACK where it may get lost (timer G)."""
        call.status, call.said = status, self.written(call.invite, status, call.tag, extra=extra)
        self.until(lambda: call.acked, call.respond, call.said, self.is_reliable(call.invite))

    def accept(self, call, body, tag=None):
        """A 2xx, which is sent again until its ACK over any transport (section 13.3.1.4)."""
        dialog = Dialog(call, tag or call.tag, body, call.respond, time.monotonic())
        call.dialogs.append(dialog)
        self.dialogs.append(dialog)
        call.status, call.said = 200, self.written(call.invite, 200, dialog.tag, body)
        self.until(lambda: dialog.acked, call.respond, call.said, False)
        return dialog

    @staticmethod
    def is_reliable(request):
        return request.value("via").upper().startswith("SIP/2.0/TCP")

    def until(self, is_over, respond, octets, only_once):
        stop = time.monotonic() + 64 * self.t1

        def again(interval):
            if not is_over() and time.monotonic() < stop:
                respond(octets)
                self.loop.after(interval, functools.partial(again, min(2 * interval, T2)))

        if only_once:
            respond(octets)
        else:
            again(self.t1)

    # What is asked.

    def bye(self, dialog):
        """Ends the dialog (section 15.1.1)."""
        if dialog.ended:
            return
        dialog.ended = ("us", time.monotonic())
        request, dialog.cseq = dialog.invite, dialog.cseq + 1
        transport = "TCP" if self.is_reliable(request) else "UDP"
        branch = f"z9hG4bK-{secrets.token_hex(6)}-{next(self.branches)}"
        routes = [value for field in request.values("record-route") for value in field.split(",")]
        to = request.value("to")
        lines = [f"BYE {inside(request.value('contact'))} SIP/2.0",
                 f"Via: SIP/2.0/{transport} {self.sent_by};branch={branch};rport",
                 "Max-Forwards: 70", *(f"Route: {value.strip()}" for value in routes),
                 f"From: {to};tag={dialog.tag}", f"To: {request.value('from')}",
                 f"Call-ID: {request.value('call-id')}", f"CSeq: {dialog.cseq} BYE",
                 "Content-Length: 0", "", ""]

        def final(message):
            if message.status >= 200:
                dialog.bye_status = message.status

        self.pending[branch, "BYE"] = final
        send = dialog.respond
        if transport == "UDP":
            # Where its Contact, or the first of the route set, says (section 12.2.1.1).
            target = address(inside((routes or [request.value("contact")])[0]))
            send = lambda octets: self.socket.sendto(octets, target)
        self.until(lambda: dialog.bye_status, send, "\r\n".join(lines).encode(),
                   transport == "TCP")

    def stop(self):
        def close():
            for each in self.connections:
                each.close()
            for each in (self.socket, self.listening):
                self.loop.forget(each)
                each.close()
        self.loop.run_within(close)
