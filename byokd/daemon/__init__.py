"""The composition root: settings become adapters, adapters become an engine, and signals drive it. It decides nothing.

load config ─▶ open store ─▶ (local KMS) ─▶ sync fleet ─▶ engine ─▶ READY
                                                             │  SIGHUP: load again, all or nothing
                                                             └  SIGTERM, SIGINT: finish or hand back, then leave
"""

from __future__ import annotations

from byokd.daemon.run import run

__all__ = ["run"]
