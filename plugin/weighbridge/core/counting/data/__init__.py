"""Constants of the counting rules, each with its source and date.

Python literals rather than JSON: the core does no I/O, mypy reads them, a diff shows what changed.
"""
