"""Does the prompt fit the model's window and the policies' limits, and how much output is left."""

from __future__ import annotations

from fnmatch import fnmatchcase

from weighbridge.core.errors import Refused
from weighbridge.core.model import Call, Estimate, Model
from weighbridge.core.policy.budget import Facts
from weighbridge.core.policy.model import ContextRule, ModelRule, Policy

UNKNOWN_MAX_OUTPUT = 16_384
"""Output held for a model of which nothing is known (the usual ceiling of hosted chat models)."""


def fits_model(model: Model, call: Call, estimate: Estimate) -> None:
    """Raises Refused("context_length") where the prompt alone is larger than the model takes."""
    limit = min((n for n in (model.max_input, model.window) if n is not None), default=None)
    if limit is not None and _at_once(call, estimate) > limit:
        raise _overlong(estimate, limit, f"model '{call.model}' takes {limit}")


def output_room(model: Model, call: Call, estimate: Estimate) -> int | None:
    """Most output tokens of one choice beside this prompt; None where nothing is known."""
    rooms = [] if model.max_output is None else [model.max_output]
    if model.window is not None:
        rooms.append(max(1, model.window - _at_once(call, estimate)))
    return min(rooms, default=None)


def _at_once(call: Call, estimate: Estimate) -> int:
    """Prompt tokens that stand in the window together.  Several inputs are read one by one, and for a
    tool at the provider the prompt is read, and billed, again and again: neither adds up in there."""
    size = estimate.tokens if any(tool.server for tool in call.tools) else estimate.upper
    return -(-size // call.inputs)


def too_long(model: Model, call: Call, estimate: Estimate, asked: int) -> Refused:
    """The refusal for prompt and requested output together, where clamping is off."""
    room = output_room(model, call, estimate)
    return Refused(
        "context_length",
        f"Model '{call.model}' leaves room for {room} output tokens beside this prompt "
        f"(about {estimate.tokens} tokens) and {asked} were requested. Lower max_tokens to {room}.",
        would_fit=room,
        counted=estimate.upper + asked,
        limit=model.window or model.max_output,
        param="max_tokens",
    )


def exceeded(policies: tuple[Policy, ...], estimate: Estimate) -> ContextRule | None:
    """The first enforced prompt limit this prompt is over and that knows a way out (trim, reroute)."""
    for policy in policies:
        rule = policy.context
        if rule is None or policy.mode != "enforce" or rule.on_exceed == "reject":
            continue
        if estimate.upper > rule.max_input_tokens:
            return rule
    return None


def refusal(policy: Policy, facts: Facts, estimate: Estimate, *, rerouted: bool) -> Refused | None:
    """What a policy's model list or prompt limit has against the call; None: nothing."""
    if policy.models is not None and not _listed(policy.models, facts):
        return Refused(
            "model_not_allowed",
            f"Policy '{policy.name}' does not allow model '{facts.get('model')}'."
            + (f" Allowed: {', '.join(policy.models.allow)}." if policy.models.allow else ""),
            param="model",
        )
    rule = policy.context
    if rule is None or (rerouted and rule.on_exceed == "reroute"):
        return None
    if estimate.upper > rule.max_input_tokens:
        return _overlong(estimate, rule.max_input_tokens, f"policy '{policy.name}' allows {rule.max_input_tokens}")
    return None


def _listed(rule: ModelRule, facts: Facts) -> bool:
    if any(facts.fit("model", glob) for glob in rule.deny):
        return False
    # The name as requested decides what is allowed: it is the name that is billed.
    return not rule.allow or any(fnmatchcase(facts.get("model"), glob) for glob in rule.allow)


def _overlong(estimate: Estimate, limit: int, clause: str) -> Refused:
    counted = max(estimate.tokens, limit + 1) if estimate.whole else estimate.tokens
    about = "about" if estimate.whole else "at least"
    return Refused(
        "context_length",
        f"This prompt has {about} {counted} tokens (up to {estimate.upper}) and {clause}. "
        "Shorten the conversation or leave out attachments.",
        counted=max(counted, limit + 1),
        limit=limit,
        param="messages",
    )
