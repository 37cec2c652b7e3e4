"""All tools that are measured on whole jobs, by their names on the command line."""

from __future__ import annotations

from benchmarks.peers.contestant import Contestant
from benchmarks.peers.go_tools import Ingestr, Sling
from benchmarks.peers.pgsnow_jobs import Cold, Warm
from benchmarks.peers.python_tools import Dlt, Plan

CONTESTANTS: dict[str, Contestant] = {
    "warm": Warm(),
    "cold": Cold(),
    "ingestr": Ingestr(interval=False),
    "ingestr_interval": Ingestr(interval=True),
    "sling": Sling(),
    "dlt": Dlt("connectorx"),
    "dlt_pyarrow": Dlt("pyarrow"),
    "plan": Plan(),
}
