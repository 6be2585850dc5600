"""Which language's words the bytes of an older Latin encoding make: the letters beyond ASCII that each language has, and how words are written."""

from __future__ import annotations

import re
from functools import cache

_WEST = {
    "German": "äöüß", "French": "àâæçéèêëîïôœùûüÿ", "Spanish": "áéíñóúü", "Portuguese": "àáâãçéêíóôõúü", "Italian": "àèéìíòóùú", "Dutch": "áèéëïóöü",
    "Swedish": "åäöéàü", "Danish": "æøåéöüä", "Icelandic": "áðéíóúýþæö", "Catalan": "àçèéíïòóúü", "Irish": "áéíóú", "Finnish": "äöåšž", "Estonian": "äõöüšž",
    "Welsh": "âêîôûáéíóúàèìòùäëïöü",
}  # fmt: skip
_CENTRAL = {
    "Polish": "ąćęłńóśźż", "Czech": "áčďéěíňóřšťúůýž", "Slovak": "áäčďéíĺľňóôŕšťúýž", "Hungarian": "áéíóöőúüű", "Croatian": "čćđšž", "Romanian": "ăâîşţșț",
    "German": "äöüß",
}  # fmt: skip
_TURKISH = {"Turkish": "çğıöşüâîûİ"}
_BALTIC = {"Lithuanian": "ąčęėįšųūž", "Latvian": "āčēģīķļņšūž", "Estonian": "äõöüšž"}
_SPOKEN = {
    "cp1252": _WEST,
    "cp1250": _CENTRAL,
    "iso8859-2": _CENTRAL,
    "cp1254": _TURKISH,
    "cp1257": _BALTIC,
    "cp852": _CENTRAL,
    "cp850": _WEST,
    "mac_roman": _WEST,
}
_OLD = frozenset({"cp852", "cp850", "mac_roman"})  # of DOS and the Macintosh: believed where nothing else fits
_WORD = re.compile(r"[^\W\d_]*[^\x00-\x7f](?:[^\W\d_]|[^\x00-\x7f])*")
_MOST_WORDS = 2_000
_FEWEST_WORDS, _FEWEST_LETTERS = 3, 2
_ENOUGH, _AHEAD = 0.9, 0.2
_SIGNS = "’‘“”„‚–—…•€£§°«»©®™²³½¼¾±×·¿¡ºª´\xa0"


def language_of(data: bytes) -> tuple[str, str] | None:
    """The encoding and the language whose words these lines make, where they are words of none in Western Europe; None where nothing tells."""
    west = _text(data, "cp1252")
    if west is None or not _WORD.search(west):
        return None
    fitting: list[tuple[float, float, str, str]] = []
    for encoding, languages in _SPOKEN.items():
        other = _text(data, encoding) if encoding != "cp1252" else None
        if other is None:
            continue
        ours, theirs = _other_words(west, other)
        if len(theirs) < _FEWEST_WORDS - 1 or len({sign for word in theirs for sign in word if ord(sign) > 0x7F}) < _FEWEST_LETTERS:
            continue
        share, language = max((sum(_is_word(word, letters) for word in theirs) / len(theirs), language) for language, letters in languages.items())
        western = max(sum(_is_word(word, letters) for word in ours) / len(ours) for letters in _WEST.values())
        if len(theirs) < _FEWEST_WORDS and western:
            continue
        if share >= _ENOUGH and share >= western + _AHEAD:
            fitting.append((share, -western, encoding, language))
    newer = [one for one in fitting if one[2] not in _OLD]
    best = max(newer or fitting, key=lambda one: one[:2], default=None)
    if best is None or (not newer and len({_text(data, encoding) for _, _, encoding, _ in fitting}) > 1):
        return None
    return best[2:]


def _text(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return data.decode(encoding, "replace") if encoding == "cp1252" else None


def _other_words(ours: str, theirs: str) -> tuple[list[str], list[str]]:
    """The different words with letters beyond ASCII of one text, as they are in the other too: only those that differ. Both have the same number of characters."""
    found: dict[tuple[str, str], None] = {}
    place = 0
    for match in re.finditer(r"(?:[^\W\d_]|[^\x00-\x7f])+", theirs):
        if len(found) >= _MOST_WORDS:
            break
        place = match.start()
        mine = ours[place : match.end()]
        if mine != match.group():
            found[_trimmed(mine, match.group())] = None
    return [ours for ours, _ in found], [theirs for _, theirs in found]


def _trimmed(ours: str, theirs: str) -> tuple[str, str]:
    """Both without the signs around the word that both take for the same."""
    begin, end = 0, len(ours)
    while begin < end and ours[begin] == theirs[begin] and not ours[begin].isalpha():
        begin += 1
    while end > begin and ours[end - 1] == theirs[end - 1] and not ours[end - 1].isalpha():
        end -= 1
    return ours[begin:end], theirs[begin:end]


@cache
def _is_word(word: str, letters: str) -> bool:
    """Whether all letters beyond ASCII are of this alphabet, capitals stand where words have them, and no sign stands within."""
    known = letters + letters.upper()
    return len(word) > 1 and all(sign in known if ord(sign) > 0x7F else sign.isalpha() for sign in word) and _is_cased(word)


def _is_cased(word: str) -> bool:
    return (
        word.islower()
        or word.isupper()
        or (word[:1].isupper() and (word[1:].islower() or not word[1:]))
        or (word[-1:].islower() and word[0].isupper() and word[:2].isascii())
    )


def is_told(line: bytes, encoding: str) -> bool:
    """Whether a line that is not UTF-8 is text in this encoding for certain: each byte beyond ASCII is a letter within a word of it, or a sign where text has that."""
    try:
        text = line.decode(encoding)
    except UnicodeDecodeError:
        return False
    letters = "".join(_SPOKEN.get(encoding, _WEST).values())
    known = frozenset(letters + letters.upper().replace("SS", "")) - {"ÿ", "Ÿ"}
    worded = False
    for match in re.finditer(r"(?:[^\W\d_]|[^\x00-\x7f])+", text):
        word = match.group()
        if word.isascii():
            continue
        if (bare := word.strip(_SIGNS)) and not bare.isascii():
            inner = re.sub(r"(?<=\w)[’´](?=\w)", "", bare)
            if len(inner) < 2 or any(ord(sign) > 0x7F and sign not in known for sign in inner) or not _is_cased(inner):  # noqa: PLR2004  # one letter is no word
                return False
            worded = True
        elif re.search(r"\w[’–—“”„…]|[’–—“”„…]\w", word) or word.strip("’“”„–—…€£§°²³½«»\xa0") == "" or _is_beside(text, match):
            worded = True
        elif not (bare.isascii() and worded):
            return False
    return worded


def _is_beside(text: str, match: re.Match[str]) -> bool:
    """Whether a sign stands next to a number or a letter as currencies, degrees and marks do."""
    around = text[max(0, match.start() - 1) : match.start()] + text[match.end() : match.end() + 1]
    return match.group().strip(_SIGNS).isascii() and any(sign.isalnum() or sign.isspace() for sign in around)
