"""What happened, as tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from rich.console import Console
from rich.text import Text

from weighbridge.adapters.demo.teams import TEAMS
from weighbridge.adapters.demo.traffic import Sent
from weighbridge.core.ledger import Counter, Counters, Entry, Fetch, State
from weighbridge.core.policy import shelf
from weighbridge.core.policy.budget import amount_text
from weighbridge.ledger import Store
