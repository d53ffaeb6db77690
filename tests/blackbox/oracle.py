"""The job once more, as short as it can be said: what the program must agree with.

Python's own json, csv, str.strip and datetime arithmetic stand in for the rules that
INTERFACE.md words as "what Python does".  Vectors come from `tamis embed`; everything after
them is here, in double precision, one pair after the other.
"""

import array
import csv
import gzip
import hashlib
import io
import json
import operator
import re

from records import instant

COLUMNS = ["interaction_id", "timestamp", "bot_id", "rating", "user_utterance", "bot_response",
           "similarity_score", "dedup_group"]


def parse(raws):
    """The latest version of each interaction, newest first, equal instants by id."""
    latest = {}
    for raw in raws:
        value = mended(json.loads(raw.decode("utf-8", "replace")))
        latest[value["id"]] = value
    return sorted(latest.values(), key=newest_first)


def mended(value):
    """The same with U+FFFD for each lone surrogate."""
    if isinstance(value, str):
        return re.sub("[\ud800-\udfff]", "\ufffd", value)
    if isinstance(value, list):
        return [mended(v) for v in value]
    if isinstance(value, dict):
        return {mended(k): mended(v) for k, v in value.items()}
    return value


def texts_of(path):
    """What users said in a corpus: stripped, distinct, sorted by bytes."""
    with gzip.open(path, "rt", encoding="utf-8") as f:
        said = {m["text"].strip() for line in f for m in json.loads(line)["messages"]
                if m["from"] == "user"}
    return sorted(said - {""}, key=lambda text: text.encode())


def newest_first(i):
    return -instant(i["timestamp"]), i["id"].encode()


def oldest_first(i):
    return instant(i["timestamp"]), i["id"].encode()


def best_rated_first(i):
    return -(rating_number(i.get("rating")) or 0), newest_first(i)


ORDERS = {"newest": newest_first, "oldest": oldest_first, "best-rated": best_rated_first}


def rating_number(rating):
    """The number a rating counts as, or None."""
    if isinstance(rating, bool) or not isinstance(rating, (int, float, str)):
        return None
    try:
        return float(rating)
    except ValueError:
        return None


def pairs(interaction):
    said, out = None, []
    for message in interaction.get("messages", []):
        text = message.get("text") or ""
        text = text.strip() if isinstance(text, str) else ""
        if text and message.get("from") == "user":
            said = text
        elif text and message.get("from") == "bot" and said:
            out.append((said, text))
            said = None
    return out


def turns_of(interactions, minimum=4, bots=None):
    """(turns, ledger of the interactions that went as a whole)."""
    turns, gone = [], []
    for i in interactions:
        rating, rule = rating_number(i.get("rating")), None
        found = pairs(i)
        if bots is not None and i.get("botId") not in bots:
            rule = "bot-not-selected"
        elif rating is None:
            rule = "unrated"
        elif rating < minimum:
            rule = "rating-below-minimum"
        elif not found:
            rule = "no-turns"
        if rule:
            gone.append({"interaction_id": i["id"], "turn": None, "rule": rule})
            continue
        for k, (said, answer) in enumerate(found):
            turns.append({"interaction_id": i["id"], "timestamp": i["timestamp"],
                          "bot_id": i.get("botId"), "rating": i["rating"], "user_utterance": said,
                          "bot_response": answer, "turn": k})
    return turns, gone


class Similarity:
    """The cosine of two texts, each text embedded once and each pair multiplied once."""

    def __init__(self, run):
        self.run, self.vector, self.known = run, {}, {}

    def learn(self, texts):
        missing = [text for text in dict.fromkeys(texts) if text not in self.vector]
        if missing:
            self.vector.update((text, list(v)) for text, v in embed(self.run, missing).items())

    def __call__(self, a, b):
        if (a, b) not in self.known:
            self.known[a, b] = cosine(self.vector[a], self.vector[b])
        return self.known[a, b]


def cosine(x, y):
    return sum(map(operator.mul, x, y))


def greedy(turns, similar, threshold=0.85, domain=lambda turn: None):
    """For each turn None (kept), or (row of the nearest earlier kept turn, cosine)."""
    kept, verdicts = {}, []
    for row, turn in enumerate(turns):
        mine, best = kept.setdefault(domain(turn), []), None
        for other in mine:
            score = similar(turn["user_utterance"], turns[other]["user_utterance"])
            if best is None or score > best[1]:
                best = (other, score)
        verdicts.append(best if best and best[1] >= threshold else None)
        if verdicts[-1] is None:
            mine.append(row)
    return verdicts


class Outcome:
    """turns in final order, the verdict of each, the ledger, the CSV."""

    def __init__(self, turns, verdicts, gone, similarity):
        self.turns, self.verdicts, self.similarity = turns, verdicts, similarity
        self.kept = [turn for turn, verdict in zip(turns, verdicts) if verdict is None]
        self.csv = csv_bytes(self.kept)
        self.ledger = ledger(turns, verdicts, gone)


def job(raws, similarity, minimum=4, bots=None, threshold=0.85, domain="all", keep="newest"):
    """The whole of it."""
    interactions = sorted(parse(raws), key=ORDERS[keep])
    turns, gone = turns_of(interactions, minimum, bots)
    similarity.learn(turn["user_utterance"] for turn in turns)
    part = {"all": lambda turn: None, "bot": lambda turn: turn["bot_id"]}[domain]
    return Outcome(turns, greedy(turns, similarity, threshold, part), gone, similarity)


def csv_bytes(kept_turns):
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, fieldnames=COLUMNS, extrasaction="ignore")
    writer.writeheader()
    for group, turn in enumerate(kept_turns):
        writer.writerow({**turn, "similarity_score": 1.0, "dedup_group": group})
    return out.getvalue().encode()


def rows_of(csv_data):
    """The rows of a CSV, as dictionaries."""
    return list(csv.DictReader(io.StringIO(csv_data.decode(), newline="")))


def ledger(turns, verdicts, gone):
    """By interaction id, then turn; scores to six decimals."""
    out = list(gone)
    for turn, verdict in zip(turns, verdicts):
        if verdict:
            other = turns[verdict[0]]
            out.append({"interaction_id": turn["interaction_id"], "turn": turn["turn"],
                        "rule": "duplicate", "kept_interaction_id": other["interaction_id"],
                        "kept_turn": other["turn"], "score": round(verdict[1], 6)})
    return sorted(out, key=lambda e: (e["interaction_id"].encode(), e["turn"] or 0))


def embed(run, texts, dim=384, **options):
    """{text: vector} through `tamis embed --jsonl`, each text once."""
    texts = list(dict.fromkeys(texts))
    lines = "".join(json.dumps({"text": t}) + "\n" for t in texts).encode()
    return dict(zip(texts, vectors(run("embed", "--jsonl", input=lines, status=0, **options).out,
                                   dim)))


def vectors(data, dim=384):
    floats = array.array("f")
    floats.frombytes(data)
    assert len(floats) % dim == 0
    return [floats[k:k + dim] for k in range(0, len(floats), dim)]


def sha256(data):
    return hashlib.sha256(data).hexdigest()


class WordPiece:
    """Words to ids by greedy longest match over vocab.txt: the textbook loop."""

    def __init__(self, vocab_path):
        with open(vocab_path, encoding="utf-8", newline="\n") as f:
            self.ids = {line.rstrip("\n"): k for k, line in enumerate(f)}

        self.known = {}

    def word(self, word):
        if word not in self.known:
            self.known[word] = self._word(word)
        return self.known[word]

    def _word(self, word):
        out, at = [], 0
        if len(word) > 100:
            return [self.ids["[UNK]"]]
        while at < len(word):
            end = len(word)
            while end > at and ("##" if at else "") + word[at:end] not in self.ids:
                end -= 1
            if end == at:
                return [self.ids["[UNK]"]]
            out.append(self.ids[("##" if at else "") + word[at:end]])
            at = end
        return out

    def line(self, words):
        ids = [self.ids["[CLS]"], *(i for w in words for i in self.word(w)), self.ids["[SEP]"]]
        return " ".join(map(str, ids))
