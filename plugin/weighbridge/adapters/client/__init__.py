"""Client transports: what `adapters.httpx` and `adapters.httpx2` have in common, which is all but the import.

crossing.py    the order of things for one request, without waiting for anything
terms.py       what a transport was told: identity, settings
threads.py     drives a crossing with threads
loops.py       drives a crossing in an event loop
"""
