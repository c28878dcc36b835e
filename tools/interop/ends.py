"""The two ends that sbc.py puts around an SBC, over UDP or TCP: both in threads, both under load.

They are user agents with the transactions of RFC 3261 section 17 and its timers: a request is sent
again until its final response, a request that comes again gets the response that it had. What they
saw and said is written down and judged afterwards by `truth.py`.
"""

import collections
import contextlib
import dataclasses
import heapq
import itertools
import re
import socket
import threading
import time

import actors
import sms

T1, T2 = 0.5, 4.0
NUMBER = re.compile(rb"message (\d{6})")
BRANCHES = itertools.count(1)


class Timers(threading.Thread):
    """Calls what is due, in the order of its time."""

    def __init__(self):
        super().__init__(daemon=True)
        self.due, self.changed, self.stopped = [], threading.Condition(), False
        self.order = itertools.count()
        self.start()

    def after(self, seconds, call):
        with self.changed:
            heapq.heappush(self.due, (time.monotonic() + seconds, next(self.order), call))
            self.changed.notify()

    def run(self):
        while True:
            with self.changed:
                while not self.stopped and (
                        not self.due or self.due[0][0] > time.monotonic()):
                    wait = self.due[0][0] - time.monotonic() if self.due else None
                    self.changed.wait(wait)
                if self.stopped:
                    return
                call = heapq.heappop(self.due)[2]
            call()

    def stop(self):
        with self.changed:
            self.stopped = True
            self.changed.notify()
        self.join()


class Datagrams:
    """UDP at one address."""

    reliable = False

    def __init__(self, address, take):
        self.address, self.take = address, take
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self.socket.bind(address)
        self.thread = threading.Thread(target=self.receive, daemon=True)
        self.thread.start()

    def receive(self):
        while True:
            octets, source = self.socket.recvfrom(65_536)
            if source == self.address:
                return
            self.take(actors.Message(octets, source), lambda answer, to=source: self.send(
                answer, to))

    def send(self, octets, to):
        self.socket.sendto(octets, to)

    def stop(self):
        self.socket.sendto(b"", self.address)
        self.thread.join()
        self.socket.close()


class Connections:
    """TCP at one address: it listens there, and keeps one connection to whom it sends."""

    reliable = True

    def __init__(self, address, take):
        self.address, self.take = address, take
        self.listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(address)
        self.listener.listen(64)
        self.ours, self.open, self.lock, self.stopped = {}, set(), threading.RLock(), False
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.watch(connection)

    def watch(self, connection):
        with self.lock:
            self.open.add(connection)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=self.receive, args=(connection,), daemon=True).start()

    def receive(self, connection):
        held = b""
        with contextlib.suppress(OSError):
            while octets := connection.recv(65_536):
                held += octets
                while (length := frame(held)) is not None:
                    one, held = held[:length], held[length:]
                    if one.strip():
                        self.take(actors.Message(one, connection.getpeername()),
                                  lambda answer, to=connection, request=one: self.respond(
                                      answer, to, request))
        self.forget(connection)

    def forget(self, connection):
        with self.lock:
            self.open.discard(connection)
            self.ours = {to: each for to, each in self.ours.items() if each is not connection}
        connection.close()

    def respond(self, answer, connection, request):
        """On the connection of the request, else to the sent-by of its Via (RFC 3261 18.2.2)."""
        try:
            connection.sendall(answer)
        except OSError:
            host, _, port = re.search(r"TCP\s+([^;\s]+)", actors.Message(request).value(
                "via"))[1].partition(":")
            with contextlib.suppress(OSError):
                self.send(answer, (host, int(port or 5060)))

    def send(self, octets, to):
        with self.lock:
            if to not in self.ours:
                self.ours[to] = socket.create_connection(
                    to, timeout=5, source_address=(self.address[0], 0))
                self.ours[to].settimeout(None)
                self.watch(self.ours[to])
            self.ours[to].sendall(octets)

    def stop(self):
        # A thread that sits in accept() keeps the listener open until it is shut down.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in list(self.open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def frame(octets):
    """The length of the first message of a stream, or of CRLFs before it; None: not all there."""
    if octets[:1] in (b"\r", b"\n"):
        return len(octets) - len(octets.lstrip(b"\r\n"))
    head, end, _ = octets.partition(b"\r\n\r\n")
    length = re.search(rb"(?im)^(?:content-length|l)\s*:\s*(\d+)", head)
    if not end or not length:
        return None
    whole = len(head) + 4 + int(length[1])
    return whole if whole <= len(octets) else None


class End:
    """A user agent at one address."""

    def __init__(self, name, transport, address, timers):
        self.name, self.transport, self.address, self.timers = name, transport, address, timers
        self.sent_by = f"{address[0]}:{address[1]}"
        self.pending, self.answers, self.lock = {}, {}, threading.RLock()
        self.broken = []
        self.wire = {"udp": Datagrams, "tcp": Connections}[transport](address, self.take)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.wire.stop()

    def take(self, message, respond):
        with self.lock:
            if message.is_response:
                self.response(message)
            elif message.branch in self.answers:
                if self.answers[message.branch]:
                    respond(self.answers[message.branch])
            else:
                self.answers[message.branch] = None
                self.asked(message, respond)

    def answer(self, request, respond, status):
        self.answers[request.branch] = actors.response(request, status, self.name)
        respond(self.answers[request.branch])

    def response(self, message):
        if message.status >= 200 and (call := self.pending.get(message.branch)):
            call(message)

    def send(self, octets, to, until=0.0):
        """What did not leave because nobody listens is sent again until then."""
        try:
            self.wire.send(octets, to)
        except ConnectionRefusedError:
            if time.monotonic() < until:
                self.timers.after(0.1, lambda: self.send(octets, to, until))
        except OSError as fault:
            # Some of it may have left: only its timer knows the end.
            self.broken.append(fault)

    def request(self, lines, body, to, final):
        """Sends a request; `final` gets the final status, or None after Timer F."""
        branch = f"z9hG4bK-{self.name}-{next(BRANCHES)}"
        start, *fields = lines
        head = [start, f"Via: SIP/2.0/{self.transport.upper()} {self.sent_by};branch={branch}",
                "Max-Forwards: 70", *fields, f"Content-Length: {len(body)}", "", ""]
        octets = "\r\n".join(head).encode() + body

        def ended(message):
            with self.lock:
                if self.pending.get(branch) is ended and final(message and message.status):
                    del self.pending[branch]

        def again(interval):
            if branch in self.pending:
                self.send(octets, to)
                interval = min(2 * interval, T2)
                self.timers.after(interval, lambda: again(interval))

        self.pending[branch] = ended
        self.send(octets, to, until=time.monotonic() + 64 * T1)
        if not self.wire.reliable:
            self.timers.after(T1, lambda: again(T1))
        self.timers.after(64 * T1, lambda: ended(None))


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is to happen to a message."""

    form: str = "sip"
    # What the recipient answers; None: nothing.
    status: int | None = 200
    delay: float = 0.0
    # For so long the sender takes no final response: it was lost on the way.
    deaf: float = 0.0
    # A service centre submits it again with another RP-MR and another Call-ID.
    repeated: bool = False
    # Longer than what RFC 3261 section 18.1.1 lets a request over UDP be.
    long: bool = False


@dataclasses.dataclass
class Told:
    """What the sender of a message was told about it."""

    plan: Plan
    # Whom it was given to, and when.
    to: tuple
    sent: float
    # Final response to the request; None is silence.
    status: int | None = None
    ended: bool = False
    # RP-ACK and RP-ERROR by the branch of the request that carried it.
    reports: dict = dataclasses.field(default_factory=dict)


class SmsSide(End):
    """Sends messages of both forms and keeps what it is told, by Call-ID."""

    DOMAIN = "sc.example.net"

    def __init__(self, *arguments):
        super().__init__("sms", *arguments)
        self.told, self.numbers = {}, {}

    def submit(self, number, plan, to, attempt=0, recipient=None):
        call_id = f"{number}-{attempt}@{self.DOMAIN}"
        text = f"message {number:06} of many" + " and so on" * 150 * plan.long
        recipient = recipient or f"sip:+1555{number:07}@im.example.net"
        body, kind, extra = text.encode(), "text/plain", []
        if plan.form == "rp":
            body = sms.rp_data((number + attempt) % 256, sms.Short(text=text).tpdu())
            kind, extra = "application/vnd.3gpp.sms", [f"P-Called-Party-ID: <{recipient}>"]
        told = self.told[call_id] = Told(plan, to, time.monotonic())
        self.numbers[call_id] = number

        def final(status):
            if status is not None and time.monotonic() < told.sent + plan.deaf:
                return False
            told.status, told.ended = status, True
            return True

        self.request([f"MESSAGE {recipient} SIP/2.0", f"From: <sip:gw@{self.DOMAIN}>;tag={number}",
                      f"To: <{recipient}>", f"Call-ID: {call_id}", "CSeq: 1 MESSAGE",
                      f"P-Asserted-Identity: <sip:sc@{self.DOMAIN}>", *extra,
                      f"Content-Type: {kind}"], body, to, final)

    def asked(self, request, respond):
        """A report."""
        told = self.told.get(request.value("in-reply-to"))
        if told and request.body[:1] in (b"\x02", b"\x04"):
            told.reports[request.branch] = {2: "ack", 4: "error"}[request.body[0]]
            self.answer(request, respond, 200)
            if told.plan.repeated and request.value("in-reply-to").partition("-")[2][0] == "0":
                number = self.numbers[request.value("in-reply-to")]
                self.timers.after(0.3, lambda: self.submit(number, told.plan, told.to, 1))
        else:
            self.answer(request, respond, 481)

    def open(self):
        """Those that nothing has been told about yet."""
        return [call_id for call_id, told in list(self.told.items())
                if not told.ended or (told.plan.form == "rp" and told.status == 200
                                      and not told.reports)]


class ImSide(End):
    """Takes messages and answers them as planned; what it saw it keeps by number and branch."""

    def __init__(self, plans, *arguments):
        super().__init__("im", *arguments)
        self.plans = plans
        self.seen, self.said = collections.defaultdict(list), {}
        # Transports of the hops that each came over, the last one first.
        self.hops = {}

    def asked(self, request, respond):
        found = NUMBER.search(request.body)
        if not found:
            self.answer(request, respond, 488)
            return
        number = int(found[1])
        self.seen[number].append(request.branch)
        self.hops[number] = [via.split()[0].rpartition("/")[2] for via in request.values("via")]
        plan = self.plans[number]

        def answer():
            with self.lock:
                self.said.setdefault(number, []).append(plan.status)
                self.answer(request, respond, plan.status)

        if plan.status and plan.delay:
            self.timers.after(plan.delay, answer)
        elif plan.status:
            answer()
