"""Other models than the published one: computed right, or refused with the reason."""

import copy
import json
import math

import oracle
import pytest
import toy_bert
from toy_bert import TEXTS, WORDS, Toy, put

LIMIT = 2e-6


@pytest.fixture
def run_toy(run, tmp_path):
    def call(command, directory, texts, *args, **options):
        lines = "".join(json.dumps({"text": t}) + "\n" for t in texts).encode()
        options.setdefault("status", 0)
        return run(command, "--jsonl", "--set", "embed.model=%s" % directory, *args,
                   input=lines, **options)
    return call


def ids_of(run_toy, directory, texts):
    out = run_toy("tokenize", directory, texts).text
    return [[int(word) for word in line.split()] for line in out.splitlines()]


def words_of(run_toy, directory, text):
    return [WORDS[i] for i in ids_of(run_toy, directory, [text])[0][1:-1]]


def check_vectors(run_toy, toy, directory, texts=TEXTS, env=None):
    """As near to double precision as float32 gets."""
    ids = ids_of(run_toy, directory, texts)
    out = run_toy("embed", directory, texts, env=env).out
    ours = oracle.vectors(out, toy.hidden)
    assert len(ours) == len(texts)
    for text, i, v in zip(texts, ids, ours):
        off = max(abs(a - b) for a, b in zip(v, toy.vector(i)))
        assert off < LIMIT, (text, off)
    return out


SHAPES = {
    "one layer": dict(layers=1),
    "deep": dict(layers=7, seed=2),
    "one head": dict(heads=1, seed=3),
    "wide": dict(hidden=96, heads=3, inner=112, seed=4),
    "heads of 48": dict(hidden=48, heads=1, inner=16, seed=5),
    "heads of 16": dict(hidden=64, heads=4, inner=80, seed=6),
    "more than a part of heads, of inner columns": dict(hidden=144, heads=9, inner=400, layers=1),
    "another epsilon": dict(eps=1e-2, seed=7),
    "few positions": dict(positions=9, seed=8),
    "float16": dict(kind="F16", seed=9),
    "bfloat16": dict(kind="BF16", seed=10),
    "prefixed": dict(prefix="bert.", seed=11),
    "old names": dict(norm=("gamma", "beta"), seed=12),
}


@pytest.mark.parametrize("name", SHAPES)
def test_shapes_and_types(run_toy, tmp_path, name):
    toy = Toy(**SHAPES[name])
    check_vectors(run_toy, toy, toy.write(tmp_path / "toy"))


def test_the_restatement_can_fail(run_toy, tmp_path):
    toy = Toy()
    directory = toy.write(tmp_path / "toy")
    toy.values["encoder.layer.1.output.dense.bias"][3] += 1e-3
    with pytest.raises(AssertionError):
        check_vectors(run_toy, toy, directory)


def test_half_precision_is_widened_exactly(run_toy, tmp_path):
    """The same values as float32 give the same bits."""
    for kind in ("F16", "BF16"):
        toy = Toy(kind=kind)
        for k, tiny in enumerate((6e-8, -6e-8, 3e-5, 0.0, -0.0, 1e-39 if kind == "BF16" else 6e-5)):
            toy.values["encoder.layer.0.output.dense.bias"][k] = toy_bert.KINDS[kind][0](tiny)
        directory = toy.write(tmp_path / kind)
        toy.kind = "F32"
        plain = toy.write(tmp_path / (kind + "-as-F32"))
        assert run_toy("embed", directory, TEXTS).out == run_toy("embed", plain, TEXTS).out


def test_instruction_sets_agree_on_other_shapes(run_toy, tmp_path):
    toy = Toy(hidden=96, heads=3, inner=112, seed=4)
    directory = toy.write(tmp_path / "toy")
    best = run_toy("embed", directory, TEXTS).out
    assert run_toy("embed", directory, TEXTS, env={"TAMIS_ISA": "scalar"}).out == best


def test_pooling(run_toy, tmp_path):
    toy = Toy()
    directory = toy.write(tmp_path / "toy")
    mean = check_vectors(run_toy, toy, directory)
    put(directory, "1_Pooling/config.json", toy_bert.pooling_config(
        cls_token=False, mean_tokens=True, max_tokens=False, mean_sqrt_len_tokens=False))
    assert check_vectors(run_toy, toy, directory) == mean
    put(directory, "1_Pooling/config.json", toy_bert.pooling_config(
        cls_token=False, mean_tokens=False, mean_sqrt_len_tokens=True))
    assert check_vectors(run_toy, toy, directory) == mean
    toy.pooling = "cls"
    put(directory, "modules.json", toy_bert.MODULES[:2])  # no Normalize: unit length all the same
    put(directory, "1_Pooling/config.json", toy_bert.pooling_config(cls_token=True,
                                                                    mean_tokens=False))
    assert check_vectors(run_toy, toy, directory) != mean
    modules = copy.deepcopy(toy_bert.MODULES)
    modules[1]["path"] = "pool"
    put(directory, "modules.json", modules)
    put(directory, "pool/config.json", {"pooling_mode": "cls"})
    put(directory, "1_Pooling/config.json", "{")  # not the one that modules.json names
    check_vectors(run_toy, toy, directory)


def test_max_seq_length(run_toy, tmp_path):
    directory = Toy(positions=64).write(tmp_path / "toy")

    def longest():
        return len(ids_of(run_toy, directory, ["hello " * 700])[0])
    assert longest() == 64
    for said, ids in ((12, 12), (2, 2), (64, 64), (256, 64)):
        put(directory, "sentence_bert_config.json", {"max_seq_length": said})
        assert longest() == ids
    check_vectors(run_toy, Toy(positions=64), directory)
    put(directory, "sentence_bert_config.json", {"max_seq_length": None})
    assert longest() == 64
    put(directory, "tokenizer_config.json", {"model_max_length": 30})
    assert longest() == 30
    big = Toy(positions=700, seed=2).write(tmp_path / "big")
    assert len(ids_of(run_toy, big, ["hello " * 700])[0]) == 256
    put(big, "sentence_bert_config.json", {"max_seq_length": 512})
    assert len(ids_of(run_toy, big, ["hello " * 700])[0]) == 512
    long, short = run_toy("embed", big, ["my " * 509 + "pass", "my " * 510]).out, b""
    assert long[:128] != long[128:] != short


def test_case_and_ideographs(run_toy, tmp_path):
    """From tokenizer_config.json, else from tokenizer.json, else from the vocabulary."""
    directory = Toy().write(tmp_path / "toy")
    uncased, cased = ["hello", "hello"], ["hello", "Hello"]

    def words(text="hello Hello"):
        return words_of(run_toy, directory, text)
    assert words() == uncased and words("Café 東京") == ["cafe", "東", "京"]
    put(directory, "tokenizer.json", {"normalizer": {"type": "BertNormalizer", "lowercase": False,
                                                     "strip_accents": None, "clean_text": True,
                                                     "handle_chinese_chars": False}})
    assert words() == cased and words("cafe\u0301 東京") == ["[UNK]", "東京"]
    put(directory, "tokenizer_config.json", {"do_lower_case": True, "strip_accents": None})
    assert words() == uncased and words("Café 東京") == ["cafe", "東", "京"]
    put(directory, "tokenizer_config.json", {
        "do_lower_case": False, "tokenize_chinese_chars": False, "unk_token": "[UNK]",
        "cls_token": {"content": "[CLS]"}})
    assert words() == cased and words("café 東京") == ["café", "東京"]
    put(directory, "tokenizer_config.json", {"do_lower_case": True,
                                             "tokenize_chinese_chars": False})
    assert words("Café 東京東") == ["cafe", "東京", "##東"]
    put(directory, "tokenizer_config.json", {"do_lower_case": True, "strip_accents": False})
    assert words("CAFÉ Hello cafe\u0301") == ["café", "hello", "[UNK]"]
    (directory / "tokenizer_config.json").unlink()
    (directory / "tokenizer.json").unlink()
    put(directory, "vocab.txt", "".join(w + "\n" for w in WORDS).replace("?", "A"))
    assert words() == cased


def merged(base, **changes):
    return {**base, **changes}


CONFIG = Toy().config()
OTHER = [  # file, what it says, what the message names
    ("config.json", merged(CONFIG, model_type="mpnet"), "mpnet"),
    ("config.json", merged(CONFIG, hidden_act="gelu_new"), "gelu_new"),
    ("config.json", merged(CONFIG, position_embedding_type="relative_key"), "relative_key"),
    ("config.json", merged(CONFIG, num_attention_heads=4), "multiples of 16"),
    ("config.json", merged(CONFIG, num_attention_heads=3), "multiples of 16"),
    ("config.json", merged(CONFIG, num_hidden_layers=3), "encoder.layer.2"),
    ("config.json", merged(CONFIG, hidden_size=10 ** 9), "hidden_size"),
    ("config.json", merged(CONFIG, vocab_size=-1), "vocab_size"),
    ("config.json", merged(CONFIG, vocab_size=5), "vocab.txt"),
    ("config.json", merged(CONFIG, is_decoder=True), "is_decoder"),
    ("config.json", merged(CONFIG, quantization_config={"bits": 8}), "quantization_config"),
    ("config.json", merged(CONFIG, layer_norm_eps=0), "layer_norm_eps"),
    ("modules.json", {}, "not a JSON array"),
    ("modules.json", toy_bert.MODULES[:1], "Pooling"),
    ("modules.json", toy_bert.MODULES[:2] + [{"type": "sentence_transformers.models.Dense",
                                              "path": "2_Dense"}], "models.Dense"),
    ("modules.json", [merged(toy_bert.MODULES[0], path="0_Transformer"), *toy_bert.MODULES[1:]],
     "0_Transformer"),
    ("modules.json", [toy_bert.MODULES[0], merged(toy_bert.MODULES[1], path="../../etc")], "path"),
    ("modules.json", [toy_bert.MODULES[0], merged(toy_bert.MODULES[1], path="nowhere")], "nowhere"),
    ("1_Pooling/config.json", toy_bert.pooling_config(max_tokens=True), "max_tokens"),
    ("1_Pooling/config.json", toy_bert.pooling_config(cls_token=True, mean_tokens=True),
     "more than one"),
    ("1_Pooling/config.json", {"pooling_mode": "lasttoken"}, "lasttoken"),
    ("1_Pooling/config.json", {}, "no known"),
    ("1_Pooling/config.json", merged(toy_bert.pooling_config(cls_token=True),
                                     word_embedding_dimension=64), "word_embedding_dimension"),
    ("sentence_bert_config.json", {"max_seq_length": 1}, "max_seq_length"),
    ("sentence_bert_config.json", {"max_seq_length": 7.5}, "max_seq_length"),
    ("sentence_bert_config.json", {"max_seq_length": "many"}, "max_seq_length"),
    ("tokenizer_config.json", {"tokenizer_class": "MPNetTokenizer"}, "MPNetTokenizer"),
    ("tokenizer_config.json", {"do_lower_case": False, "strip_accents": True}, "strip_accents"),
    ("tokenizer_config.json", {"unk_token": "<unk>"}, "unk_token"),
    ("tokenizer_config.json", {"added_tokens_decoder": {"9": {"content": "[Q]"}}}, "[Q]"),
    ("tokenizer.json", {"normalizer": {"type": "Sequence"}}, "BertNormalizer"),
    ("config_sentence_transformers.json",
     {"prompts": {"query": "query: "}, "default_prompt_name": "query"}, "default_prompt_name"),
    *((name, "{", "not JSON") for name in (
        "config.json", "modules.json", "1_Pooling/config.json", "sentence_bert_config.json",
        "tokenizer_config.json", "tokenizer.json", "config_sentence_transformers.json")),
]


@pytest.mark.parametrize("file,says,word", OTHER, ids=["%s %s" % case[::2] for case in OTHER])
def test_refused(run_toy, tmp_path, file, says, word):
    directory = Toy().write(tmp_path / "toy")
    put(directory, file, says)
    result = run_toy("embed", directory, ["hello"], status=1)
    assert not result.out and len(result.lines) == 1, result
    assert word in result.err, result
    assert file in result.err or word in ("encoder.layer.2", "vocab.txt", "nowhere"), result


def test_other_types_and_forms_are_refused(run_toy, tmp_path):
    result = run_toy("embed", Toy(kind="F64").write(tmp_path / "double"), ["hello"], status=1)
    assert "F64" in result.err and "model.safetensors" in result.err, result
    torch = Toy(layers=1).write(tmp_path / "torch")
    (torch / "model.safetensors").rename(torch / "pytorch_model.bin")
    result = run_toy("embed", torch, ["hello"], status=1)
    assert "safetensors" in result.err and len(result.lines) == 1, result
    nan = Toy(layers=1)
    nan.values["encoder.layer.0.output.dense.bias"][0] = math.nan
    result = run_toy("embed", nan.write(tmp_path / "nan"), ["hello"], status=1)
    assert "not finite" in result.err, result


def test_prompts_that_are_not_the_default_are_no_matter(run_toy, tmp_path):
    directory = Toy(layers=1).write(tmp_path / "toy")
    before = run_toy("embed", directory, TEXTS).out
    put(directory, "config_sentence_transformers.json",
        {"prompts": {"query": "query: "}, "default_prompt_name": None})
    assert run_toy("embed", directory, TEXTS).out == before
