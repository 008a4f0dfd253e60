"""How the local KMS misbehaves: as AWS does at its worst hour, on purpose, and the same way at every run.

A client that was only ever tested against a kind server grows to fit it. So this one is unkind by default, within
what AWS documents and what a careful client survives; FRIENDLY turns all of it off::

    settings   what may go wrong, how often, within which bounds
    fate       what will go wrong with one request, drawn from the seed when it arrives
    quotas     AWS's request quotas: who is told ThrottlingException
    past       eventual consistency: what a reader sees who is behind
    losses     a Region loses all imported material
    hostile    the hand that the wire's seam (passage.py) lets into each request

None of these touches HTTP; the wire carries out what they say. The rules of KMS know nothing of them.
"""

from byokd.localkms.hostility.settings import FRIENDLY, Hostility

__all__ = ["FRIENDLY", "Hostility"]
