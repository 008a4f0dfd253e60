"""How people are told: one file per channel, each an implementation of `ports.Channel`.

A channel hands over one notice and says whether that worked. When to tell, whom, and what to do about a channel that
fails belongs to the engine and its outbox; a channel keeps nothing and tries once.
"""
