"""More vectors than there are texts: real ones, then interpolations of real ones.

usage: more_vectors.py REAL OUT COUNT

REAL holds unit vectors of 384 float32 each.  OUT begins with all of them (or COUNT of them).  Each
further one lies on the arc from a real vector to another, drawn at random, as far from the first
as a real vector is from its nearest: that distance is drawn from what SAMPLE real ones show.
The same COUNT gives the same bytes, and a smaller one the beginning of a larger.
"""

import sys

import numpy as np

DIM, SAMPLE, BLOCK, SEED = 384, 4000, 20000, 1


def nearest(real, rng):
    """The cosine of a sample of real vectors with their nearest other one."""
    chosen = rng.choice(len(real), min(SAMPLE, len(real)), replace=False)
    found = np.empty(len(chosen), np.float32)
    for k in range(0, len(chosen), 200):
        some = chosen[k:k + 200]
        cosines = real[some] @ real.T
        cosines[np.arange(len(some)), some] = -1
        found[k:k + 200] = cosines.max(axis=1)
    return np.clip(found, 0, 1)


def between(real, distances, count, rng):
    a, b = real[rng.integers(len(real), size=count)], real[rng.integers(len(real), size=count)]
    cosine = rng.choice(distances, count)[:, None]
    away = b - a * np.sum(a * b, axis=1, keepdims=True)
    away /= np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-6)
    made = cosine * a + np.sqrt(1 - cosine * cosine) * away
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


def main():
    source, out, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    real = np.fromfile(source, np.float32).reshape(-1, DIM)
    distances = nearest(real, np.random.default_rng(SEED))
    with open(out, "wb") as f:
        real[:count].tofile(f)
        for block, start in enumerate(range(len(real), count, BLOCK)):
            rng = np.random.default_rng((SEED, block))
            between(real, distances, BLOCK, rng)[:count - start].tofile(f)


if __name__ == "__main__":
    main()
