#!/usr/bin/env python3
"""Kamailio as the SBC in front of two rogers: its dispatcher, drain, fail-over, sudden ends.

An SMS side and an IM side (`ends.py`) speak to Kamailio only. Messages of both forms flow all the
time while somebody drains, dies or comes back. Then every message is looked at from outside
(`truth.py`): at the IM side once, told once, told what is true.
"""

import concurrent.futures
import contextlib
import dataclasses
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time

import ends
import harness
import packets
import truth

RATE = 60
TRANSPORTS = ("udp", "tcp")
NETWORKS = itertools.count(1)
# What the recipients answer, in turn, and how a message is sent.
MIX = [ends.Plan(form, status, delay)
       for status, delay in ((200, 0), (200, 0.4), (486, 0), (200, 0), (404, 0.1), (200, 0.05),
                             (503, 0), (200, 0), (480, 0), (603, 0.2))
       for form in ("sip", "rp")] + [ends.Plan("sip", 202)]
# What a service centre submits again; and an answer that takes longer than an impatient SBC waits.
AGAIN, SLOW = ends.Plan("rp", 200, repeated=True), ends.Plan("sip", 200, delay=3)
# The sender does not hear a response for longer than Kamailio keeps a transaction by default.
DEAF = ends.Plan("sip", 200, deaf=7)


def is_free(address):
    """Whether nobody listens at an address any more."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            held.bind(address)
            held.listen()
        except OSError:
            return False
    return True


class Sbc(harness.Program):
    """Kamailio with scenarios/sbc.cfg, in which the world may replace something."""

    def __init__(self, world, name):
        self.control, self.address = world.directory / "control", world.address("sbc")
        text = (harness.HERE / "scenarios" / "sbc.cfg").read_text()
        for old, new in world.spoil:
            if old not in text:
                raise ValueError(f"{old!r} does not stand in sbc.cfg")
            text = text.replace(old, new)
        tcp = "disable_tcp=yes"
        if world.transport == "tcp" or world.both:
            tcp = f"tcp_source_ipv4={world.host['sbc']}"
        if world.both:
            tcp += f"\nlisten=tcp:{world.at('sbc')}"
        for key, value in {"TRANSPORT": world.transport, "LISTEN": world.at("sbc"), "TCP": tcp,
                           "CONTROL": self.control, "LIST": world.directory / "dispatcher.list",
                           "SMS": world.at("sms"), "IM": world.at("im")}.items():
            text = text.replace(f"@{key}@", str(value))
        (world.directory / "kamailio.cfg").write_text(text)
        self.control.unlink(missing_ok=True)
        super().__init__(name, ["kamailio", "-DD", "-E", "-f", world.directory / "kamailio.cfg",
                                "-Y", world.directory, "-P", world.directory / "pid", "-m", "256"],
                         world.directory, start_new_session=True)

    def flags(self):
        """What the dispatcher thinks of each roger, such as `AP`: active, and probed."""
        asked = subprocess.run(["kamcmd", "-s", f"unix:{self.control}", "dispatcher.list"],
                               capture_output=True, text=True, stdin=subprocess.DEVNULL)
        found, uri = {}, None
        for line in map(str.strip, asked.stdout.splitlines()):
            if line.startswith("URI:"):
                uri = line.partition(":")[2].strip()
            elif line.startswith("FLAGS:"):
                found[uri.removeprefix("sip:").partition(";")[0]] = line.split(":")[1].strip()
        return found

    def kill(self):
        """All of its processes at once: they are a process group that we made."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        # Its children may take a little longer.
        harness.wait_for("Kamailio's address is free", 20, lambda: is_free(self.address))

    def __exit__(self, kind, *rest):
        super().__exit__(kind, *rest)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)


class World:
    """Two rogers behind Kamailio, between an SMS side and an IM side; an address for each."""

    def __init__(self, name, transport, options, stack, spoil=(), both=False):
        self.name, self.transport, self.options, self.spoil = name, transport, options, spoil
        # Whether Kamailio listens to TCP beside UDP.
        self.both = both
        network = next(NETWORKS)
        self.host = {who: f"127.0.{network}.{10 + index}"
                     for index, who in enumerate(("sbc", "a", "b", "sms", "im"))}
        self.port = harness.ports_in_a_row(1)
        self.stack = stack
        self.directory = stack.enter_context(harness.Directory(f"sbc-{name}", options.keep))
        self.timers = ends.Timers()
        stack.callback(self.timers.stop)
        self.plans, self.numbers, self.lives = {}, itertools.count(1), []
        # What a scenario finds out by itself: (what, whether it holds, detail).
        self.noted = []
        self.sms = stack.enter_context(
            ends.SmsSide(transport, self.address("sms"), self.timers))
        self.im = stack.enter_context(
            ends.ImSide(self.plans, transport, self.address("im"), self.timers))
        uris = [f"1 sip:{self.at(who)}" + (";transport=tcp" if transport == "tcp" else "")
                for who in ("a", "b")]
        (self.directory / "dispatcher.list").write_text("\n".join(uris) + "\n")
        self.a, self.b = self.roger("a"), self.roger("b")
        self.kamailio()
        self.wait_active("a", "b")

    def address(self, who):
        return self.host[who], self.port

    def at(self, who):
        return f"{self.host[who]}:{self.port}"

    def roger(self, who):
        """A life of one of the two; the state directory outlives it."""
        directory = self.directory / f"{who}-{len(self.lives)}"
        directory.mkdir()
        state = self.directory / f"state-{who}"
        state.mkdir(mode=0o700, exist_ok=True)
        # They differ where it must not matter.
        settings = harness.Settings(
            workers={"a": 1, "b": 2}[who], drain_announce={"a": "4s", "b": "0s"}[who],
            drain_timeout="40s", im_role="proxy", polling="wait",
            im_lines='preset = "kamailio"\n',
            gateway_lines='domain = "sms.example.net"\n', transport=self.transport)
        text = harness.configuration(settings, self.at(who), self.at("sbc"), self.at("sbc"),
                                     directory)
        text = (f'node = {1 + "ab".index(who)}\n'
                f'state_directory = "{state}"\n\n{text}')
        life = self.stack.enter_context(harness.Roger(self.options.roger, directory, text))
        self.lives.append(life)
        return life

    def kamailio(self):
        self.sbc = self.stack.enter_context(Sbc(self, f"kamailio-{len(self.lives)}"))

    def wait_active(self, *who):
        wanted = {self.at(each) for each in who}
        if self.sbc.process.poll() is not None:
            raise RuntimeError(f"Kamailio ended: {self.sbc.said()[-2000:]}")
        harness.wait_for(f"Kamailio takes {who} as active", 20, lambda: wanted == {
            at for at, flags in self.sbc.flags().items() if flags == "AP"})

    def load(self, seconds, plans=None, rate=RATE):
        """Sends for so long, one message after the other at a steady rate."""
        start, plans = time.monotonic(), plans or MIX
        for index in range(int(seconds * rate)):
            wait = start + index / rate - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            number = next(self.numbers)
            self.plans[number] = plan = plans[index % len(plans)]
            with self.sms.lock:
                self.sms.submit(number, plan, self.address("sbc"))

    def loaded(self, seconds, **options):
        """The same in a thread: for what happens meanwhile."""
        thread = concurrent.futures.ThreadPoolExecutor(1)
        running = thread.submit(self.load, seconds, **options)
        self.stack.callback(thread.shutdown)
        return running

    def settle(self, patience=35):
        """Until every sender knows; who then still does not is for the judge to say."""
        with contextlib.suppress(TimeoutError):
            harness.wait_for("every sender knows", patience, lambda: not self.sms.open())

    def finish(self):
        """Ends both rogers, and returns all verdict lines."""
        time.sleep(0.5)
        for life in self.lives:
            if life.process.poll() is None:
                life.signal(signal.SIGTERM)
        lines = []
        for life in self.lives:
            life.wait(50)
            lines += verdicts(life)
        return lines


def verdicts(life):
    """The verdict lines of a life; the last one of a process that was killed may be torn."""
    lines = life.verdicts_file.read_text().split("\n") if life.verdicts_file.exists() else [""]
    return [json.loads(line) for line in lines[:-1]]


def through(world):
    """Every outcome, in both forms, and short messages that are submitted again."""
    with packets.Capture(world.directory, [world.port], world.transport) as capture:
        world.load(5, plans=[*MIX, AGAIN, SLOW])
        world.settle()
        capture.stop()
    for who in ("a", "b"):
        count, faults = capture.faults(world.host[who])
        world.noted += [(f"tshark finds no fault with {who}", not faults, "; ".join(faults[:3])),
                        (f"tshark reads {who}", count > 200, f"{count} messages")]


def long(world):
    """What is too long for UDP goes over TCP where Kamailio listens there (RFC 3261 18.1.1)."""
    plans = [ends.Plan("sip", status, long=count % 2 == 0)
             for count, status in enumerate((200, 486, 200, 200, 404, 200, 200))]
    world.load(4, plans=plans)
    world.settle()
    # The last hop is Kamailio's, the one before it is roger's.
    over = {"UDP": {True: 0, False: 0}, "TCP": {True: 0, False: 0}}
    for number, hops in world.im.hops.items():
        over[hops[1]][world.plans[number].long] += 1
    told = json.dumps(over)
    world.noted += [("long ones over TCP, where it is there",
                     (over["TCP"][True] > 100) == world.both, told),
                    ("long ones over UDP, where TCP is not there",
                     (over["UDP"][True] > 100) != world.both, told),
                    ("short ones over UDP", over["UDP"][False] > 100
                     and not over["TCP"][False], told)]


def drain(world):
    """One roger drains and comes back, then the other one, which refuses at once.

    The first one is found out by the probes, before it refuses anything.
    """
    # Over TCP nobody repeats. What is slow keeps a roger from ending before it has refused.
    more = [SLOW] if world.transport == "tcp" else [SLOW, DEAF]
    running = world.loaded(16, plans=[*MIX, *more])
    time.sleep(1)
    for who in ("a", "b"):
        life = getattr(world, who)
        life.signal(signal.SIGTERM)
        other = {"a": "b", "b": "a"}[who]
        world.wait_active(other)
        if who == "a":
            world.noted.append(("Kamailio turns away before anything is refused",
                                "new messages are refused" not in life.said(), life.said()))
        if life.wait(30) != 0:
            raise RuntimeError(f"{who} did not end well")
        setattr(world, who, world.roger(who))
        world.wait_active("a", "b")
    running.result()
    world.settle()


def sbc_dies(world):
    """Kamailio is killed and comes back at once, twice."""
    running = world.loaded(8)
    for _ in range(2):
        time.sleep(2)
        world.sbc.kill()
        world.kamailio()
        world.wait_active("a", "b")
    running.result()
    world.settle()


def roger_dies(world):
    """One roger is killed with messages in flight and comes back, all under load.

    Over TCP it comes back soon. Over UDP Kamailio repeats what it gave to the dead one until its
    transaction ends; a life that came back before that would take it for new, so it does not.
    """
    slow = [ends.Plan(form, 200, 0.8) for form in ("sip", "rp")]
    running = world.loaded(6, plans=[*MIX, *slow])
    time.sleep(2)
    world.a.signal(signal.SIGKILL)
    world.a.wait(5)
    killed = time.monotonic()
    if world.transport == "udp":
        world.wait_active("b")
        running.result()
        running = world.loaded(36, rate=8)
        time.sleep(killed + 37 - time.monotonic())
    else:
        time.sleep(0.5)
    world.a = world.roger("a")
    world.wait_active("a", "b")
    running.result()
    world.load(1)
    harness.wait_for("every sender has an end", 60, lambda: all(
        told.ended for told in list(world.sms.told.values())))
    time.sleep(1)


@dataclasses.dataclass
class Scenario:
    """What happens, and which of the faults are its nature, always and over TCP."""

    play: object
    allowed: tuple = ()
    allowed_tcp: tuple = ()
    # At least and at most so many of the messages are unknown to their senders.
    unknown: tuple = (0, 0)
    transports: tuple = TRANSPORTS


SCENARIOS = {
    "through": Scenario(through),
    "long": Scenario(long, transports=("udp", "udp+tcp")),
    "drain": Scenario(drain),
    # What a connection had taken when its end was killed is not sent again by anybody; what roger
    # could not send while nobody listened is not delivered.
    "sbc-dies": Scenario(sbc_dies, (), ("lost", "no verdict", "not sent"), (0, 200)),
    # Who was not told knows nothing, and a process that was killed cannot write down anything.
    # Over UDP that is half of three seconds.
    "roger-dies": Scenario(roger_dies, ("lost", "no verdict"), (), (1, 250)),
}


def run(name, transport, options, spoil=(), forge=None):
    """Plays a scenario; returns its checks as (name, holds, detail)."""
    scenario = SCENARIOS[name]
    title = f"{name} ({transport})"
    with contextlib.ExitStack() as stack:
        both = transport == "udp+tcp"
        world = World(f"{name}-{transport}", transport.partition("+")[0], options, stack, spoil,
                      both)
        scenario.play(world)
        lines = world.finish()
        if forge:
            forge(world, lines)
        found = truth.judge(lines, world.sms, world.im)
    allowed = scenario.allowed + (scenario.allowed_tcp if transport == "tcp" else ())
    checks = [(f"{title}: {kind}", kind in allowed or not found.faults[kind],
               f"{len(found.faults[kind])} times: {'; '.join(found.faults[kind][:3])}")
              for kind in truth.KINDS]
    checks += [(f"{title}: {what}", *rest) for what, *rest in world.noted]
    least, most = scenario.unknown
    checks.append((f"{title}: told nothing", least <= found.heard["unknown"] <= most,
                   f"{found.heard['unknown']} messages, {least} to {most} expected"))
    checks.append((f"{title}: delivered", found.heard["delivered"] > 100,
                   f"{found.heard['delivered']} messages"))
    print(f"{title}: {sum(found.heard.values())} messages, "
          + ", ".join(f"{count} {what}" for what, count in sorted(found.heard.items())),
          flush=True)
    return checks


def played(options):
    """All scenarios at the same time: they wait more than they work."""
    chosen = [(name, transport) for name, scenario in SCENARIOS.items()
              for transport in scenario.transports
              if not options.only or options.only in f"{name} ({transport})"]
    with concurrent.futures.ThreadPoolExecutor(len(chosen)) as pool:
        running = [(f"{name} ({transport})", pool.submit(run, name, transport, options))
                   for name, transport in chosen]
        return [check for each in running for check in harness.settled(*each)]


def forge(world, lines):
    """What no honest world shows: the faults that no spoilt configuration here leads to."""
    sms, im = world.sms, world.im
    delivered = [call_id for call_id, told in sms.told.items()
                 if truth.heard(told) == "delivered"]
    # Told delivered, and the IM side never saw it.
    im.said[sms.numbers[delivered[0]]] = im.seen[sms.numbers[delivered[0]]] = []
    # Told delivered, and the IM side refused.
    im.said[sms.numbers[delivered[1]]] = [486]
    im.seen[999_999] = ["z9hG4bK-nobody"]
    short = next(told for told in sms.told.values() if told.reports)
    short.reports["z9hG4bK-again"] = "ack"
    silent = next(told for told in sms.told.values() if told.plan.form == "sip")
    silent.status = None
    wrong = next(told for told in sms.told.values() if told.status == 486)
    wrong.status = 480
    lines += [lines[0], lines[1] | {"sms_call_id": "nobody@example.net"}]
    lines[2] = lines[2] | {"verdict": "A" if lines[2]["verdict"] == "P" else "P"}
    del lines[3]


# Each with the faults that it must be noticed by.
CANARIES = (
    ("nobody takes the other way", "drain", "udp", ("not sent",),
     {"spoil": [('t_check_status("503")', 't_check_status("599")')]}),
    ("who cannot be sent to is all there is", "roger-dies", "tcp", ("not sent",),
     {"spoil": [("while (ds_next_dst())", "while (0)")]}),
    ("another way after a timeout", "through", "udp", ("doubled",),
     {"spoil": [('t_check_status("503")', 't_check_status("503|408")'),
                ('t_set_fr("0", "33000")', 't_set_fr("0", "1000")')]}),
    ("a repetition goes to the other roger", "through", "udp", ("doubled",),
     {"spoil": [('ds_select_dst("1", "7")', 'ds_select_dst("1", "0")')]}),
    ("transactions are forgotten too soon", "drain", "udp", ("doubled",),
     {"spoil": [('modparam("tm", "wt_timer", 32000)', "")]}),
    ("forged", "through", "udp",
     tuple(kind for kind in truth.KINDS if kind not in ("doubled", "not sent")),
     {"forge": forge}),
)


def canaries(options, ledger):
    with concurrent.futures.ThreadPoolExecutor(len(CANARIES)) as pool:
        running = [pool.submit(run, name, transport, options, **spoilt)
                   for _, name, transport, _, spoilt in CANARIES]
        for (what, *_, kinds, _), future in zip(CANARIES, running, strict=True):
            checks = future.result()
            for check in checks:
                ledger.check(*check)
            failed = {name.partition(": ")[2] for name, holds, _ in checks if not holds}
            missed = [kind for kind in kinds if kind not in failed]
            print(f"canary {what}: {f'NOT NOTICED {missed}' if missed else 'noticed'}")


def main():
    options = harness.arguments(__doc__.splitlines()[0])
    ledger = harness.Ledger()
    if options.canary:
        canaries(options, ledger)
        return ledger.close()
    for check in played(options):
        ledger.check(*check)
    return ledger.close()


if __name__ == "__main__":
    sys.exit(main())
