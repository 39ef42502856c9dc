"""Tags a request carries itself, in its `x-weighbridge-tags` header.

They are for reports and per-tag budgets, never for identity.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from weighbridge.core.errors import Refused
from weighbridge.core.model import Principal

HEADER: Final = "x-weighbridge-tags"
MOST_TAGS: Final = 16
LONGEST_TAG: Final = 256


def tagged(who: Principal, text: str) -> Principal:
    """A sender with the tags of one request.  Its own win: a request cannot move itself out of a per-tag
    budget.  Raises Refused("malformed")."""
    tags = request_tags(text)
    return replace(who, tags={**tags, **who.tags}) if tags else who


def request_tags(text: str) -> dict[str, str]:
    """`run=42,feature=search` as a mapping.  Raises Refused("malformed")."""
    tags = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = item.partition("=")
        if not equals or not name.strip():
            raise Refused("malformed", f"x-weighbridge-tags holds '{item[:40]}'; write name=value pairs.")
        if len(item) > LONGEST_TAG:
            raise Refused("malformed", f"x-weighbridge-tags: '{item[:40]}...' is over {LONGEST_TAG} characters long.")
        tags[name.strip()] = value.strip()
    if len(tags) > MOST_TAGS:
        raise Refused("malformed", f"x-weighbridge-tags holds {len(tags)} tags; {MOST_TAGS} at most.")
    return tags
