#!/usr/bin/env python3
"""Holds `roger decode msrp` against tshark, and both against what requests were made from.

Some hundred requests and responses, made at random by an encoder of their own, go to
`roger decode --batch`, all of them once more as one stream, and each as a TCP segment through tshark.
Whatever tshark tells of one must be what roger prints. Where tshark is known to err, the fact is left
out, and the reason stands there.
"""

import hashlib
import json
import random
import string
import struct
import subprocess
import sys

import harness
import rp_oracle

IDENT = string.ascii_letters + string.digits + ".-+%="
FLAGS = "$+#"


class Case:
    def __init__(self, name, octets, facts, body, is_text):
        self.name, self.octets, self.facts, self.body = name, octets, facts, body
        self.is_text = is_text

    def __repr__(self):
        return self.name


class Author:
    """Writes what RFC 4975 section 9 allows."""

    def __init__(self, seed):
        self.chance = random.Random(seed)

    def ident(self):
        length = self.chance.choice([4, 8, 16, 32])
        first = self.chance.choice(string.ascii_letters + string.digits)
        return first + "".join(self.chance.choices(IDENT, k=length - 1))

    def path(self):
        def uri():
            scheme = self.chance.choice(["msrp", "msrps", "MSRP"])
            user = self.chance.choice(["", "", "alice@", "a%40b:c@"])
            host = self.chance.choice(["a.example.com", "192.0.2.1", "[2001:db8::1]", "x_y~z%41"])
            session = self.chance.choice(["/s" + self.ident().replace("%", "/"), "/=", "/a/b+c~_."])
            more = self.chance.choice(["", "", ";a", ";a=b;c"])
            return f"{scheme}://{user}{host}:{self.chance.randrange(1, 65536)}{session};tcp{more}"
        return [uri() for _ in range(self.chance.choice([1, 1, 2, 5, 16]))]

    def range(self):
        start = self.chance.choice([1, 2049, 2**40])
        end = self.chance.choice([None, start - 1, start + self.chance.randrange(5000)])
        total = self.chance.choice([None, self.chance.randrange(2**50)])
        return [start, end, total]

    def body(self, tid):
        """Lines that look like ends, any octets, or text."""
        kind = self.chance.choice(["text", "text", "ends", "octets", "empty", "hyphens"])
        if kind == "ends":
            lines = [f"-------{tid}", f"--------{tid}$", f"-------{tid}$x", f"-------{tid}!",
                     "-------other123$", f" -------{tid}$", "-------", ""]
            return "\r\n".join(self.chance.choices(lines, k=6)).encode(), False
        if kind == "octets":
            return self.chance.randbytes(self.chance.choice([1, 100, 9_000])), False
        if kind == "hyphens":
            return b"-" * self.chance.randrange(200), False
        if kind == "empty":
            return b"", False
        words = self.chance.choices(["parcel", "comes", "at\r\n", "ten,", "é", "-", "$\r\n"], k=40)
        return " ".join(words).encode(), True

    def fields(self, kind):
        chance = self.chance
        facts = {"message_id": None, "byte_range": None, "success_report": None,
                 "failure_report": None, "status_ns": None, "status_code": None}
        if kind in ("SEND", "REPORT"):
            facts["message_id"] = self.ident()
            facts["byte_range"] = chance.choice([None, self.range()])
        if kind == "SEND":
            facts["success_report"] = chance.choice([None, "yes", "no"])
            facts["failure_report"] = chance.choice([None, "yes", "no", "partial"])
        if kind == "REPORT":
            facts |= {"status_ns": 0, "status_code": chance.choice([200, 408, 413])}
        return facts

    def lines(self, facts):
        def star(number):
            return "*" if number is None else number
        named = [("Message-ID", facts["message_id"]), ("Success-Report", facts["success_report"]),
                 ("Failure-Report", facts["failure_report"])]
        if facts["byte_range"]:
            start, end, total = facts["byte_range"]
            named.append(("Byte-Range", f"{start}-{star(end)}/{star(total)}"))
        if facts["status_code"]:
            named.append(("Status", f"000 {facts['status_code']} as it is"))
        self.chance.shuffle(named)
        if self.chance.random() < 0.3:
            named.insert(0, ("X-Other", "a: b; \"c"))
        return [f"{name}: {value}" for name, value in named if value is not None]

    def case(self, number):
        kind = ["SEND", "SEND", "REPORT", "200 OK", "SEND", "481", "AUTH"][number % 7]
        tid, to_path, from_path = self.ident(), self.path(), self.path()
        facts = {"tid": tid, "to_path": to_path, "from_path": from_path} | self.fields(kind)
        if kind[0].isdigit():
            facts |= {"type": "response", "status": int(kind[:3]), "comment": kind[4:] or None}
        else:
            facts |= {"type": "request", "method": kind}
        lines = [f"MSRP {tid} {kind}", f"To-Path: {' '.join(to_path)}",
                 f"From-Path: {' '.join(from_path)}", *self.lines(facts)]
        flag = self.chance.choice(FLAGS) if kind == "SEND" else "$"
        end = f"-------{tid}{flag}\r\n".encode()
        body, is_text, content_type = b"", True, None
        has_body = kind == "SEND" and self.chance.random() < 0.8
        if has_body:
            content_type = self.chance.choice(["text/plain", "message/cpim", "text/plain; charset=UTF-8"])
            body, is_text = self.body(tid)
            lines.append(f"Content-Type: {content_type}")
            end = b"\r\n" + body + b"\r\n" + end
        facts |= {"content_type": content_type, "has_body": has_body, "body_len": len(body),
                  "body_sha256": hashlib.sha256(body).hexdigest(), "flag": flag,
                  "header_count": len(lines) - 1}
        octets = "".join(line + "\r\n" for line in lines).encode() + end
        return Case(f"{number:03}-{kind.split()[0].lower()}", octets, facts, body, is_text)


def cases(count=400, seed=4975):
    author = Author(seed)
    return [author.case(number) for number in range(count)]


def segment(octets, number):
    """The octets as one segment of a connection of their own."""
    tcp = struct.pack(">HHIIBBHHH", 2855, 10_000 + number, 1, 1, 0x50, 0x18, 65_535, 0, 0) + octets
    loopback = bytes([127, 0, 0, 1])
    return struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(tcp), number, 0, 64, 6, 0) + loopback * 2 + tcp


def dissect(directory, made):
    path = directory / "chunks.pcap"
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, 101))
        for number, case in enumerate(made):
            octets = segment(case.octets, number)
            file.write(struct.pack("<IIII", 1_700_000_000 + number, 0, len(octets), len(octets)))
            file.write(octets)
    command = ["tshark", "-n", "-r", path, "-d", "tcp.port==2855,msrp", "-T", "json"]
    shown = subprocess.run(list(map(str, command)), capture_output=True, check=True,
                           stdin=subprocess.DEVNULL).stdout.decode(errors="replace")
    return [told(packet["_source"]["layers"].get("msrp", {})) for packet in json.loads(shown)]


def told(layer):
    """What tshark tells of one segment, in the names that roger prints."""
    header = layer.get("msrp.msg.hdr", {})
    start = layer.get("msrp.request.line_tree") or layer.get("msrp.response.line_tree") or {}
    end = layer.get("msrp.end.line_tree", {})
    facts = {"tid": start.get("msrp.transaction.id"), "method": start.get("msrp.method"),
             "flag": end.get("msrp.cnt.flg"), "end_tid": end.get("msrp.transaction.id")}
    if "msrp.status.code" in start:
        facts["status"] = int(start["msrp.status.code"])
    for name, field in (("message_id", "messageid"), ("success_report", "success.report"),
                        ("failure_report", "failure.report"), ("content_type", "content.type")):
        facts[name] = header.get(f"msrp.{field}")
    for name in ("to", "from"):
        if path := header.get(f"msrp.{name}.path"):
            facts[f"{name}_path"] = path.split(" ")
    if written := header.get("msrp.byte.range"):
        start, rest = written.split("-")
        facts["byte_range"] = [int(start)] + [None if part == "*" else int(part)
                                              for part in rest.split("/")]
    if written := header.get("msrp.status"):
        facts |= {"status_ns": int(written[:3]), "status_code": int(written[4:7])}
    facts["data"] = layer.get("msrp.data")
    return {name: value for name, value in facts.items() if value is not None}


def known_errors(case):
    """What tshark 4.0 takes from the first line that looks like any end-line, not from the one of this
    transaction; and bodies that are no text do not come through its JSON."""
    return set() if case.is_text else {"flag", "end_tid", "data"}


def decode(roger, directory, made):
    """What roger prints of each, and of all as one stream."""
    lines = []
    stream = directory / "stream.msrp"
    stream.write_bytes(b"".join(case.octets for case in made))
    for case in made:
        path = directory / f"{case.name}.msrp"
        path.write_bytes(case.octets)
        lines.append(f"msrp\t{path}\n")
    command = [str(roger), "decode", "--batch"]
    printed = subprocess.run(command, input="".join(lines) + f"msrp\t{stream}\n", text=True,
                             capture_output=True, check=True, timeout=60).stdout.splitlines()
    *results, whole = [json.loads(line) for line in printed]
    return results, whole


def compare(ledger, roger, directory, made, meant):
    """`meant` are the facts as the encoder says they are, which a canary changes."""
    comparison = rp_oracle.Comparison(ledger)
    results, whole = decode(roger, directory, made)
    ledger.check("the stream of all is taken", whole["ok"] and whole["rest"] == 0, whole.get("error"))
    ledger.equal("the stream of all: messages", len(whole["items"]), len(made))
    for case, facts, shown, result, item in zip(made, meant, dissect(directory, made), results,
                                                whole["items"], strict=True):
        comparison.expect("it is taken", case, result, {"ok": True, "rest": 0})
        if not result["ok"]:
            continue
        alone = result["items"][0]
        comparison.expect("as it was made", case, alone, facts)
        comparison.expect("in the stream", case, item, alone)
        found = alone | {"end_tid": alone["tid"]}
        if case.facts["has_body"]:
            # It shows the end-line with the body.
            found["data"] = f"{case.body.decode(errors='replace')}\r\n-------{alone['tid']}{alone['flag']}\r\n"
        left_out = known_errors(case)
        comparison.expect("as tshark shows it", case, found,
                          {name: value for name, value in shown.items() if name not in left_out})
        comparison.expect("tshark shows it", case, {name: True for name in shown},
                          {name: True for name in ("tid", "to_path", "from_path")})
    return comparison.close()


def main():
    options = harness.arguments(__doc__.splitlines()[0])
    ledger = harness.Ledger()
    made = [case for case in cases() if not options.only or options.only in case.name]
    meant = [case.facts for case in made]
    if options.canary:
        # One range ends elsewhere.
        at = next(at for at, facts in enumerate(meant) if facts["byte_range"])
        meant[at] = dict(meant[at], byte_range=[7, None, None])
    with harness.Directory("msrp", options.keep) as directory:
        compared = compare(ledger, options.roger, directory, made, meant)
    if options.canary:
        noticed = set(ledger.failed) == {"as it was made: byte_range"}
        print(f"canary range: {'noticed' if noticed else 'NOT NOTICED'}")
    else:
        told_count = sum(count for name, count in compared.items() if "as tshark" in name)
        print(f"{len(made)} messages, {sum(compared.values())} facts, {told_count} of them told by tshark")
    return ledger.close()


if __name__ == "__main__":
    sys.exit(main())
