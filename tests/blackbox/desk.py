"""A store with its exported files, which tests then corrupt; and corpora of odd texts."""

import json
import random

HOSTILE = ['He said "no"', "two\nlines", "CR LF\r\nin it", "a,b;c", '"', '""', ",", "'quoted'",
           "=1+1", "お元気ですか？", "где мой заказ", "मेरा पैसा", "أين طلبي", "😀 ok", "e\u0301a",
           "tab\there", "nul\x00here", "\u2028line", "where is my card", "Where is my card?",
           "where's my card", "I lost my card", "I lost a card", "yes", "Yes!", "no", "no thanks"]


def conversation(chosen, k, texts):
    """One raw interaction with some turns; ids and bots are as odd as the texts."""
    messages = []
    for _ in range(chosen.randrange(0, 5)):
        for who in chosen.choice((["user", "bot"], ["user", "user", "bot"], ["bot"])):
            messages.append({"from": who, "text": chosen.choice(texts)})
    return json.dumps({
        "id": chosen.choice(["int_%d", 'i"%d"', "i,%d", "i\n%d", "ид%d"]) % k,
        "timestamp": "2026-01-%02dT%02d:00:00Z" % (1 + k % 28, chosen.randrange(24)),
        "botId": chosen.choice(["bot_a", "bot,b", 'bot "c"']),
        "rating": chosen.choice([5, 4, 4.5, "5", 3, None, 1]), "messages": messages}).encode()


def corpus(seed, demo, n=60):
    chosen = random.Random(seed)
    texts = HOSTILE + [m["text"] for raw in demo.first[seed * 10:seed * 10 + 30]
                       for m in json.loads(raw)["messages"]]
    return [conversation(chosen, k, texts) for k in range(n)]


NAMES = {"csv": "out.csv", "removed": "removed.jsonl", "jsonl": "out.jsonl", "chat": "chat.jsonl",
         "train": "train.jsonl", "valid": "valid.jsonl", "test": "test.jsonl"}


class Desk:
    """A directory with a store and its exported files; the files as they were are kept."""

    def __init__(self, directory, run, model, raws, **keys):
        self.dir, self.run = directory, run
        keys = {"export": {"csv": "out.csv", "removed": "removed.jsonl"}, **keys}
        keys["embed"] = {"model": model}
        (directory / "tamis.ini").write_text("".join(
            "[%s]\n%s" % (section, "".join("%s = %s\n" % pair for pair in values.items()))
            for section, values in keys.items()))
        (directory / "in.jsonl").write_bytes(b"".join(raw + b"\n" for raw in raws))
        run("import", "in.jsonl", cwd=directory, status=0)
        self.export()

    def export(self):
        self.run("export", cwd=self.dir, status=0)
        self.files = {name: (self.dir / name).read_bytes() for name in NAMES.values()
                      if (self.dir / name).exists()}

    def verify(self, *args, **files):
        """The result over files that are changed: csv=..., removed=..., jsonl=... (bytes)."""
        for name, data in self.files.items():
            (self.dir / name).write_bytes(data)
        for short, data in files.items():
            (self.dir / NAMES[short]).write_bytes(data)
        return self.run("verify", "--json", *args, cwd=self.dir)

    def check_clean(self, *args):
        result = self.verify(*args)
        assert result.status == 0, result
        found = result.json()
        assert not found["separation_violations"] and not found["coverage_violations"]
        assert not found["file_violations"] and not found["split_violations"], found
        assert not result.err, result
        return found

    def check_found(self, *args, **files):
        """Exit status 5, and something to read about each violation."""
        result = self.verify(*args, **files)
        assert result.status == 5, (result, files)
        assert len(result.lines) == 1 and "violation" in result.err
        found = result.json()
        kinds = ("separation", "coverage", "file", "split")
        listed = [found[kind + "_violations"] for kind in kinds]
        assert [len(some) for some in listed] == list(found["violations"].values())
        assert sum(map(len, listed)), found
        return found
