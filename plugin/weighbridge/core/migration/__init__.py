"""Policies made of another gateway's settings: what is equal, and what has no equal.

litellm.py    a LiteLLM proxy's config.yaml, and the rows of its database
holders.py    its keys, teams, users, organisations: who has which limits
fleet.py      its model groups: which real models stand behind a name
durations.py  its durations as windows
draft.py      what is written in the end
"""
