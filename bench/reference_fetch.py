"""The fetch loop of the published script (reference_script.py) alone, timed from inside.

usage: reference_fetch.py URL [PAUSE]

PAUSE: seconds between pages; the published text has 0.5 there, here it is 0 if nothing is said.

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
    url, pause = sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 0
    started = time.perf_counter()
    auth = script.CXoneAuthClient(url, "bench", "bench")
    fetched = script.CXoneInteractionFetcher(auth, url, pause).fetch_interactions()
    print(json.dumps({"interactions": len(fetched), "fetch": time.perf_counter() - started}))


if __name__ == "__main__":
    main()
