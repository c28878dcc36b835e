"""What every interoperation script needs: a place, free ports, programs that end, a ledger.

Nothing here leaves the loopback interface, and nothing is ended by name: each program is a child
of the script and is ended by its process id.
"""

import argparse
import contextlib
import csv
import dataclasses
import json
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import tempfile
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
LOOPBACK = {4: "127.0.0.1", 6: "::1"}


class Ledger:
    """Counts what held and what did not, and says the latter."""

    def __init__(self):
        self.passed, self.failed = 0, []

    def check(self, name, holds, detail=""):
        if holds:
            self.passed += 1
        else:
            self.failed.append(name)
            print(f"FAILED {name}: {detail}" if detail else f"FAILED {name}")
        return holds

    def equal(self, name, found, expected):
        return self.check(name, found == expected, f"found {found!r}, expected {expected!r}")

    def close(self):
        """Prints the closing line and returns the exit status."""
        print(f"{self.passed} passed, {len(self.failed)} failed", flush=True)
        return 1 if self.failed or not self.passed else 0


def arguments(description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--roger", type=pathlib.Path, default=default_binary(),
                        help="the program under test")
    parser.add_argument("--family", type=int, choices=(4, 6), action="append",
                        help="only this version of IP")
    parser.add_argument("--only", help="only the cases whose name contains this")
    parser.add_argument("--canary", action="store_true",
                        help="expect what is wrong: the script must then fail")
    parser.add_argument("--keep", action="store_true", help="leave the directory of files behind")
    options = parser.parse_args()
    options.family = options.family or [4, 6]
    # The programs run in a directory of their own.
    options.roger = options.roger.resolve()
    if not options.roger.exists():
        parser.error(f"{options.roger} does not exist: build it with `cargo build --release`")
    return options


def default_binary():
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    return target / "release" / "roger"


class Directory:
    """A directory of its own for one case, gone afterwards."""

    def __init__(self, name, keep):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix=f"interop-{name}-"))
        self.keep = keep

    def __enter__(self):
        return self.path

    def __exit__(self, *_):
        if self.keep:
            print(f"kept {self.path}")
            return
        # A child of a program that has ended may still take its own files away.
        shutil.rmtree(self.path, ignore_errors=True)


def unasked():
    """Ports that the kernel gives to nobody by itself, and that tshark takes for no traceroute.

    One that was free a moment ago would otherwise be gone to whoever connects meanwhile.
    """
    first, last = 10_000, 33_434
    said = pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    return range(first, max(first + 1_000, min(last, int(said[0]))))


GIVEN = set()


def ports_in_a_row(count):
    """The first of so many ports that nobody has now on any address, neither of UDP nor of TCP.

    The kernel's tables are read instead of binding to find out: a program that another thread starts
    at that moment would hold what is bound until it runs.
    """
    while True:
        taken = {int(line.split()[1].rpartition(":")[2], 16)
                 for table in ("tcp", "tcp6", "udp", "udp6")
                 for line in pathlib.Path("/proc/net", table).read_text().splitlines()[1:]}
        first = random.choice(unasked()[:-count])
        row = set(range(first, first + count))
        if not row & (taken | GIVEN):
            GIVEN.update(row)
            return first


def free_ports(count):
    """So many ports that nobody has now, all different."""
    return [ports_in_a_row(1) for _ in range(count)]


def endpoint(family, port):
    return f"[{LOOPBACK[6]}]:{port}" if family == 6 else f"{LOOPBACK[4]}:{port}"


def settled(title, running):
    """The checks of a case that runs in a thread; what ends it before its time fails by its name."""
    try:
        return running.result()
    except Exception as error:  # whatever it is, the other cases are judged as well
        traceback.print_exception(error)
        return [(f"{title}: comes to its end", False, repr(error))]


def wait_for(what, patience, holds):
    deadline = time.monotonic() + patience
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {patience} s")
        time.sleep(0.02)


class Program:
    """A child process whose output goes to a file, and which is ended with the `with` block."""

    def __init__(self, name, command, directory, **options):
        self.name = name
        self.log = directory / f"{name}.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                list(map(str, command)), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                cwd=directory, **options)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if kind is not None:
            print(f"--- {self.name}:\n{self.said()[-3000:]}")

    def said(self):
        return self.log.read_text(errors="replace")

    def wait(self, patience):
        """Its exit status, or None when it had to be ended."""
        try:
            return self.process.wait(timeout=patience)
        except subprocess.TimeoutExpired:
            return None

    def signal(self, number):
        self.process.send_signal(number)


@dataclasses.dataclass
class Settings:
    """What a case changes in the configuration of roger."""

    t1: str = "500ms"
    t2: str = "4s"
    sync_deadline: str = "28s"
    drain_announce: str = "0s"
    drain_timeout: str = "40s"
    im_role: str = "endpoint"
    sms_trusted: bool = True
    im_trusted: bool = True
    strangers: str = "silence"
    advertise: str = ""
    driver: str = "auto"
    polling: str = "adaptive"
    # How requests leave for the peers.
    transport: str = "udp"
    # None: one over IPv4, three over IPv6.
    workers: int | None = None
    # Further lines of a section.
    sms_lines: str = ""
    im_lines: str = ""
    gateway_lines: str = ""
    # Who the IM side is to MSRP, the address of our listener for it, and lines of [large].
    msrp: str = ""
    msrp_listen: str = ""
    # "tls": our sessions have TLS, with the certificate roger.pem in the directory of the case.
    msrp_transport: str = "tcp"
    large_lines: str = ""

    @classmethod
    def short(cls, **changes):
        """Timers of RFC 3261 with T1 = 20 ms: timer F after 1.28 s."""
        return cls(t1="20ms", t2="160ms", sync_deadline="1120ms", **changes)


def configuration(settings, listen, sms, im, directory):
    advertise = f'advertise = "{settings.advertise}"\n' if settings.advertise else ""
    # UDP is the default.
    transport = "" if settings.transport == "udp" else f'transport = "{settings.transport}"\n'
    if sms == im:
        peers = peer("im", "both", sms, True, settings.im_role,
                     transport + settings.sms_lines + settings.im_lines)
    else:
        peers = (peer("sms", "sms", sms, settings.sms_trusted,
                      lines=transport + settings.sms_lines)
                 + peer("im", "im", im, settings.im_trusted, settings.im_role,
                        transport + settings.im_lines))
    msrp = large = tls = ""
    if settings.msrp:
        peers += f'msrp = "{settings.msrp}"\n'
        name = "msrp"
        if settings.msrp_transport == "tls":
            name, files = "msrps", (directory / "roger.pem", directory / "roger.key")
            peers += 'msrp_transport = "tls"\n'
            tls = '[tls]\ncertificate = "{}"\nkey = "{}"\n'.format(*files)
        msrp = f'[[listen]]\naddress = "{settings.msrp_listen}"\ntransports = ["{name}"]\n'
        large = f"[large]\n{settings.large_lines}\n"
    return f"""\
[workers]
cpus = "any"
count = {workers(settings, listen)}
driver = "{settings.driver}"
polling = "{settings.polling}"

[[listen]]
address = "{listen}"
{advertise}
{msrp}
{peers}
[route]
outbound_proxies = ["im"]

[gateway]
{settings.gateway_lines}
{large}{tls}
[timers]
t1 = "{settings.t1}"
t2 = "{settings.t2}"
sync_deadline = "{settings.sync_deadline}"
drain_announce = "{settings.drain_announce}"
drain_timeout = "{settings.drain_timeout}"

[capacity]
rate = 1_000
open = 1_000
open_large = 100

[strangers]
answer = "{settings.strangers}"

[status]
socket = "{directory / 'status'}"
"""


def workers(settings, listen):
    """Over IPv6 three of them share the port, behind one peer each: nothing else may differ."""
    return settings.workers or (3 if listen.startswith("[") else 1)


def peer(name, side, addresses, trusted, role=None, lines=""):
    """`addresses` is one, or a list of them in the order in which they are tried."""
    role = f'role = "{role}"\n' if role else ""
    return f"""\
[[peer]]
name = "{name}"
side = "{side}"
address = {json.dumps(addresses)}
trusted = {str(trusted).lower()}
{role}{lines}
"""


class Roger(Program):
    """The program under test, started and answering."""

    def __init__(self, binary, directory, config):
        self.binary, self.directory = binary, directory
        (directory / "roger.toml").write_text(config)
        self.verdicts_file = directory / "verdicts.jsonl"
        super().__init__("roger", [binary, "run", "--config", directory / "roger.toml",
                                   "--verdicts", self.verdicts_file], directory)
        try:
            wait_for("roger answers status", 20, self.is_up)
        except BaseException:
            self.__exit__(Exception)
            raise

    def is_up(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"roger ended with {self.process.returncode}")
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.ask().returncode == 0
        return False

    def ask(self):
        return subprocess.run(
            [self.binary, "status", "--json", "--socket", self.directory / "status"],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=10)

    def counters(self):
        groups = json.loads(self.ask().stdout)["counters"]
        return {each["name"]: each["value"] for group in groups for each in group["counters"]}

    def verdicts(self):
        if not self.verdicts_file.exists():
            return []
        # While roger runs, the last line may not be whole yet.
        whole = self.verdicts_file.read_text().rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines()]

    def end(self, patience=20):
        """SIGTERM, and its exit status."""
        self.signal(signal.SIGTERM)
        return self.wait(patience)


class Sipp(Program):
    """SIPp with one of our scenarios; its own statistics are read when it has ended."""

    def __init__(self, name, directory, family, port, scenario, calls, target=None, rate=100,
                 options=(), host=None):
        path = directory / f"{name}.xml"
        path.write_text(scenario)
        self.statistics_file = directory / f"{name}.csv"
        self.directory, self.scenario_name = directory, name
        command = ["sipp", *([target] if target else []), "-sf", path,
                   "-i", host or LOOPBACK[family], "-p", port, "-m", calls, "-r", rate, "-nostdin",
                   "-trace_stat", "-fd", "1", "-stf", self.statistics_file, "-trace_counts",
                   "-trace_err", "-error_file", directory / f"{name}.err", *options]
        super().__init__(name, command, directory, env=os.environ | {"TERM": "dumb"})

    def statistics(self):
        """Cumulative figures by their name in SIPp's own statistics file."""
        with open(self.statistics_file) as file:
            rows = list(csv.DictReader(file, delimiter=";"))
        wanted = {"SuccessfulCall(C)": "successful", "FailedCall(C)": "failed",
                  "Retransmissions(C)": "retransmitted", "OutOfCallMsgs(C)": "stray",
                  "DeadCallMsgs(C)": "late"}
        return {short: int(rows[-1][long]) for long, short in wanted.items()}

    def counts(self):
        """How often each message of the scenario was sent and received."""
        [file] = self.directory.glob(f"{self.scenario_name}_*_counts.csv")
        with open(file) as text:
            rows = list(csv.DictReader(text, delimiter=";"))
        return {name: int(value) for name, value in rows[-1].items()
                if name and value and name not in ("CurrentTime", "ElapsedTime")}

    def count(self, what):
        """The sum over all steps of a scenario, such as `MESSAGE_Recv` or `200_Sent`."""
        return sum(value for name, value in self.counts().items()
                   if name.split("_", 1)[1] == what)


def scenario(name, **values):
    """One of the files beside this one, its placeholders filled in."""
    text = (HERE / "scenarios" / f"{name}.xml").read_text()
    for key, value in values.items():
        text = text.replace(f"@{key.upper()}@", str(value))
    missing = re.search("@[A-Z_]+@", text)
    if missing:
        raise ValueError(f"scenario {name}: nobody filled in {missing[0]}")
    return text
