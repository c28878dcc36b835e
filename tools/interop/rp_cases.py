"""Short messages made at random, with their own encoder: octets and what they are to be read as.

The encoder knows nothing of the program: it builds bit strings where the program shifts words. The
facts have the names that `roger decode` prints. The same seed makes the same cases.
"""

import dataclasses
import datetime
import random

DEFAULT = ("@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
           "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà")
EXTENSION = {"\f": 0x0A, "^": 0x14, "{": 0x28, "}": 0x29, "\\": 0x2F, "[": 0x3C, "~": 0x3D,
             "]": 0x3E, "|": 0x40, "€": 0x65}
DIGITS = "0123456789*#abc"
UCS2 = "語漢字Привет мир éßΩ€abc 😀🎉"
CODINGS = {
    "gsm7": [0x00, 0x10, 0x11, 0x12, 0x13, 0x40, 0x53, 0x80, 0xB5, 0xC0, 0xC8, 0xD0, 0xD9, 0xF0,
             0xF1, 0xF3],
    "8bit": [0x04, 0x14, 0x17, 0x44, 0x55, 0xF4, 0xF5, 0xF7],
    "ucs2": [0x08, 0x18, 0x19, 0x1B, 0x48, 0x5A, 0xE0, 0xE8, 0xE3],
}


def septets_of(text):
    septets = []
    for letter in text:
        if letter in EXTENSION:
            septets += [0x1B, EXTENSION[letter]]
        else:
            septets.append(DEFAULT.index(letter))
    return septets


def pack(septets, before=b""):
    """Bits in the order in which they are sent, lowest first, behind a header in octets."""
    bits = "".join(f"{octet:08b}"[::-1] for octet in before)
    bits += "0" * (-len(bits) % 7)
    bits += "".join(f"{septet:07b}"[::-1] for septet in septets)
    count = len(bits) // 7
    bits += "0" * (-len(bits) % 8)
    octets = bytes(int(bits[at:at + 8][::-1], 2) for at in range(0, len(bits), 8))
    return count, octets


def swap(number):
    return bytes([number % 10 << 4 | number // 10])


@dataclasses.dataclass
class Case:
    """A TPDU in the RP message that carries it, and what is known of both."""

    name: str
    octets: bytes
    at: int
    facts: dict
    rp: dict

    @property
    def tpdu(self):
        return self.octets[self.at:]


class Author:
    """Writes every field in the ways the standards leave open."""

    def __init__(self, seed):
        self.chance = random.Random(seed)

    def flag(self):
        return self.chance.random() < 0.5

    def octet(self):
        return self.chance.randrange(256)

    def address(self, name):
        """An address of the TP layer: its octets and its facts."""
        chance = self.chance
        if name == "oa" and chance.random() < 0.3:
            letters = "".join(chance.choices("Rogerwatch-19&ÄößΩ", k=chance.randint(1, 11)))
            count, octets = pack(septets_of(letters))
            digits = -(-count * 7 // 4)
            return bytes([digits, 0xD0]) + octets, {name: letters, f"{name}_ton": 5,
                                                    f"{name}_npi": 0}
        ton, npi = chance.choice([(1, 1), (1, 1), (1, 1), (0, 1), (2, 1), (3, 9), (4, 0), (6, 8)])
        letters = DIGITS if chance.random() < 0.2 else DIGITS[:10]
        digits = "".join(chance.choices(letters, k=chance.choice([1, 5, 11, 12, 13, 20])))
        octets = bytes([len(digits), 0x80 | ton << 4 | npi]) + semi_octets(digits)
        shown = f"+{digits}" if ton == 1 else digits
        return octets, {name: shown, f"{name}_ton": ton, f"{name}_npi": npi}

    def time(self):
        chance = self.chance
        year, month = chance.randint(2000, 2040), chance.randint(1, 12)
        first = datetime.date(year, month, 1)
        behind = datetime.date(year + month // 12, month % 12 + 1, 1)
        day = chance.randint(1, (behind - first).days)
        hour, minute, second = chance.randrange(24), chance.randrange(60), chance.randrange(60)
        quarters = chance.choice([0, 4, 8, 32, 22, 23, 51, 56, -20, -14, -48, -1, 79, -79])
        zone = swap(abs(quarters))[0] | (8 if quarters < 0 else 0)
        octets = b"".join(map(swap, (year % 100, month, day, hour, minute, second)))
        sign, ahead = "-" if quarters < 0 else "+", abs(quarters)
        shown = (f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
                 f"{sign}{ahead // 4:02}:{ahead % 4 * 15:02}")
        return octets + bytes([zone]), shown

    def elements(self, room):
        """A header of information elements, and the part that it says this is."""
        chance = self.chance
        elements, part = [], None
        kind = chance.choice(["narrow", "narrow", "wide", "none", "both"])
        if kind in ("narrow", "both"):
            reference, total = self.octet(), chance.randint(1, 255)
            number = chance.randint(1, total)
            elements.append((0x00, bytes([reference, total, number])))
            part = [reference, total, number]
        if kind == "wide":
            reference, total = chance.randrange(65536), chance.randint(1, 255)
            number = chance.randint(1, total)
            elements.append((0x08, reference.to_bytes(2, "big") + bytes([total, number])))
            part = [reference, total, number]
        if kind in ("none", "both"):
            # Of these tshark's dissector has no opinion but their octets.
            elements.append((chance.choice([0x70, 0x80, 0xC1]), chance.randbytes(chance.randint(1, 4))))
        header = b"".join(bytes([iei, len(data)]) + data for iei, data in elements)
        assert len(header) < room
        facts = {"udh": [[f"{iei:02x}", data.hex()] for iei, data in elements]}
        if part:
            facts["concat"] = part
        return bytes([len(header)]) + header, facts

    def user_data(self, size_max, dcs=None):
        """TP-DCS, whether there is a header, TP-UDL with TP-UD, and their facts."""
        chance = self.chance
        alphabet = chance.choice(["gsm7", "gsm7", "gsm7", "ucs2", "ucs2", "8bit"])
        dcs = chance.choice(CODINGS[alphabet]) if dcs is None else dcs
        alphabet = next(name for name, codings in CODINGS.items() if dcs in codings)
        udhi = chance.random() < 0.4
        before, facts = self.elements(40) if udhi else (b"", {})
        facts |= {"udhi": udhi}
        room = size_max - len(before)
        if alphabet == "gsm7":
            length = chance.choice([0, 1, 7, 8, 9, chance.randint(0, 150)])
            septets, text = [], ""
            for _ in range(length):
                letters = DEFAULT.replace("\x1b", "") + "".join(EXTENSION)
                letter = chance.choice(letters if chance.random() < 0.4 else letters[65:91])
                if len(pack(septets + septets_of(letter), before)[1]) > size_max:
                    break
                septets += septets_of(letter)
                text += letter
            udl, octets = pack(septets, before)
            facts["text"] = text
        elif alphabet == "ucs2":
            text = "".join(chance.choices(UCS2, k=chance.choice([0, 1, 5, chance.randint(0, 60)])))
            while len(text.encode("utf-16-be")) > room:
                text = text[:-1]
            octets = before + text.encode("utf-16-be")
            udl = len(octets)
            facts["text"] = text
        else:
            octets = before + chance.randbytes(chance.choice([0, 1, chance.randint(0, room)]))
            udl = len(octets)
        facts |= {"alphabet": alphabet, "udl": udl, "dcs": dcs}
        if octets:
            facts["ud_hex"] = octets.hex()
        return dcs, udhi, bytes([udl]) + octets, facts

    def parameters(self, size_max, between=b""):
        """TP-PI, what stands between, and the parameters; whether there is a header."""
        chance = self.chance
        pi = chance.choice([0, 0, 1, 2, 4, 5, 6, 7])
        facts, octets, udhi = {"pi": pi}, b"", False
        if pi & 1:
            facts["pid"] = self.octet()
            octets += bytes([facts["pid"]])
        dcs = 0x00
        if pi & 2:
            dcs = chance.choice(CODINGS["gsm7"] + CODINGS["ucs2"] + CODINGS["8bit"])
            facts["dcs"] = dcs
            octets += bytes([dcs])
        if pi & 4:
            _, udhi, data, more = self.user_data(size_max, dcs)
            if not pi & 2:
                del more["dcs"]
            facts |= more
            octets += data
        return bytes([pi]) + between + octets, udhi, facts

    def validity(self):
        chance = self.chance
        vpf = chance.randrange(4)
        if vpf == 0:
            return vpf, b"", {}
        if vpf == 2:
            period = self.octet()
            return vpf, bytes([period]), {"vp_rel": period}
        if vpf == 3:
            octets, shown = self.time()
            return vpf, octets, {"vp_abs": shown}
        clock = swap(chance.randrange(24)) + swap(chance.randrange(60)) + swap(chance.randrange(60))
        shot = 0x40 if self.flag() else 0
        octets = chance.choice([
            bytes([shot]), bytes([shot | 1, self.octet()]), bytes([shot | 2, 1 + chance.randrange(255)]),
            bytes([shot | 3]) + clock]).ljust(7, b"\0")
        return vpf, octets, {"vp_enh_hex": octets.hex()}

    def deliver(self):
        mms, lp, sri, path = (self.flag() for _ in range(4))
        address, facts = self.address("oa")
        pid, (scts, shown) = self.octet(), self.time()
        dcs, udhi, data, more = self.user_data(140)
        first = mms << 2 | lp << 3 | sri << 5 | udhi << 6 | path << 7
        facts |= {"mms": mms, "sri": sri, "reply_path": path, "pid": pid, "scts": shown} | more
        return bytes([first]) + address + bytes([pid, dcs]) + scts + data, facts

    def submit(self):
        rd, srr, path = (self.flag() for _ in range(3))
        mr, pid, (address, facts) = self.octet(), self.octet(), self.address("da")
        vpf, period, more = self.validity()
        dcs, udhi, data, last = self.user_data(140)
        first = 1 | rd << 2 | vpf << 3 | srr << 5 | udhi << 6 | path << 7
        facts |= {"mr": mr, "rd": rd, "vpf": vpf, "srr": srr, "reply_path": path, "pid": pid}
        facts |= more | last
        return bytes([first, mr]) + address + bytes([pid, dcs]) + period + data, facts

    def status_report(self):
        mms, srq, mr, st = self.flag(), self.flag(), self.octet(), self.octet()
        address, facts = self.address("ra")
        (scts, sent), (dt, done) = self.time(), self.time()
        parameters, udhi, more = self.parameters(100) if self.flag() else (b"", False, {})
        first = 2 | mms << 2 | srq << 5 | udhi << 6
        facts |= {"mms": mms, "srq": srq, "mr": mr, "st": st, "scts": sent, "dt": done} | more
        return bytes([first, mr]) + address + scts + dt + bytes([st]) + parameters, facts

    def deliver_report(self, fcs):
        parameters, udhi, facts = self.parameters(120)
        octets = bytes([udhi << 6]) + (b"" if fcs is None else bytes([fcs])) + parameters
        return octets, facts | ({} if fcs is None else {"fcs": fcs})

    def submit_report(self, fcs):
        scts, shown = self.time()
        parameters, udhi, facts = self.parameters(120, scts)
        octets = bytes([1 | udhi << 6]) + (b"" if fcs is None else bytes([fcs])) + parameters
        return octets, facts | {"scts": shown} | ({} if fcs is None else {"fcs": fcs})

    def command(self):
        srr, mr, pid, ct, mn = self.flag(), self.octet(), self.octet(), self.octet(), self.octet()
        address, facts = self.address("da")
        data = self.chance.randbytes(self.chance.choice([0, 1, 30]))
        facts |= {"srr": srr, "mr": mr, "pid": pid, "ct": ct, "mn": mn}
        if data:
            facts["cd_hex"] = data.hex()
        octets = bytes([2 | srr << 5, mr, pid, ct, mn]) + address + bytes([len(data)]) + data
        return octets, facts

    def case(self, number):
        """A TPDU of the type that comes next, in an RP message that may carry it."""
        chance = self.chance
        kind = ["deliver", "submit", "status-report", "deliver", "deliver-report", "submit",
                "submit-report", "command"][number % 8]
        reference, fcs = self.octet(), None
        if kind.endswith("-report") and kind != "status-report" and self.flag():
            fcs = chance.choice([0x81, 0x8F, 0x90, 0xB0, 0xC0, 0xD0, 0xD3, 0xFF])
        write = getattr(self, kind.replace("-", "_"))
        tpdu, facts = write(fcs) if kind in ("deliver-report", "submit-report") else write()
        facts = {"type": kind} | facts
        mt = kind in ("deliver", "status-report", "submit-report")
        rp = {"mr": reference, "dir": "mt" if mt else "mo"}
        if kind in ("deliver-report", "submit-report"):
            user_data = bytes([0x41, len(tpdu)]) + tpdu
            if fcs is None:
                rp |= {"type": "rp-ack", "mti": 2 + mt}
                octets = bytes([2 + mt, reference]) + user_data
            else:
                cause = chance.choice([22, 81, 95, 96, 97, 99, 111] if not mt else [38, 41, 69])
                diagnostic = bytes([self.octet()]) if self.flag() else b""
                rp |= {"type": "rp-error", "mti": 4 + mt, "cause": cause}
                octets = bytes([4 + mt, reference, 1 + len(diagnostic), cause]) + diagnostic + user_data
        else:
            digits = "".join(chance.choices(DIGITS[:10], k=chance.choice([1, 11, 13, 20])))
            address = bytes([1 + len(semi_octets(digits)), 0x91]) + semi_octets(digits)
            rp |= {"type": "rp-data", "mti": int(mt), "oa" if mt else "da": f"+{digits}"}
            between = address + b"\0" if mt else b"\0" + address
            octets = bytes([mt, reference]) + between + bytes([len(tpdu)]) + tpdu
        return Case(f"{number:03}-{kind}", octets, len(octets) - len(tpdu), facts, rp)


def semi_octets(digits):
    values = [DIGITS.index(digit) for digit in digits]
    if len(values) % 2:
        values.append(0xF)
    return bytes(high << 4 | low for low, high in zip(values[::2], values[1::2], strict=True))


def cases(count=400, seed=23040):
    author = Author(seed)
    return [author.case(number) for number in range(count)]
