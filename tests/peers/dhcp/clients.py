"""The real DHCP clients, each set up with the ready files of tools/dhcp, and dnsmasq as the server."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import headstay
from end_to_end.processes import until
from peers.dhcp.cable import CLIENT_INTERFACE
from peers.dhcp.scripted_server import ACK
from peers.namespaces import Namespace, child_of

TOOLS = Path(__file__).parents[3] / "tools" / "dhcp"
RENEW_AFTER = 5
"""Seconds after which dnsmasq tells clients to renew. udhcpc pays no attention and is told by a signal."""
NOT_SOON = 90
"""So many that no client renews within a test."""


class Dnsmasq:
    """The DHCP server."""

    def __init__(self, namespace: Namespace, directory: Path, options: Mapping[int, str]) -> None:
        directory.mkdir()
        self._options = directory / "options"
        self._write(options)
        pid_file = directory / "pid"
        command = [
            *(
                "dnsmasq",
                "--keep-in-foreground",
                "--conf-file=/dev/null",
                "--port=0",
                "--user=root",
                "--log-facility=-",
            ),
            *("--no-ping", "--interface=srv0", "--bind-interfaces", f"--pid-file={pid_file}"),
            *("--dhcp-range=192.0.2.100,192.0.2.150,2m", f"--dhcp-leasefile={directory}/leases"),
            *("--dhcp-authoritative", "--dhcp-option=option:router", f"--dhcp-optsfile={self._options}"),
        ]
        self._process = namespace.start(command, directory / "log")
        until(pid_file.exists, bool)

    def offers(self, options: Mapping[int, str], renew_after: int = RENEW_AFTER) -> None:
        """From now on give these options."""
        self._write(options, renew_after)
        os.kill(child_of(self._process), signal.SIGHUP)

    def _write(self, options: Mapping[int, str], renew_after: int = RENEW_AFTER) -> None:
        # Quoted: dnsmasq would make four octets of 127.0.0.1.
        lines = [f'{code},"{value}"\n' for code, value in options.items()]
        self._options.write_text("".join([f"option:T1,{renew_after}\noption:T2,100\n", *lines]))


class ScriptedServer:
    """The server of `scripted_server.py`, for what dnsmasq does not do."""

    def __init__(self, namespace: Namespace, directory: Path, options: Mapping[int, bytes], lease: int = 10) -> None:
        """`lease` is how many seconds one lasts."""
        directory.mkdir()
        self._script = directory / "script.json"
        self._log = directory / "log"
        self._lease = lease
        self.offers(options)
        program = str(Path(__file__).with_name("scripted_server.py"))
        namespace.start([sys.executable, program, "srv0", str(self._script)], self._log)
        until(self._script.with_suffix(".ready").exists, bool)

    def offers(self, options: Mapping[int, bytes]) -> None:
        """From now on give these options."""
        self._write(silent=False, options={str(code): value.hex() for code, value in options.items()})

    def falls_silent(self) -> None:
        """From now on say nothing."""
        self._write(silent=True, options={})

    @property
    def granted(self) -> int:
        """How often it has granted or renewed a lease."""
        return self._log.read_text().split().count(str(ACK))

    def _write(self, **script: object) -> None:
        aside = self._script.with_suffix(".new")
        aside.write_text(json.dumps({"lease": self._lease, "renew": 2, "rebind": 4, **script}))
        aside.replace(self._script)


class Client:
    """A DHCP client in its namespace. `headstay` is found as its hook finds it on a device."""

    def __init__(self, namespace: Namespace, directory: Path, state_dir: Path) -> None:
        self.namespace = namespace
        self.directory = directory
        directory.mkdir()
        program = directory / "headstay"
        source = Path(headstay.__file__).parents[1]
        command = f"PYTHONPATH={shlex.quote(str(source))} exec {shlex.quote(sys.executable)} -m headstay"
        self._executable(program, f'#!/bin/sh\n{command} "$@"\n')
        defaults = self.made(
            "default", {"headstay": f"HEADSTAY={program}\nHEADSTAY_OPTIONS='--state-dir {state_dir}'\n"}
        )
        namespace.put(defaults, "/etc/default")
        # No client may touch the machine's own.
        namespace.put(self.made("", {"resolv.conf": ""}) / "resolv.conf", "/etc/resolv.conf")
        namespace.run("mount", "-t", "tmpfs", "none", "/run")
        self.set_up()

    def set_up(self) -> None:
        """Put the client's files in place."""

    def start(self) -> None:
        """Ask for a lease."""
        self.process = self.namespace.start(self.command(), self.directory / "log")

    def command(self) -> list[str]:
        """Return the command line that asks for a lease and goes on in the foreground."""
        raise NotImplementedError

    def renew(self) -> None:
        """Renew the lease now, if it is not renewed soon anyhow."""

    def release(self) -> None:
        """Give the lease back. No renewal may be due meanwhile."""
        raise NotImplementedError

    def without_udev(self) -> None:
        """Show the namespace's own interfaces in /sys, read-only: that says that no udev has to get them ready."""
        self.namespace.run("mount", "-t", "sysfs", "-o", "ro", "none", "/sys")

    def made(self, name: str, files: Mapping[str, str]) -> Path:
        """Make a directory with these files."""
        directory = self.directory / name
        directory.mkdir(exist_ok=True)
        for file, text in files.items():
            (directory / file).write_text(text)
        return directory

    @staticmethod
    def _executable(file: Path, text: str) -> None:
        file.write_text(text)
        file.chmod(0o755)


class Udhcpc(Client):
    """busybox's."""

    PROGRAM = "udhcpc"

    def command(self) -> list[str]:
        script = str(TOOLS / "udhcpc" / "headstay.script")
        return ["udhcpc", "-f", "-i", CLIENT_INTERFACE, "-O", "252", "-O", "253", "-s", script]

    def renew(self) -> None:
        os.kill(child_of(self.process), signal.SIGUSR1)

    def release(self) -> None:
        os.kill(child_of(self.process), signal.SIGUSR2)


class Dhclient(Client):
    """ISC's."""

    PROGRAM = "dhclient"

    def set_up(self) -> None:
        ready = (TOOLS / "dhclient" / "headstay.conf").read_text()
        files = self.made("dhcp", {"dhclient.conf": f"request subnet-mask, broadcast-address;\n{ready}"})
        hooks = files / "dhclient-exit-hooks.d"
        hooks.mkdir()
        shutil.copy(TOOLS / "dhclient" / "headstay", hooks)
        self.namespace.put(files, "/etc/dhcp")

    def command(self) -> list[str]:
        return ["dhclient", "-d", *self._files(), CLIENT_INTERFACE]

    def release(self) -> None:
        self.namespace.run("dhclient", "-r", *self._files(), CLIENT_INTERFACE)

    def _files(self) -> list[str]:
        return ["-pf", f"{self.directory}/pid", "-lf", f"{self.directory}/leases"]


class Dhcpcd(Client):
    """Roy Marples's."""

    PROGRAM = "dhcpcd"

    def set_up(self) -> None:
        ready = (TOOLS / "dhcpcd" / "headstay.conf").read_text()
        # noarp: it would look for five seconds whether somebody has the address already.
        files = self.made("dhcpcd", {"dhcpcd.conf": f"noarp\nnoipv4ll\n{ready}"})
        self.namespace.put(files / "dhcpcd.conf", "/etc/dhcpcd.conf")
        hooks = self.made("hooks", {})
        shutil.copy(TOOLS / "dhcpcd" / "90-headstay", hooks)
        self.namespace.put(hooks, "/usr/lib/dhcpcd/dhcpcd-hooks")
        self.namespace.run("mount", "-t", "tmpfs", "none", "/var/lib/dhcpcd")

    def command(self) -> list[str]:
        return ["dhcpcd", "-B", "-4", CLIENT_INTERFACE]

    def release(self) -> None:
        # dhcpcd 9 loses a signal that comes while its hook runs: the inner loop that waits for the hook takes it and
        # knows only SIGCHLD. But it answers on its control socket from the outer loop alone, so an answer (here: the
        # lease, which nobody reads) says that the hook is over.
        self.namespace.run("dhcpcd", "-4", "-U", CLIENT_INTERFACE)
        self.namespace.run("dhcpcd", "-4", "-k", CLIENT_INTERFACE)


class Networkd(Client):
    """systemd's. It runs no hook, and neither udev nor D-Bus nor systemd itself is there."""

    PROGRAM = "/lib/systemd/systemd-networkd"

    def set_up(self) -> None:
        # The identifier that it would send otherwise is made from /etc/machine-id, which not every machine has.
        own = f"[Match]\nName={CLIENT_INTERFACE}\n[Network]\nDHCP=ipv4\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n"
        files = self.made("network", {"50-uplink.network": f"{own}[DHCPv4]\nClientIdentifier=mac\n"})
        drop_ins = files / "50-uplink.network.d"
        drop_ins.mkdir()
        shutil.copy(TOOLS / "networkd" / "headstay.conf", drop_ins)
        self.namespace.put(files, "/etc/systemd/network")
        self.without_udev()
        # As its unit has them made; it gives up root for this user.
        directories = [f"/run/systemd/netif{below}" for below in ("", "/leases", "/links", "/lldp")]
        self.namespace.run("install", "-d", "-o", "systemd-network", "-g", "systemd-network", *directories)

    def command(self) -> list[str]:
        return [self.PROGRAM]


class NetworkManager(Client):
    """freedesktop.org's, on a D-Bus of its own, which starts its dispatcher."""

    PROGRAM = "NetworkManager"
    PATIENCE = 2
    """Seconds for which it looks for another lease after one has ended."""

    def set_up(self) -> None:
        # Neither names nor the host's name are its business: the latter would be the machine's own.
        main = "plugins=keyfile\nauth-polkit=false\ndhcp=internal\nno-auto-default=*\ndns=none\nhostname-mode=none\n"
        files = self.made("NetworkManager", {"NetworkManager.conf": f"[main]\n{main}"})
        connection = self.made(
            "NetworkManager/system-connections",
            {
                "uplink.nmconnection": f"[connection]\nid=uplink\ntype=ethernet\ninterface-name={CLIENT_INTERFACE}\n"
                f"[ipv4]\nmethod=auto\ndhcp-timeout={self.PATIENCE}\n[ipv6]\nmethod=disabled\n"
            },
        )
        (connection / "uplink.nmconnection").chmod(0o600)
        shutil.copy(TOOLS / "NetworkManager" / "90-headstay", self.made("NetworkManager/dispatcher.d", {}))
        self.namespace.put(files, "/etc/NetworkManager")
        self.namespace.run("mount", "-t", "tmpfs", "none", "/var/lib/NetworkManager")
        self.without_udev()
        self.namespace.run("mkdir", "/run/dbus")

    def start(self) -> None:
        self.namespace.start(["dbus-daemon", "--system", "--nofork", "--nopidfile"], self.directory / "dbus-log")
        until(Path(f"/proc/{self.namespace.pid}/root/run/dbus/system_bus_socket").exists, bool)
        super().start()

    def command(self) -> list[str]:
        return [self.PROGRAM, "--debug"]

    def connect(self) -> None:
        """Ask for a lease again."""
        self.namespace.run("nmcli", "connection", "up", "uplink")

    def release(self) -> None:
        self.namespace.run("nmcli", "connection", "down", "uplink")


CLIENTS: tuple[type[Udhcpc | Dhclient | Dhcpcd], ...] = (Udhcpc, Dhclient, Dhcpcd)
