"""A small model cut from the real one: one layer, and the words that the tests use.

Most tests are about the job and not about the meaning of words.  For them a model of 14 MB in
place of 91 does as well, and a run is four times as quick; what `tamis embed` makes of it is
what the oracle reckons with.  It also finds more alike, so that there is more to get wrong.
Parity, tokens, vectors and the first run are tested with the real one.
"""

import json
import struct

LAYERS = 1
SPECIAL = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused0]", "[unused1]"}
EMBEDDING = "embeddings.word_embeddings.weight"


def read_tensors(path):
    """{name: (type, shape, bytes)} without the layers that are left out."""
    with open(path, "rb") as f:
        n, = struct.unpack("<Q", f.read(8))
        header = json.loads(f.read(n))
        out = {}
        for name, entry in header.items():
            parts = name.split(".")
            if name == "__metadata__" or parts[:2] == ["encoder", "layer"] and \
                    int(parts[2]) >= LAYERS:
                continue
            start, end = entry["data_offsets"]
            f.seek(8 + n + start)
            out[name] = (entry["dtype"], entry["shape"], f.read(end - start))
    return out


def write_tensors(path, tensors):
    header, at = {}, 0
    for name, (kind, shape, data) in tensors.items():
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for _, _, data in tensors.values():
            f.write(data)


def is_needed(word):
    """Special ones, and single characters, of which any other can be spelled."""
    return word in SPECIAL or len(word) == 1 or len(word) == 3 and word.startswith("##")


def make(model_dir, directory, ids):
    """Writes the model to a new directory; `ids` are the tokens that it must know."""
    words = (model_dir / "vocab.txt").read_text("utf-8").split("\n")[:-1]
    keep = sorted({*ids, *(k for k, word in enumerate(words) if is_needed(word))})
    tensors = read_tensors(model_dir / "model.safetensors")
    kind, (_, width), data = tensors[EMBEDDING]
    row = width * 4
    tensors[EMBEDDING] = (kind, [len(keep), width],
                          b"".join(data[k * row:(k + 1) * row] for k in keep))
    config = json.loads((model_dir / "config.json").read_text("utf-8"))
    config.update(num_hidden_layers=LAYERS, vocab_size=len(keep))
    directory.mkdir()
    (directory / "vocab.txt").write_text("".join(words[k] + "\n" for k in keep), "utf-8")
    (directory / "config.json").write_text(json.dumps(config), "utf-8")
    write_tensors(directory / "model.safetensors", tensors)
