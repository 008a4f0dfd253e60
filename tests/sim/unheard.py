"""More bugs that are planted on purpose (see `bugs`): with each, byokd keeps to itself what it promised to tell."""

from __future__ import annotations

from typing import Final

from tests.sim.bugs import Bug, _bug

UNHEARD: Final[tuple[Bug, ...]] = (
    _bug(
        "nobody hears that a ValidTo comes near",
        "decide/conditions.py",
        "    lost,\n    expiring,\n",
        "    lost,\n",
    ),
    _bug(
        "nobody hears that a renewal is overdue",
        "decide/conditions.py",
        "    expiring,\n    overdue,\n",
        "    expiring,\n",
    ),
    _bug(
        "people hear of the first threshold alone",
        "decide/conditions.py",
        'stage=f"{int(nearest.total_seconds())}s"',
        'stage=f"{int(max(crossed).total_seconds())}s"',
    ),
    _bug(
        "nobody hears of a hold",
        "decide/conditions.py",
        "    hands_off,\n    held,\n",
        "    hands_off,\n",
    ),
    _bug(
        "a hold gets no louder",
        "decide/conditions.py",
        "severity=Severity.CRITICAL if near else Severity.INFO,",
        "severity=Severity.INFO,",
    ),
    _bug(
        "nobody hears of a clock that is off",
        "engine/upkeep.py",
        "            off = abs(skew.by) > self._threshold\n",
        "            off = False\n",
    ),
    _bug(
        "nobody hears of a key that cannot be looked at",
        "decide/conditions.py",
        "    overdue,\n    blind,\n",
        "    overdue,\n",
    ),
    _bug(
        "nobody hears of an import that fails",
        "decide/conditions.py",
        "    source,\n    failing,\n",
        "    source,\n",
    ),
    _bug(
        "nobody hears of an import that was refused",
        "decide/conditions.py",
        "    failing,\n    refused,\n",
        "    failing,\n",
    ),
    _bug(
        "nobody hears of an alias that names another key",
        "decide/conditions.py",
        "    hidden,\n    alias_moved,\n",
        "    hidden,\n",
    ),
)
