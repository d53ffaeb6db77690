"""The fetch loop of the published script (reference_script.py) alone, timed from inside.

usage: reference_fetch.py URL

Prints one JSON object: how many interactions it fetched, and the seconds of the loop, token
included.  What the rest of the script imports is not needed here and left out, so neither its
start nor its memory counts.
"""

import json
import sys
import time
import types

for name in ("numpy", "sentence_transformers"):
    sys.modules[name] = types.ModuleType(name)
sys.modules["sentence_transformers"].SentenceTransformer = None

import reference_script as script  # noqa: E402


def main():
    url = sys.argv[1]
    started = time.perf_counter()
    auth = script.CXoneAuthClient(url, "bench", "bench")
    fetched = script.CXoneInteractionFetcher(auth, url, 0).fetch_interactions()
    print(json.dumps({"interactions": len(fetched), "fetch": time.perf_counter() - started}))


if __name__ == "__main__":
    main()
