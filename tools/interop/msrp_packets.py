"""Judges every MSRP frame of a capture: as tshark reads it, and as the sessions were agreed upon.

The connections are put together again from their segments and divided by `msrp.py`. As tshark 4.0
dissects what begins a segment, each frame goes to it once more in a segment of its own.
"""

import collections
import dataclasses
import re
import struct
import subprocess

import msrp
import msrp_oracle

SEGMENT = ["frame.number", "tcp.stream", "ip.src", "ipv6.src", "tcp.srcport", "ip.dst", "ipv6.dst",
           "tcp.dstport", "tcp.seq_raw", "tcp.flags.syn", "tcp.payload"]
TOLD = ["frame.number", "_ws.malformed", "_ws.expert.message", "msrp.transaction.id", "msrp.method",
        "msrp.status.code", "msrp.to.path", "msrp.from.path", "msrp.messageid", "msrp.byte.range",
        "msrp.cnt.flg"]
# What a canary breaks in the capture.
SPOILT = ("transaction", "response", "range", "path", "framing")


@dataclasses.dataclass
class Seen:
    """One frame, and where it was."""

    frame: msrp.Frame
    stream: int
    source: tuple
    destination: tuple
    # That of the last of its octets.
    number: int
    # What tshark tells of it.
    told: dict = dataclasses.field(default_factory=dict)

    def __str__(self):
        start = self.frame.octets.partition(b"\r\n")[0].decode()
        return f"frame {self.number} ({start})"


def rows(command, names):
    shown = subprocess.run(list(map(str, command)), capture_output=True, check=True,
                           stdin=subprocess.DEVNULL).stdout.decode(errors="replace")
    return [dict(zip(names, line.split("\t"), strict=True)) for line in shown.split("\n") if line]


def fields_of(names):
    return [part for name in names for part in ("-e", name)]


@dataclasses.dataclass
class Direction:
    """One direction of a connection."""

    source: tuple
    destination: tuple
    base: int | None = None
    segments: list = dataclasses.field(default_factory=list)

    def octets(self):
        """All of them in order, with the number of the packet that each part came in."""
        at, parts = 0, []
        for offset, payload, number in sorted(self.segments):
            if offset > at:
                raise msrp.Malformed(f"the capture lacks octets {at} to {offset}")
            if fresh := payload[at - offset:]:
                parts.append((fresh, number))
                at += len(fresh)
        return parts


def directions(file, ports):
    """Both directions of each connection with one of these ports, by its number."""
    wanted = " or ".join(f"tcp.port == {port}" for port in ports)
    command = ["tshark", "-n", "-r", file, "-Y", f"({wanted}) && !icmp && !icmpv6", "-T", "fields",
               "-E", "separator=/t", "-E", "occurrence=f", *fields_of(SEGMENT)]
    found = {}
    for row in rows(command, SEGMENT):
        ends = [(row[f"ip.{end}"] or row[f"ipv6.{end}"], int(row[f"tcp.{end}port"]))
                for end in ("src", "dst")]
        key = int(row["tcp.stream"]), *ends
        direction = found.setdefault(key, Direction(*ends))
        number = int(row["tcp.seq_raw"])
        if row["tcp.flags.syn"] in ("1", "True"):
            direction.base = number + 1
        elif payload := bytes.fromhex(row["tcp.payload"].replace(":", "")):
            if direction.base is None:
                direction.base = number
            offset = (number - direction.base) % (1 << 32)
            direction.segments.append((offset, payload, int(row["frame.number"])))
    return found


def frames(file, ports, faults):
    """All frames in the order of their last octets."""
    found = []
    for (stream, *_), direction in directions(file, ports).items():
        reader = msrp.Reader()
        try:
            for octets, number in direction.octets():
                for frame in reader.feed(octets):
                    found.append(Seen(frame, stream, direction.source, direction.destination,
                                      number))
        except msrp.Malformed as fault:
            faults.append(f"connection {stream} from {direction.source}: {fault}")
    return sorted(found, key=lambda seen: seen.number)


def dissect(directory, seen):
    """Has tshark read each frame in a segment of its own."""
    path = directory / "frames.pcap"
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262_144, 101))
        for number, each in enumerate(seen):
            octets = msrp_oracle.segment(each.frame.octets, number % 50_000)
            file.write(struct.pack("<IIII", 1_700_000_000 + number, 0, len(octets), len(octets)))
            file.write(octets)
    command = ["tshark", "-n", "-r", path, "-d", "tcp.port==2855,msrp", "-T", "fields", "-E",
               "separator=/t", "-E", "occurrence=a", "-E", "aggregator=|", *fields_of(TOLD)]
    for told in rows(command, TOLD):
        seen[int(told["frame.number"]) - 1].told = told


class Judge:
    """Goes through the frames of one capture.

    `agreed` are the pairs of paths, of offer and answer, that INVITE and 200 exchanged. The sender is
    who made the offers. What relays write is not judged. `size_min` is the least that a chunk holds
    which is not the last one (section 5.1: senders should not cut below 2048 octets).
    """

    def __init__(self, ledger, case, agreed, size_min=msrp.INTERRUPTIBLE_SIZE):
        self.ledger, self.case, self.agreed, self.size_min = ledger, case, agreed, size_min
        self.offers = {offer[0] for offer, _ in agreed}
        self.faults, self.examined = collections.defaultdict(list), collections.Counter()
        self.sent, self.answered, self.transactions = {}, {}, {}
        self.chunks = collections.defaultdict(list)

    def hold(self, name, seen, holds, detail=""):
        self.examined[name] += 1
        if not holds:
            self.faults[name].append(f"{seen}: {detail}")

    def expect(self, name, seen, found, expected):
        self.hold(name, seen, found == expected, f"found {found!r}, expected {expected!r}")

    def judge(self, file, ports, directory):
        """The departures of the sender that were judged."""
        broken = []
        found = frames(file, ports, broken)
        self.ledger.check(f"{self.case}: MSRP: connections divide into frames", not broken, broken)
        if found:
            dissect(directory, found)
        departures = [seen for seen in found if self.is_departure(seen)]
        for seen in found:
            if seen.frame.status is None:
                self.on_request(seen)
            else:
                self.on_response(seen)
        for seen in departures:
            self.on_departure(seen)
        for chunks in self.chunks.values():
            self.on_message(chunks)
        for name in sorted(self.examined):
            faults = self.faults.get(name, [])
            detail = f"{len(faults)} of {self.examined[name]}, the first: {faults[0]}" if faults else ""
            self.ledger.check(f"{self.case}: MSRP: {name}", not faults, detail)
        return departures

    def is_departure(self, seen):
        """It leaves the sender: nobody else is the first URI of its From-Path."""
        return any(msrp.same(seen.frame.from_path[0], offer) for offer in self.offers)

    def on_departure(self, seen):
        frame, told = seen.frame, seen.told
        self.hold("tshark sees MSRP", seen, told["msrp.transaction.id"])
        self.expect("tshark calls nothing malformed", seen, told["_ws.malformed"], "")
        self.expect("tshark has no expert note", seen, told["_ws.expert.message"], "")
        meant = {"msrp.transaction.id": {frame.tid}, "msrp.method": {frame.method or ""},
                 "msrp.status.code": {str(frame.status or "")},
                 "msrp.to.path": {frame.value("to-path")},
                 "msrp.from.path": {frame.value("from-path")},
                 "msrp.messageid": {frame.value("message-id") or ""},
                 "msrp.byte.range": {frame.value("byte-range") or ""}, "msrp.cnt.flg": {frame.flag}}
        if b"\n-------" in (frame.body or b""):
            # tshark takes the first line that looks like any end-line for the end.
            del meant["msrp.transaction.id"], meant["msrp.cnt.flg"]
        for name, value in meant.items():
            self.expect(f"tshark reads {name}", seen, set(told[name].split("|")), value)
        self.expect("nothing is written that RFC 4975 does not let a sender write", seen,
                    frame.faults(), [])
        if frame.method == "SEND":
            # A relay sends on with the same one.
            other = self.transactions.setdefault(frame.tid, seen)
            self.hold("a transaction id is used once", seen, other is seen, f"and in {other}")
            self.hold("To-Path and From-Path are what was agreed, the other way round", seen,
                      (frame.from_path, frame.to_path) in self.agreed,
                      f"{frame.from_path} to {frame.to_path}")
        if frame.method == "SEND" and frame.body is not None:
            key = seen.stream, frame.value("to-path"), frame.value("message-id")
            self.chunks[key].append(seen)
            for name in ("success-report", "failure-report"):
                self.expect(f"{name} is written out", seen, frame.value(name), "yes")

    def on_request(self, seen):
        if seen.frame.method == "REPORT":
            return
        key = seen.stream, seen.source, seen.frame.tid
        self.hold("a transaction id is used once on a connection", seen, key not in self.sent)
        self.sent[key] = seen

    def on_response(self, seen):
        key = seen.stream, seen.destination, seen.frame.tid
        request = self.sent.get(key)
        self.hold("a response is to one request before it", seen, request, seen.frame.tid)
        self.hold("a request has one response", seen, key not in self.answered, seen.frame.tid)
        self.answered[key] = seen
        if request:
            self.expect("a response goes one hop back", seen,
                        (seen.frame.to_path, seen.frame.from_path),
                        (request.frame.from_path[:1], request.frame.to_path[:1]))

    def on_message(self, chunks):
        """Byte-Ranges of one message on one connection."""
        frame = chunks[0].frame
        total, at = frame.range[2], 1
        for seen in chunks:
            frame = seen.frame
            start, end = frame.span
            self.expect("Byte-Ranges follow each other", seen, start, at)
            self.expect("all chunks say the same total", seen, frame.range[2], total)
            at = end + 1
            is_last = seen is chunks[-1]
            self.hold("only the last chunk may end the message", seen,
                      is_last or frame.flag == "+", frame.flag)
            self.hold("chunks but the last are not cut short", seen,
                      is_last or len(frame.body) >= self.size_min, len(frame.body))
        if frame.flag == "$" and total is not None:
            self.expect("Byte-Ranges cover the message", chunks[-1], at - 1, total)


def spoil(file, what):
    """Breaks the capture; every piece stays as long as it was."""
    octets = file.read_bytes()
    sends = list(re.finditer(rb"MSRP (\S+) SEND\r\n", octets))
    # Those of one sender, where others name theirs in another length.
    tids = [match[1] for match in sends if len(match[1]) == len(sends[-1][1])]
    if what == "transaction":
        octets = octets.replace(tids[1], tids[0])
    elif what == "response":
        octets = octets.replace(b"MSRP " + tids[-1] + b" 200", b"MSRP " + tids[-1][::-1] + b" 200")
        octets = octets.replace(b"-------" + tids[-1] + b"$", b"-------" + tids[-1][::-1] + b"$")
    elif what == "range":
        octets = octets.replace(b"Byte-Range: 1-", b"Byte-Range: 2-")
    elif what == "path":
        at = octets.index(b";tcp", sends[-1].start())
        octets = octets[:at - 1] + (b"1" if octets[at - 1] == 0x30 else b"0") + octets[at:]
    elif what == "framing":
        octets = octets.replace(b"-------" + tids[-1], b"------+" + tids[-1])
    file.write_bytes(octets)
