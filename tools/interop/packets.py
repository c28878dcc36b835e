"""Judges every packet that roger emitted, from a capture.

tshark dissects; whatever it calls malformed or puts an expert note on fails. The octets are then
compared with those that came in: what a stateful proxy has to change (RFC 3261 section 16.6 and
16.7, RFC 3581 section 4) has changed as it should, and nothing else has.
"""

import dataclasses
import re
import signal
import subprocess
import time

import harness

FIELDS = ["frame.number", "_ws.malformed", "_ws.expert.message", "ip.src", "ipv6.src",
          "udp.srcport", "ip.dst", "ipv6.dst", "udp.dstport", "udp.payload", "sip.Method",
          "sip.Status-Code", "sip.Call-ID", "sip.CSeq", "sip.Max-Forwards", "sip.Via.branch",
          "sip.Content-Length"]
COMPACT = {"v": "via", "f": "from", "t": "to", "i": "call-id", "l": "content-length",
           "c": "content-type", "m": "contact", "s": "subject", "k": "supported"}
TO_TAG = re.compile(rb"(?m)(^(?:To|t):[^\r]*?);tag=[^;\r]*")
BRANCH = re.compile(r"z9hG4bK[0-9a-f]+")


class Capture(harness.Program):
    """tshark on the loopback interface while the `with` block runs."""

    def __init__(self, directory, ports, transport="udp", streams=()):
        """`streams` are ports of TCP whose connections are captured as well."""
        self.file = directory / "capture.pcapng"
        self.ports, self.transport = ports, transport
        wanted = " or ".join([f"{transport} port {port}" for port in ports]
                             + [f"tcp port {port}" for port in streams])
        super().__init__("tshark", ["tshark", "-n", "-q", "-i", "lo", "-B", "16", "-f", wanted,
                                    "-w", self.file], directory)
        try:
            harness.wait_for("tshark captures", 60, lambda: "Capture started" in self.said())
            harness.wait_for("the capture file", 60, self.file.exists)
        except BaseException:
            self.__exit__(Exception)
            raise
        time.sleep(0.2)

    def stop(self):
        time.sleep(0.3)
        self.signal(signal.SIGINT)
        if self.wait(10) is None:
            raise TimeoutError("tshark does not end")

    def faults(self, source):
        """How many SIP messages an address sent, and what tshark finds wrong with them."""
        # Notes about TCP itself, such as a new connection from the same ports, are not about SIP.
        command = ["tshark", "-n", "-r", self.file, "-Y", f"sip && ip.src == {source}", "-T",
                   "fields", "-e", "frame.number", "-e", "sip.Method", "-e", "sip.Status-Code",
                   "-e", "_ws.malformed", "-e", "sip.CSeq", "-E", "occurrence=a"]
        for port in self.ports:
            command += ["-d", f"{self.transport}.port=={port},sip"]
        lines = subprocess.run(list(map(str, command)), capture_output=True, text=True,
                               check=True, stdin=subprocess.DEVNULL).stdout.splitlines()
        rows = [line.split("\t") for line in lines]
        count = sum(len(row[4].split(",")) for row in rows)
        return count, [f"packet {row[0]}: malformed" for row in rows if row[3]]

    def packets(self, more=()):
        """What was captured, in order, as tshark dissects it, with `more` of its fields."""
        fields = [*FIELDS, *more]
        command = ["tshark", "-n", "-r", self.file, "-T", "fields", "-E", "separator=/t",
                   "-E", "occurrence=a", "-E", "aggregator=|", "-Y", "udp && !icmp && !icmpv6"]
        for port in self.ports:
            command += ["-d", f"udp.port=={port},sip"]
        for field in fields:
            command += ["-e", field]
        output = subprocess.run(list(map(str, command)), capture_output=True, text=True,
                                check=True, stdin=subprocess.DEVNULL).stdout
        return [Packet.of(line, fields) for line in output.split("\n") if line]


def split_values(text):
    """A comma-separated list, quoted strings and <> respected."""
    values, depth, quoted, start = [], 0, False, 0
    position = 0
    while position < len(text):
        octet = text[position]
        if quoted and octet == "\\":
            position += 1
        elif octet == '"':
            quoted = not quoted
        elif not quoted and octet in "<>":
            depth += 1 if octet == "<" else -1
        elif not quoted and depth == 0 and octet == ",":
            values.append(text[start:position].strip())
            start = position + 1
        position += 1
    return [*values, text[start:].strip()]


def parameters(via):
    """The sent-protocol with the sent-by, and the parameters of one Via value."""
    head, *rest = via.split(";")
    pairs = [each.partition("=") for each in rest]
    return head.strip(), {name.strip().lower(): value.strip() for name, _, value in pairs}


@dataclasses.dataclass
class Packet:
    """One datagram: what tshark says of it, and what it says itself."""

    fields: dict
    source: tuple
    destination: tuple
    octets: bytes
    start: str = ""
    headers: list = dataclasses.field(default_factory=list)
    body: bytes = b""

    @classmethod
    def of(cls, line, names):
        fields = dict(zip(names, line.split("\t"), strict=True))
        source = (fields["ip.src"] or fields["ipv6.src"], int(fields["udp.srcport"]))
        destination = (fields["ip.dst"] or fields["ipv6.dst"], int(fields["udp.dstport"]))
        packet = cls(fields, source, destination, bytes.fromhex(fields["udp.payload"]))
        head, _, packet.body = packet.octets.partition(b"\r\n\r\n")
        packet.start, *lines = head.decode().split("\r\n")
        for text in lines:
            if text[:1] in (" ", "\t") and packet.headers:
                name, value = packet.headers[-1]
                packet.headers[-1] = (name, value + "\r\n" + text)
            else:
                name, _, value = text.partition(":")
                packet.headers.append((name, value))
        return packet

    def values(self, wanted):
        return [value.strip() for name, value in self.headers if canonical(name) == wanted]

    def value(self, wanted):
        return next(iter(self.values(wanted)), "")

    def vias(self):
        return [each for value in self.values("via") for each in split_values(value)]

    def without(self, *unwanted):
        return [(name, value) for name, value in self.headers if canonical(name) not in unwanted]

    @property
    def is_response(self):
        return self.start.startswith("SIP/2.0 ")

    @property
    def status(self):
        return int(self.start.split()[1]) if self.is_response else 0

    @property
    def key(self):
        return self.value("call-id"), self.value("cseq").split()[0]

    def __str__(self):
        return f"frame {self.fields['frame.number']} ({self.start})"


def canonical(name):
    name = name.strip().lower()
    return COMPACT.get(name, name)


@dataclasses.dataclass
class Expectations:
    """What the case says about the packets. The canary says it wrongly."""

    roger: tuple
    sms: tuple
    im: tuple
    sent_by: str
    identity_hidden: bool = False
    hops: int = 1
    vias: int = 1


class Judge:
    """Goes through a capture once, remembering what came in."""

    def __init__(self, ledger, case, expected):
        self.ledger, self.case, self.expected = ledger, case, expected
        self.faults, self.examined = {}, {}
        self.requests, self.responses, self.sent, self.finals = {}, {}, {}, {}
        self.branches = {}
        self.emitted = dict.fromkeys(("forwarded requests", "forwarded responses",
                                      "repeated responses", "own responses"), 0)

    def judge(self, packets):
        for packet in packets:
            if packet.destination == self.expected.roger:
                self.on_arrival(packet)
            elif packet.source == self.expected.roger:
                self.on_departure(packet)
        for name, examined in sorted(self.examined.items()):
            faults = self.faults.get(name, [])
            detail = f"{len(faults)} of {examined}, the first: {faults[0]}" if faults else ""
            self.ledger.check(f"{self.case}: packets: {name}", not faults, detail)
        return self.emitted

    def expect(self, name, packet, found, expected):
        self.hold(name, packet, found == expected, f"found {found!r}, expected {expected!r}")

    def hold(self, name, packet, holds, detail=""):
        self.examined[name] = self.examined.get(name, 0) + 1
        if not holds:
            self.faults.setdefault(name, []).append(f"{packet}: {detail}")

    def on_arrival(self, packet):
        if packet.is_response:
            self.responses.setdefault(packet.key, []).append(packet)
        else:
            self.requests.setdefault(packet.key, []).append(packet)

    def on_departure(self, packet):
        fields = packet.fields
        self.hold("tshark sees SIP", packet, fields["sip.Method"] or fields["sip.Status-Code"])
        self.expect("tshark calls nothing malformed", packet, fields["_ws.malformed"], "")
        # What came in may have notes of its own, an unheard-of header field for example.
        notes = set(filter(None, fields["_ws.expert.message"].split("|")))
        for arrival in self.requests.get(packet.key, []) + self.responses.get(packet.key, []):
            notes -= set(arrival.fields["_ws.expert.message"].split("|"))
        self.expect("tshark has no expert note", packet, notes, set())
        self.expect("Content-Length is the length of the body", packet,
                    packet.values("content-length"), [str(len(packet.body))])
        arrivals = self.requests.get(packet.key, [])
        self.hold("it belongs to a request", packet, arrivals)
        if not arrivals:
            return
        if not packet.is_response:
            self.on_request(packet, arrivals[0])
        elif packet.status >= 200 and packet.key in self.finals:
            self.on_repeated(packet, arrivals)
        elif self.responses.get(packet.key):
            self.on_response(packet, arrivals)
        else:
            self.on_own(packet, arrivals)

    def on_request(self, packet, original):
        self.emitted["forwarded requests"] += 1
        self.expect("requests go to the IM side", packet, packet.destination, self.expected.im)
        ours, *below = packet.vias()
        head, own = parameters(ours)
        self.expect("our Via names where we are", packet, head,
                    f"SIP/2.0/UDP {self.expected.sent_by}")
        branch = own.get("branch", "")
        self.hold("our branch is hexadecimal with the cookie", packet, BRANCH.fullmatch(branch),
                  branch)
        self.hold("our branch has one width", packet,
                  len({len(each) for each in [*self.branches, branch]}) == 1, branch)
        self.hold("our branch is used for one message only", packet,
                  self.branches.setdefault(branch, packet.key) == packet.key, branch)
        self.expect("our Via asks for rport", packet, own.get("rport"), "")
        self.expect("one Via more downstream", packet, len(packet.vias()),
                    len(original.vias()) + self.expected.vias)
        self.expect("tshark counts the same Vias", packet,
                    len(packet.fields["sip.Via.branch"].split("|")), len(packet.vias()))
        self.on_amended_via(packet, below, original)
        hops = int(original.value("max-forwards") or 71) - self.expected.hops
        self.expect("Max-Forwards is one less", packet, packet.values("max-forwards"), [str(hops)])
        self.expect("the request line is the same", packet, packet.start, original.start)
        self.expect("the body is the same", packet, packet.body, original.body)
        touched = ["via", "max-forwards"]
        if self.expected.identity_hidden:
            touched.append("p-asserted-identity")
            self.expect("the identity is hidden", packet,
                        packet.values("p-asserted-identity"), [])
        self.expect("all other header fields are the same", packet, packet.without(*touched),
                    original.without(*touched))
        for field in ("sip.Call-ID", "sip.CSeq"):
            self.expect(f"tshark reads the same {field}", packet, packet.fields[field],
                        original.fields[field])
        first = self.sent.setdefault(branch, packet)
        self.expect("a retransmission is the same octets", packet, packet.octets, first.octets)

    def on_amended_via(self, packet, below, original):
        """RFC 3261 section 18.2.1 and RFC 3581 section 4, at the Via below ours."""
        top, *rest = original.vias()
        head, wanted = parameters(top)
        address, port = original.source
        host = head.split()[1]
        host = host[:host.index("]") + 1].strip("[]") if host.startswith("[") \
            else host.split(":")[0]
        if "rport" in wanted:
            wanted |= {"rport": str(port), "received": address}
        elif host != address:
            wanted["received"] = address
        head_found, found = parameters(below[0]) if below else ("", {})
        if "received" in found:
            found["received"] = found["received"].strip("[]")
        self.expect("the Via below ours has received and rport where due", packet,
                    (head_found, found), (head, wanted))
        self.expect("all further Vias are the same", packet, below[1:], rest)

    def on_response(self, packet, arrivals):
        inbound = [each for each in self.responses[packet.key]
                   if each.status == packet.status or (each.status, packet.status) == (503, 500)]
        if not inbound and packet.status == 100:
            return self.on_own(packet, arrivals)
        self.on_any_response(packet, arrivals)
        self.emitted["forwarded responses"] += 1
        self.hold("the IM side said so", packet, inbound)
        if not inbound:
            return
        answer = inbound[0]
        self.expect("one Via less upstream", packet, packet.vias(),
                    answer.vias()[self.expected.vias:])
        if answer.status == packet.status:
            self.expect("the status line is the same", packet, packet.start, answer.start)
        self.expect("all other header fields are the same", packet, packet.without("via"),
                    answer.without("via"))
        self.expect("the body is the same", packet, packet.body, answer.body)

    def on_own(self, packet, arrivals):
        self.on_any_response(packet, arrivals)
        self.emitted["own responses"] += 1
        request = arrivals[0]
        self.expect("our own response has the Vias of the request", packet, len(packet.vias()),
                    len(request.vias()))
        for name in ("from", "call-id", "cseq"):
            self.expect(f"our own response has its {name}", packet, packet.values(name),
                        request.values(name))
        tagged = ";tag=" in packet.value("to")
        self.expect("our own final response has a To-tag", packet, tagged, packet.status != 100)

    def on_repeated(self, packet, arrivals):
        """RFC 3261 section 17.2.2. The To-tag of a 2xx may be our own the second time: what a
        finished transaction remembers is its status, and no dialog hangs on the tag."""
        self.emitted["repeated responses"] += 1
        first = self.finals[packet.key]
        self.on_any_response(packet, arrivals)
        self.finals[packet.key] = first
        found, expected = packet.octets, first.octets
        if 200 <= packet.status < 300:
            found, expected = (TO_TAG.sub(rb"\1", each) for each in (found, expected))
        self.expect("one final response, repeated octet for octet", packet, found, expected)

    def on_any_response(self, packet, arrivals):
        self.hold("never 408 (RFC 4320 section 4.2)", packet, packet.status != 408)
        self.expect("responses go back to where the request came from", packet,
                    packet.destination, arrivals[0].source)
        if packet.status >= 200:
            self.finals[packet.key] = packet
