"""A model's own tokenizer and chat template, from a directory as HuggingFace lays it out.

`tokenizer.json`, and beside it `chat_template.jinja` or `tokenizer_config.json`; no hub, no
transformers, no code of the model's.  Templates run in jinja2's sandbox and cannot change anything.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from weighbridge.core.counting.memo import remembered
from weighbridge.core.counting.template import Unwritten
from weighbridge.core.errors import ConfigError

if TYPE_CHECKING:
    import jinja2

    import tokenizers

SAMPLES: Final = ("a", " a b", "1\n", "")
TODAY: Final = datetime(2026, 1, 1, tzinfo=UTC)
"""The day templates are told it is: a count must not depend on when it is made, and a date's tokens hardly do."""
FAULTS: Final = (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError)
"""What a template's own code may raise on a conversation it was not written for."""
NAMED: Final = ("bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token", "mask_token")


class HuggingFaceTokenizer:
    """Read at the first count.  Threads may share it."""

    def __init__(self, path: Path) -> None:
        self.name = path.parent.name if path.is_file() else path.name
        self._file = path if path.is_file() else path / "tokenizer.json"
        self._lock = Lock()
        self._known = remembered(self._fresh)

    def count(self, text: str) -> int:
        """Tokens of a text; a special token written in it is one, as it is for the model's server.
        Raises ConfigError where the files cannot be read."""
        clean = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        seam = self._seam
        if seam is None:
            return self._known(clean)
        return sum(self._known(piece) for piece in seam.split(clean) if piece)

    def _fresh(self, piece: str) -> int:
        return len(self._tokenizer.encode(piece, add_special_tokens=False))

    def written(self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]]) -> str:
        """The prompt as the template writes it.  Raises Unwritten."""
        import jinja2

        template = self._template(bool(tools))
        if template is None:
            raise Unwritten("the model has no chat template")
        try:
            return template.render(
                messages=messages, tools=tools or None, documents=None, add_generation_prompt=True, **self._special
            )
        except (jinja2.TemplateError, *FAULTS) as error:
            raise Unwritten(f"the template does not take this conversation ({error})") from error

    @cached_property
    def _tokenizer(self) -> tokenizers.Tokenizer:
        import tokenizers

        with self._lock:
            try:
                read = tokenizers.Tokenizer.from_file(str(self._file))
            except Exception as error:  # the library raises Exception itself, for every fault
                raise ConfigError(f"no tokenizer can be read from {self._file}: {error}") from error
            read.no_truncation()
            read.no_padding()
            return read

    @cached_property
    def _seam(self) -> re.Pattern[str] | None:
        """Splits at special tokens, which stand for themselves whatever is around them, so that a chat's
        turns can be counted one by one; None where this tokenizer treats a text's start otherwise."""
        added = self._tokenizer.get_added_tokens_decoder().values()
        special = sorted((token.content for token in added if token.special), key=len, reverse=True)
        if not special:
            return None
        size = self._known
        for token in special[:64]:
            if any(size(f"{a}{token}{b}") != size(a) + size(token) + size(b) for a in SAMPLES for b in SAMPLES):
                return None
        return re.compile(f"({'|'.join(map(re.escape, special))})")

    @cached_property
    def _config(self) -> Mapping[str, Any]:
        path = self._file.with_name("tokenizer_config.json")
        if not path.is_file():
            return {}
        try:
            config = json.loads(path.read_text("utf-8"))
        except ValueError as error:
            raise ConfigError(f"{path} is not JSON: {error}") from error
        return config if isinstance(config, dict) else {}

    @cached_property
    def _special(self) -> dict[str, str]:
        """The special tokens templates name."""
        found = {name: self._config.get(name) for name in NAMED}
        texts = {name: token.get("content") if isinstance(token, dict) else token for name, token in found.items()}
        return {name: text for name, text in texts.items() if isinstance(text, str)}

    @cached_property
    def _templates(self) -> Mapping[str, jinja2.Template]:
        """Name -> template, compiled."""
        import jinja2

        alone = self._file.with_name("chat_template.jinja")
        written = alone.read_text("utf-8") if alone.is_file() else self._config.get("chat_template")
        if isinstance(written, list):
            sources = {str(item.get("name")): item.get("template") for item in written if isinstance(item, dict)}
        else:
            sources = {"default": written}
        try:
            return {name: _sandbox().from_string(text) for name, text in sources.items() if isinstance(text, str)}
        except jinja2.TemplateSyntaxError as error:
            raise ConfigError(f"the chat template of {self._file.parent} cannot be read: {error}") from error

    def _template(self, tools: bool) -> jinja2.Template | None:
        return (self._templates.get("tool_use") if tools else None) or self._templates.get("default")


def _sandbox() -> jinja2.Environment:
    """The environment HuggingFace's templates are written for."""
    from jinja2.ext import Extension, loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """`{% generation %}` marks what the model wrote, and writes nothing itself."""

        tags: set[str] = {"generation"}  # noqa: RUF012 - declared so by jinja2

        def parse(self, parser: Any) -> Any:
            next(parser.stream)
            return parser.parse_statements(("name:endgeneration",), drop_needle=True)

    sandbox = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, Generation], autoescape=False
    )
    sandbox.filters["tojson"] = _to_json
    sandbox.globals["raise_exception"] = _raise
    sandbox.globals["strftime_now"] = TODAY.strftime
    return sandbox


def _to_json(
    value: Any, ensure_ascii: bool = False, indent: Any = None, separators: Any = None, sort_keys: bool = False
) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _raise(message: str) -> None:
    """What templates call where a conversation is not to their taste."""
    raise Unwritten(f"the template does not take this conversation ({message})")
