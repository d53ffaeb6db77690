"""The job once more, as short as it can be said: what the program must agree with.

Python's own json, csv, str.strip and datetime arithmetic stand in for the rules that
INTERFACE.md words as "what Python does".  Vectors come from `tamis embed`; everything after
them is here, in double precision, one pair after the other.
"""

import array
import csv
import hashlib
import io
import json
import operator

from records import instant

COLUMNS = ["interaction_id", "timestamp", "bot_id", "rating", "user_utterance", "bot_response",
           "similarity_score", "dedup_group"]


def parse(raws):
    """The latest version of each interaction, newest first, equal instants by id."""
    latest = {}
    for raw in raws:
        value = json.loads(raw)
        latest[value["id"]] = value
    return sorted(latest.values(), key=lambda i: (-instant(i["timestamp"]), i["id"].encode()))


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
                          "bot_id": i["botId"], "rating": i["rating"], "user_utterance": said,
                          "bot_response": answer, "turn": k})
    return turns, gone


def cosine(x, y):
    return sum(map(operator.mul, x, y))


def greedy(turns, vector, threshold=0.85, domain=lambda turn: None):
    """For each turn None (kept), or (row of the nearest earlier kept turn, cosine)."""
    kept, verdicts, known = {}, [], {}
    for row, turn in enumerate(turns):
        text, mine = turn["user_utterance"], kept.setdefault(domain(turn), [])
        best = None
        for other in mine:
            key = (text, turns[other]["user_utterance"])
            if key not in known:
                known[key] = cosine(vector[key[0]], vector[key[1]])
            if best is None or known[key] > best[1]:
                best = (other, known[key])
        verdicts.append(best if best and best[1] >= threshold else None)
        if verdicts[-1] is None:
            mine.append(row)
    return verdicts


def csv_bytes(kept_turns):
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, fieldnames=COLUMNS, extrasaction="ignore")
    writer.writeheader()
    for group, turn in enumerate(kept_turns):
        writer.writerow({**turn, "similarity_score": 1.0, "dedup_group": group})
    return out.getvalue().encode("utf-8", "surrogatepass")


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

    def word(self, word):
        out, at = [], 0
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
