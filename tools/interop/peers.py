#!/usr/bin/env python3
"""PJSIP as the recipient's user agent, sipsak and svmap as strangers, while messages flow.

PJSIP registers with Kamailio, and roger's messages reach it there. The scanners speak to roger from
where no peer is: they must learn nothing, be counted, and no message may be harmed by them.
"""

import concurrent.futures
import contextlib
import itertools
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import ends
import harness
import packets
import sbc
import shapes
import truth

MIX = [ends.Plan(form, status) for status in (200, 486, 200, 404) for form in ("sip", "rp")]
TRANSPORTS = ("udp", "tcp")
REGISTERED, GONE = ("bob", "carol"), "dave"


def pjsip_python():
    """An interpreter that has pjsua2, or nothing; .ci/run makes one."""
    made = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", harness.ROOT / "target"))
    for each in (sys.executable, made / "pjsip" / "bin" / "python"):
        if pathlib.Path(each).exists() and subprocess.run(
                [each, "-c", "import pjsua2"], capture_output=True).returncode == 0:
            return each
    raise FileNotFoundError("no Python has pjsua2 (PyPI: pjsua2-python); see .ci/run")


class World:
    """One roger between an SMS side of ours and whoever is the IM side."""

    def __init__(self, name, options, stack, transport="udp", strangers="silence",
                 actors=True):
        self.name, self.stack, self.transport = name, stack, transport
        network = next(sbc.NETWORKS)
        names = ("roger", "sms", "im", "pjsip", "gone")
        self.host = {who: f"127.0.{network}.{20 + index}" for index, who in enumerate(names)}
        self.port = harness.ports_in_a_row(1)
        self.directory = stack.enter_context(harness.Directory(name, options.keep))
        self.timers = ends.Timers()
        stack.callback(self.timers.stop)
        self.plans, self.numbers = {}, itertools.count(1)
        self.sms = actors and stack.enter_context(
            ends.SmsSide(transport, self.address("sms"), self.timers))
        settings = harness.Settings(
            im_role="proxy", sync_deadline="6s", drain_announce="0s", strangers=strangers,
            transport=transport, im_lines='preset = "kamailio"\n',
            gateway_lines='domain = "sms.example.net"\nuri_wait = "5s"\n')
        self.roger = stack.enter_context(harness.Roger(
            options.roger, self.directory, harness.configuration(
                settings, self.at("roger"), self.at("sms"), self.at("im"), self.directory)))

    def address(self, who):
        return self.host[who], self.port

    def at(self, who):
        return f"{self.host[who]}:{self.port}"

    def submit(self, plan, recipient=None):
        number = next(self.numbers)
        self.plans[number] = plan
        with self.sms.lock:
            self.sms.submit(number, plan, self.address("roger"), recipient=recipient)
        time.sleep(0.01)
        return number

    def finish(self):
        """Ends roger, and returns its verdict lines."""
        self.roger.signal(signal.SIGTERM)
        self.roger.wait(50)
        return self.roger.verdicts()


def judged(title, lines, world, im):
    found = truth.judge(lines, world.sms, im)
    print(f"{title}: {sum(found.heard.values())} messages, "
          + ", ".join(f"{count} {what}" for what, count in sorted(found.heard.items())),
          flush=True)
    return [(f"{title}: {kind}", not found.faults[kind],
             f"{len(found.faults[kind])} times: {'; '.join(found.faults[kind][:3])}")
            for kind in truth.KINDS]


class Registrar(harness.Program):
    def __init__(self, world):
        text = (harness.HERE / "scenarios" / "registrar.cfg").read_text()
        tcp = (f"tcp_source_ipv4={world.host['im']}" if world.transport == "tcp"
               else "disable_tcp=yes")
        for key, value in {"TRANSPORT": world.transport, "LISTEN": world.at("im"),
                           "TCP": tcp}.items():
            text = text.replace(f"@{key}@", value)
        (world.directory / "kamailio.cfg").write_text(text)
        super().__init__("kamailio", ["kamailio", "-DD", "-E", "-f",
                                      world.directory / "kamailio.cfg", "-Y", world.directory,
                                      "-P", world.directory / "pid", "-m", "64"], world.directory)


class Pjsip(harness.Program):
    def __init__(self, world, who, users):
        super().__init__(f"pjsip-{who}", [
            pjsip_python(), "-B", harness.HERE / "pjsip_client.py", *world.address(who),
            world.transport, world.at("im"), *users], world.directory)
        harness.wait_for(f"PJSIP registers {users}", 20,
                         lambda: len(self.told("registered")) >= len(users))

    def told(self, what):
        lines = [json.loads(line) for line in self.said().splitlines() if line.startswith("{")]
        return [line[what] for line in lines if what in line]


class Seen:
    """What the IM side is known to have seen and said, in the words of `ends.ImSide`."""

    def __init__(self):
        self.seen, self.said = {}, {}

    def add(self, number, copies, status):
        self.seen[number] = [f"copy {each}" for each in range(copies)]
        self.said[number] = [status]


def pjsip(options, transport, spoil=False):
    """Registered recipients get each text once; those who are not known or not there do not.

    That somebody is not there any more shows over TCP only: Kamailio cannot send, and says 477.
    """
    title = f"PJSIP ({transport})"
    with contextlib.ExitStack() as stack:
        world = World(f"pjsip-{transport}", options, stack, transport)
        stack.enter_context(Registrar(world))
        client = stack.enter_context(Pjsip(world, "pjsip", REGISTERED))
        gone = stack.enter_context(Pjsip(world, "gone", [GONE]))
        gone.signal(signal.SIGKILL)
        gone.wait(5)
        forms = ("sip", "rp")
        there = [world.submit(ends.Plan(form, 200), f"sip:{user}@im.example.net")
                 for _ in range(10) for form in forms for user in REGISTERED]
        nobody = [world.submit(ends.Plan(form, 404), f"sip:nobody-{count}@im.example.net")
                  for count in range(5) for form in forms]
        with contextlib.suppress(TimeoutError):
            harness.wait_for("every sender knows", 30, lambda: not world.sms.open())
        lost = [world.submit(ends.Plan(form, None), f"sip:{GONE}@im.example.net")
                for form in forms]
        harness.wait_for("what is lost is final", 20, lambda: len(world.roger.verdicts())
                         == len(there) + len(nobody) + len(lost))
        lines = world.finish()
        heard = client.told("text")
    im = Seen()
    for number in there:
        copies = sum(text == f"message {number:06} of many" for text in heard)
        im.add(number, copies + spoil, 200)
    for number in nobody:
        im.add(number, 1, 404)
    unknown = {call_id: world.sms.told.pop(call_id) for call_id in list(world.sms.told)
               if world.sms.numbers[call_id] in lost}
    silent = [line["verdict"] for line in lines if line["sms_call_id"] in unknown]
    checks = judged(title, [line for line in lines if line["sms_call_id"] not in unknown],
                    world, im)
    letters = {"udp": ["U", "U"], "tcp": ["T", "T"]}[transport]
    beliefs = {"udp": ["unknown", "failed"], "tcp": ["failed", "failed"]}[transport]
    checks += [(f"{title}: verdicts of who is gone", silent == letters, str(silent)),
               (f"{title}: what its sender heard",
                [truth.heard(told) for told in unknown.values()] == beliefs,
                str([(told.status, told.reports) for told in unknown.values()])),
               (f"{title}: texts", len(heard) == len(there), f"{len(heard)} texts")]
    return checks


# What SIPp's IM side answers, what its SMS side hears, the verdict.
OUTCOMES = ((200, 200, "D"), (202, 202, "A"), (404, 404, "P"), (480, 480, "T"), (503, 500, "T"))
CALLS = 50


def sipp(options, transport, spoil=False):
    """SIPp on both sides, one connection each where there are connections."""
    checks = []
    for status, upstream, letter in OUTCOMES[:1] if spoil else OUTCOMES:
        title = f"SIPp {status} ({transport})"
        with contextlib.ExitStack() as stack:
            world = World(f"sipp-{transport}-{status}", options, stack, transport, actors=False)
            mode = ("-t", {"udp": "u1", "tcp": "t1"}[transport], "-nr")
            capture = stack.enter_context(packets.Capture(
                world.directory, [world.port], transport))
            im = stack.enter_context(harness.Sipp(
                "im", world.directory, 4, world.port, harness.scenario(
                    "im_final", status=status, reason="Told", extra=""), CALLS, options=mode,
                host=world.host["im"]))
            harness.wait_for("SIPp listens", 10, lambda: is_bound(world.address("im")))
            request = shapes.PLAIN.replace("SIP/2.0/UDP", f"SIP/2.0/{transport.upper()}")
            text = harness.scenario("sms_final", status=upstream, request=request,
                                    im_port=world.port)
            sms = stack.enter_context(harness.Sipp(
                "sms", world.directory, 4, world.port, text, CALLS, target=world.at("roger"),
                options=mode, host=world.host["sms"]))
            ended = sms.wait(30), im.wait(10)
            expected = CALLS + spoil
            checks += [
                (f"{title}: both end well", ended == (0, 0), str(ended)),
                (f"{title}: heard", sms.count(f"{upstream}_Recv") == expected,
                 f"{sms.count(f'{upstream}_Recv')} times"),
                (f"{title}: seen", im.count("MESSAGE_Recv") == expected,
                 f"{im.count('MESSAGE_Recv')} times")]
            letters = [line["verdict"] for line in world.finish()]
            checks.append((f"{title}: verdicts", letters == [letter] * expected,
                           f"{len(letters)}: {set(letters)}"))
            capture.stop()
            count, faults = capture.faults(world.host["roger"])
            checks.append((f"{title}: tshark finds no fault", not faults, "; ".join(faults[:3])))
            # At least a request and a response of each.
            checks.append((f"{title}: tshark reads them", count >= 2 * expected,
                           f"{count} messages"))
    return checks


def is_bound(address):
    """Whether somebody has this address of IPv4, with UDP or TCP."""
    host, port = address
    wanted = f"{int.from_bytes(socket.inet_aton(host), 'little'):08X}:{port:04X}"
    return any(line.split()[1] == wanted for table in ("udp", "tcp")
               for line in pathlib.Path(f"/proc/net/{table}").read_text().splitlines()[1:])


def ask(*command):
    """The exit status of a scanner and what it said."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=60,
                          stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout + done.stderr


MESSAGE = """\
MESSAGE sip:+15550000999@im.example.net SIP/2.0
Via: SIP/2.0/@TRANSPORT@ 127.0.0.1:9;branch=z9hG4bK-stranger
Max-Forwards: 70
From: <sip:mallory@example.org>;tag=1
To: <sip:+15550000999@im.example.net>
Call-ID: stranger@example.org
CSeq: 1 MESSAGE
Content-Type: text/plain
Content-Length: 22

message 000999 of many"""


def strangers(options, transport="udp", answer="silence"):
    """Scanners from an address of nobody; `answer` is what roger is told to give them."""
    title = f"strangers, {answer} ({transport})"
    checks = []
    with contextlib.ExitStack() as stack:
        world = World(f"strangers-{answer}-{transport}", options, stack, transport, answer)
        im = stack.enter_context(
            ends.ImSide(world.plans, transport, world.address("im"), world.timers))
        message = MESSAGE.replace("@TRANSPORT@", transport.upper()).replace("\n", "\r\n")
        (world.directory / "message").write_bytes(message.encode())
        host, port = world.address("roger")
        sipsak = ["sipsak", "-H", "127.0.0.1", "-Z", "10", "-E", transport, "-p",
                  world.at("roger"), "-v"]
        scans = ([*sipsak, "-s", "sip:probe@im.example.net"],
                 [*sipsak, "-f", world.directory / "message", "-s", "sip:bob@im.example.net"],
                 # It knows UDP only.
                 ["svmap", "-b", "127.0.0.1", "-x", "127.0.0.1", "-p", port, f"{host}/32"],
                 ["svmap", "-b", "127.0.0.1", "-x", "127.0.0.1", "-m", "INVITE", "-p",
                  f"{port - 1}-{port + 1}", f"{host}/32"])
        for scan in scans:
            for index in range(20):
                world.submit(MIX[index % len(MIX)])
            status, said = ask(*scan)
            name = " ".join(map(str, scan[:1])) + (" INVITE" if "INVITE" in scan else "")
            if scan[0] == "sipsak":
                found = status != 3
            else:
                found = f"{host}:{port}" in said
            checks.append((f"{title}: {name} finds nothing", not found, said.strip()[-300:]))
        with contextlib.suppress(TimeoutError):
            harness.wait_for("every sender knows", 35, lambda: not world.sms.open())
        counters = world.roger.counters()
        counted = (counters["dropped_stranger"] + counters["strangers_refused"]
                   + counters["connections_refused"])
        checks.append((f"{title}: counted", counted >= len(scans), f"{counted} times"))
        checks.append((f"{title}: 403", counters["strangers_refused"] == 0,
                       f"{counters['strangers_refused']} times"))
        checks += judged(title, world.finish(), world, im)
    return checks


def played(options):
    """What does not work but waits, at the same time."""
    with concurrent.futures.ThreadPoolExecutor() as pool:
        running = [(f"{play.__name__} ({transport})", pool.submit(play, options, transport))
                   for transport in TRANSPORTS for play in (strangers, pjsip, sipp)]
        return [check for each in running for check in harness.settled(*each)]


def canaries(options):
    """Each with the end of the name of what must fail."""
    for transport in TRANSPORTS:
        with concurrent.futures.ThreadPoolExecutor() as pool:
            spoilt = (pool.submit(strangers, options, transport, answer="forbid"),
                      pool.submit(pjsip, options, transport, spoil=True),
                      pool.submit(sipp, options, transport, spoil=True))
            told, doubled, missing = (each.result() for each in spoilt)
        yield from (("sipsak finds nothing", told), ("403", told), ("doubled", doubled),
                    ("heard", missing), ("seen", missing), ("verdicts", missing),
                    ("tshark reads them", missing))
        if transport == "udp":
            yield "svmap finds nothing", told


def main():
    options = harness.arguments(__doc__.splitlines()[0])
    ledger = harness.Ledger()
    if options.canary:
        for what, checks in canaries(options):
            for check in checks:
                if check[0].endswith(what):
                    ledger.check(*check)
            noticed = any(name.endswith(what) and not holds for name, holds, _ in checks)
            print(f"canary {what}: {'noticed' if noticed else 'NOT NOTICED'}")
        return ledger.close()
    for check in played(options):
        ledger.check(*check)
    return ledger.close()


if __name__ == "__main__":
    sys.exit(main())
