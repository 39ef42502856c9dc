"""What counting is measured against: a study's figures on calls it had not seen, and what is to be reached."""

from __future__ import annotations

from typing import Final

from weighbridge.core.accuracy import ALL

STUDY: Final = {
    ("openai", "text"): ("99% 0 0", ">=99% exact"),
    ("openai", "tools"): ("84% 0 2%", ">=88% exact, P95 2%"),
    ("openai", "tools (responses)"): ("48%, within 5%: 94%", ">=70% exact, P95 3%"),
    ("openai", "structured output"): ("92-100% 0 1%", ">=97% exact"),
    ("openai", "images"): ("50% 0.1% 8%", ">=80% exact"),
    ("openai", "documents"): ("0 2% 58%", "2% 15%"),
    ("openai", ALL): ("bounds 1.08", "bounds 1.06, covered 99%"),
    ("anthropic", "text"): ("4.0% 13%", "2.5% 10%"),
    ("anthropic", "tools"): ("1.3% 9%", "1% 7%"),
    ("anthropic", "images"): ("1.2% 23%", "1% 10%"),
    ("anthropic", "documents"): ("16%", "5%"),
    ("anthropic", "thinking"): ("1.9%", "1.5%"),
    ("anthropic", "structured output"): ("2.4%", "2%"),
    ("anthropic", ALL): ("bounds 1.16", "bounds 1.15, covered 99%"),
    ("gemini", "text"): ("6.7% 15%", "5% 12%"),
    ("gemini", "tools"): ("6.4% 47%", "4% 25%"),
    ("gemini", "images"): ("0.6%", "0.5%"),
    ("gemini", "documents"): ("2.7%", "1.5%"),
    ("gemini", "audio and video"): ("9.6%", "4%"),
    ("gemini", "hidden reasoning"): ("3.0% 15%", "2.5% 15%"),
    ("gemini", ALL): ("bounds 1.77", "bounds 1.4, covered 99%"),
    ("other", ALL): ("7% 150%, sum 0.90, bounds 3.6", "5% 60%, 0.95-1.05, 2.0, covered 99%"),
}
"""(family, kind) -> (what a study reached on unseen rows, the target): exact, median, P95 as far as they are set."""
