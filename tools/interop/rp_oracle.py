#!/usr/bin/env python3
"""Holds `roger decode` against tshark, and both against what short messages were made from.

Some hundred RP messages with TPDUs of every type go to `roger decode --batch`, and as
application/vnd.3gpp.sms in SIP MESSAGEs through tshark. Whatever tshark tells of a packet must be
what roger prints. Where tshark is known to err, the fact is left out, and the reason stands there.
"""

import json
import re
import struct
import subprocess
import sys

import harness
import rp_cases

REPORTS = ("deliver-report", "submit-report")
# PDML says the sign of a zone, JSON does not.
ZONE = re.compile(r'name="gsm_sms\.scts\.timezone" showname="[^"]*'
                  r'GMT ([+-]) (\d+) hours (\d+) minutes"')
TYPES = {("mt", 0): "deliver", ("mt", 1): "submit-report", ("mt", 2): "status-report",
         ("mo", 0): "deliver-report", ("mo", 1): "submit", ("mo", 2): "command"}


def datagram(case, number, content_type):
    """A SIP MESSAGE with the octets, in UDP and IPv4."""
    head = ("MESSAGE sip:a@example.com SIP/2.0", f"Via: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK{number}",
            "Max-Forwards: 70", "From: <sip:b@example.com>;tag=1", "To: <sip:a@example.com>",
            f"Call-ID: {number}", "CSeq: 1 MESSAGE", f"Content-Type: {content_type}",
            f"Content-Length: {len(case.octets)}", "", "")
    sip = "\r\n".join(head).encode() + case.octets
    udp = struct.pack(">HHHH", 5060, 5060, 8 + len(sip), 0) + sip
    loopback = bytes([127, 0, 0, 1])
    return struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(udp), number, 0, 64, 17, 0) + loopback * 2 + udp


def write_capture(path, cases, content_type="application/vnd.3gpp.sms"):
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101))
        for number, case in enumerate(cases):
            octets = datagram(case, number, content_type)
            file.write(struct.pack("<IIII", 1_700_000_000 + number, 0, len(octets), len(octets)))
            file.write(octets)


def tshark(path, form):
    # Parts of a concatenated message are to be shown as they are, not put together.
    command = ["tshark", "-n", "-r", path, "-o", "gsm_sms.reassemble:FALSE", "-T", form]
    return subprocess.run(list(map(str, command)), capture_output=True, check=True,
                          stdin=subprocess.DEVNULL).stdout.decode(errors="replace")


def flatten(pairs):
    """All leaves of the layers in their order: the same name may come more than once."""
    for name, value in pairs:
        if isinstance(value, list):
            yield from flatten(value)
        else:
            yield name, value


class Dissected:
    """What tshark tells of one packet, in the names that roger prints."""

    def __init__(self, leaves, zones):
        self.leaves, self.zones = list(leaves), zones

    def all(self, name):
        return [value for found, value in self.leaves if found == name]

    def number(self, name):
        return next((int(value, 0) for value in self.all(name)), None)

    def flag(self, name):
        value = self.number(name)
        return None if value is None else value == 1

    def rp(self):
        mti = self.number("gsm_a.rp.msg_type")
        facts = {"mti": mti, "mr": self.number("gsm_a.rp.rp_message_reference"),
                 "dir": "mt" if mti & 1 else "mo", "cause": self.number("gsm_a.rp.cause"),
                 "type": ("rp-data", "rp-ack", "rp-error", "rp-smma")[mti >> 1]}
        tpdu = self.all("gsm_a.rp.tpdu")
        facts["ud_hex"] = tpdu[0].replace(":", "") if tpdu else None
        numbers = self.all("gsm_a.dtap.cld_party_bcd_num")
        if numbers:
            facts["oa" if mti & 1 else "da"] = f"+{numbers[0]}"
        return facts

    def times(self):
        parts = [self.all(f"gsm_sms.scts.{part}")
                 for part in ("year", "month", "day", "hour", "minutes", "seconds")]
        for parts, (sign, hours, minutes) in zip(zip(*parts), self.zones, strict=True):
            year, month, day, hour, minute, second = map(int, parts)
            yield (f"20{year:02}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
                   f"{sign}{int(hours):02}:{int(minutes):02}")

    def tpdu(self, direction):
        kind = TYPES[direction, self.number("gsm_sms.tp-mti")]
        facts = {"type": kind, "mr": self.number("gsm_sms.tp-mr"),
                 "pid": self.number("gsm_sms.tp-pid"), "dcs": self.number("gsm_sms.tp-dcs"),
                 "fcs": self.number("gsm_sms.tp-fcs"), "rd": self.flag("gsm_sms.tp-rd"),
                 "mms": self.flag("gsm_sms.tp-mms"),
                 "pi": self.number("gsm_sms.tp.parameter_indicator"),
                 "sri": self.flag("gsm_sms.tp-sri"), "srr": self.flag("gsm_sms.tp-srr"),
                 "srq": self.flag("gsm_sms.tp-srq"), "reply_path": self.flag("gsm_sms.tp-rp"),
                 "vpf": self.number("gsm_sms.tp-vpf"), "udl": self.number("gsm_sms.tp.user_data_length"),
                 "ct": self.number("gsm_sms.tp.command_type"),
                 "mn": self.number("gsm_sms.tp.message_number")}
        if kind == "status-report":
            facts["st"] = (self.number("gsm_sms.dis_field.definition") << 7
                           | self.number("gsm_sms.dis_field.st_error") << 5
                           | self.number("gsm_sms.dis.field_st_reason"))
        for name in ("oa", "da", "ra"):
            if numbers := self.all(f"gsm_sms.tp-{name}"):
                ton = self.number("gsm_sms.dis_field_addr.num_type")
                facts[name] = f"+{numbers[0]}" if ton == 1 else numbers[0]
                facts |= {f"{name}_ton": ton,
                          f"{name}_npi": self.number("gsm_sms.dis_field_addr.num_plan")}
        names = ["vp_abs"] if kind == "submit" else ["scts", "dt"]
        facts |= dict(zip(names, self.times()))
        if facts["vpf"] == 2:
            facts["vp_rel"] = self.number("gsm_sms.vp.validity_period")
        if text := self.all("gsm_sms.sms_text"):
            facts["text"] = text[0]
        if reference := self.all("gsm_sms.udh.mm.msg_id"):
            facts["concat"] = [int(reference[0]), self.number("gsm_sms.udh.mm.msg_parts"),
                               self.number("gsm_sms.udh.mm.msg_part")]
        if elements := self.all("gsm_sms.ie_identifier"):
            facts["iei"] = [f"{int(iei, 0):02x}" for iei in elements]
        return {name: value for name, value in facts.items() if value is not None}


def dissect(directory, cases):
    path = directory / "messages.pcap"
    write_capture(path, cases)
    packets = json.loads(tshark(path, "json"), object_pairs_hook=list)
    shown = tshark(path, "pdml").split("<packet>")[1:]
    return [Dissected(flatten(packet), ZONE.findall(text))
            for packet, text in zip(packets, shown, strict=True)]


def decode(roger, directory, cases):
    """What roger prints of each message, and of its TPDU alone."""
    lines = []
    for case in cases:
        answer = "error" if case.rp["type"] == "rp-error" else "ack"
        for kind, octets, keys in (("rp", case.octets, ""),
                                   ("sms-tpdu", case.tpdu, f"dir={case.rp['dir']},rp={answer}")):
            path = directory / f"{case.name}.{kind}"
            path.write_bytes(octets)
            lines.append(f"{kind}\t{path}\t{keys}\n")
    command = [str(roger), "decode", "--batch"]
    printed = subprocess.run(command, input="".join(lines), capture_output=True, text=True,
                             check=True, timeout=60).stdout.splitlines()
    results = [json.loads(line) for line in printed]
    return list(zip(results[::2], results[1::2], strict=True))


def known_errors(case):
    """The facts of a case that tshark 4.0 gets wrong, or does not tell as they are."""
    facts = case.facts
    # It reads on within the seven octets of the enhanced validity period.
    if "vp_enh_hex" in facts:
        return {"text", "udl", "concat", "iei", "udh"}
    return set()


class Comparison:
    def __init__(self, ledger):
        self.ledger, self.faults, self.compared = ledger, {}, {}

    def expect(self, what, case, found, expected):
        """Every fact that is expected was found."""
        for fact, value in expected.items():
            name = f"{what}: {fact}"
            self.compared[name] = self.compared.get(name, 0) + 1
            if found.get(fact) != value:
                detail = f"{case.name} ({case.octets.hex()}): {found.get(fact)!r}, not {value!r}"
                self.faults.setdefault(name, []).append(detail)

    def close(self):
        for name, count in sorted(self.compared.items()):
            faults = self.faults.get(name, [])
            detail = f"{len(faults)} of {count}, the first: {faults[0]}" if faults else ""
            self.ledger.check(name, not faults, detail)
        return self.compared


def compare(ledger, roger, directory, cases, made):
    """`made` are the cases as the encoder says they are, which a canary changes."""
    comparison = Comparison(ledger)
    for case, meant, shown, (rp, tpdu) in zip(cases, made, dissect(directory, cases),
                                              decode(roger, directory, cases), strict=True):
        for kind, result in (("rp", rp), ("sms-tpdu", tpdu)):
            comparison.expect(f"{kind} is taken", case, result, {"ok": True, "rest": 0})
        if not (rp["ok"] and tpdu["ok"]):
            continue
        message, alone = rp["items"][0], tpdu["items"][0]
        comparison.expect("rp as it was made", case, message, meant.rp)
        comparison.expect("the TPDU as it was made", case, alone, meant.facts)
        comparison.expect("the TPDU in the message", case, message["tpdu"], meant.facts)
        comparison.expect("rp as tshark shows it", case, message, shown.rp())
        told = shown.tpdu(case.rp["dir"])
        told = {name: value for name, value in told.items() if name not in known_errors(case)}
        found = alone | {"iei": [iei for iei, _ in alone.get("udh") or []]}
        comparison.expect("the TPDU as tshark shows it", case, found, told)
    return comparison.close()


def main():
    options = harness.arguments(__doc__.splitlines()[0])
    ledger = harness.Ledger()
    cases = [case for case in rp_cases.cases() if not options.only or options.only in case.name]
    made = cases
    if options.canary:
        # One text is another.
        at = next(at for at, case in enumerate(cases) if case.facts.get("text"))
        wrong = dict(cases[at].facts, text="canary")
        made = [*cases]
        made[at] = rp_cases.Case(cases[at].name, cases[at].octets, cases[at].at, wrong, cases[at].rp)
    with harness.Directory("rp", options.keep) as directory:
        compared = compare(ledger, options.roger, directory, cases, made)
    if options.canary:
        expected = {"the TPDU as it was made: text", "the TPDU in the message: text"}
        noticed = set(ledger.failed) == expected
        print(f"canary text: {'noticed' if noticed else 'NOT NOTICED'}")
    else:
        told = sum(count for name, count in compared.items() if "tshark" in name)
        print(f"{len(cases)} messages, {sum(compared.values())} facts, {told} of them told by tshark")
    return ledger.close()


if __name__ == "__main__":
    sys.exit(main())
