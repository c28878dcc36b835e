#!/usr/bin/env python3
"""Measures what one relayed MESSAGE costs, against a bare program and against Kamailio.

One lean driver plays the SMS side and the IM side on core 1; the system under test stands on
core 0. All systems get the same packets, one after the other, several rounds, and once each for
longer than timer J lasts. See README.md in this directory for the method.

    perf/relay.py                       the whole comparison, about fifteen minutes
    perf/relay.py --rounds 1 --long 0 --systems bare,roger-uring --seconds 3
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
SCENARIOS = ROOT / "perf" / "scenarios"
SYSTEM_CPU, DRIVER_CPU = "0", "1"
NAMES = {
    "bare": "bare relay",
    "roger-uring": "roger, io_uring",
    "roger-mmsg": "roger, mmsg",
    "kamailio": "Kamailio, tuned",
    "kamailio-default": "Kamailio, package defaults",
}


def run(*command, **options):
    return subprocess.run(command, check=True, text=True, capture_output=True, **options).stdout


def free_ports(count, kind=socket.SOCK_DGRAM):
    """Ports that nobody has now. They are held together, so that they differ."""
    held = [socket.socket(socket.AF_INET, kind) for _ in range(count)]
    for each in held:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in held]
    for each in held:
        each.close()
    return ports


def start(cpu, command, **options):
    """Starts a program alone on a core, in a session of its own that goes first there."""
    process = subprocess.Popen(
        ["taskset", "-c", cpu, *map(str, command)], start_new_session=True, **options
    )
    # The scheduler shares a core among sessions first; `nice` only works inside of one.
    pathlib.Path(f"/proc/{process.pid}/autogroup").write_text("-20")
    return process


def descendants(pid):
    found = [pid]
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += descendants(int(child))
    return found


def cpu_seconds(pid):
    total = 0
    for each in descendants(pid):
        for task in pathlib.Path(f"/proc/{each}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def is_bound(port, transport):
    wanted = f":{port:04X}"
    lines = pathlib.Path(f"/proc/net/{transport}").read_text().splitlines()[1:]
    return any(line.split()[1].endswith(wanted) for line in lines)


def resident_mib(pid):
    """Memory of a process; one that has ended and was not waited for has none."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next((line.split()[1] for line in status if line.startswith("VmRSS")), 0)) / 1024


def wait_until_ready(process, port, transport="udp", patience=180, spins=False):
    """Ready: the port is bound and the memory is touched, which is when the program falls idle. One
    that spins never does, and is ready when it has no more memory than a moment ago."""
    deadline = time.monotonic() + patience
    busy, size = cpu_seconds(process.pid), 0
    while time.monotonic() < deadline:
        if process.poll() is not None:
            sys.exit(f"{process.args} ended with {process.returncode} before it was ready")
        time.sleep(0.25)
        before, busy = (busy, size), cpu_seconds(process.pid)
        size = resident_mib(process.pid)
        is_settled = size - before[1] < 1 if spins else busy - before[0] < 0.15
        if is_bound(port, transport) and is_settled:
            return
    sys.exit(f"{process.args} was not ready after {patience} s")


class System:
    """One system under test. `command` starts it; `look` reads what it says about itself."""

    looked_at = ("allocations", "kernel_drops")

    def __init__(self, name, directory, options):
        self.name, self.directory, self.options = name, directory, options
        # Over TCP a peer is known by its address alone, as its connections come from any port.
        kind, hosts = {"udp": (socket.SOCK_DGRAM, "111"), "tcp": (socket.SOCK_STREAM, "123")}[
            options.transport]
        ports = free_ports(3, kind)
        self.port = ports[0]
        self.listen, self.sms, self.im = (
            f"127.0.0.{host}:{port}" for host, port in zip(hosts, ports))

    def fill(self, scenario, **values):
        text = (SCENARIOS / scenario).read_text()
        for key, value in values.items():
            text = text.replace(f"@{key.upper()}@", str(value))
        path = self.directory / scenario
        path.write_text(text)
        return path

    def command(self):
        binaries = target_directory() / "release"
        memory = str(self.options.memory)
        variant = {"udp": "", "tcp": "-trunk"}[self.options.transport]
        match self.name:
            case "bare" | "bare-judged":
                reading = ["--reading", "judged"] if self.name == "bare-judged" else []
                back = ["--back", self.sms] if self.options.scenario == "gateway" else []
                return [binaries / f"bare-{self.options.scenario}", "--listen", self.listen,
                        "--next", self.im, "--transport", self.options.transport, *back,
                        *reading]
            case "echo":
                return [binaries / "bare-echo", "--listen", self.listen, "--next", self.im,
                        "--transport", self.options.transport, "--polling", self.options.polling]
            case "roger-uring" | "roger-mmsg":
                config = self.fill(
                    f"roger{variant}.toml", listen=self.listen, sms=self.sms, im=self.im,
                    socket=self.directory / "status", polling=self.options.polling,
                    driver={"roger-uring": "io_uring", "roger-mmsg": "mmsg"}[self.name],
                    cpu=SYSTEM_CPU,
                )
                return [binaries / "roger", "run", "--config", config]
            case "kamailio":
                config = self.fill(f"kamailio{variant}.cfg", listen=self.listen,
                                   tuning="shm_force_alloc=yes")
                return self.kamailio(config, "-x", "tlsf", "-X", "tlsf", "-m", memory)
            case "kamailio-default":
                config = self.fill(f"kamailio{variant}.cfg", listen=self.listen, tuning="")
                return self.kamailio(config, "-m", memory)
        sys.exit(f"no system is called {self.name!r}; there are {', '.join(NAMES)}")

    def kamailio(self, config, *options):
        return ["kamailio", "-DD", "-E", "-f", config, "-Y", self.directory,
                "-P", self.directory / "pid", "-M", "32", *options]

    def look(self):
        if not self.name.startswith("roger"):
            return {}
        binary = target_directory() / "release" / "roger"
        text = run(binary, "status", "--json", "--socket", self.directory / "status")
        counters = {each["name"]: each["value"]
                    for group in json.loads(text)["counters"] for each in group["counters"]}
        return {name: counters[name] for name in self.looked_at + self.options.counters}


def disturbance(result):
    """The share of a core that neighbours took from the thread under test that did most or from the
    driver, or the hypervisor from both. Where it is above a hundredth, the 99th percentile is theirs."""
    return max(result["busiest_waited"], result["driver_waited"], result["stolen"])


def taken(result):
    """The same, of all that the system under test consists of."""
    return max(result["waited"], result["driver_waited"], result["stolen"])


def measure(name, seconds, options):
    """One run; another one when neighbours took too much of either core."""
    for _ in range(options.tries):
        result = attempt(name, seconds, options)
        if taken(result) <= options.disturbed:
            break
    return result


def attempt(name, seconds, options):
    with tempfile.TemporaryDirectory(prefix="relay-") as directory:
        system = System(name, pathlib.Path(directory), options)
        log = open(system.directory / "log", "w+")
        process = start(SYSTEM_CPU, system.command(), stdout=log, stderr=log)
        try:
            wait_until_ready(process, system.port, options.transport,
                             spins=options.polling == "spin")
            result = drive(system, process, seconds, options) | {"counters": system.look()}
        except BaseException:
            log.seek(0)
            sys.stderr.write(log.read()[-4000:])
            raise
        finally:
            stop(process)
    return result


def drive(system, process, seconds, options):
    """One run around a system that is ready."""
    driver = start(DRIVER_CPU, [
        target_directory() / "release" / "lean-driver", "--target", system.listen,
        "--scenario", options.scenario, "--transport", options.transport,
        "--sms", system.sms, "--im", system.im,
        "--process", process.pid, "--seconds", seconds, "--window", options.window,
        "--warm", options.warm,
        *(["--rate", options.rate] if options.rate else []),
    ], stdout=subprocess.PIPE, text=True)
    output, _ = driver.communicate(timeout=seconds + 60)
    if not output:
        sys.exit(f"the driver ended with {driver.returncode} around {system.name}")
    result = json.loads(output) | {"system": system.name, "ok": driver.returncode == 0}
    rate, cpu = result["per_second"], result["cpu_us"] or float("nan")
    print(f"{system.name:17} {seconds:3} s  {rate:9,.0f}/s  {cpu:7.2f} us"
          f" ({result['user_us']:.2f} user)"
          f"  busy {result['busy']:.2f} waited {result['waited']:.2f}"
          f" driver {result['driver_waited']:.2f} stolen {result['stolen']:.2f}"
          f"  {result['statuses']}", flush=True)
    return result


def stop(process):
    """Ends a program and its children, by their ids."""
    if process.poll() is not None:
        return
    family = descendants(process.pid)
    process.terminate()
    try:
        process.wait(timeout=3)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pid in family[1:]:
        try:
            os.kill(pid, 9)
        except ProcessLookupError:
            pass


def target_directory():
    return pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))


def build(systems):
    packages = ["-p", "relay-bench"]
    if any(system.startswith("roger") for system in systems):
        packages += ["-p", "roger", "--bin", "roger", "--bin", "lean-driver", "--bin", "bare-relay",
                     "--bin", "bare-gateway", "--bin", "bare-echo"]
    subprocess.run(["cargo", "build", "--release", *packages], cwd=ROOT, check=True)


def spread(values, digits=2):
    values = [value for value in values if value is not None]
    if not values:
        return "-"
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{middle:,.{digits}f} [{low:,.{digits}f}-{high:,.{digits}f}]"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows])


def allocations(results):
    """The most that one of the runs counted; only roger counts them."""
    return max((each["counters"]["allocations"] for each in results if each["counters"]),
               default="-")


def results_table(results, systems):
    rows = []
    for system in systems:
        own = [result for result in results if result["system"] == system]
        if not own:
            continue
        statuses = {}
        for result in own:
            for status, count in result["statuses"].items():
                statuses[status] = statuses.get(status, 0) + count
        rows.append([
            NAMES[system], len(own),
            spread([each["cpu_us"] for each in own]),
            spread([each["user_us"] for each in own]),
            spread([each["per_second"] / 1e3 for each in own], 1),
            spread([each["busy"] for each in own]),
            spread([taken(each) for each in own]),
            spread([each["latency_us"]["p50"] for each in own], 0),
            spread([each["latency_us"]["p99"] for each in own], 0),
            spread([each["involuntary"] for each in own], 0),
            ", ".join(f"{status}: {count:,}" for status, count in statuses.items()),
            sum(each["retransmitted"] for each in own),
            sum(each["unanswered"] + each["wrong"] for each in own),
            allocations(own),
        ])
    return table(
        ["system", "runs", "CPU us/message", "of it user", "k messages/s", "busy", "disturbed",
         "p50 us",
         "p99 us", "involuntary", "statuses", "sent again", "unanswered or wrong",
         "allocations"], rows)


def ratios_table(rounds, systems):
    """Each ratio within its round, then the median over the rounds."""
    rows = []
    for system in systems:
        if not system.startswith("roger"):
            continue
        for other, text in [("bare", "{0} / bare relay"), ("kamailio", "Kamailio, tuned / {0}"),
                            ("kamailio-default", "Kamailio, package defaults / {0}")]:
            if other not in systems:
                continue
            pairs = [(each[system]["cpu_us"], each[other]["cpu_us"]) for each in rounds]
            values = [a / b if other == "bare" else b / a for a, b in pairs]
            rows.append([text.format(NAMES[system]), spread(values)])
    if "bare" in systems and "kamailio" in systems:
        values = [each["kamailio"]["cpu_us"] / each["bare"]["cpu_us"] for each in rounds]
        rows.append(["Kamailio, tuned / bare relay", spread(values)])
    return table(["ratio of CPU per message, within a round", "median [min-max]"], rows)


def machine():
    cpu = next((line.split(":")[1].strip() for line in run("lscpu").splitlines()
                if line.startswith("Model name")), "unknown")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    slow = [path.name for path in sorted(pathlib.Path("/sys/devices/system/cpu/vulnerabilities").iterdir())
            if path.read_text().startswith(("Mitigation", "Vulnerable"))]
    kamailio = shutil.which("kamailio") and run("kamailio", "-v").splitlines()[0]
    return [
        f"- {os.cpu_count()} cores of {cpu}, {memory:.0f} GiB, kernel {platform.release()}; "
        f"mitigations or exposure: {', '.join(slow) or 'none'}.",
        f"- {run('rustc', '-V').strip()}; {kamailio}; commit "
        f"{run('git', '-C', str(ROOT), 'rev-parse', '--short', 'HEAD').strip()}"
        f"{' with changes' if run('git', '-C', str(ROOT), 'status', '--porcelain').strip() else ''}.",
        f"- Load average before: {os.getloadavg()[0]:.2f}.",
    ]


def record(options, about, rounds, longer, path):
    systems = options.systems
    lines = [f"# Relay of MESSAGE, {datetime.date.today()}", "",
             f"`{' '.join(['perf/relay.py', *sys.argv[1:]])}`", "", *about, "",
             "MESSAGE in, MESSAGE out, 200 in, 200 out; plain UDP on loopback; the method is in "
             "`perf/README.md`. Medians with [min-max].", "",
             f"## {options.rounds} rounds of {options.seconds} s, interleaved, "
             + (f"{options.rate} messages/s" if options.rate else f"window {options.window}"), "",
             results_table([result for each in rounds for result in each.values()], systems), "",
             ratios_table(rounds, systems), ""]
    if longer:
        lines += [f"## Once for {options.long} s, longer than timer J", "",
                  results_table(longer, systems), ""]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines))
    print(f"\n{path.read_text()}\nwritten to {path}")


def arguments(description, scenario, names, more=None, **defaults):
    """What a comparison can be told, with `more` options and other `defaults`. `counters` of roger are
    looked at beside those of all."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--systems", default=",".join(names), type=lambda text: text.split(","))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--long", type=int, default=45, help="seconds of the long run; 0: none")
    parser.add_argument("--window", type=int, default=64)
    parser.add_argument("--rate", type=int, help="open loop: messages per second")
    parser.add_argument("--memory", type=int, default=4096, help="MiB of Kamailio's shared memory")
    parser.add_argument("--disturbed", type=float, default=0.2,
                        help="share of a core that neighbours may take from a run")
    parser.add_argument("--tries", type=int, default=3, help="how often a disturbed run is tried")
    parser.add_argument("--no-build", action="store_true")
    parser.add_argument("--record", type=pathlib.Path, help="where the record goes",
                        default=ROOT / "perf" / "record" / f"{datetime.date.today()}-{scenario}.md")
    parser.set_defaults(scenario=scenario, counters=(), transport="udp", polling="adaptive",
                        warm=2.0)
    for name, about in (more or {}).items():
        parser.add_argument(name, **about)
    parser.set_defaults(**defaults)
    return parser.parse_args()


def run_all(options):
    """The rounds, each with every system, and the long runs."""
    rounds = [{name: measure(name, options.seconds, options) for name in options.systems}
              for _ in range(options.rounds)]
    longer = [measure(name, options.long, options) for name in options.systems if options.long]
    return rounds, longer


def judge(results, is_right):
    """Says which runs were not as they should be, and returns the exit status."""
    failed = [result for result in results if not is_right(result)]
    for result in failed:
        print(f"not as it should be: {result}", file=sys.stderr)
    return 1 if failed else 0


def main():
    options = arguments(__doc__.splitlines()[0], "relay", NAMES)
    if not options.no_build:
        build(options.systems)
    about = machine()
    rounds, longer = run_all(options)
    record(options, about, rounds, longer, options.record)
    results = longer + [result for each in rounds for result in each.values()]
    return judge(results, lambda result: result["ok"]
                 and not result["counters"].get("allocations"))


if __name__ == "__main__":
    sys.exit(main())
