"""The policy of byokd as pure functions: snapshot and time in, decision out.

Nothing here awaits, logs, reads a clock, draws a number or changes a value. `now` is read once a cycle by the engine
and passed down. `decide.decide` is the entrance; `rules` is the policy, in the order in which it is asked.
"""
