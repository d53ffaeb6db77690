"""Texts in, unit vectors out, the way a Python program would do it: what embed is measured by.

usage: encode_peer.py ENGINE MODEL TEXTS OUT THREADS [ONNX FILE]

ENGINE is sentence-transformers, onnxruntime or openvino; TEXTS holds {"text"} a line; OUT gets
float32 rows, as `tamis embed` writes them.  Prints one JSON object: seconds of import, load and
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


class Graph:
    """encode() for an engine that runs the exported graph: run(ids, mask) -> last hidden state."""

    def __init__(self, model_dir, run):
        import tokenizers
        self.tokenizer = tokenizers.Tokenizer.from_file(model_dir + "/tokenizer.json")
        self.tokenizer.enable_truncation(MAX_TOKENS)
        self.tokenizer.no_padding()
        self.run = run

    def encode_batch(self, all_ids):
        import numpy as np
        most = max(map(len, all_ids))
        ids = np.zeros((len(all_ids), most), dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, some in enumerate(all_ids):
            ids[row, :len(some)] = some
            mask[row, :len(some)] = 1
        weights = mask[:, :, None].astype(np.float32)
        mean = (self.run(ids, mask) * weights).sum(axis=1) / weights.sum(axis=1)
        return mean / np.linalg.norm(mean, axis=1, keepdims=True)

    def encode(self, texts):
        import numpy as np
        all_ids = [e.ids for e in self.tokenizer.encode_batch(texts)]
        # the longest first, by tokens: hardly any padding in a batch
        order = sorted(range(len(texts)), key=lambda i: -len(all_ids[i]))
        vectors = np.empty((len(texts), 384), dtype=np.float32)
        for first in range(0, len(order), BATCH):
            rows = order[first:first + BATCH]
            vectors[rows] = self.encode_batch([all_ids[i] for i in rows])
        return vectors


def onnxruntime_engine(model_dir, threads, onnx_file):
    import onnxruntime
    import tokenizers
    imported = time.perf_counter()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = onnxruntime.InferenceSession(onnx_file, options,
                                           providers=["CPUExecutionProvider"])

    def run(ids, mask):
        return session.run(None, {"input_ids": ids, "attention_mask": mask})[0]

    versions = {"onnxruntime": onnxruntime.__version__, "tokenizers": tokenizers.__version__}
    return Graph(model_dir, run).encode, imported, versions, "chosen at run time"


def openvino_engine(model_dir, threads, onnx_file):
    import openvino
    import tokenizers
    imported = time.perf_counter()
    # float32 also where the processor has bfloat16: the others compute that, too
    model = openvino.Core().compile_model(onnx_file, "CPU", {
        "INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY"})
    request = model.create_infer_request()

    def run(ids, mask):
        return request.infer({"input_ids": ids, "attention_mask": mask})[0]

    versions = {"openvino": openvino.__version__.partition("-")[0],
                "tokenizers": tokenizers.__version__}
    return Graph(model_dir, run).encode, imported, versions, "chosen at run time"


ENGINES = {"sentence-transformers": sentence_transformers_engine,
           "onnxruntime": onnxruntime_engine, "openvino": openvino_engine}


def main():
    started = time.perf_counter()
    engine, model_dir, texts_file, out, threads = sys.argv[1:6]
    with open(texts_file, encoding="utf-8") as f:
        texts = [json.loads(line)["text"] for line in f]
    onnx_file = sys.argv[6] if len(sys.argv) > 6 else None
    encode, imported, versions, isa = ENGINES[engine](model_dir, int(threads), onnx_file)
    encode(["warm"])  # what is made at the first text only belongs to the load, as in encode.c
    loaded, loaded_kib = time.perf_counter(), peak_kib()
    vectors = encode(texts)
    encoded = time.perf_counter()
    vectors.tofile(out)
    print(json.dumps({"import": imported - started, "load": loaded - imported,
                      "encode": encoded - loaded, "loaded_kib": loaded_kib,
                      "versions": versions, "isa": isa}))


if __name__ == "__main__":
    main()
