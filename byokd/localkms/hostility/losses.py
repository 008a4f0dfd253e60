"""A Region loses all imported material, as AWS warns that one may: the keys stay, their material does not.

"AWS KMS doesn't guarantee that imported key material is as durable as key material that it generates"
(https://docs.aws.amazon.com/kms/latest/developerguide/import-keys-protect.html). Nobody is told: AWS documents no event
for it, and clients find the keys PendingImport.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from typing import NoReturn

from byokd.localkms.clock import Clock
from byokd.localkms.hostility.fate import draw
from byokd.localkms.hostility.settings import Hostility
from byokd.localkms.keyring import Keyring
from byokd.localkms.keys import Origin
from byokd.localkms.materials import without
from byokd.localkms.persistence import Journal

log = logging.getLogger(__name__)


def lose_imported_material(keyring: Keyring, region: str) -> int:
    """Delete the bytes of every imported material of all accounts in a Region; returns how many keys had any."""
    struck = 0
    for key in [each for each in keyring.all_keys() if each.owner.region == region and each.origin is Origin.EXTERNAL]:
        after = key
        for material in key.materials:
            after = without(after, material.id)
        if after is not key:
            keyring.put(after)
            struck += 1
    return struck


async def keep_losing(keyring: Keyring, journal: Journal, clock: Clock, hostility: Hostility) -> NoReturn:
    """Every `loss_every_s` seconds of the clock, let one Region that has keys lose its material. Until cancelled."""
    losses = 0
    while True:
        await _wait_until(clock, clock.now() + hostility.loss_every_s)
        regions = sorted({key.owner.region for key in keyring.all_keys() if key.origin is Origin.EXTERNAL})
        if not regions:
            continue
        losses += 1
        region = regions[int(draw(str(hostility.seed), "loss", str(losses)) * len(regions))]
        struck = lose_imported_material(keyring, region)
        log.warning("%s has lost all imported material: %d keys", region, struck)
        try:
            await journal.flush()
        except sqlite3.Error:
            log.exception("a loss could not be written to disk; it holds in memory and will be written later")


async def _wait_until(clock: Clock, moment: float) -> None:
    while clock.now() < moment:  # a sleep may end early
        await clock.sleep_until(moment)
        await asyncio.sleep(0)
