"""Bags of words of plain texts: words of letters, without those that say nothing, the rare, and the common."""

import re
from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np

from targets.conjugate.bags import Bags
from targets.options import require

WORD = re.compile(r"[a-z]{3,}")

FEW = 20  # texts, among which no word is too common

_STOP = """
about above after again against all also although always among and another any anyone anything are aren around
because been before being below between both but can cannot could did didn does doesn doing don done down during
each either else enough etc even every everything few following for from further get gets give given gives goes
going got had has have having here hers herself him himself his how however instead into isn its itself just kept
know least less let like likely made make makes making many may maybe might more most much must need needed needs
neither never next nor not nothing now off often once one only onto other others otherwise our out over own per
perhaps please possible rather really same see seen several shall she should show shown since some something still
such take taken takes than that the their theirs them themselves then there therefore these they thing things this
those though three through thus together too two under unless until upon use used useful user users uses using
usually very via want was way well were what when where whether which while who whose why will with within without
would yes yet you your yours
"""
STOP = frozenset(_STOP.split())


def tokens(text: str) -> list[str]:
    """Its words in lower case: runs of three or more letters that are no stop words."""
    return [word for word in WORD.findall(text.lower()) if word not in STOP]


def bags_of_texts(
    texts: Sequence[str],
    titles: Sequence[str] = (),
    *,
    fewest: int = 5,
    share: float = 0.25,
    drop: Collection[str] = (),
    shortest: int = 1,
) -> Bags:
    """Bags of texts, with a vocabulary in the order of the alphabet.

    Args:
        texts: the documents.
        titles: of the documents, or ().
        fewest: documents that a word has to be in, fewer where there are fewer than ten times as many documents.
        share: of the documents that a word may be in, at most.
        drop: words to leave out.
        shortest: document, in words of the vocabulary, to keep.

    Raises:
        UsageError: no words are left.
    """
    each = [Counter(tokens(text)) for text in texts]
    seen = Counter(word for counts in each for word in counts)
    least = min(fewest, max(1, len(texts) // 10))
    most = share * len(texts) if len(texts) >= FEW else len(texts)
    vocabulary = sorted(word for word, n in seen.items() if least <= n <= most and word not in drop)
    require(bool(vocabulary), f"no word is in {least} to {most:g} of the {len(texts)} texts")
    number = {word: w for w, word in enumerate(vocabulary)}
    kept = [{number[word]: n for word, n in counts.items() if word in number} for counts in each]
    chosen = [d for d, counts in enumerate(kept) if sum(counts.values()) >= shortest]
    return Bags.of_entries(
        np.repeat(np.arange(len(chosen)), [len(kept[d]) for d in chosen]),
        np.array([w for d in chosen for w in kept[d]], dtype=np.int64),
        [n for d in chosen for n in kept[d].values()],
        (len(chosen), len(vocabulary)),
        vocabulary,
        [titles[d] for d in chosen] if titles else (),
    )
