"""What a reload cannot take over: settings that are read once, when the daemon starts.

Policies, keys, lanes, sources and channels are taken over while the daemon runs; these are bound to open files and
sockets, or handed to loops that go on running.
"""

from __future__ import annotations

from typing import Final

from byokd.config.load import Config

AT_START_ONLY: Final = ("state_dir", "fingerprint_key", "socket", "log_format", "skew_threshold", "safety_wake")
"""Settings of `[daemon]` that a running daemon keeps."""


def needs_restart(old: Config, new: Config) -> tuple[str, ...]:
    """One line for each changed setting that only a restart takes over; empty if a reload takes over everything."""
    said, says = old.daemon.model_dump(mode="json"), new.daemon.model_dump(mode="json")
    changed = [f"daemon.{name}: {said[name]} -> {says[name]}" for name in AT_START_ONLY if said[name] != says[name]]
    if old.local_kms != new.local_kms:
        changed.append("local_kms")
    return tuple(changed)
