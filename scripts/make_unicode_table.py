#!/usr/bin/env python3
"""Makes src/embed/unicode_table.c: what the model's tokenizer does to every character.

    make_unicode_table.py TOKENIZER_JSON >src/embed/unicode_table.c

Needs the Python package `tokenizers`; its normalizer and pre-tokenizer are asked, character by
character, so that their Unicode tables (old ones, of several versions) are copied, not guessed.
What a text becomes follows from that and from one rule about sequences: within a run of characters
of non-zero combining class, canonical decomposition sorts by the class.  It shows only in the few
such characters that are not stripped as accents; their classes are found by trying them in pairs.
"""

import itertools
import json
import sys
import unicodedata

import tokenizers
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

SELF, GONE, GONE_STARTER, SPACE, ALONE, HANGUL, MARK, FIRST_EXPANSION = range(8)
CASED_SELF, CASED_GONE, CASED_SPACE, CASED_ALONE = range(4)
BLOCK = 128
PRE = BertPreTokenizer()


def scalars():
    return (c for c in range(0x110000) if not 0xD800 <= c < 0xE000)


def words(normalizer, text):
    return [w for w, _ in PRE.pre_tokenize_str(normalizer.normalize_str(text))]


def spaced(normalizer, c):
    """What c becomes between two letters, word breaks as blanks."""
    text = " ".join(words(normalizer, "a" + chr(c) + "b"))
    assert text[0] == "a" and text[-1] == "b", hex(c)
    return text[1:-1]


def swapped(normalizer, first, between, second):
    """Whether two surviving marks change places when something stands between them."""
    out = normalizer.normalize_str("a" + chr(first) + between + chr(second) + "b")
    return out.find(chr(first)) > out.find(chr(second)) >= 0


def marks(normalizer):
    """{character: combining class} of those that survive and are sorted."""
    candidates = [c for c in scalars() if unicodedata.combining(chr(c))
                  and normalizer.normalize_str("a" + chr(c) + "b") == "a" + chr(c) + "b"]
    pairs = {(a, b) for a, b in itertools.permutations(candidates, 2)
             if swapped(normalizer, a, "", b)}
    known = {c: unicodedata.combining(chr(c)) for c in {c for pair in pairs for c in pair}}
    for a, b in itertools.permutations(candidates, 2):  # the rule explains all that was seen
        assert ((a, b) in pairs) == (known.get(a, 0) > known.get(b, 0) > 0), (hex(a), hex(b))
    return known


def is_hangul(c, expansion):
    if not 0xAC00 <= c <= 0xD7A3:
        return False
    assert expansion == unicodedata.normalize("NFD", chr(c)), hex(c)
    return True


class Pool:
    def __init__(self):
        self.numbers = {}

    def number(self, text):
        return self.numbers.setdefault(text, len(self.numbers))


def table(uncased, cased, pool, known):
    high, low = max(known, key=known.get), min(known, key=known.get)
    for c in scalars():
        text, plain = spaced(uncased, c), spaced(cased, c)
        if text == "":
            starter = not swapped(uncased, high, chr(c), low)
            value = GONE_STARTER if starter else GONE
        elif text == " ":
            value = SPACE
        elif c in known:
            value = MARK
        elif text == chr(c):
            value = SELF
        elif text == " " + chr(c) + " ":
            value = ALONE
        elif is_hangul(c, text):
            value = HANGUL
        else:
            value = FIRST_EXPANSION + pool.number(text)
        kinds = {"": CASED_GONE, chr(c): CASED_SELF, " ": CASED_SPACE,
                 " " + chr(c) + " ": CASED_ALONE}
        yield c, kinds[plain] << 14 | value


def lowered(cased):
    """(character, what it becomes, one or two) where lowering alone changes it."""
    only = BertNormalizer(lowercase=True, strip_accents=False)
    for c in scalars():
        text = spaced(only, c)
        if text != spaced(cased, c):
            assert 1 <= len(text) <= 2 and " " not in text, hex(c)
            yield c, ord(text[0]), ord(text[1]) if len(text) == 2 else 0


def c_array(kind, name, numbers, per_line=16):
    lines = [", ".join(map(str, numbers[k:k + per_line])) for k in range(0, len(numbers), per_line)]
    return "const %s %s[%d] = {\n    %s,\n};\n" % (kind, name, len(numbers), ",\n    ".join(lines))


def main(path):
    with open(path, encoding="utf-8") as f:
        wanted = json.load(f)["normalizer"]
    assert wanted == {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True,
                      "strip_accents": None, "lowercase": True}, wanted
    uncased, cased = BertNormalizer(lowercase=True), BertNormalizer(lowercase=False)
    known, pool = marks(uncased), Pool()
    values = [CASED_SELF << 14 | SELF] * 0x110000
    for c, value in table(uncased, cased, pool, known):
        values[c] = value
    blocks = Pool()
    index = [blocks.number(tuple(values[k:k + BLOCK])) for k in range(0, len(values), BLOCK)]
    texts = [text.encode() for text in pool.numbers]
    offsets = [0, *itertools.accumulate(map(len, texts))]
    assert len(texts) + FIRST_EXPANSION < 1 << 14 and len(blocks.numbers) <= 1 << 16
    sys.stdout.write("""\
/* unicode_table.c - generated by scripts/make_unicode_table.py (tokenizers %s); do not edit.
 * unicode_table.h says what stands here. */
#include "embed/unicode_table.h"

/* clang-format off */
""" % tokenizers.__version__)
    print(c_array("uint16_t", "unicode_blocks", index))
    print(c_array("uint16_t", "unicode_values", [v for b in blocks.numbers for v in b]))
    print(c_array("uint16_t", "unicode_expansion_at", offsets))
    print(c_array("unsigned char", "unicode_expansions", list(b"".join(texts)), 24))
    lower = list(lowered(cased))
    print("const size_t unicode_n_lowered = %d;\n" % len(lower))
    print("const struct unicode_lowered unicode_lowered[%d] = {\n    %s,\n};\n" % (
        len(lower), ",\n    ".join("{0x%X, {0x%X, 0x%X}}" % row for row in lower)))
    print("const size_t unicode_n_marks = %d;\n" % len(known))
    print("const struct unicode_mark unicode_marks[%d] = {\n    %s,\n};" % (
        len(known), ",\n    ".join("{0x%X, %d}" % pair for pair in sorted(known.items()))))


if __name__ == "__main__":
    main(*sys.argv[1:])
