"""Several hosts on one machine: namespaces, each with its own address, name, processes, home, /tmp/ray and Ray node.

Each host is held by a first process, with which all others of the host end. The hosts are joined by a bridge that lies
in a namespace of its own, so that nothing of the machine's own network is touched. Needs root, iproute2 and util-linux.
Everything is removed at the end, also after a failure.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PORT = 6379
START_S = 300.0
CUT_S = 20.0
"""How long a link that is cut stays down."""
SETTINGS = Path("/etc/netns")
"""`ip netns exec NAME` shows what lies in NAME's folder here in the place of /etc's own files."""
FIRST_PROCESS = """
import os, signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
print("up", flush=True)
while True:
    signal.sigwait([signal.SIGCHLD])
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass
"""
"""Reaps what has lost its parent, as the first process of a host does. Without arguments, for ``python -c``."""


def missing() -> str:
    """What keeps this machine from having such hosts; empty where nothing does."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    for command, package in (("ip", "iproute2"), ("nsenter", "util-linux"), ("unshare", "util-linux")):
        if shutil.which(command) is None:
            return f"network namespaces need the command {command} (package {package})"
    name = f"prl-try-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if made.returncode:
        return f"network namespaces cannot be made here: {made.stderr.strip()}"
    _ip("netns", "del", name)
    return ""


def shared_environment(folder: Path) -> dict[str, str]:
    """What all hosts share: the code, a cache for models in ``folder``, and what torch has compiled for DeepSpeed."""
    from torch.utils.cpp_extension import get_default_build_root

    return {
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(ROOT),
        "RAY_worker_niceness": "0",  # Ray's own is 15: behind everything else that runs on this machine
        "RAY_raylet_start_wait_time_s": "240",  # a slow machine, or a busy one
        "XDG_CACHE_HOME": str(folder / "cache"),
        "TORCH_EXTENSIONS_DIR": os.environ.get("TORCH_EXTENSIONS_DIR", get_default_build_root()),
    }


@dataclass
class Host:
    """One of the hosts."""

    name: str
    """Its host name."""
    space: str
    """Its network namespace."""
    address: str
    folder: Path
    """Holds its home, its working folder and its /tmp/ray."""
    environment: dict[str, str] = field(default_factory=dict)
    cpus: int = 0
    """What Ray was told when it was started there."""
    _power: subprocess.Popen[str] | None = None
    """The parent of the host's first process; None until it is switched on."""

    @property
    def home(self) -> Path:
        """HOME of its user."""
        return self.folder / "home"

    @property
    def work(self) -> Path:
        """Where its commands run."""
        return self.folder / "work"

    def command(self, arguments: Sequence[str]) -> list[str]:
        """Makes a command run on this host, which is switched on for it."""
        if self._power is None or self._power.poll() is not None:
            self._boot()
        enter = [f"--{kind}" for kind in ("net", "uts", "mount", "pid")]
        return ["nsenter", f"--target={self._first}", *enter, f"--wd={self.work}", *arguments]

    def start(self, arguments: Sequence[str], output: Path) -> subprocess.Popen[bytes]:
        """A command of this host, in the background."""
        with output.open("ab") as out:
            return subprocess.Popen(
                self.command(arguments),
                env=self.environment,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def run(self, arguments: Sequence[str], timeout_s: float = 120.0) -> subprocess.CompletedProcess[str]:
        """A command of this host, to its end."""
        return subprocess.run(
            self.command(arguments),
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def end(self, started: subprocess.Popen[bytes], signal_number: int = signal.SIGTERM) -> None:
        """Sends a signal to a command that ``start`` started."""
        for pid in _children(started.pid):
            os.kill(pid, signal_number)

    def processes(self) -> list[int]:
        """Ids of all processes that run on this host, but for those that hold it."""
        holders = () if self._power is None else (self._power.pid, *_children(self._power.pid))
        found = [int(pid) for pid in _ip("netns", "pids", self.space, check=False).split()]
        return [pid for pid in found if pid not in holders]

    def kill(self) -> None:
        """Ends every process at once, as a lost power supply would."""
        if self._power is None:
            return
        self._power.kill()  # the kernel ends the first process, and with it all others
        self._power.wait(10)
        deadline = time.monotonic() + 10
        while pids := self.processes():
            if time.monotonic() > deadline:
                raise RuntimeError(f"processes of host {self.name} cannot be ended: {pids}")
            time.sleep(0.05)
        self._power = None

    @property
    def _first(self) -> int:
        """The host's first process, as this machine numbers it."""
        assert self._power is not None
        return _children(self._power.pid)[0]

    def _boot(self) -> None:
        memory = "mount -t tmpfs -o mode=1777,size=2g tmpfs /dev/shm"
        enter = f'hostname {self.name} && mount --bind {self.folder}/ray /tmp/ray && {memory} && exec "$@"'
        alone = ["unshare", "--uts", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        first = ["sh", "-c", enter, "sh", sys.executable, "-I", "-S", "-c", FIRST_PROCESS]
        command = ["ip", "netns", "exec", self.space, *alone, *first]
        self._power = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        assert self._power.stdout is not None
        if self._power.stdout.readline() != "up\n":
            raise RuntimeError(f"host {self.name} cannot be switched on ({self._power.wait(10)})")


@dataclass
class Hosts:
    """A bridge with hosts on it."""

    prefix: str
    folder: Path
    token: str
    hosts: list[Host] = field(default_factory=list)

    @property
    def head(self) -> Host:
        """The first host."""
        return self.hosts[0]

    @property
    def address(self) -> str:
        """Of the Ray cluster."""
        return f"{self.head.address}:{PORT}"

    def add(self, name: str, environment: Mapping[str, str], *, debian: bool = False) -> Host:
        """One more host. With ``debian`` its name stands for 127.0.1.1 in its /etc/hosts, as Debian's installer has it;
        it knows the others by their addresses."""
        number = len(self.hosts) + 1
        host = Host(name, f"{self.prefix}-{number}", f"10.77.0.{number}", self.folder / name)
        for folder in (host.home / ".ray", host.work, host.folder / "ray"):
            folder.mkdir(parents=True)
        (host.home / ".ray" / "auth_token").write_text(self.token)
        host.environment = {
            **environment,
            "HOME": str(host.home),
            "RAY_AUTH_MODE": "token",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
        _ip("netns", "add", host.space)
        self.hosts.append(host)
        settings = SETTINGS / host.space
        settings.mkdir(parents=True)
        own = "127.0.1.1" if debian else host.address
        (settings / "hosts").write_text(f"127.0.0.1 localhost\n{own} {name}\n")
        here, there = f"{self.prefix}v{number}", f"{self.prefix}b{number}"
        _ip("-n", host.space, "link", "add", here, "type", "veth", "peer", "name", there, "netns", self._switch)
        _ip("-n", host.space, "addr", "add", f"{host.address}/24", "dev", here)
        for space, link in ((host.space, "lo"), (host.space, here), (self._switch, there)):
            _ip("-n", space, "link", "set", link, "up")
        _ip("-n", self._switch, "link", "set", there, "master", "bridge")
        return host

    def start_ray(self, host: Host, *, cpus: int, options: Sequence[str] = ()) -> None:
        """`ray start` on a host: the head first, then the others join it."""
        host.cpus = cpus
        own = f"--node-ip-address={host.address}"
        place = ["--head", f"--port={PORT}"] if host is self.head else [f"--address={self.address}"]
        size = [f"--num-cpus={cpus}", f"--object-store-memory={200 * 2**20}"]
        done = host.run(
            [
                sys.executable,
                "-m",
                "ray.scripts.scripts",
                "start",
                *place,
                own,
                *size,
                "--disable-usage-stats",
                *options,
            ],
            START_S,
        )
        if done.returncode:
            raise RuntimeError(f"ray start on {host.name}: {done.stdout[-2000:]}{done.stderr[-2000:]}")

    def restart_ray(self, host: Host) -> None:
        """`ray start` on a host that was killed, as when it is switched on again."""
        self.start_ray(host, cpus=host.cpus)

    def cut(self, host: Host) -> None:
        """Takes a host off the network for ``CUT_S``."""
        link = ["-n", self._switch, "link", "set", f"{self.prefix}b{self.hosts.index(host) + 1}"]
        _ip(*link, "down")
        try:
            time.sleep(CUT_S)
        finally:
            _ip(*link, "up")

    def open(self) -> None:
        """Makes the bridge."""
        _ip("netns", "add", self._switch)
        _ip("-n", self._switch, "link", "add", "bridge", "type", "bridge")
        _ip("-n", self._switch, "link", "set", "bridge", "up")

    def close(self) -> None:
        """Ends every process of every host and removes the hosts."""
        for host in self.hosts:
            host.kill()
        for space in [*(host.space for host in self.hosts), self._switch]:
            _ip("netns", "del", space, check=False)
            shutil.rmtree(SETTINGS / space, ignore_errors=True)
        with suppress(OSError):
            SETTINGS.rmdir()  # if it is empty
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def _switch(self) -> str:
        return f"{self.prefix}-0"


@contextmanager
def hosts_on_this_machine() -> Iterator[Hosts]:
    """No hosts yet; ``add`` makes them."""
    Path("/tmp/ray").mkdir(exist_ok=True)
    prefix = f"p{os.getpid() % 10**6}"  # names of network devices have at most 15 characters
    made = Hosts(prefix, Path(tempfile.mkdtemp(prefix="hosts-")), secrets.token_hex(32))
    try:
        made.open()
        yield made
    finally:
        made.close()


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def _ip(*arguments: str, check: bool = True) -> str:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise RuntimeError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout
