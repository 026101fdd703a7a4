"""Workers on Ray: two nodes as processes, of which one is killed; the result is that of one process."""

import os
import socket
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from higan_fast.cluster import ray_crew
from higan_fast.cluster.ray_crew import OBJECT_STORE, RayCrew
from higan_fast.probing import verify
from higan_fast.sampling.samples import sample
from tests.probing.same import same
from tests.processes import exit_code
from tests.sampling.test_shards import contents
from tests.toy import toy_by_name

ROOT = Path(__file__).parents[2]
VERIFYING = {"num": 64, "null": "isotropic", "num_null": 8, "progress": False}
# by hand, for docs/cluster.md: HIGAN_FAST_RAY_SAMPLES=500000 python -m pytest --timeout 2400 THIS -k node
NUM = int(os.environ.get("HIGAN_FAST_RAY_SAMPLES", 1500))
SIZE = 64 if NUM < 10_000 else 256
UNITS = -(-NUM // SIZE)
SAMPLING = {"shard_size": SIZE, "progress": False}


class Nodes:
    """A Ray cluster of two nodes on the loopback: a head with two CPUs, and a second node with one."""

    def __init__(self, folder):
        from ray.cluster_utils import Cluster

        store = {"object_store_memory": OBJECT_STORE}
        head = {"num_cpus": 2, "include_dashboard": False, "temp_dir": folder}
        self._cluster = Cluster(
            initialize_head=True, head_node_args=head | store | {"node_ip_address": "127.0.0.2"}
        )
        self._second = self._cluster.add_node(num_cpus=1, node_ip_address="127.0.0.3", **store)
        self.address = self._cluster.address

    def kill_the_second(self):
        self._cluster.remove_node(self._second, allow_graceful=False)

    def shutdown(self):
        self._cluster.shutdown()


def running(folder):
    """Processes whose command line names a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if folder.encode() in (process / "cmdline").read_bytes():
                found.append(process.name)
        except OSError:
            continue
    return found


@pytest.fixture
def environment():
    """What Ray reads; none of its processes may be left."""
    pytest.importorskip("ray", reason="Ray is not installed (extra ray)")
    with tempfile.TemporaryDirectory(
        prefix="ray-", ignore_cleanup_errors=True
    ) as folder:  # sockets want short paths
        # Into this folder Ray writes the address of the current cluster. A Cluster does not make it.
        (Path(folder) / "ray").mkdir()
        yield {
            "PYTHONPATH": str(ROOT),  # of workers, who import the toy
            "RAY_AUTH_MODE": "disabled",  # else it writes a token into the home folder
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_worker_niceness": "0",  # else other tests starve the workers
            "RAY_TMPDIR": folder,
        }
        until = time.monotonic() + 20
        while (left := running(folder)) and time.monotonic() < until:
            time.sleep(0.1)
        assert not left


@pytest.fixture
def nodes(environment, monkeypatch):
    """Two nodes."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    made = Nodes(environment["RAY_TMPDIR"])
    yield made
    made.shutdown()


def local(run, environment, heard):
    """``--ray local``, as a process; it writes where it and its processes listen."""
    os.environ.update(environment)
    with RayCrew(run, toy_by_name, "local", 1) as crew:
        sample(*toy_by_name(), 64, run, crew=crew, **SAMPLING)
        heard.write_text("\n".join(listening(os.getpid())))


def listening(process):
    """Local addresses, as the kernel writes them, at which a process and its descendants listen."""
    sockets, parents = set(), {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    family = {process}
    while more := {child for child, parent in parents.items() if parent in family} - family:
        family |= more
    for one in family:
        for descriptor in Path(f"/proc/{one}/fd").glob("*"):
            with suppress(OSError):
                sockets.add(str(descriptor.readlink()))
    tables = "".join(path.read_text() for path in Path("/proc/net").glob("tcp*"))
    lines = [line.split() for line in tables.splitlines()]
    return [line[1].split(":")[0] for line in lines if line[3] == "0A" and f"socket:[{line[9]}]" in sockets]


@pytest.mark.slow
def test_a_local_cluster_listens_on_the_loopback_alone(environment, tmp_path):
    heard = tmp_path / "heard"
    assert exit_code(local, tmp_path / "run", environment, heard) == 0
    addresses = heard.read_text().splitlines()
    assert len(addresses) > 3
    assert all(address.endswith("0100007F") for address in addresses), addresses
    sample(*toy_by_name(), 64, tmp_path / "alone", **SAMPLING)
    assert contents(tmp_path / "run") == contents(tmp_path / "alone")


@pytest.mark.slow
def test_a_node_is_killed_and_the_rest_makes_the_same(nodes, boundaries, tmp_path):
    sample(*toy_by_name(), NUM, tmp_path / "alone", **SAMPLING)
    run = tmp_path / "run"
    with RayCrew(run, toy_by_name, nodes.address, 2) as crew:
        do, count = crew.do, 0

        def killing(task, num, done):
            def counted(unit):
                nonlocal count
                count += 1
                if count == UNITS // 2:
                    nodes.kill_the_second()
                done(unit)

            do(task, num, counted)

        crew.do = killing
        sample(*toy_by_name(), NUM, run, crew=crew, **SAMPLING)
        assert count == UNITS  # each once
        assert contents(run) == contents(tmp_path / "alone")
        found = verify(*toy_by_name(), boundaries, out=run, crew=crew, **VERIFYING)
        same(found, verify(*toy_by_name(), boundaries, **VERIFYING))
        broken = crew.folder / "broken.task.npz"
        broken.write_bytes(b"no task")
        with pytest.raises(
            ValueError, match=r"^\S*broken.task.npz: is damaged \([^\n]*\)$"
        ):  # a worker's line
            crew.do(broken, 1, lambda unit: None)
        with pytest.raises(ValueError, match=r"crew: works in .*run, and out is .*other"):
            sample(*toy_by_name(), 64, tmp_path / "other", crew=crew, **SAMPLING)
    with (
        pytest.raises(ValueError, match=r"workers \(--workers\): got 99, and the Ray cluster has [23] CPUs"),
        RayCrew(run, toy_by_name, nodes.address, 99) as crew,
    ):
        crew.do(broken, 1, lambda unit: None)


def test_nothing_starts_where_nothing_is_to_do(tmp_path):
    ray = pytest.importorskip("ray", reason="Ray is not installed (extra ray)")
    sample(*toy_by_name(), 64, tmp_path, **SAMPLING)
    with RayCrew(tmp_path, toy_by_name, "local", 1) as crew:
        sample(*toy_by_name(), 64, tmp_path, crew=crew, **SAMPLING)
        assert not ray.is_initialized()
    with pytest.raises(ValueError, match=r"got 9999, and the Ray cluster has \d+ CPUs"):
        RayCrew(tmp_path, toy_by_name, "local", 9999).__enter__()


@pytest.mark.parametrize("says", [b"HTTP/1.1 400 Bad Request\r\n\r\n", None], ids=["something", "nothing"])
def test_a_port_that_is_not_rays_is_refused_at_once(tmp_path, monkeypatch, says):
    monkeypatch.setattr(ray_crew, "_ANSWERS_IN", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"127.0.0.1:{listening.getsockname()[1]}"

        def answer():
            connection, _ = listening.accept()
            with connection:
                connection.recv(1000)
                if says:
                    connection.sendall(says)
                else:
                    connection.recv(1)  # until the other side gives up

        thread = threading.Thread(target=answer)
        thread.start()
        line = "what answers at .* is no Ray cluster" if says else r"nothing answers at .* \(timed out\)"
        with pytest.raises(ConnectionError, match=line):
            RayCrew(tmp_path, toy_by_name, address).__enter__()
        thread.join()


def test_what_is_no_cluster_is_refused(tmp_path, monkeypatch):
    pytest.importorskip("ray", reason="Ray is not installed (extra ray)")
    with pytest.raises(
        ConnectionError, match=r"nothing answers at 127.0.0.1:1 .*; start a cluster with ray st"
    ):
        RayCrew(tmp_path, toy_by_name, "127.0.0.1:1").__enter__()
    for address in ("", "here", "127.0.0.1:", "ray://"):
        with pytest.raises(ValueError, match="expected HOST:PORT, auto or local"):
            RayCrew(tmp_path, toy_by_name, address).__enter__()
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ImportError, match=r"Ray is not installed; pip install 'higan_fast\[ray\]'"):
        RayCrew(tmp_path, toy_by_name, "local")
