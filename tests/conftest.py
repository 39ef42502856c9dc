from __future__ import annotations

from hypothesis import settings

# How long an example takes says how busy the machine is, and nothing about what is tested.
settings.register_profile("weighbridge", deadline=None)
settings.load_profile("weighbridge")
