"""Verdicts on texts: strict numbers, choices, and mathematical equivalence.

`exact` and `choice` are pure and cheap and run where they are called. `math` decides in processes
of its own (`isolate`), because an answer of a model can cost unlimited time and memory.
"""
