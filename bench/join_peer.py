"""Vectors in, numbers of kept rows out, the way other programs do it: what dedup is measured by.

usage: join_peer.py METHOD VECTORS COUNT THRESHOLD OUT
       join_peer.py check VECTORS COUNT THRESHOLD KEPT

VECTORS holds unit vectors of 384 float32, of which the first COUNT are taken; OUT gets the numbers
of the kept rows, from 1, one a line.  METHOD:

  faiss     IndexFlatIP.range_search over all pairs, then first come, first kept
  numpy     rows in blocks against the kept ones, by matrix product, then one by one in the block
  semhash   SemHash.from_embeddings(...).self_deduplicate(...), its defaults
  semdedup  the rule of SemDeDup: k-means, within a cluster a row goes if any row before it is near,
            itself kept or not; about ROWS rows a cluster

Prints one JSON object: seconds of the work alone, versions.  `check` counts what is wrong with
a list of kept rows: kept ones with an earlier kept one at or above the threshold, others that no
kept one covers; pairs near the line are computed again in double precision.
Runs in the environment that peers.py makes.
"""

import json
import sys
import time

import numpy as np

DIM, BLOCK, ROWS, NEAR = 384, 1024, 500, 1e-5


def greedy_of_pairs(count, earlier):
    """earlier(i): neighbours of a row; those before it decide."""
    kept = np.zeros(count, bool)
    for i in range(count):
        near = earlier(i)
        kept[i] = not kept[near[near < i]].any()
    return np.flatnonzero(kept)


def by_faiss(x, threshold):
    import faiss
    index = faiss.IndexFlatIP(DIM)
    index.add(x)
    neighbours = []
    for k in range(0, len(x), BLOCK):
        limits, _, found = index.range_search(x[k:k + BLOCK], threshold)
        neighbours += np.split(found, limits[1:-1].astype(np.int64))
    return greedy_of_pairs(len(x), lambda i: neighbours[i]), {"faiss": faiss.__version__}


def by_numpy(x, threshold):
    kept, numbers, n = np.empty_like(x), [], 0
    for k in range(0, len(x), BLOCK):
        block = x[k:k + BLOCK]
        free = (block @ kept[:n].T).max(axis=1) < threshold if n else np.ones(len(block), bool)
        inside = block @ block.T >= threshold
        for i in np.flatnonzero(free):
            if not (inside[i, :i] & free[:i]).any():
                kept[n] = block[i]
                n += 1
                numbers.append(k + i)
            else:
                free[i] = False
    return np.array(numbers), {"numpy": np.__version__}


def by_semhash(x, threshold):
    import semhash

    class NoModel:
        def encode(self, *_args, **_more):
            raise RuntimeError("the vectors are there")

    names = [str(i) for i in range(len(x))]
    index = semhash.SemHash.from_embeddings(embeddings=x, records=names, model=NoModel())
    result = index.self_deduplicate(threshold=threshold)
    import importlib.metadata
    return np.sort(np.array(result.selected, np.int64)), {
        "semhash": importlib.metadata.version("semhash")}


def by_semdedup(x, threshold):
    import faiss
    means = faiss.Kmeans(DIM, max(1, len(x) // ROWS), niter=10, seed=1, spherical=True)
    means.train(x)
    _, cluster = means.index.search(x, 1)
    kept = np.ones(len(x), bool)
    for c in np.unique(cluster):
        rows = np.flatnonzero(cluster[:, 0] == c)
        cosines = np.triu(x[rows] @ x[rows].T, 1)
        kept[rows[cosines.max(axis=0) >= threshold]] = False
    return np.flatnonzero(kept), {"faiss": faiss.__version__}


METHODS = {"faiss": by_faiss, "numpy": by_numpy, "semhash": by_semhash, "semdedup": by_semdedup}


def is_near(x, i, others, cosines, threshold):
    """Is one of these at or above the threshold?  Double precision near the line."""
    if (cosines >= threshold + NEAR).any():
        return True
    close = others[cosines >= threshold - NEAR]
    return bool(len(close)) and bool(
        (x[close].astype(np.float64) @ x[i].astype(np.float64) >= threshold).any())


def check(x, threshold, path):
    kept = np.loadtxt(path, np.int64, ndmin=1) - 1
    is_kept = np.zeros(len(x), bool)
    is_kept[kept] = True
    vectors, near, uncovered = x[kept], 0, 0
    for k in range(0, len(x), BLOCK):
        cosines = x[k:k + BLOCK] @ vectors.T
        for i in range(k, min(k + BLOCK, len(x))):
            row = cosines[i - k]
            if is_kept[i]:
                n = np.searchsorted(kept, i)
                near += is_near(x, i, kept[:n], row[:n], threshold)
            else:
                uncovered += not is_near(x, i, kept, row, threshold)
    return {"kept": len(kept), "kept_near": int(near), "uncovered": int(uncovered)}


def main():
    method, path, count, threshold, other = sys.argv[1:6]
    count, threshold = int(count), float(threshold)
    x = np.fromfile(path, np.float32, count * DIM).reshape(-1, DIM)
    if method == "check":
        print(json.dumps(check(x, threshold, other)))
        return
    if method != "numpy":
        METHODS[method](x[:BLOCK], threshold)  # imports and first calls are not counted
    started = time.perf_counter()
    kept, versions = METHODS[method](x, threshold)
    seconds = time.perf_counter() - started
    np.savetxt(other, kept + 1, "%d")
    print(json.dumps({"alone": seconds, "versions": versions}))


if __name__ == "__main__":
    main()
