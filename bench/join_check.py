#!/usr/bin/env python3
"""Is the deduplication right on 20,000 texts of each corpus?  A check, not a measurement.

usage: join_check.py [--rows N] [--tamis FILE] [CORPUS...]

Embeds the first N distinct user texts of each corpus of ../shared/data, deduplicates the vectors
with `tamis dedup` on every instruction set of this machine, and compares rows, keepers and
cosines with all pairs in double precision, one row after the other.  Needs NumPy.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile

import numpy as np

import corpora
import results
import run

DIM, BLOCK = 384, 1024


def all_pairs(x, threshold):
    """[(line, kept line, cosine)] of the rows that go, counted from 1, by the rule as worded."""
    kept, gone = np.zeros(len(x), bool), []
    for start in range(0, len(x), BLOCK):
        block = x[start:start + BLOCK].astype(np.float64)
        earlier = np.flatnonzero(kept[:start])
        cosines = np.full((len(block), start + len(block)), -2.0)
        for k in range(0, len(earlier), BLOCK):
            some = earlier[k:k + BLOCK]
            cosines[:, some] = block @ x[some].astype(np.float64).T
        inside = block @ block.T
        for i, row in enumerate(cosines):
            row[start:start + i] = np.where(kept[start:start + i], inside[i, :i], -2)
            best = int(row[:start + i].argmax()) if start + i else 0
            kept[start + i] = row[best] < threshold
            if not kept[start + i]:
                gone.append((start + i + 1, best + 1, row[best]))
    return gone


def differences(x, got, want):
    """Lines that go here or there only, that have another cosine, or a keeper not as near."""
    by_line = {g["line"]: g for g in got}
    lines = {line for line, _, _ in want}
    found = sorted(lines ^ set(by_line))
    for line, _, cosine in want:
        if line in by_line:
            keeper = x[by_line[line]["kept_line"] - 1].astype(np.float64)
            off = abs(by_line[line]["score"] - cosine) > 5.1e-7
            if off or abs(x[line - 1].astype(np.float64) @ keeper - cosine) > 1e-12:
                found.append(line)
    return found


def check(tamis, corpus, rows, threshold, work):
    texts = list(dict.fromkeys(corpora.user_texts(corpora.path_of(corpus))))[:rows]
    lines, vectors = os.path.join(work, "texts.jsonl"), os.path.join(work, "vectors.f32")
    corpora.write_texts(lines, texts)
    with open(lines, "rb") as f, open(vectors, "wb") as out:
        subprocess.run([tamis, "embed", "--jsonl", "--quiet"], stdin=f, stdout=out, check=True)
    x = np.fromfile(vectors, np.float32).reshape(-1, DIM)
    want, wrong = all_pairs(x, threshold), 0
    for isa in results.ISAS[:results.ISAS.index(run.machine_isa()) + 1]:
        gone = os.path.join(work, "gone.jsonl")
        subprocess.run([tamis, "dedup", "--vectors", vectors, "--dim", str(DIM), "--threshold",
                        str(threshold), "--removed", gone, "--quiet"], check=True,
                       stdout=subprocess.DEVNULL, env=dict(os.environ, TAMIS_ISA=isa))
        with open(gone, encoding="ascii") as f:
            off = differences(x, [json.loads(line) for line in f], want)
        print("%s, %s: %d texts, %d kept, %s" % (
            corpus, isa, len(texts), len(texts) - len(want),
            "rows that differ: %s" % off[:10] if off else "as all pairs say"), flush=True)
        wrong += len(off)
    return wrong


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--rows", type=int, default=20000)
    p.add_argument("--threshold", type=float, default=0.85)
    p.add_argument("--tamis", default=os.path.join(corpora.ROOT, "build", "tamis"))
    p.add_argument("corpus", nargs="*")
    args = p.parse_args()
    names = args.corpus or sorted(name[:-len(".jsonl.gz")] for name in os.listdir(corpora.SHARED)
                                  if name.endswith(".jsonl.gz") and "SYNTHETIC" not in name)
    with tempfile.TemporaryDirectory() as work:
        return 1 if sum(check(args.tamis, c, args.rows, args.threshold, work) for c in names) else 0


if __name__ == "__main__":
    sys.exit(main())
