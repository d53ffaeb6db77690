#!/usr/bin/env python3
"""Makes the corpus of the simulated tenant from the material beside it.

    python3 sim/corpus/make.py            writes demo.jsonl and demo-later.jsonl anew
    python3 sim/corpus/make.py --check    exit 1 if they are not what would be written

All of it is written for this project; names, numbers and addresses are made up, in ranges
reserved for that.  demo.jsonl is what a tenant holds on 1 October 2026; demo-later.jsonl is
what changed in the two days after: ratings that came late, and a few new conversations.

material/bank.txt, telephone.txt, airline.txt hold wishes:

    == NAME good|mixed    how such conversations tend to end
    - TEXT                a way to open: one is taken
    > TEXT                what the bot answers
    + TEXT | TEXT         ways to go on: one is taken, or the conversation ends there
    ! TEXT                a system event

material/special.txt holds whole conversations: `== BOT RATING` (a JSON value; - for none), then
lines of u (user), b (bot), s (system) and the text; \\n, \\t and \\s (a blank) may stand in it.

Every choice is a hash of what is chosen for, so the result is the same everywhere, and a new
line of material changes nothing but its own conversations.
"""

import datetime
import hashlib
import json
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
BOTS = {"bank": "bot_harbour_bank", "telephone": "bot_lark_mobile", "airline": "bot_meridian_air"}
PER_WISH = 10  # conversations
FIRST_DAY = datetime.datetime(2026, 4, 1, tzinfo=datetime.timezone.utc)
DAYS = 183  # to 30 September
LAST_WEEK = FIRST_DAY + datetime.timedelta(days=DAYS - 6)  # where ratings still come in

SLOTS = {
    "amount": ["$25.00", "$49.90", "$120", "$80", "$15", "$37.50", "$312.40", "$9.99"],
    "amount2": ["$10", "$12.50", "$18", "$29", "$20", "$35"],
    "amount3": ["$2,500", "$1,800", "$3,000", "$4,200.50", "$950"],
    "day": ["Monday", "2 June", "Friday", "14 July", "Tuesday", "3 August", "21 May", "Sunday"],
    "day2": ["Wednesday", "Thursday", "Saturday"],
    "time": ["8:15", "11:40", "14:20", "17:05", "19:55"],
    "time2": ["10:05", "13:25", "16:50", "21:30"],
    "city": ["Lisbon", "Zürich", "Boston", "Leeds", "Kraków", "Osaka", "Malmö", "Porto"],
    "name": ["Jane Roe", "John Doe", "Erika Mustermann", "Max Mustermann", "María Pérez"],
    "phone": ["(212) 555-0142", "555-0199", "+44 7700 900123", "020 7946 0018", "07700 900456"],
    "email": ["jane.roe@example.org", "j.doe@example.com", "erika@example.net"],
    "iban": ["DE89 3704 0044 0532 0130 00", "GB82 WEST 1234 5698 7654 32",
             "FR14 2004 1010 0505 0001 3M02 606"],
    "card": ["4111 1111 1111 1111", "5555 5555 5555 4444", "378282246310005"],
    "flight": ["MA 318", "MA 41", "MA 2207", "MA 90"],
    "ref": ["ZX4T7Q", "K9PLM2", "48-2210", "QW81RR"],
    "code": ["4471", "80213", "662190"],
}
THANKS = ["thanks", "Thank you!", "thank you so much", "great, thanks", "ok thx", "perfect",
          "Thanks, that's all", "cheers", "Thanks for your help", "👍 thanks"]
WELCOME = ["You're welcome. Have a nice day!", "Glad I could help.", "You're welcome!",
           "Happy to help. Goodbye!"]
ANGRY = ["That is not what I asked", "you don't understand me", "That didn't help at all",
         "I want to speak to a real person", "this is useless", "No!! Read what I wrote",
         "You already told me that", "are you even listening?", "forget it"]
SORRY = ["I'm sorry, I did not understand that. Could you say it in other words?",
         "I'm sorry about that. What would you like me to do?",
         "I could not find anything on that. Please try again."]


def number(n, *key):
    """A whole number from 0 to n - 1 that belongs to the key."""
    text = "\x1f".join(map(str, key))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") % n


def pick(options, *key):
    return options[number(len(options), *key)]


def chance(percent, *key):
    return number(100, *key) < percent


def fill(text, *key):
    return re.sub(r"\{(\w+)\}", lambda m: pick(SLOTS[m.group(1)], m.group(1), *key), text)


# Rewording: the same wish as another person would type it.

def typo(text, *key):
    """Two letters in the middle of a long word change places, or one is left out."""
    words = [m for m in re.finditer(r"[a-z]{5,}", text)]
    if not words:
        return text
    at = pick(words, *key).start() + 1 + number(2, "at", *key)
    if chance(50, "drop", *key):
        return text[:at] + text[at + 1:]
    return text[:at] + text[at + 1] + text[at] + text[at + 2:]


REWORDINGS = [
    lambda t, k: t.lower(),
    lambda t, k: t.lower().rstrip(".?!"),
    lambda t, k: t.rstrip(".?!"),
    lambda t, k: t.rstrip(".?") + "!",
    lambda t, k: t.rstrip(".?") + "??",
    lambda t, k: pick(["Hi, ", "Hello, ", "hey ", "Good morning. ", "Hi there! "], k) + t,
    lambda t, k: t.rstrip(".?!") + pick([" please", " pls", ", please", ", thanks"], k),
    lambda t, k: pick(["ok ", "So, ", "Excuse me, ", "um "], k) + t,
    lambda t, k: typo(t, k),
    lambda t, k: typo(t, k).lower(),
    lambda t, k: t.replace("'", "’"),
    lambda t, k: t.replace("'", ""),
    lambda t, k: t.upper(),
    lambda t, k: t + " " + pick(["🙏", "😡", "😕", "🤔"], k),
    lambda t, k: "  " + t + " ",
    lambda t, k: t.replace(" ", "  ", 1) + "\n",
    lambda t, k: t.replace(". ", ".\n").replace("? ", "?\n") + "\n\nThanks",
]


def reword(text, *key):
    if not chance(55, "reword", *key):
        return text
    return pick(REWORDINGS, "which", *key)(text, "\x1e".join(map(str, key)))


# Material

def sections(name):
    """(words of the head line, [(mark, text)]) for each section of a file of material."""
    out = []
    for line in (HERE / "material" / (name + ".txt")).read_text("utf-8").splitlines():
        if line.startswith("== "):
            out.append((line[3:].split(" ", 1), []))
        elif out and line:
            out[-1][1].append((line[0], line[2:]))
    return out


def wish_messages(wish, lines, outcome, *key):
    """[(from, text)] of one conversation about a wish."""
    openings = [text for mark, text in lines if mark == "-"]
    turn = number(len(openings), "shift", wish) + key[-1]
    out = [("user", reword(fill(openings[turn % len(openings)], *key), wish, *key))]
    stop = 1 + number(4, "stop", wish, *key)  # answers given before the user is content
    for step, (mark, text) in enumerate(line for line in lines if line[0] != "-"):
        if mark == "+":
            if stop <= 0:
                break
            say = fill(pick(text.split(" | "), "go on", step, wish, *key), *key)
            if chance(6, "two messages", step, wish, *key):
                out.append(("user", pick(["hm", "one moment", "sorry", "wait"], step, *key)))
            out.append(("user", reword(say, step, wish, *key)))
        else:
            out.append(("bot" if mark == ">" else "system", fill(text, *key)))
            stop -= mark == ">"
    if outcome == "bad":
        for k in range(1 + number(2, "angry", wish, *key)):
            out.append(("user", reword(pick(ANGRY, "angry", k, wish, *key), k, *key)))
            out.append(("bot", pick(SORRY, "sorry", k, wish, *key)))
    elif chance(45, "thanks", wish, *key):
        out.append(("user", pick(THANKS, "thanks which", wish, *key)))
        out.append(("bot", pick(WELCOME, "welcome", wish, *key)))
    if chance(10, "survey", wish, *key):
        out.append(("system", "survey sent"))
    return out


def outcome_of(tendency, *key):
    roll = number(100, "outcome", *key)
    if tendency == "good":
        return "good" if roll < 78 else "fair" if roll < 92 else "bad"
    return "good" if roll < 50 else "fair" if roll < 72 else "bad"


def rating_of(outcome, at, *key):
    """The rating as it stands in the record; "-": no key."""
    value = pick({"good": [5, 5, 5, 4, 4], "fair": [4, 3, 3], "bad": [1, 1, 2, 2, 3]}[outcome],
                 "rating", *key)
    roll = number(100, "form of rating", *key)
    if roll < (45 if at >= LAST_WEEK else 7):
        return "-"
    if roll < (55 if at >= LAST_WEEK else 11):
        return None
    if roll < 60 and roll % 10 == 5:
        return str(value)
    if roll < 60 and roll % 10 == 7:
        return value - 0.5 if value > 1 else 1.0
    return value


# Records

def instant_text(at, *key):
    """ISO 8601, mostly as the reference shows it, now and then in another form."""
    roll = number(100, "form of time", *key)
    if roll < 5:
        zone = datetime.timezone(datetime.timedelta(hours=pick([2, -5, 9], "zone", *key)))
        return at.astimezone(zone).isoformat(timespec="milliseconds")
    if roll < 7:
        return at.strftime("%Y-%m-%dT%H:%M:%SZ")
    if roll < 9:
        return at.strftime("%Y-%m-%dT%H:%M:%S.%f") + "7Z"
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + "%03dZ" % (at.microsecond // 1000)


def moment(*key):
    """A time of day that people write at; some conversations share one to the millisecond."""
    if chance(4, "shared", *key):
        return FIRST_DAY + datetime.timedelta(days=30 * number(6, "month", *key), hours=9)
    day = DAYS - 1 - number(6, "day", *key) if chance(12, "recent", *key) else \
        number(DAYS, "day", *key)
    return FIRST_DAY + datetime.timedelta(
        days=day, hours=6 + number(16, "hour", *key),
        seconds=number(3600, "second", *key), milliseconds=number(1000, "ms", *key))


def record(bot, messages, rating, at, *key):
    out = {"id": "int_%08x" % number(2**32, "id", *key), "timestamp": instant_text(at, *key),
           "botId": BOTS[bot]}
    if rating != "-":
        out["rating"] = rating
    out["messages"] = []
    for k, (sender, text) in enumerate(messages):
        out["messages"].append({"from": sender, "text": text, "timestamp": instant_text(at)})
        at += datetime.timedelta(milliseconds=900 + number(14000, "gap", k, *key))
    return out


def wish_records(round_first, round_end, start=None):
    out = []
    for bot in BOTS:
        for (wish, tendency), lines in sections(bot):
            for k in range(round_first, round_end):
                outcome = outcome_of(tendency, bot, wish, k)
                at = moment(bot, wish, k) if start is None else start + datetime.timedelta(
                    seconds=number(2 * 86400, "later", bot, wish, k))
                messages = wish_messages(wish, lines, outcome, bot, k)
                out.append(record(bot, messages, rating_of(outcome, at, bot, wish, k), at,
                                  bot, wish, k))
    return out


def special_records():
    names = {"u": "user", "b": "bot", "s": "system"}
    marks = {"\\n": "\n", "\\t": "\t", "\\s": " "}
    out = []
    for (bot, rating), lines in sections("special"):
        key = ("special", bot, *(text for _, text in lines))
        messages = [(names[mark], re.sub(r"\\[nts]", lambda m: marks[m.group()],
                                         fill(text, *key))) for mark, text in lines]
        out.append(record(bot, messages, rating if rating == "-" else json.loads(rating),
                          moment(*key), *key))
    return out


def make():
    """The text of both files."""
    day = wish_records(0, PER_WISH) + special_records()
    later = []
    for r in day:  # a rating that comes a day or two after its conversation
        recent = datetime.datetime.fromisoformat(r["timestamp"][:19] + "+00:00") >= LAST_WEEK
        if recent and r.get("rating") is None and chance(70, "late", r["id"]):
            late = {**r, "rating": pick([5, 5, 4, 4, 2], "late rating", r["id"])}
            later.append({k: late[k] for k in ("id", "timestamp", "botId", "rating", "messages")})
    fresh = wish_records(PER_WISH, PER_WISH + 1,
                         datetime.datetime(2026, 10, 1, tzinfo=datetime.timezone.utc))
    later += [r for r in fresh if chance(45, "is new", r["id"])]
    return tuple("".join(json.dumps(r, ensure_ascii=False) + "\n"
                         for r in sorted(records, key=lambda r: (r["timestamp"], r["id"])))
                 for records in (day, later))


def main():
    stale = 0
    for name, text in zip(("demo.jsonl", "demo-later.jsonl"), make()):
        path = HERE / name
        if sys.argv[1:] == ["--check"]:
            if not path.exists() or path.read_text("utf-8") != text:
                print("%s is not what make.py makes" % name)
                stale = 1
        else:
            path.write_text(text, "utf-8")
            print("%s: %d conversations" % (name, text.count("\n")))
    return stale


if __name__ == "__main__":
    sys.exit(main())
