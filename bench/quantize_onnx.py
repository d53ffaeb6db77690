"""Makes a dynamic int8 model of an ONNX model, as its users do: quantize_onnx.py IN OUT

Weights become int8, a scale for each output; activations uint8, a scale for each tensor, found
while it runs.
"""

import sys

from onnxruntime.quantization import QuantType, quantize_dynamic


def main():
    source, out = sys.argv[1:3]
    quantize_dynamic(source, out, per_channel=True, weight_type=QuantType.QInt8)


if __name__ == "__main__":
    main()
