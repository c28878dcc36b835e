#!/usr/bin/env python3
"""Kamailio as the SBC around roger: probing with OPTIONS, relaying both ways, turning elsewhere.

SIPp sends to Kamailio, Kamailio to roger, roger back to Kamailio, Kamailio to SIPp. While roger
drains, Kamailio must see that by its own probes, and what roger refuses must arrive another way
and never twice.
"""

import contextlib
import functools
import subprocess
import sys

import harness
import outcomes
import packets
import shapes

CALLS = 20


class Kamailio(harness.Program):
    """Kamailio with the configuration beside this file."""

    def __init__(self, directory, family, port, roger, im, other, sms=None):
        self.control = directory / "control"
        (directory / "dispatcher.list").write_text(f"1 sip:{roger}\n")
        text = (harness.HERE / "scenarios" / "kamailio.cfg").read_text()
        for key, value in {"LISTEN": harness.endpoint(family, port), "CONTROL": self.control,
                           "LIST": directory / "dispatcher.list", "IM": im, "OTHER": other, "SMS": sms or im,
                           "ROGER_PORT": roger.rpartition(":")[2]}.items():
            text = text.replace(f"@{key}@", str(value))
        (directory / "kamailio.cfg").write_text(text)
        super().__init__("kamailio", ["kamailio", "-DD", "-E", "-f", directory / "kamailio.cfg",
                                      "-Y", directory, "-P", directory / "pid", "-m", "64"],
                         directory)

    def flags(self):
        """What the dispatcher thinks of roger: A(ctive), I(nactive), T(rying), P(robing)."""
        asked = subprocess.run(["kamcmd", "-s", f"unix:{self.control}", "dispatcher.list"],
                               capture_output=True, text=True, stdin=subprocess.DEVNULL)
        found = [line.split(":")[1].strip() for line in asked.stdout.splitlines()
                 if line.strip().startswith("FLAGS:")]
        return found[0] if found else ""


def send(ledger, name, stack, directory, family, ports, calls=CALLS):
    """Messages from the SMS side to Kamailio; all must be answered 200."""
    text = harness.scenario("sms_final", status=200, request=shapes.PLAIN, im_port=ports["im"])
    sipp = stack.enter_context(harness.Sipp(
        name, directory, family, ports["sms"], text, calls,
        target=harness.endpoint(family, ports["kamailio"])))
    ledger.equal(f"{name} (IPv{family}): SIPp ends well", sipp.wait(60), 0)
    ledger.equal(f"{name} (IPv{family}): 200 received", sipp.count("200_Recv"), calls)


def answering(name, stack, directory, family, port):
    """A SIPp that answers 200 to whatever comes."""
    text = harness.scenario("im_final", status=200, reason="OK", extra="")
    sipp = stack.enter_context(harness.Sipp(name, directory, family, port, text, 10 * CALLS))
    harness.wait_for(f"{name} listens", 10, functools.partial(outcomes.is_bound, port))
    return sipp


def received(sipp):
    """How many messages came to it in all; it ends."""
    sipp.signal(harness.signal.SIGUSR1)
    sipp.wait(10)
    return sipp.count("MESSAGE_Recv")


def run(family, options, ledger):
    names = ("kamailio", "roger", "sms", "im", "other")
    ports = dict(zip(names, harness.free_ports(len(names)), strict=True))
    at = {name: harness.endpoint(family, port) for name, port in ports.items()}
    settings = harness.Settings(im_role="proxy", drain_announce="4s", drain_timeout="40s")
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(harness.Directory("kamailio", options.keep))
        roger = stack.enter_context(harness.Roger(options.roger, directory, harness.configuration(
            settings, at["roger"], at["kamailio"], at["kamailio"], directory)))
        capture = stack.enter_context(packets.Capture(directory, [ports["roger"]]))
        kamailio = stack.enter_context(
            Kamailio(directory, family, ports["kamailio"], at["roger"], at["im"], at["other"]))
        harness.wait_for("Kamailio sees roger by its probes", 10,
                         lambda: kamailio.flags() == "AP" and
                         roger.counters()["options_answered"] > 0)
        im = answering("im", stack, directory, family, ports["im"])
        other = answering("other", stack, directory, family, ports["other"])

        send(ledger, "through", stack, directory, family, ports)
        expected = CALLS + (1 if options.canary else 0)
        ledger.equal(f"through (IPv{family}): accepted by roger",
                     roger.counters()["messages_accepted"], expected)

        # What comes before Kamailio has seen the first 503 still goes through roger.
        roger.signal(harness.signal.SIGTERM)
        send(ledger, "announced", stack, directory, family, ports)
        harness.wait_for("Kamailio sees the drain by its probes", 10,
                         lambda: kamailio.flags()[:1] in ("I", "T"))
        send(ledger, "elsewhere", stack, directory, family, ports)
        ledger.equal(f"drained (IPv{family}): roger ends by itself", roger.wait(50), 0)
        verdicts = [line["verdict"] for line in roger.verdicts()]
        ledger.equal(f"drained (IPv{family}): verdicts", set(verdicts), {"D"})
        ledger.equal(f"drained (IPv{family}): through roger", received(im), len(verdicts))
        ledger.equal(f"drained (IPv{family}): in all", received(other) + len(verdicts), 3 * CALLS)

        capture.stop()
        address = harness.LOOPBACK[family]
        packets.Judge(ledger, f"kamailio (IPv{family})", packets.Expectations(
            roger=(address, ports["roger"]), sms=(address, ports["kamailio"]),
            im=(address, ports["kamailio"]), sent_by=at["roger"])).judge(capture.packets())


def main():
    options = harness.arguments(__doc__.splitlines()[0])
    ledger = harness.Ledger()
    for family in options.family[:1] if options.canary else options.family:
        run(family, options, ledger)
    if options.canary:
        noticed = any("accepted by roger" in name for name in ledger.failed)
        print(f"canary counters: {'noticed' if noticed else 'NOT NOTICED'}")
    return ledger.close()


if __name__ == "__main__":
    sys.exit(main())
