"""Everything that can be configured: the only reader of YAML and of the environment.

A value comes from an explicit argument, else the environment, else the file, else its default.
"""

from weighbridge.settings.load import load, load_policies, read_policies
from weighbridge.settings.model import Counting, Limits, ModelOverride, Provider, Settings, Streams

__all__ = [
    "Counting",
    "Limits",
    "ModelOverride",
    "Provider",
    "Settings",
    "Streams",
    "load",
    "load_policies",
    "read_policies",
]
