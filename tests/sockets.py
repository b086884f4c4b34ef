"""Where processes listen, as the system knows it."""

from collections.abc import Iterable

import psutil

LOOPBACK = {"127.0.0.1", "::ffff:127.0.0.1", "::1"}


def listening(processes: Iterable[psutil.Process]) -> dict[int, str]:
    """The address of every port on which they listen, by the port."""
    return {
        one.laddr.port: one.laddr.ip
        for process in processes
        for one in process.net_connections("inet")
        if one.status == psutil.CONN_LISTEN or (one.laddr and not one.raddr)
    }
