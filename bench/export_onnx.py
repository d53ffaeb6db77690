"""Writes the model as an ONNX graph, from the weights on disk: export_onnx.py MODEL OUT

No network; input_ids and attention_mask of any shape in, the last hidden state out.
"""

import sys

import torch
from transformers import AutoModel


class Encoder(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids, attention_mask):
        return self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state


def main():
    model_dir, out = sys.argv[1:3]
    encoder = Encoder(AutoModel.from_pretrained(model_dir, attn_implementation="eager")).eval()
    ids = torch.ones(2, 16, dtype=torch.long)
    shape = {0: torch.export.Dim("texts"), 1: torch.export.Dim("tokens", max=512)}
    torch.onnx.export(encoder, (ids, torch.ones_like(ids)), out, dynamo=True, external_data=False,
                      input_names=["input_ids", "attention_mask"], output_names=["hidden"],
                      dynamic_shapes={"input_ids": shape, "attention_mask": shape})


if __name__ == "__main__":
    main()
