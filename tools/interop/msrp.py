"""MSRP as RFC 4975 has it: requests and responses in octets, their paths, messages by their ranges.

Written from the RFC alone. Whoever reads with this says what is wrong in what it read (`faults`).
"""

import dataclasses
import re
import secrets

IDENT = r"[A-Za-z0-9][A-Za-z0-9.\-+%=]{3,31}"
START = re.compile(rf"MSRP ({IDENT}) (?:([A-Z]+)|([0-9]{{3}})(?: (.*))?)".encode())
RANGE = re.compile(r"([0-9]+)-([0-9]+|\*)/([0-9]+|\*)")
URI = re.compile(r"(msrps?)://(?:[^@/]*@)?(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.\-_~%]+):([0-9]+)"
                 r"(?:/([A-Za-z0-9._~\-+=/]+))?;([A-Za-z0-9]+)((?:;[^;\s]+)*)", re.IGNORECASE)
# A chunk with more octets has to be interruptible: its range-end is * (section 5.1).
INTERRUPTIBLE_SIZE = 2_048


class Malformed(ValueError):
    """Not what section 9 has."""


def ident():
    """With 64 random bits and more (section 7.1)."""
    return secrets.token_hex(12)


@dataclasses.dataclass
class Frame:
    """One request or response."""

    tid: str
    method: str | None
    status: int | None
    fields: list
    # None: there is none, and no Content-Type either.
    body: bytes | None
    flag: str
    octets: bytes

    def values(self, wanted):
        return [value for name, value in self.fields if name.lower() == wanted]

    def value(self, wanted):
        return next(iter(self.values(wanted)), None)

    @property
    def to_path(self):
        return self.value("to-path").split()

    @property
    def from_path(self):
        return self.value("from-path").split()

    @property
    def range(self):
        """Start, end and total; None is the asterisk. A request without one is all of its message."""
        found = self.value("byte-range")
        if found is None:
            return 1, None, None
        match = RANGE.fullmatch(found)
        if not match:
            raise Malformed(f"Byte-Range: {found}")
        return tuple(None if part == "*" else int(part) for part in match.groups())

    @property
    def span(self):
        """What it holds, by the octets that are there (section 7.3.1)."""
        start = self.range[0]
        return start, start + len(self.body or b"") - 1

    def faults(self):
        """What section 9 and section 7.1 do not let a sender write."""
        names = [name.lower() for name, _ in self.fields]
        found = []
        if names[:2] != ["to-path", "from-path"]:
            found.append(f"To-Path and From-Path come first, not {names[:2]}")
        found += [f"{name} is there twice" for name in set(names) if names.count(name) > 1]
        found += [f"not an MSRP URI: {uri}" for uri in self.to_path + self.from_path
                  if not URI.fullmatch(uri)]
        if self.body is not None and names[-1] != "content-type":
            found.append("Content-Type is not the last header field")
        if self.status is not None and (self.flag != "$" or self.body is not None):
            found.append("a response with a body or without $")
        if self.method in ("SEND", "REPORT"):
            found += self.request_faults()
        return found

    def request_faults(self):
        found = []
        if not re.fullmatch(IDENT, self.value("message-id") or ""):
            found.append(f"Message-ID: {self.value('message-id')}")
        for name, allowed in (("success-report", ("yes", "no")),
                              ("failure-report", ("yes", "no", "partial"))):
            if self.value(name) not in (None, *allowed):
                found.append(f"{name}: {self.value(name)}")
        if self.method == "REPORT":
            if not re.match(r"[0-9]{3} [0-9]{3}( |$)", self.value("status") or ""):
                found.append(f"Status: {self.value('status')}")
            return found
        start, end, total = self.range
        actual = len(self.body or b"")
        if end is not None and end - start + 1 != actual:
            found.append(f"Byte-Range {self.value('byte-range')} of {actual} octets")
        if self.flag == "$" and total is not None and start + actual - 1 != total:
            found.append(f"the last octet is {start + actual - 1} of {total}")
        if actual > INTERRUPTIBLE_SIZE and end is not None:
            found.append(f"{actual} octets that nobody may interrupt")
        return found


def write(tid, start, fields, body=None, flag="$"):
    """`start` is a method, or a status code with its comment."""
    lines = [f"MSRP {tid} {start}", *(f"{name}: {value}" for name, value in fields)]
    middle = b"" if body is None else b"\r\n" + body + b"\r\n"
    return ("\r\n".join(lines) + "\r\n").encode() + middle + f"-------{tid}{flag}\r\n".encode()


class Reader:
    """Divides the octets of a connection, however they come."""

    def __init__(self):
        self.held = b""

    def feed(self, octets):
        self.held += octets
        found = []
        while frame := self.next():
            found.append(frame)
        return found

    def next(self):
        head, end, _ = self.held.partition(b"\r\n")
        if not end:
            if len(head) > 256 or not b"MSRP ".startswith(head[:5]):
                raise Malformed(f"no start line: {head[:60]!r}")
            return None
        match = START.fullmatch(head)
        if not match:
            raise Malformed(f"no start line: {head[:60]!r}")
        tid = match[1].decode()
        fields, at = [], len(head) + 2
        while True:
            line_end = self.held.find(b"\r\n", at)
            if line_end < 0:
                return None
            line, at = self.held[at:line_end], line_end + 2
            if not line:
                return self.with_body(match, fields, at)
            if closing := self.closing(line, tid):
                return self.cut(match, fields, None, closing, at)
            name, colon, value = line.decode().partition(": ")
            if not colon:
                raise Malformed(f"no header field: {line!r}")
            fields.append((name, value.strip()))

    @staticmethod
    def closing(line, tid):
        text = line.decode(errors="replace")
        return text[-1] if text[:-1] == f"-------{tid}" and text[-1] in "$+#" else None

    def with_body(self, match, fields, at):
        end = re.compile(rb"\r\n-------" + re.escape(match[1]) + rb"([$+#])\r\n")
        if not (found := end.search(self.held, at)):
            return None
        return self.cut(match, fields, self.held[at:found.start()], found[1].decode(), found.end())

    def cut(self, match, fields, body, flag, at):
        octets, self.held = self.held[:at], self.held[at:]
        tid, method, status = (part and part.decode() for part in match.groups()[:3])
        frame = Frame(tid, method, status and int(status), fields, body, flag, octets)
        for name in ("to-path", "from-path"):
            if not frame.value(name):
                raise Malformed(f"no {name}: {octets[:200]!r}")
        return frame


def same(one, other):
    """Whether two URIs are equal (section 6.1): user information and parameters do not count."""
    def parts(uri):
        if not (match := URI.fullmatch(uri)):
            return uri
        scheme, host, port, session, transport, _ = match.groups()
        return scheme.lower(), host.lower(), port, session, transport.lower()
    return parts(one) == parts(other)


def address(uri):
    """Host and port."""
    _, host, port, *_ = URI.fullmatch(uri).groups()
    return host.strip("[]"), int(port)


def path_of(description):
    """The path of a session description, or nothing."""
    found = re.search(rb"(?m)^a=path:([^\r\n]*)", description)
    return found[1].decode().split() if found else []


class Ranges:
    """Octets of a message, from 1."""

    def __init__(self, spans=()):
        self.spans = []
        for span in spans:
            self.add(*span)

    def add(self, start, end):
        if end < start:
            return
        kept = []
        for low, high in self.spans:
            if high + 1 < start or end + 1 < low:
                kept.append((low, high))
            else:
                start, end = min(start, low), max(end, high)
        self.spans = sorted([*kept, (start, end)])

    def covers(self, total):
        return total is not None and (total == 0 or self.spans == [(1, total)])


class Message:
    """One message as its receiver has it (section 7.3.1): the octet that came last counts."""

    def __init__(self, message_id):
        self.message_id = message_id
        self.octets, self.had = bytearray(), Ranges()
        self.total, self.is_aborted = None, False

    def take(self, frame):
        start, end = frame.span
        if len(self.octets) < end:
            self.octets.extend(bytes(end - len(self.octets)))
        self.octets[start - 1:end] = frame.body
        self.had.add(start, end)
        if frame.flag == "$":
            self.total = end
        elif frame.flag == "#":
            self.is_aborted = True

    @property
    def is_complete(self):
        return not self.is_aborted and self.had.covers(self.total)
