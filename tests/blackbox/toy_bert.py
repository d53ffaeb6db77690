"""Toy sentence models of the published layout, and BERT once more in plain Python.

A toy is a few hundred kilobytes of random weights: any depth, width, heads, pooling, case and
type of tensor.  `vector` computes it in double precision, from the formulas of Devlin et al.,
"BERT", and from the very values that the file holds, so half precision is no excuse for a
difference.
"""

import json
import math
import random
import struct

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = SPECIAL + ["hello", "world", "re", "##set", "my", "pass", "##word", "##s", "Hello", "!",
                   "?", "caf", "##e", "cafe", "café", "東", "##東", "京", "##京", "東京"]
TEXTS = ["", "hello world", "Hello WORLD!", "reset my passwords", "Café?", "cafe", "東京",
         "zzz hello", "hello " * 40, "my pass word", "?!?!?"]


def half(value):
    return struct.unpack("<e", struct.pack("<e", value))[0]


def bfloat(value):
    """Cut after the upper 16 bits."""
    return struct.unpack("<f", b"\0\0" + struct.pack("<f", value)[2:])[0]


def single(value):
    return struct.unpack("<f", struct.pack("<f", value))[0]


KINDS = {  # type: (rounding, bytes of a list)
    "F32": (single, lambda v: struct.pack("<%df" % len(v), *v)),
    "F16": (half, lambda v: struct.pack("<%de" % len(v), *v)),
    "BF16": (bfloat, lambda v: b"".join(struct.pack("<f", x)[2:] for x in v)),
    "F64": (float, lambda v: struct.pack("<%dd" % len(v), *v)),
}


class Toy:
    def __init__(self, hidden=32, layers=2, heads=2, inner=48, positions=64, kind="F32", prefix="",
                 norm=("weight", "bias"), pooling="mean", seed=1, eps=1e-12, words=WORDS):
        self.hidden, self.layers, self.heads, self.inner = hidden, layers, heads, inner
        self.positions, self.kind, self.prefix, self.norm = positions, kind, prefix, norm
        self.pooling, self.eps, self.words = pooling, eps, words
        self.rng = random.Random(seed)
        self.shapes, self.values = {}, {}
        self._weights()

    def _add(self, name, shape, scale, base=0.0):
        rounding = KINDS[self.kind][0]
        self.shapes[name] = shape
        self.values[name] = [rounding(base + self.rng.uniform(-scale, scale))
                             for _ in range(math.prod(shape))]

    def _linear(self, name, n_in, n_out):
        self._add(name + ".weight", [n_out, n_in], 1.5 / math.sqrt(n_in))
        self._add(name + ".bias", [n_out], 0.2)

    def _norm(self, name):
        self._add("%s.%s" % (name, self.norm[0]), [self.hidden], 0.3, 1.0)
        self._add("%s.%s" % (name, self.norm[1]), [self.hidden], 0.2)

    def _weights(self):
        h = self.hidden
        self._add("embeddings.word_embeddings.weight", [len(self.words), h], 1.0)
        self._add("embeddings.position_embeddings.weight", [self.positions, h], 0.3)
        self._add("embeddings.token_type_embeddings.weight", [2, h], 0.3)
        self._norm("embeddings.LayerNorm")
        for k in range(self.layers):
            layer = "encoder.layer.%d." % k
            for part in ("query", "key", "value"):
                self._linear(layer + "attention.self." + part, h, h)
            self._linear(layer + "attention.output.dense", h, h)
            self._norm(layer + "attention.output.LayerNorm")
            self._linear(layer + "intermediate.dense", h, self.inner)
            self._linear(layer + "output.dense", self.inner, h)
            self._norm(layer + "output.LayerNorm")

    def config(self):
        return {"model_type": "bert", "hidden_act": "gelu", "hidden_size": self.hidden,
                "num_hidden_layers": self.layers, "num_attention_heads": self.heads,
                "intermediate_size": self.inner, "vocab_size": len(self.words),
                "max_position_embeddings": self.positions, "layer_norm_eps": self.eps}

    def write(self, directory):
        directory.mkdir()
        (directory / "vocab.txt").write_text("".join(w + "\n" for w in self.words), "utf-8")
        put(directory, "config.json", self.config())
        header, data = {}, b""
        for name, values in self.values.items():
            raw = KINDS[self.kind][1](values)
            header[self.prefix + name] = {"dtype": self.kind, "shape": self.shapes[name],
                                          "data_offsets": [len(data), len(data) + len(raw)]}
            data += raw
        text = json.dumps(header).encode()
        (directory / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)
        return directory

    # The model

    def matrix(self, name):
        values, (rows, cols) = self.values[name], self.shapes[name]
        return [values[k * cols:(k + 1) * cols] for k in range(rows)]

    def linear(self, name, x):
        bias = self.values[name + ".bias"]
        return [b + sum(w * v for w, v in zip(row, x))
                for row, b in zip(self.matrix(name + ".weight"), bias)]

    def normalize(self, name, x):
        mean = math.fsum(x) / len(x)
        variance = math.fsum((v - mean) ** 2 for v in x) / len(x)
        gamma, beta = (self.values["%s.%s" % (name, part)] for part in self.norm)
        return [(v - mean) / math.sqrt(variance + self.eps) * g + b
                for v, g, b in zip(x, gamma, beta)]

    def attention(self, layer, rows):
        q, k, v = ([self.linear(layer + "attention.self." + part, x) for x in rows]
                   for part in ("query", "key", "value"))
        size = self.hidden // self.heads
        out = [[] for _ in rows]
        for start in range(0, self.hidden, size):
            span = slice(start, start + size)
            for t, query in enumerate(q):
                scores = [math.exp(sum(a * b for a, b in zip(query[span], key[span]))
                                   / math.sqrt(size)) for key in k]
                total = math.fsum(scores)
                out[t] += [math.fsum(s * value[i] for s, value in zip(scores, v)) / total
                           for i in range(start, start + size)]
        return out

    def layer(self, number, rows):
        name = "encoder.layer.%d." % number
        after = []
        for x, context in zip(rows, self.attention(name, rows)):
            x = [a + b for a, b in zip(x, self.linear(name + "attention.output.dense", context))]
            x = self.normalize(name + "attention.output.LayerNorm", x)
            inner = [v * (1 + math.erf(v / math.sqrt(2))) / 2
                     for v in self.linear(name + "intermediate.dense", x)]
            x = [a + b for a, b in zip(x, self.linear(name + "output.dense", inner))]
            after.append(self.normalize(name + "output.LayerNorm", x))
        return after

    def vector(self, ids):
        words, places, types = (self.matrix("embeddings.%s_embeddings.weight" % part)
                                for part in ("word", "position", "token_type"))
        rows = [self.normalize("embeddings.LayerNorm",
                               [a + b + c for a, b, c in zip(words[i], places[t], types[0])])
                for t, i in enumerate(ids)]
        for k in range(self.layers):
            rows = self.layer(k, rows)
        pooled = rows[0] if self.pooling == "cls" else [math.fsum(column) for column in zip(*rows)]
        length = math.sqrt(math.fsum(v * v for v in pooled))
        return [v / length for v in pooled]


def put(directory, name, value):
    path = directory / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value), "utf-8")


MODULES = [{"idx": k, "name": str(k), "path": path, "type": "sentence_transformers.models." + kind}
           for k, (path, kind) in enumerate((("", "Transformer"), ("1_Pooling", "Pooling"),
                                             ("2_Normalize", "Normalize")))]


def pooling_config(**modes):
    return {"word_embedding_dimension": 32, **{"pooling_mode_" + k: v for k, v in modes.items()}}
