"""The environment the peers run in: made once, below build/, never inside anything timed."""

import hashlib
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
REQUIREMENTS = os.path.join(HERE, "peers.txt")
ENCODE = os.path.join(HERE, "encode_peer.py")
JOIN = os.path.join(HERE, "join_peer.py")
SPACE_GB = 12  # torch as PyPI has it for Linux brings CUDA libraries: 6 GB, and as much to unpack

# Each engine: what encode_peer.py calls it, and which graph it runs, if one.
FLOAT32, INT8 = "float32", "int8"
ENGINES = {"sentence-transformers": ("sentence-transformers", None),
           "onnxruntime": ("onnxruntime", FLOAT32),
           "onnxruntime int8": ("onnxruntime", INT8),
           "openvino": ("openvino", FLOAT32)}


class Peers:
    """`python` is None, and `missing` says why, where the peers cannot be had; likewise the
    graphs of the model, by kind."""

    def __init__(self, directory, say):
        self.directory = directory
        self.say = say
        self.python = None
        self.missing = None
        self.graphs = {}
        self.graph_missing = {}

    def install(self, torch_index=None):
        python = os.path.join(self.directory, "bin", "python")
        stamp = os.path.join(self.directory, "installed")
        with open(REQUIREMENTS, "rb") as f:
            wanted = hashlib.sha256(f.read()).hexdigest()
        if os.path.exists(stamp) and open(stamp, encoding="ascii").read() == wanted:
            self.python = python
            return
        above = os.path.dirname(os.path.abspath(self.directory))
        os.makedirs(above, exist_ok=True)
        if shutil.disk_usage(above).free < SPACE_GB * 10**9:
            self.missing = "not installed: they need %d GB of disk" % SPACE_GB
            return
        self.say("installing the peers with pip (several GB, once; not timed)")
        if not self._made(python) or not self._installed(python, torch_index):
            self.missing = "could not be installed with pip on this machine"
            return
        with open(stamp, "w", encoding="ascii") as f:
            f.write(wanted)
        self.python = python

    def _made(self, python):
        return os.path.exists(python) or self._run([sys.executable, "-m", "venv", self.directory])

    def _installed(self, python, torch_index):
        pip = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check",
               "--retries", "2"]
        if torch_index and not self._run(pip + ["--index-url", torch_index, "torch"]):
            return False
        if not torch_index and self._run(pip + ["-r", REQUIREMENTS]):
            return True
        with open(REQUIREMENTS, encoding="ascii") as f:
            names = [line.split("==")[0].strip() for line in f if line[:1].isalpha()]
        self.say("these versions are not to be had here, trying any")
        return self._run(pip + names)

    def export(self, model_dir):
        """Makes the graphs of the model, once."""
        self._make_graph(FLOAT32, "export_onnx.py", model_dir,
                         "the model could not be exported with torch.onnx")
        self._make_graph(INT8, "quantize_onnx.py", self.graphs.get(FLOAT32),
                         "the model could not be quantized with onnxruntime")

    def _make_graph(self, kind, script, source, complaint):
        if not self.python or not source:
            self.graph_missing[kind] = self.missing or self.graph_missing[FLOAT32]
            return
        out = os.path.join(self.directory, "all-MiniLM-L6-v2.%s.onnx" % kind)
        if not os.path.exists(out):
            self.say("making the %s graph of the model (once; not timed)" % kind)
            part = out + ".part"
            if not self._run([self.python, os.path.join(HERE, script), source, part]):
                self.graph_missing[kind] = complaint
                return
            os.replace(part, out)
        self.graphs[kind] = out

    def encode_command(self, engine, model_dir, texts, out, threads):
        name, graph = ENGINES[engine]
        command = [self.python, ENCODE, name, model_dir, texts, out, str(threads)]
        return command + [self.graphs[graph]] if graph else command

    def join_command(self, method, vectors, count, threshold, out):
        return [self.python, JOIN, method, vectors, str(count), str(threshold), out]

    def why_not(self, engine):
        """Why an engine cannot run, or None."""
        graph = ENGINES[engine][1]
        return self.missing or self.graph_missing.get(graph)

    def _run(self, command):
        log = self.directory.rstrip("/") + ".log"
        try:
            with open(log, "ab") as f:
                subprocess.run(command, stdin=subprocess.DEVNULL, stdout=f, stderr=f, check=True)
        except (OSError, subprocess.CalledProcessError) as e:
            words = os.path.basename(command[0]), e.__class__.__name__, log
            self.say("%s failed (%s); the log: %s" % words)
            return False
        return True


def environment(threads):
    """What the peers find in the environment: the same number of threads, no network."""
    env = dict(os.environ, HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", CUDA_VISIBLE_DEVICES="",
               HF_HUB_DISABLE_PROGRESS_BARS="1", PYTHONDONTWRITEBYTECODE="1",
               NO_PROXY="127.0.0.1", no_proxy="127.0.0.1")
    for name in ("OMP", "MKL", "OPENBLAS", "RAYON"):
        env[name + "_NUM_THREADS"] = str(threads)
    return env
