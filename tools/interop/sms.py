"""Short messages as a service centre writes them, and their reports as it reads them.

RP is of TS 24.011 sections 7.3 and 8.2, TPDUs are of TS 23.040 section 9.2. The encoder knows
nothing of the program.
"""

import dataclasses
import datetime
import email.utils

import rp_cases

SERVICE_CENTRE = "8613800138000"
DCS = {"gsm7": 0x00, "8bit": 0x04, "ucs2": 0x08}
NUMBERED, NAMED = 0x91, 0xD0


def bcd(number):
    return rp_cases.semi_octets(number)


@dataclasses.dataclass(frozen=True)
class Short:
    """An SMS-DELIVER."""

    text: str = "hello"
    alphabet: str = "gsm7"
    # A number, or a name of letters, and its type of number and numbering plan.
    originator: str = "46708251358"
    toa: int = NUMBERED
    pid: int = 0
    status_report: bool = False
    # UDH with its length, or nothing.
    header: bytes = b""
    sent: datetime.datetime = datetime.datetime(
        2025, 11, 22, 11, 28, 0, tzinfo=datetime.timezone(datetime.timedelta(hours=8)))

    def address(self):
        if self.toa == NAMED:
            count, octets = rp_cases.pack(rp_cases.septets_of(self.originator))
            return bytes([-(-count * 7 // 4), NAMED]) + octets
        return bytes([len(self.originator), self.toa]) + bcd(self.originator)

    def scts(self):
        sent = self.sent
        quarters = int(sent.utcoffset().total_seconds()) // 900
        zone = rp_cases.swap(abs(quarters))[0] | (8 if quarters < 0 else 0)
        parts = (sent.year % 100, sent.month, sent.day, sent.hour, sent.minute, sent.second)
        return b"".join(map(rp_cases.swap, parts)) + bytes([zone])

    def user_data(self):
        if self.alphabet == "gsm7":
            count, octets = rp_cases.pack(rp_cases.septets_of(self.text), self.header)
            return bytes([count]) + octets
        encoding = {"ucs2": "utf-16-be", "8bit": "latin-1"}[self.alphabet]
        octets = self.header + self.text.encode(encoding)
        return bytes([len(octets)]) + octets

    def tpdu(self):
        # TP-MMS is set where there are no more messages.
        first = 0x04 | self.status_report << 5 | bool(self.header) << 6
        return (bytes([first]) + self.address() + bytes([self.pid, DCS[self.alphabet]])
                + self.scts() + self.user_data())

    def date(self):
        """As the Date header field has it (RFC 3261 section 20.17)."""
        return email.utils.format_datetime(self.sent.astimezone(datetime.timezone.utc),
                                           usegmt=True)


def rp_data(reference, tpdu):
    """From the network to a mobile station: RP-OA is the service centre, RP-DA is empty."""
    address = bytes([NUMBERED]) + bcd(SERVICE_CENTRE)
    return bytes([1, reference, len(address)]) + address + bytes([0, len(tpdu)]) + tpdu


def rp_submission(reference, number, text):
    """An SMS-SUBMIT from a mobile station, without a validity period."""
    count, octets = rp_cases.pack(rp_cases.septets_of(text))
    tpdu = (bytes([0x01, reference, len(number), NUMBERED]) + bcd(number)
            + bytes([0, DCS["gsm7"], count]) + octets)
    address = bytes([NUMBERED]) + bcd(SERVICE_CENTRE)
    return bytes([0, reference, 0, len(address)]) + address + bytes([len(tpdu)]) + tpdu


def status_report(reference, number, sent):
    """SMS-STATUS-REPORT in RP-DATA: the short message was received."""
    scts = Short(sent=sent).scts()
    tpdu = bytes([0x06, 7, len(number), NUMBERED]) + bcd(number) + scts + scts + bytes([0])
    return rp_data(reference, tpdu)


def rp_smma(reference):
    return bytes([6, reference])


@dataclasses.dataclass(frozen=True)
class Report:
    """RP-ACK, or RP-ERROR with a cause and, from a mobile station, with TP-FCS."""

    cause: int | None = None
    fcs: int | None = None
    to_mobile: bool = False

    def octets(self, reference):
        if self.cause is None:
            tpdu = b"" if self.to_mobile else bytes([0x41, 2, 0x00, 0x00])
            return bytes([2 + self.to_mobile, reference]) + tpdu
        tpdu = b"" if self.fcs is None else bytes([0x41, 3, 0x00, self.fcs, 0x00])
        return bytes([4 + self.to_mobile, reference, 1, self.cause]) + tpdu

    def fields(self, reference):
        """What tshark must tell of it."""
        told = {"gsm_a.rp.msg_type": (2 if self.cause is None else 4) + self.to_mobile,
                "gsm_a.rp.rp_message_reference": reference, "gsm_a.rp.cause": self.cause,
                "gsm_sms.tp-mti": None if self.to_mobile else 0, "gsm_sms.tp-fcs": self.fcs,
                "gsm_sms.tp.parameter_indicator": None if self.to_mobile else 0}
        return told


ACK = Report()


def error(fcs):
    """From the place of a mobile station, which may say little (TS 24.011 table 8.4)."""
    return Report(cause=111, fcs=fcs)
