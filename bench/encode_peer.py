"""Texts in, unit vectors out, the way a Python program would do it: what embed is measured by.

usage: encode_peer.py ENGINE MODEL TEXTS OUT THREADS [ONNX FILE]

ENGINE is sentence-transformers or onnxruntime; TEXTS holds {"text"} a line; OUT gets float32
rows, as `tamis embed` writes them.  Prints one JSON object: seconds of import, load and
encoding, versions, and the peak memory once all is loaded, before the first text.
Runs in the environment that peers.py makes.
"""

import json
import sys
import time

BATCH = 32
MAX_TOKENS = 256


def peak_kib():
    with open("/proc/self/status", encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmHWM"))


def sentence_transformers_engine(model_dir, threads, _onnx):
    import torch
    import sentence_transformers
    import transformers
    torch.set_num_threads(threads)
    imported = time.perf_counter()
    model = sentence_transformers.SentenceTransformer(model_dir, device="cpu")

    def encode(texts):
        return model.encode(texts, batch_size=BATCH, convert_to_numpy=True,
                            normalize_embeddings=True, show_progress_bar=False)

    versions = {"sentence-transformers": sentence_transformers.__version__,
                "transformers": transformers.__version__, "torch": torch.__version__}
    return encode, imported, versions, torch.backends.cpu.get_cpu_capability()


def onnxruntime_engine(model_dir, threads, onnx_file):
    import numpy as np
    import onnxruntime
    import tokenizers
    imported = time.perf_counter()
    tokenizer = tokenizers.Tokenizer.from_file(model_dir + "/tokenizer.json")
    tokenizer.enable_truncation(MAX_TOKENS)
    tokenizer.enable_padding()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = onnxruntime.InferenceSession(onnx_file, options,
                                           providers=["CPUExecutionProvider"])

    def encode_batch(texts):
        encodings = tokenizer.encode_batch(texts)
        ids = np.array([e.ids for e in encodings], dtype=np.int64)
        mask = np.array([e.attention_mask for e in encodings], dtype=np.int64)
        hidden = session.run(None, {"input_ids": ids, "attention_mask": mask})[0]
        weights = mask[:, :, None].astype(np.float32)
        mean = (hidden * weights).sum(axis=1) / weights.sum(axis=1)
        return mean / np.linalg.norm(mean, axis=1, keepdims=True)

    def encode(texts):
        # the longest first, as sentence-transformers does: little padding in each batch
        order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
        vectors = np.empty((len(texts), 384), dtype=np.float32)
        for first in range(0, len(order), BATCH):
            rows = order[first:first + BATCH]
            vectors[rows] = encode_batch([texts[i] for i in rows])
        return vectors

    versions = {"onnxruntime": onnxruntime.__version__, "tokenizers": tokenizers.__version__}
    return encode, imported, versions, "chosen at run time"


ENGINES = {"sentence-transformers": sentence_transformers_engine,
           "onnxruntime": onnxruntime_engine}


def main():
    started = time.perf_counter()
    engine, model_dir, texts_file, out, threads = sys.argv[1:6]
    with open(texts_file, encoding="utf-8") as f:
        texts = [json.loads(line)["text"] for line in f]
    onnx_file = sys.argv[6] if len(sys.argv) > 6 else None
    encode, imported, versions, isa = ENGINES[engine](model_dir, int(threads), onnx_file)
    loaded, loaded_kib = time.perf_counter(), peak_kib()
    vectors = encode(texts)
    encoded = time.perf_counter()
    vectors.tofile(out)
    print(json.dumps({"import": imported - started, "load": loaded - imported,
                      "encode": encoded - loaded, "loaded_kib": loaded_kib,
                      "versions": versions, "isa": isa}))


if __name__ == "__main__":
    main()
