"""The loop that keeps keys alive: gather, decide, intend, admit, act, look again, record.

The engine knows the ports and the pure policy, and no adapter. It holds nothing that a crash could lose: what is due,
what is queued and what was sent are rows in the store, and whatever it finds there after a start is explained by
looking.
"""
