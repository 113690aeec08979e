"""Words that say what somebody meant to do, where a document should say what came of it.

"Fairness was considered" says nothing that anybody could check; "fairness was considered: the lowest rate of flags
is 0.84 of the highest" does. A sentence with such words and without a number beside them is a finding.

1. What is looked at is a sentence: it ends at `.`, `!`, `?` or `;` before a space, or with the text.
2. A number is a numeral, or a number's word up to twelve. A numeral that is part of a name (`AC-2`, `v3`) or of a
   date is none: a citation is no result.
3. The list is of words that assessors' guides name as empty. It is short on purpose: what it finds is worth
   rewriting, and a list that finds too much is switched off.
"""

import re
from collections.abc import Iterator

# What was meant, hoped or begun; never what was measured.
PATTERNS = (
    (r"\b(?:was|were|been|being)\s+(?:\w+ly\s+)?(?:considered|contemplated|taken\s+into\s+"
     r"(?:account|consideration))\b"),
    r"\b(?:consideration|thought|attention|priority)\s+(?:was|were|is|has\s+been)\s+(?:\w+\s+)?(?:given|paid)\b",
    r"\befforts?\b(?:\s+\w+){0,3}\s+(?:made|undertaken|taken)\b",
    r"\b(?:every|all\s+reasonable|best|reasonable)\s+efforts?\b",
    (r"\b(?:steps?|measures?|care|precautions?)\s+(?:was|were|is|are|has\s+been|have\s+been)\s+(?:being\s+)?"
     r"(?:taken|exercised)\b"),
    (r"\b(?:striv(?:e|es|ing)|strove|endeavou?r(?:s|ed|ing)?|aspir(?:e|es|ed|ing)|aim(?:s|ed)?\s+to|seeks?\s+to|"
     r"sought\s+to|hopes?\s+to)\b"),
    r"\b(?:is|are|remains?)\s+committed\s+to\b",
    r"\bwill\s+be\s+(?:considered|addressed|monitored|evaluated|assessed|mitigated|improved)\b",
    r"\b(?:bias(?:es)?|risks?|harms?)\b(?:\s+\w+){0,4}\s+(?:minimi[sz]ed|mitigated|addressed|reduced|avoided)\b",
    (r"\b(?:appropriate|adequate|suitable|robust|rigorous)\s+(?:\w+\s+)?(?:measures?|steps?|testing|safeguards?|"
     r"mitigations?)\b"),
    r"\b(?:regularly|periodically|from\s+time\s+to\s+time|on\s+a\s+regular\s+basis)\b",
    (r"\b(?:high(?:ly)?|good|strong|acceptable|satisfactory|excellent)\s+(?:accura(?:cy|te)|performance|precision|"
     r"recall|reliab(?:ility|le))\b"),
    (r"\b(?:performs?|performed|works?|worked)\s+(?:very\s+|sufficiently\s+)?(?:well|adequately|reliably|"
     r"accurately)\b"),
    (r"\b(?:thoroughly|extensively|carefully|rigorously|fully)\s+(?:tested|reviewed|evaluated|validated|vetted|"
     r"assessed|examined)\b"),
)  # fmt: skip

_PATTERNS = tuple(re.compile(pattern, re.IGNORECASE) for pattern in PATTERNS)
_SENTENCE = re.compile(r"(?<=[.!?;])\s+")
_WORDS = r"one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|half|third|quarter|hundred"
_NUMBER = re.compile(rf"(?<![\w.-])(?:\d[\d,]*(?:\.\d+)?%?|(?:{_WORDS})(?=\s))(?!\w)", re.IGNORECASE)
_NO_RESULT = re.compile(
    r"\b(?:[A-Z]{2,}-\d+(?:\(\d+\))?|(?:SP|AI|RFC|FIPS|ISO|DoDI|DoDD|OMB|EO|version|rev\.?|section|chapter|article|"
    r"appendix|table|figure)\s+[\dA-Z.-]*\d[\w.-]*|\d{4}-\d{2}-\d{2})",
    re.IGNORECASE,
)


def intent_words(text: str) -> Iterator[tuple[str, str]]:
    """Each sentence that has such words and no number: the words, and the sentence."""
    for sentence in _SENTENCE.split(" ".join(text.split())):
        if _NUMBER.search(_NO_RESULT.sub(" ", sentence)):
            continue
        first = next((found for pattern in _PATTERNS if (found := pattern.search(sentence))), None)
        if first is not None:
            yield first[0], sentence
