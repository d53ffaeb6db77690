"""Token ids: those of the model's fast tokenizer, for every text and every code point."""

import gzip
import json
import pathlib

import oracle
import pytest
from conftest import check_fails

FACTS = pathlib.Path(__file__).parent / "facts"
LITERAL = {ord(c) for c in "ab{}"}  # these stand as they are in unicode-classes.tsv


def jsonl(texts):
    return "".join(json.dumps({"text": text}) + "\n" for text in texts).encode()


def ids_of(run, texts):
    """One line of ids for each text."""
    lines = run("tokenize", "--jsonl", input=jsonl(texts), status=0).out.decode().split("\n")
    assert lines.pop() == "" and len(lines) == len(texts)
    return lines


def check_same(texts, ours, theirs):
    wrong = [(text, a, b) for text, a, b in zip(texts, ours, theirs) if a != b]
    assert not wrong, "%d of %d texts differ; the first: %r\n ours   %s\n theirs %s" % (
        len(wrong), len(texts), *wrong[0])


def read_cases(path):
    with path.open(encoding="utf-8", newline="\n") as f:
        cases = [json.loads(line) for line in f]
    return ([case["text"] for case in cases],
            [" ".join(map(str, case["ids"])) for case in cases])


@pytest.fixture(scope="session")
def wordpiece(model_dir):
    return oracle.WordPiece(model_dir / "vocab.txt")


def of_class(code, words):
    """The words that come of a + code point + b."""
    return words if code in LITERAL else [word.replace("{}", chr(code)) for word in words]


def test_a_sentence(run):
    """As the README shows it; the newline is not part of the text."""
    expected = "101 1045 2342 2000 25141 2026 20786 102\n"
    assert run("tokenize", input=b"I need to reset my password\n", status=0).text == expected
    assert run("tokenize", input=b"I need to reset my password", status=0).text == expected
    assert run("tokenize", "--jsonl", input=b'{"x": [1], "text": "I need to reset my password"}\n',
               status=0).text == expected


def test_a_line_is_a_text(run):
    out = run("tokenize", input=b"one\n\n two \r\nthree", status=0).text
    assert out == "101 2028 102\n101 102\n101 2048 102\n101 2093 102\n"
    assert run("tokenize", input=b"", status=0).text == ""


def test_json(run):
    """--json: an object a line, of ids and of vectors."""
    texts = "I need to reset my password\n\nh\u00f6chst \u4e00\n".encode()
    plain = run("tokenize", input=texts, status=0).text.splitlines()
    lines = run("tokenize", "--json", input=texts, status=0).text.splitlines()
    assert [json.loads(line) for line in lines] == [
        {"ids": [int(i) for i in line.split()]} for line in plain]
    assert run("embed", "--json", input=texts, status=0).out == run(
        "embed", "--format", "jsonl", input=texts, status=0).out
    check_fails(run("embed", "--json", "--format", "f32", input=texts), 2, "--json", "f32")


def test_byte_order_mark(run):
    line = b'{"text": "I need to reset my password"}\n'
    want = run("tokenize", "--jsonl", input=line, status=0).out
    assert run("tokenize", "--jsonl", input=b"\xef\xbb\xbf" + line, status=0).out == want
    assert run("tokenize", "--jsonl", input=line + b"\xef\xbb\xbf" + line).status == 1


def test_lines_and_jsonl_agree(run, demo):
    texts = [m["text"] for raw in demo.first for m in json.loads(raw)["messages"]]
    texts = [text for text in texts if "\n" not in text]
    assert len(texts) > 500
    plain = run("tokenize", input="".join(t + "\n" for t in texts).encode(), status=0).text
    assert plain.splitlines() == ids_of(run, texts)


def test_committed_texts(run):
    texts, ids = read_cases(FACTS / "tokens.jsonl")
    assert len(texts) > 100
    check_same(texts, ids_of(run, texts), ids)


def test_committed_classes(run, wordpiece):
    cases = [json.loads(line) for line in (FACTS / "classes.jsonl").read_text().splitlines()]
    codes = [int(code, 16) for code, _ in cases]
    texts = ["a" + chr(code) + "b" for code in codes]
    assert len(texts) > 500
    check_same(texts, ids_of(run, texts),
                [wordpiece.line(of_class(code, words)) for code, (_, words) in zip(codes, cases)])


def test_bad_bytes_are_replacement_characters(run):
    """Ill-formed UTF-8 and lone surrogates are read as U+FFFD; the model's tokenizer drops it."""
    clean = run("tokenize", input="a\ufffdb c\n".encode(), status=0).text
    assert run("tokenize", input=b"a\xffb c\n", status=0).text == clean
    assert run("tokenize", input=b"a\xed\xa0\x80b c\n", status=0).text == clean
    assert run("tokenize", "--jsonl", input=b'{"text": "a\\ud800b c"}\n', status=0).text == clean
    assert run("tokenize", "--jsonl", input=b'{"text": "a\xc0b c"}\n', status=0).text == clean


def test_nul_is_dropped_and_ends_nothing(run):
    expected = run("tokenize", input=b"ab c\n", status=0).text
    assert run("tokenize", "--jsonl", input=b'{"text": "a\\u0000b c"}\n', status=0).text == expected
    assert run("tokenize", input=b"a\0b c\n", status=0).text == expected


def test_256_at_most(run):
    for text, words in (("word " * 400, 254), ("word " * 254, 254), ("word " * 253, 253),
                        ("word" * (1 << 18), 1)):  # the last: 1 MiB without a blank, so [UNK]
        ids = run("tokenize", input=text.encode(), status=0).text.split()
        assert (ids[0], ids[-1], len(ids)) == ("101", "102", words + 2)
        assert set(ids[1:-1]) == {"2773"} if words > 1 else ids[1] == "100"


def test_a_bad_line_is_named(run):
    for line in (b"{", b"[]", b'{"txt": "a"}', b'{"text": 5}', b'{"text": "a"} x'):
        result = run("tokenize", "--jsonl", input=b'{"text": "a"}\n' + line + b"\n")
        assert result.status == 1 and "line 2" in result.err, (line, result)
        assert len(result.lines) == 1, result


def test_adversarial_texts(run, shared):
    texts, ids = read_cases(shared / "reference" / "tokens-adversarial.jsonl")
    assert len(texts) == 1221
    check_same(texts, ids_of(run, texts), ids)


def all_classes(shared):
    """(code point, words) for every scalar value; how many code points were listed."""
    out, listed = [], 0
    path = shared / "reference" / "unicode-classes.tsv.gz"
    with gzip.open(path, "rt", encoding="utf-8", newline="\n") as f:
        for line in f:
            first, last, words = line.rstrip("\n").split("\t")
            span = range(int(first, 16), int(last, 16) + 1)
            listed += len(span)
            if words != "surrogate":
                shape = json.loads(words)
                out.extend((code, shape) for code in span)
    return out, listed


def test_every_code_point(run, shared, wordpiece):
    classes, listed = all_classes(shared)
    assert listed == 0x110000 and len(classes) == 0x110000 - 0x800
    for start in range(0, len(classes), 1 << 17):
        part = classes[start:start + (1 << 17)]
        texts = ["a" + chr(code) + "b" for code, _ in part]
        check_same(texts, ids_of(run, texts),
                    [wordpiece.line(of_class(code, words)) for code, words in part])


CORPORA = ("abcd-sample", "banking77", "chatterbot-multilingual", "clinc150",
           "multidogo-customer-only", "sgd", "taskmaster4", "topical-chat")


@pytest.mark.parametrize("name", CORPORA)
def test_corpus(name, run, shared):
    rows = (shared / "reference" / "tokens-corpora.tsv").read_text().splitlines()[1:]
    facts = {row[0]: row[1:] for row in (line.split("\t") for line in rows)}
    assert set(facts) == {corpus + ".jsonl.gz" for corpus in CORPORA}
    texts, tokens, sha256 = facts[name + ".jsonl.gz"]
    said = oracle.texts_of(shared / "data" / (name + ".jsonl.gz"))
    assert len(said) == int(texts)
    out = run("tokenize", "--jsonl", input=jsonl(said), status=0).out
    assert len(out.split()) == int(tokens)
    assert oracle.sha256(out) == sha256
