"""A recipient of Large Messages: it answers INVITE, takes an MSRP session, and says what it has.

It shares nothing with the program: SIP is `invite.py`, MSRP is `msrp.py`. It does what RFC 4975 and
RFC 6135 ask of an endpoint, except where the `Plan` of a call says otherwise, and it writes down
what it truly received, which proof it gave of that, and what its peer should not have written.
"""

import collections
import collections.abc
import dataclasses
import functools
import re
import secrets
import socket
import time

import harness
import invite
import msrp
import msrp_loop


def whole(total):
    return [(1, total)]


def with_gap(total):
    """All but some in the middle."""
    return [(1, total // 3), (total // 2 + 1, total)]


def in_parts(total):
    """Two that overlap, the second one first."""
    return [(total // 2, total), (1, total // 2 + 1)]


def first_half(total):
    return [(1, total // 2)]


@dataclasses.dataclass(frozen=True)
class Report:
    """REPORT requests about a message, one for each range."""

    ranges: collections.abc.Callable = whole
    status: int = 200
    # Before the response to the last chunk.
    is_first: bool = False
    delay: float = 0.0
    # None: that of the message.
    message_id: str | None = None
    # None: that of the message; else a function of it.
    total: collections.abc.Callable | None = None
    has_range: bool = True
    # Namespaces other than 000 mean nothing to anybody (section 7.1.2).
    namespace: str = "000"
    copies: int = 1


@dataclasses.dataclass(frozen=True)
class Plan:
    """What happens to one call, as far as the RFCs leave it open, and what goes wrong with it."""

    # Responses to the INVITE.
    provisional: tuple = (100, 180)
    status: int | None = 200
    extra: tuple = ()
    delay: float = 0.0
    # A 200 comes although CANCEL was faster.
    ignores_cancel: bool = False
    # Two 200s: another dialog, with another session.
    forks: bool = False
    # The session description.
    setup: str = "passive"
    has_port: bool = True
    # Where it says that it listens, somebody does.
    listens: bool = True
    has_path: bool = True
    types: str = "*"
    # Types that are taken inside of a container only (section 8.6).
    wrapped: str = ""
    size_max: int | None = None
    # With TLS, which certificate it names: its "own", that of "other" people, its own by a "weak" hash
    # function only, or "none".
    certificate: str = "own"
    # The active endpoint connects, after so long; None: never.
    connects: float | None = 0.0
    # Status codes of the responses to chunks, from 1, or "last"; None: no response.
    responses: dict = dataclasses.field(default_factory=dict)
    # How long these responses take, by the same.
    delays: dict = dataclasses.field(default_factory=dict)
    reports: tuple = (Report(),)
    # Instead of the response to the last chunk: "bye", "reset", "finish".
    at_last: str | None = None
    # The response to the last chunk and FIN are one segment.
    finishes_with_response: bool = False
    # One octet in each segment.
    slowly: bool = False
    # The endpoint ends the dialog when it has the message and has said so.
    hangs_up: bool = False


@dataclasses.dataclass(eq=False)
class Held:
    """One message in one session: what came, and what was said of it."""

    message: msrp.Message
    session: "Session"
    first: float
    chunks: list = dataclasses.field(default_factory=list)
    # Octets of chunks that got 200, and those that a success REPORT told of.
    answered: msrp.Ranges = dataclasses.field(default_factory=msrp.Ranges)
    reported: msrp.Ranges = dataclasses.field(default_factory=msrp.Ranges)
    last_is_answered: bool = False
    # Responses and REPORTs that say no.
    refusals: list = dataclasses.field(default_factory=list)
    completed: float | None = None
    # When the proof was with the system, for an endpoint and through relays.
    proved: dict = dataclasses.field(default_factory=dict)

    @property
    def is_had(self):
        """Every octet is here, and this endpoint means to keep it."""
        return self.message.is_complete and not self.refusals

    @property
    def octets(self):
        return bytes(self.message.octets)

    def prove(self):
        """Notes when the proof is there that each role allows."""
        total = self.message.total
        if not self.message.is_complete:
            return
        ways = {"endpoint": self.last_is_answered and self.answered.covers(total)
                or self.reported.covers(total), "relay": self.reported.covers(total)}
        for role, holds in ways.items():
            if holds:
                self.proved.setdefault(role, time.monotonic())


@dataclasses.dataclass(eq=False)
class Session:
    """One session of MSRP: a path of ours and a path of theirs."""

    plan: Plan
    uri: str
    # As the descriptions say, ours with the relays that stand before us.
    path: list
    peer: list
    dialog: invite.Dialog | None = None
    connection: object = None
    bound: float | None = None
    lost: float | None = None
    messages: dict = dataclasses.field(default_factory=dict)
    empty: int = 0
    is_over: bool = False
    # The transaction of our first request, where we are the one who connects, and what waits for it.
    binding: str | None = None
    accept: object = None
    # REPORT and other requests of the peer.
    others: list = dataclasses.field(default_factory=list)


class Endpoint(invite.Taker):
    """One recipient for any number of addresses of record."""

    def __init__(self, family, port, plan=None, t1=invite.T1):
        self.family, self.host = family, harness.LOOPBACK[family]
        self.default, self.plans = plan or Plan(), collections.defaultdict(list)
        # URIs of relays that stand before us, the outermost first.
        self.relays = []
        # Where we ask for such a URI with AUTH (RFC 4976 section 4.1), for each session one.
        self.relay_at = None
        # Where sessions have TLS: who carries it (`tls_ends.Ends`).
        self.tls = None
        self.sessions, self.faults = [], []
        self.transactions = collections.Counter()
        self.loop = msrp_loop.Loop()
        self.listening = self.loop.run_within(lambda: msrp_loop.listener(
            self.loop, self.host, 0, self.connected))
        self.msrp_port = self.listening.getsockname()[1]
        self.closed_port = harness.ports_in_a_row(1)
        # What a MESSAGE gets, by its Request-URI; 200 otherwise.
        self.pager = {}
        self.connections = []
        self.agent = invite.Agent(self.loop, family, port, self, t1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.agent.stop()
        self.loop.run_within(self.close)
        self.loop.stop()

    def close(self):
        for connection in self.connections:
            connection.close()
        self.loop.forget(self.listening)
        self.listening.close()

    def fault(self, what):
        self.faults.append(what)

    # SIP.

    def plan_of(self, recipient):
        """Plans of a recipient are for its calls in turn; the last one is for all that follow."""
        plans = self.plans[recipient]
        return (plans.pop(0) if len(plans) > 1 else plans[0]) if plans else self.default

    def invited(self, call):
        call.plan = plan = self.plan_of(call.recipient)
        call.offer = call.invite.body
        named = [line.decode() for line in re.findall(rb"(?m)^a=fingerprint:([^\r\n]*)", call.offer)]
        expected = [self.tls.theirs.fingerprint()] if self.tls else []
        if [each.lower() for each in named] != [each.lower() for each in expected]:
            self.fault(f"the offer names the certificates {named}")
        if call.invite.value("content-type").lower() != "application/sdp":
            self.fault(f"INVITE with {call.invite.value('content-type')!r}")
        for status in plan.provisional:
            self.agent.provisional(call, status)
        if plan.status is None:
            return
        if plan.delay:
            self.loop.after(plan.delay, lambda: self.answer(call))
        else:
            self.answer(call)

    def answer(self, call):
        if call.status and call.status >= 200:
            return
        plan = call.plan
        if plan.status >= 300:
            self.agent.refuse(call, plan.status, plan.extra)
            return
        for tag in [None, secrets.token_hex(6)][:1 + plan.forks]:
            session = self.session(plan, msrp.path_of(call.offer))
            accept = functools.partial(self.accept, call, session, tag)
            if self.relay_at:
                self.authorize(session, accept)
            else:
                accept()

    def accept(self, call, session, tag):
        plan = session.plan
        dialog = self.agent.accept(call, self.description(session, call.offer), tag)
        dialog.session, session.dialog = session, dialog
        if plan.setup == "active" and plan.connects is not None:
            self.loop.after(plan.connects, functools.partial(self.call_out, session))

    def session(self, plan, peer):
        authority = harness.endpoint(self.family, self.port_of(plan))
        scheme = "msrps" if self.tls else "msrp"
        uri = f"{scheme}://{authority}/{secrets.token_hex(10)};tcp"
        session = Session(plan, uri, [*self.relays, uri], peer)
        self.sessions.append(session)
        return session

    def port_of(self, plan):
        if not plan.listens:
            return self.closed_port
        return self.tls.port if self.tls else self.msrp_port

    def description(self, session, offer):
        """Our answer (RFC 4975 section 8, RFC 6135 section 4, RFC 4566)."""
        plan = session.plan
        kind = {4: "IP4", 6: "IP6"}[self.family]
        number = secrets.randbelow(1 << 31)
        is_one_way = re.search(rb"(?m)^a=sendonly", offer)
        lines = ["v=0", f"o=- {number} {number} IN {kind} {self.host}", "s=-",
                 f"c=IN {kind} {self.host}", "t=0 0",
                 f"m=message {self.port_of(plan) if plan.has_port else 0} {self.protocol} *",
                 *self.fingerprints(plan),
                 *([f"a=path:{' '.join(session.path)}"] if plan.has_path else []),
                 f"a=accept-types:{plan.types}",
                 *([f"a=accept-wrapped-types:{plan.wrapped}"] if plan.wrapped else []),
                 f"a=setup:{plan.setup}",
                 *([f"a=max-size:{plan.size_max}"] if plan.size_max is not None else []),
                 *(["a=recvonly"] if is_one_way else []), ""]
        return "\r\n".join(lines).encode()

    @property
    def protocol(self):
        return "TCP/TLS/MSRP" if self.tls else "TCP/MSRP"

    def fingerprints(self, plan):
        """Lines that name our certificate (RFC 8122 section 5), as the plan wants them."""
        if not self.tls or plan.certificate == "none":
            return []
        who = self.tls.other if plan.certificate == "other" else self.tls.own
        names = ["sha-1"] if plan.certificate == "weak" else ["sha-1", "sha-256"]
        return [f"a=fingerprint:{who.fingerprint(name)}" for name in names]

    def messaged(self, request):
        return self.pager.get(request.uri, 200)

    def canceled(self, call):
        return not call.plan.ignores_cancel

    def ended(self, dialog):
        dialog.session.is_over = True
        if connection := dialog.session.connection:
            self.loop.after(0.1, functools.partial(self.leave, connection))

    def leave(self, connection):
        """Closes it if no session is on it any more: several may share one (section 5.4)."""
        if all(session.is_over for session in self.sessions if session.connection is connection):
            connection.close()

    # MSRP.

    def connected(self, connected):
        """A connection to us: its first request says whose it is."""
        reader = msrp.Reader()
        connection = msrp_loop.Connection(
            self.loop, connected, lambda octets: self.read(connection, reader, octets),
            lambda: self.lost(connection))
        connection.peer = connected.getpeername()[:2]
        connection.transactions = set()
        self.connections.append(connection)
        return connection

    def call_out(self, session):
        """The active endpoint connects and sends at once (section 4, RFC 6135 section 4.2)."""
        path = [*reversed(self.relays), *session.peer]
        try:
            if self.tls:
                connected = self.tls.connect(msrp.address(path[0]))
            else:
                connected = socket.create_connection(msrp.address(path[0]), timeout=5)
        except OSError as fault:
            self.fault(f"nobody listens at {path[0]}: {fault}")
            return
        connection = self.connected(connected)
        self.bind(session, connection)
        fields = [("To-Path", " ".join(path)), ("From-Path", session.uri),
                  ("Message-ID", msrp.ident()), ("Byte-Range", "1-0/0")]
        session.binding = msrp.ident()
        connection.send(msrp.write(session.binding, "SEND", fields))

    def bind(self, session, connection):
        session.connection, session.bound = connection, time.monotonic()

    def authorize(self, session, accept):
        """Asks the relay for a URI of its own, on the connection that its SENDs then come over."""
        host, port = self.relay_at
        self.bind(session, self.connected(socket.create_connection((host, port), timeout=5)))
        session.binding, session.accept = msrp.ident(), accept
        authority = harness.endpoint(self.family, port)
        session.connection.send(msrp.write(session.binding, "AUTH", [
            ("To-Path", f"msrp://{authority};tcp"), ("From-Path", session.uri)]))

    def lost(self, connection):
        for session in self.sessions:
            if session.connection is connection and session.lost is None:
                session.lost = time.monotonic()

    def read(self, connection, reader, octets):
        try:
            for frame in reader.feed(octets):
                self.faults += frame.faults()
                self.take(connection, frame)
        except msrp.Malformed as fault:
            self.fault(str(fault))
            connection.close()

    def take(self, connection, frame):
        session = next((each for each in self.sessions if msrp.same(frame.to_path[0], each.uri)),
                       None)
        if frame.status is not None:
            self.response(session, frame)
            return
        if frame.tid in connection.transactions:
            self.fault(f"transaction {frame.tid} again")
        connection.transactions.add(frame.tid)
        if len(frame.to_path) != 1:
            self.fault(f"To-Path goes on behind us: {frame.to_path}")
        if session is None or session.is_over:
            self.respond(connection, frame, 481)
        elif session.connection not in (None, connection):
            self.respond(connection, frame, 506)
        else:
            if session.connection is None:
                self.bind(session, connection)
            self.request(session, frame)

    def response(self, session, frame):
        if session is None or frame.tid != session.binding:
            self.fault(f"a response to nothing: {frame.octets[:200]!r}")
        elif frame.status != 200:
            self.fault(f"our first request is answered {frame.status}")
        elif session.accept:
            session.path = [*reversed(frame.value("use-path").split()), session.uri]
            session.accept()

    def request(self, session, frame):
        paths_differ = len(frame.from_path) != len(session.peer) or not all(
            map(msrp.same, frame.from_path, session.peer))
        if paths_differ and len(session.path) == 1:
            self.fault(f"From-Path {frame.from_path} is not the path {session.peer}")
        if frame.method == "SEND" and frame.body is not None:
            self.chunk(session, frame)
        elif frame.method == "SEND":
            session.empty += 1
            self.respond(session.connection, frame, 200)
        elif frame.method == "REPORT":
            session.others.append(frame)
        else:
            session.others.append(frame)
            self.respond(session.connection, frame, 501)

    def chunk(self, session, frame):
        message_id = frame.value("message-id")
        if message_id not in session.messages:
            session.messages[message_id] = Held(msrp.Message(message_id), session,
                                                time.monotonic())
        held = session.messages[message_id]
        self.compare(held, frame)
        held.chunks.append(frame)
        number = len(held.chunks)
        plan = session.plan
        wanted = plan.responses.get(number, 200)
        delay = plan.delays.get(number, 0.0)
        if frame.flag == "$":
            wanted, delay = plan.responses.get("last", wanted), plan.delays.get("last", delay)
        if wanted is None or wanted < 300:
            held.message.take(frame)
            if held.message.is_complete and held.completed is None:
                held.completed = time.monotonic()
        else:
            held.refusals.append(wanted)
        if frame.flag == "$" and plan.at_last:
            self.part(session)
            return
        is_complete = held.message.is_complete and frame.flag != "#"
        if is_complete:
            self.report_all(held, frame, is_first=True)
        answered = functools.partial(self.answer_chunk, held, frame, wanted)
        if delay:
            self.loop.after(delay, answered)
        else:
            answered()
        if is_complete:
            self.report_all(held, frame, is_first=False)
            if plan.hangs_up:
                self.loop.after(0.05, lambda: self.agent.bye(session.dialog))

    def compare(self, held, frame):
        """All chunks of a message say the same (section 5.1, 7.1.1)."""
        if held.chunks:
            first = held.chunks[0]
            for name in ("success-report", "failure-report", "content-type"):
                if frame.value(name) != first.value(name):
                    self.fault(f"{name} of a later chunk: {frame.value(name)}")
        types = held.session.plan.types.split()
        kind = (frame.value("content-type") or "").partition(";")[0].strip().lower()
        if "*" not in types and kind not in types:
            self.fault(f"{kind} although only {types} are accepted")
        if held.session.is_over:
            self.fault("a chunk after BYE")

    def part(self, session):
        what = session.plan.at_last
        session.is_over = True
        if what == "bye":
            self.agent.bye(session.dialog)
        elif what == "reset":
            session.connection.reset()
        else:
            session.connection.finish()

    def answer_chunk(self, held, frame, status):
        session = held.session
        if status is None or frame.value("failure-report") in ("no", "partial") and status == 200:
            return
        octets = self.response_to(frame, status)
        if frame.flag == "$" and session.plan.finishes_with_response:
            session.connection.send_and_finish(octets)
        elif not session.connection.send(octets, session.plan.slowly):
            return
        if status == 200:
            held.answered.add(*frame.span)
            held.last_is_answered |= frame.flag == "$"
            held.prove()

    @staticmethod
    def response_to(frame, status):
        """To the previous hop (section 7.2)."""
        fields = [("To-Path", frame.from_path[0]), ("From-Path", frame.to_path[0])]
        return msrp.write(frame.tid, f"{status} {'OK' if status == 200 else 'No'}", fields)

    def respond(self, connection, frame, status):
        if frame.method != "REPORT":
            connection.send(self.response_to(frame, status))

    def report_all(self, held, frame, is_first):
        for report in held.session.plan.reports:
            if report.is_first != is_first:
                continue
            if report.delay:
                self.loop.after(report.delay, functools.partial(self.report, held, frame, report))
            else:
                self.report(held, frame, report)

    def report(self, held, frame, report):
        """REPORT goes all the way back, and is never answered (section 7.1.2)."""
        session = held.session
        asked = frame.value("success-report" if report.status == 200 else "failure-report")
        if report.status == 200 and asked != "yes" or asked == "no":
            self.fault(f"nobody asked for the REPORT {report.status}")
            return
        total = held.message.total
        said_total = report.total(total) if report.total else total
        for start, end in report.ranges(total) * report.copies:
            fields = [("To-Path", " ".join(frame.from_path)), ("From-Path", session.uri),
                      ("Message-ID", report.message_id or held.message.message_id),
                      *([("Byte-Range", f"{start}-{end}/{said_total}")] if report.has_range else []),
                      ("Status", f"{report.namespace} {report.status} As planned")]
            if not session.connection.send(msrp.write(msrp.ident(), "REPORT", fields),
                                           session.plan.slowly):
                return
            if report.message_id or report.namespace != "000" or said_total != total:
                continue
            if report.status == 200:
                held.reported.add(start, end)
                held.prove()
            else:
                held.refusals.append(report.status)

    # What a judge asks.

    def held(self, recipient=None):
        """Messages in the order of their first chunk, of one recipient or of all."""
        found = [held for session in self.sessions for held in session.messages.values()
                 if not recipient or session.dialog.call.recipient == recipient]
        return sorted(found, key=lambda held: held.first)

    def calls(self, recipient=None):
        return [call for call in self.agent.calls if not recipient or call.recipient == recipient]
