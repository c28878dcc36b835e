"""Kamailio as the MSRP relay between a sender and an endpoint, and what it does to both.

It answers SEND itself, at once, and sends it on: its 200 proves nothing, only a REPORT does. What is
lost behind it, or refused, its sender never hears of.
"""

import contextlib
import dataclasses
import random
import socket

import harness
import msrp_caller
import msrp_endpoint
import msrp_packets
import packets
from msrp_endpoint import Plan

TEXT = "".join(random.Random(4976).choices("parcel é ----- $+#\r\n", k=40_000)).encode()


class Relay(harness.Program):
    """Kamailio with `scenarios/msrp_relay.cfg`.

    `tracks`: it remembers the connections of senders, so that REPORTs come back on them; it would
    connect to the URI of the sender otherwise. `loses`: what it has answered 200 goes nowhere.
    """

    def __init__(self, directory, family, port, tracks=True, loses=False):
        self.port, self.at = port, harness.endpoint(family, port)
        text = (harness.HERE / "scenarios" / "msrp_relay.cfg").read_text()
        for key, value in {"LISTEN": self.at, "TRACKS": int(tracks), "LOSES": int(loses)}.items():
            text = text.replace(f"@{key}@", str(value))
        (directory / "msrp_relay.cfg").write_text(text)
        super().__init__("msrp-relay", [
            "kamailio", "-DD", "-E", "-f", directory / "msrp_relay.cfg", "-Y", directory,
            "-P", directory / "relay-pid", "-m", "64"], directory)
        try:
            harness.wait_for("Kamailio relays MSRP", 20, lambda: self.accepts(family))
        except BaseException:
            self.__exit__(Exception)
            raise

    def accepts(self, family):
        with contextlib.suppress(OSError):
            socket.create_connection((harness.LOOPBACK[family], self.port), 1).close()
            return True
        return False

    @property
    def uri(self):
        """A static one: RFC 4976 has AUTH give out such URIs, and our relay looks at no session."""
        return f"msrp://{self.at}/static;tcp"


@dataclasses.dataclass
class Way:
    """How the relay is set up, what the endpoint does, and what its sender sees."""

    name: str
    plan: Plan = Plan()
    relay: dict = dataclasses.field(default_factory=dict)
    # The endpoint asks the relay for its URI; else it is static.
    authorizes: bool = False
    statuses: set = dataclasses.field(default_factory=lambda: {200})
    has_report: bool = True
    is_had: bool = True
    # Frames that come on a connection that the relay opens.
    elsewhere: int = 0
    size: int = 2_048
    length: int = 9_000
    families: tuple = (4, 6)
    # The relay ends the connection.
    is_lost: bool = False


WAYS = [
    Way("static"),
    # Over IPv6 it writes down an address without brackets, and finds the connection no more.
    Way("use-path", authorizes=True, families=(4,)),
    Way("reports-on-another-connection", relay={"tracks": False}, elsewhere=1),
    Way("no-report", plan=Plan(reports=()), has_report=False),
    Way("lost", relay={"loses": True}, has_report=False, is_had=False),
    Way("refused-behind", plan=Plan(responses={"last": 413}), has_report=False, is_had=False),
    Way("chunks-of-8192", size=8_192),
    # What it cannot hold goes wrong in three ways: no 200, no 200 and not sent on, the connection ends.
    Way("chunk-of-10000", size=100_000, length=10_000),
    Way("chunk-of-12500", size=100_000, length=12_500, statuses={None}, elsewhere=1),
    Way("chunk-of-14500", size=100_000, length=14_500, statuses={None}, has_report=False,
        is_had=False),
    Way("chunk-of-17000", size=100_000, length=17_000, statuses={None}, has_report=False,
        is_had=False, is_lost=True),
]


def run(family, options, ledger):
    for way in WAYS:
        is_wanted = not options.only or options.only in f"kamailio-{way.name}"
        if is_wanted and family in way.families:
            take(way, family, options, ledger)


def take(way, family, options, ledger):
    name = f"kamailio-{way.name} (IPv{family})"
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(harness.Directory("msrp-relay", options.keep))
        text = TEXT[:way.length]
        im, sender, relay_port = harness.free_ports(3)
        endpoint = stack.enter_context(msrp_endpoint.Endpoint(family, im, way.plan, t1=0.1))
        listening = [endpoint.msrp_port, sender, relay_port]
        capture = stack.enter_context(packets.Capture(directory, listening, "tcp"))
        relay = stack.enter_context(Relay(directory, family, relay_port, **way.relay))
        if way.authorizes:
            endpoint.relay_at = (harness.LOOPBACK[family], relay_port)
        else:
            endpoint.relays = [relay.uri]
        with msrp_caller.Caller(family, (harness.LOOPBACK[family], im), port=sender,
                                patience=3.0 if way.has_report else 0.5) as caller:
            [final] = caller.invite()
            ledger.check(f"{name}: there is a session", caller.session(final), caller.outcome)
            caller.send(text, way.size)
            caller.bye(final)
            outcome = caller.outcome
        found = (set(outcome.statuses), outcome.reported.covers(len(text)), outcome.elsewhere,
                 outcome.is_lost)
        ledger.equal(f"{name}: responses, REPORT, frames on other connections, connection lost",
                     found, (way.statuses, way.has_report, way.elsewhere, way.is_lost))
        ledger.equal(f"{name}: messages that the endpoint has",
                     [held.octets == text for held in endpoint.held() if held.is_had],
                     [True] if way.is_had else [])
        ledger.equal(f"{name}: what is wrong", outcome.faults + endpoint.faults, [])
        ledger.equal(f"{name}: the endpoint never breaks", endpoint.loop.broken, [])
        capture.stop()
        agreed = [(session.peer, session.path) for session in endpoint.sessions]
        departures = msrp_packets.Judge(ledger, name, agreed).judge(
            capture.file, listening, directory)
        ledger.check(f"{name}: MSRP: there are departures", departures)
