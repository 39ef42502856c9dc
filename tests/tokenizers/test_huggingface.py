"""A model's own tokenizer and chat template, from a directory: a small one, trained here."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from weighbridge.core.catalogue import Catalogue
from weighbridge.core.counting import estimate
from weighbridge.core.counting.template import Unwritten
from weighbridge.core.dialects import DIALECTS
from weighbridge.core.errors import ConfigError
from weighbridge.core.model import Estimate, RawCall
from weighbridge.tokenizers import load
from weighbridge.tokenizers.huggingface import HuggingFaceTokenizer

SPECIAL = ["<|im_start|>", "<|im_end|>", "<|end|>"]
TEXTS = ["The lorry weighs seven tons, found wanting.", '{"lorry": "ZH 1", "tons": 7}', "Wägen, wiegen, 稱量 🚚"]
CHATML = """
{%- if tools %}
{{- '<|im_start|>system\\n' }}
{%- for tool in tools %}{{ tool | tojson }}{{ '\\n' }}{% endfor %}
{{- '<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
{%- if message.role not in ['system', 'user', 'assistant', 'tool'] %}{{ raise_exception('no such role') }}{% endif %}
{%- set said = message.content if message.content is string else 'parts' %}
{{- '<|im_start|>' + message.role + '\\n' + said }}
{%- for call in message.tool_calls or [] %}{{ call.function.name }}({{ call.function.arguments | tojson }}){% endfor %}
{{- '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{% generation %}{{ '<|im_start|>assistant\\n' }}{% endgeneration %}{% endif %}
"""


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(TEXTS, trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, show_progress=False))
    made.add_special_tokens([AddedToken(text, special=True) for text in SPECIAL])
    return made


Model = Callable[..., HuggingFaceTokenizer]


@pytest.fixture
def model(tokenizer: Tokenizer, tmp_path: Path) -> Model:
    """A directory as HuggingFace lays it out, loaded."""

    def lay_out(template: Any = CHATML, *, beside: bool = False, **config: Any) -> HuggingFaceTokenizer:
        place = tmp_path / "my-llama"
        place.mkdir(exist_ok=True)
        tokenizer.save(str(place / "tokenizer.json"))
        if beside:
            (place / "chat_template.jinja").write_text(template)
        else:
            config["chat_template"] = template
        (place / "tokenizer_config.json").write_text(json.dumps({"bos_token": {"content": "<|end|>"}, **config}))
        return HuggingFaceTokenizer(place)

    return lay_out


def counted(path: str, **body: Any) -> Estimate:
    catalogue = Catalogue({}, {"my-llama": {"tokenizer": path}})
    request = {"model": "my-llama", "messages": [{"role": "user", "content": TEXTS[0]}], **body}
    call = DIALECTS["openai-chat"].parse(RawCall("openai-chat", json.dumps(request).encode()))
    known = catalogue.model(call.model)
    return estimate(call, known, load(known.tokenizer))


TOOL = {"type": "function", "function": {"name": "weigh", "description": "", "parameters": {"type": "object"}}}
CALL = {"id": "c", "type": "function", "function": {"name": "weigh", "arguments": '{"lorry":"ZH 1"}'}}
WRITTEN = {
    "a word": ({}, f"<|im_start|>user\n{TEXTS[0]}<|im_end|>\n"),
    "tools": (
        {"tools": [TOOL]},
        f"<|im_start|>system\n{json.dumps(TOOL)}\n<|im_end|>\n<|im_start|>user\n{TEXTS[0]}<|im_end|>\n",
    ),
    "a call and its result": (
        {
            "messages": [
                {"role": "system", "content": "Weigh."},
                {"role": "assistant", "content": None, "tool_calls": [CALL]},
                {"role": "tool", "tool_call_id": "c", "content": "7"},
            ]
        },
        "<|im_start|>system\nWeigh.<|im_end|>\n"
        '<|im_start|>assistant\nweigh({"lorry": "ZH 1"})<|im_end|>\n'
        "<|im_start|>tool\n7<|im_end|>\n",
    ),
}


@pytest.mark.parametrize("beside", [False, True], ids=["in the config", "in its own file"])
@pytest.mark.parametrize(("body", "written"), WRITTEN.values(), ids=WRITTEN)
def test_the_prompt_is_what_the_template_writes(
    model: Model, tokenizer: Tokenizer, tmp_path: Path, beside: bool, body: dict[str, Any], written: str
) -> None:
    model(beside=beside)
    found = counted(str(tmp_path / "my-llama"), **body)
    exact = len(tokenizer.encode(written + "<|im_start|>assistant\n", add_special_tokens=False))
    assert (found.tokens, found.method) == (exact, "my-llama chat template")
    assert exact <= found.upper <= exact + 16


def test_a_template_for_tools_of_its_own(model: Model) -> None:
    named = [{"name": "default", "template": "plain"}, {"name": "tool_use", "template": "with tools"}]
    both = model(named)
    assert (both.written([], []), both.written([], [TOOL])) == ("plain", "with tools")


def test_the_names_templates_use(model: Model) -> None:
    assert model("{{ bos_token }}{{ eos_token }}{{ strftime_now('%Y') }}").written([], []) == "<|end|>2026"


SAYS_NO = {
    "raises": "{{ raise_exception('roles must alternate') }}",
    "reads what is not there": "{{ messages[9].content.strip() }}",
    "wants out": "{{ ().__class__.__base__.__subclasses__() }}",
    "writes": "{{ messages.append(1) }}",
    "never ends": "{% for i in range(10 ** 9) %}x{% endfor %}",
}


@pytest.mark.parametrize("template", SAYS_NO.values(), ids=SAYS_NO)
def test_a_template_that_does_not_take_it_leaves_the_estimate(model: Model, tmp_path: Path, template: str) -> None:
    with pytest.raises(Unwritten):
        model(template).written([{"role": "user", "content": "a"}], [])
    load.cache_clear()
    found = counted(str(tmp_path / "my-llama"))
    assert found.method == "my-llama scaled" and found.tokens > 0


def test_no_template_at_all(model: Model) -> None:
    with pytest.raises(Unwritten, match="no chat template"):
        model(None).written([], [])


def test_images_are_estimated_beside_the_text(model: Model, tmp_path: Path) -> None:
    model()
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    found = counted(str(tmp_path / "my-llama"), messages=[{"role": "user", "content": [image]}])
    assert found.parts.media > 1000 and found.upper > found.tokens


@settings(max_examples=200)
@given(st.lists(st.one_of(st.sampled_from([*SPECIAL, " ", "\n"]), st.text(max_size=8)), max_size=8))
def test_cut_at_special_tokens_the_count_is_the_same(tokenizer: Tokenizer, pieces: list[str]) -> None:
    text = "".join(pieces).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    found = HuggingFaceTokenizer(Path("unread"))
    found.__dict__["_tokenizer"] = tokenizer
    assert found.count(text) == len(tokenizer.encode(text, add_special_tokens=False))


def test_a_tokenizer_that_marks_a_texts_start_is_given_whole_texts(tokenizer: Tokenizer) -> None:
    marking = Tokenizer.from_str(tokenizer.to_str())
    marking.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    found = HuggingFaceTokenizer(Path("unread"))
    found.__dict__["_tokenizer"] = marking
    text = "weighed<|im_end|>and<|im_end|> wanting"
    assert found.count(text) == len(marking.encode(text, add_special_tokens=False))


def test_lone_surrogates_and_nothing(model: Model) -> None:
    assert model().count("\ud800") > 0
    assert model().count("") == 0


@pytest.mark.parametrize("name", ["/nowhere/at/all", "./nowhere"])
def test_nothing_there(name: str) -> None:
    with pytest.raises(ConfigError, match=r"tokenizer\.json"):
        load(name)


@pytest.mark.parametrize(("file", "text"), [("tokenizer.json", "{"), ("tokenizer_config.json", "{")])
def test_files_that_cannot_be_read(model: Model, tmp_path: Path, file: str, text: str) -> None:
    broken = model()
    (tmp_path / "my-llama" / file).write_text(text)
    with pytest.raises(ConfigError):
        broken.count("a")
        broken.written([], [])


def test_a_template_that_is_none(model: Model) -> None:
    with pytest.raises(ConfigError, match="chat template"):
        model("{% if %}").written([], [])
