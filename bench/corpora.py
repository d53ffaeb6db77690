"""What is measured on: real texts from ../shared/data, or our own corpus where that is absent."""

import json
import os
import random
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "sim"))
from records import Record, read_lines  # noqa: E402

SHARED = os.path.join(os.path.dirname(ROOT), "shared", "data")
OWN = os.path.join(ROOT, "sim", "corpus", "demo.jsonl")

# Sets of texts for embedding: name, corpora, what they are.
TEXT_SETS = (("banking77", ("banking77",), "single requests to a bank"),
             ("topical-chat", ("topical-chat",), "turns of free conversation"))

MIN_RATING = 4


def path_of(corpus):
    """The file of a corpus, or None."""
    path = os.path.join(SHARED, corpus + ".jsonl.gz")
    return path if os.path.exists(path) else None


def user_texts(path):
    for raw in read_lines(path):
        for message in json.loads(raw)["messages"]:
            text = (message.get("text") or "").strip()
            if message.get("from") == "user" and text:
                yield text


def texts(count):
    """[(name, what, count distinct texts)], spread evenly over their corpora."""
    sets = []
    for name, corpora, what in TEXT_SETS:
        paths = [path_of(c) for c in corpora]
        if all(paths):
            sets.append((name, "%s (%s)" % (what, ", ".join(corpora)), paths))
    if not sets:
        sets = [("own", "the demo's own conversations", [OWN])]
    return [(name, what, spread(dict.fromkeys(t for p in paths for t in user_texts(p)), count))
            for name, what, paths in sets]


def spread(distinct, count):
    all_texts = list(distinct)
    if len(all_texts) <= count:
        return all_texts
    return [all_texts[k * len(all_texts) // count] for k in range(count)]


def newest_texts(corpus):
    """All distinct user texts of a corpus, those of the newest interaction first."""
    interactions = sorted((json.loads(raw) for raw in read_lines(path_of(corpus))),
                          key=lambda i: i["id"])
    interactions.sort(key=lambda i: i["timestamp"], reverse=True)
    found = {}
    for i in interactions:
        for message in i["messages"]:
            text = (message.get("text") or "").strip()
            if message.get("from") == "user" and text:
                found.setdefault(text)
    return list(found)


def write_texts(path, some):
    with open(path, "w", encoding="utf-8") as f:
        f.writelines(json.dumps({"text": t}) + "\n" for t in some)


def readable(interaction):
    """Can the script read it?  It ends at a rating that is a string, at a text that is null."""
    rating = interaction.get("rating")
    messages = interaction.get("messages")
    return (rating is None or isinstance(rating, (int, float))) and isinstance(messages, list) \
        and all(isinstance(m, dict) and isinstance(m.get("text", ""), str) for m in messages)


def count_turns(interaction):
    """The turns of an interaction that pass the rating, as the reference counts them."""
    rating = interaction.get("rating")
    if rating is None or rating < MIN_RATING:
        return 0
    turns, asked = 0, False
    for message in interaction.get("messages", []):
        if not message.get("text", "").strip():
            continue
        if message.get("from") == "user":
            asked = True
        elif message.get("from") == "bot" and asked:
            turns, asked = turns + 1, False
    return turns


class Corpus:
    """A corpus to extract, newest first, as a tenant serves it, without what ends the script."""

    def __init__(self, name):
        path = path_of(name)
        self.name = name if path else "own"
        records = sorted(map(Record, read_lines(path or OWN)), key=Record.order)
        self._raws = [r.raw for r in records if readable(json.loads(r.raw))]

    def cut(self, path, turns):
        """Writes the newest interactions that give at least `turns` turns, or all; returns how
        many interactions and turns those are."""
        total, n = 0, 0
        with open(path, "wb") as f:
            while n < len(self._raws) and total < turns:
                total += count_turns(json.loads(self._raws[n]))
                f.write(self._raws[n] + b"\n")
                n += 1
        return n, total

    def grow(self, path, turns):
        """As cut, but where the corpus ends it begins anew, a year earlier and with other numbers
        in its texts (times, amounts, addresses): what repeats in a log, and what almost does.
        Returns how many interactions, turns and distinct texts of users those are."""
        total, n, distinct = 0, 0, set()
        with open(path, "w", encoding="utf-8") as f:
            while total < turns:
                lap, place = divmod(n, len(self._raws))
                interaction = json.loads(self._raws[place])
                if lap:
                    another(interaction, lap)
                n, found = n + 1, count_turns(interaction)
                total += found
                if found:
                    distinct.update(m["text"].strip() for m in interaction["messages"]
                                    if m.get("from") == "user" and m.get("text"))
                f.write(json.dumps(interaction, ensure_ascii=False, separators=(",", ":")) + "\n")
        return n, total, len(distinct)


def another(interaction, lap):
    """Makes of an interaction one like it, `lap` years earlier."""
    rng = random.Random("%s %d" % (interaction["id"], lap))

    def earlier(stamp):
        return "%04d" % (int(stamp[:4]) - lap) + stamp[4:].replace("-02-29", "-02-28")
    interaction["id"] += "-%d" % lap
    interaction["timestamp"] = earlier(interaction["timestamp"])
    for message in interaction["messages"]:
        if "timestamp" in message:
            message["timestamp"] = earlier(message["timestamp"])
        if "text" in message:
            message["text"] = re.sub("[0-9]", lambda _: rng.choice("0123456789"), message["text"])
