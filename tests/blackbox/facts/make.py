#!/usr/bin/env python3
"""Writes the small committed extracts of ../shared/reference, for where that is not there.

    make.py            writes tokens.jsonl, classes.jsonl and cosines.json
    make.py --check    says whether they are what it would write (exit 1)

The texts are those that were made up for the reference, and twelve of the ABCD sample (MIT,
Copyright (c) 2021 ASAPP Research).
"""

import array
import gzip
import json
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
REFERENCE = HERE.parents[3] / "shared" / "reference"


def lines(path):
    with path.open(encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def tokens():
    """Each ninth of the hard texts, and whatever a person would think of first."""
    hard = lines(REFERENCE / "tokens-adversarial.jsonl")
    return [case for k, case in enumerate(hard)
            if (k % 9 == 0 or k < 60) and len(case["text"]) <= 400]


def classes():
    """A code point out of each 23rd run: [hexadecimal, what becomes of a + it + b]."""
    with gzip.open(REFERENCE / "unicode-classes.tsv.gz", "rt", encoding="utf-8") as f:
        runs = [line.rstrip("\n").split("\t") for line in f]
    return [[first, json.loads(words)] for k, (first, _, words) in enumerate(runs)
            if words != "surrogate" and (k % 23 == 0 or k < 20)]


def cosines():
    """For some texts, the cosine of each with each that follows it."""
    texts = [case["text"] for case in lines(REFERENCE / "vectors-2k.jsonl")]
    floats = array.array("f", (REFERENCE / "vectors-2k.f32").read_bytes())
    chosen = [*range(12), *range(len(texts) - 30, len(texts))]
    vectors = [floats[k * 384:(k + 1) * 384] for k in chosen]
    return {"texts": [texts[k] for k in chosen],
            "cosines": [[round(sum(x * y for x, y in zip(v, w)), 8) for w in vectors[k + 1:]]
                        for k, v in enumerate(vectors)]}


def main():
    def dumped(values):
        return "".join(json.dumps(value, ensure_ascii=True) + "\n" for value in values)
    stale = 0
    for name, text in (("tokens.jsonl", dumped(tokens())), ("classes.jsonl", dumped(classes())),
                       ("cosines.json", json.dumps(cosines()) + "\n")):
        path = HERE / name
        if sys.argv[1:] == ["--check"]:
            if not path.exists() or path.read_text("utf-8") != text:
                print("%s is not what make.py makes" % name)
                stale = 1
        else:
            path.write_text(text, "utf-8")
            print("%s: %d bytes" % (name, len(text)))
    return stale


if __name__ == "__main__":
    sys.exit(main())
