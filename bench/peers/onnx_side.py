"""ONNX Runtime on the CPU at its strongest: all optimisations of graphs, and the fusions of onnxruntime.transformers. peers.py uses it."""
import numpy as np
import onnx
import onnxruntime as ort
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic

FUSED = {"Attention": "attention", "MultiHeadAttention": "attention", "EmbedLayerNormalization": "embeddings",
         "SkipLayerNormalization": "addition and layer norm", "LayerNormalization": "layer norm", "BiasGelu": "bias and GELU", "Gelu": "GELU"}


class Masked(torch.nn.Module):
    """A model of texts with a mask as its second input. The attention of BERT is only fused in a file that has a mask."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, ids, mask):
        return self.model(input_ids=ids, attention_mask=mask).last_hidden_state


def export(model, inputs, path):
    torch.onnx.export(model, inputs, path, dynamo=True, verbose=False)
    return path


def runner(path, threads, *inputs):
    """Returns a function that runs the model once and returns the first output."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    feed = {given.name: np.asarray(x) for given, x in zip(session.get_inputs(), inputs)}
    return lambda: session.run(None, feed)[0]


def fuse(path, to, model_type, heads, hidden):
    """Writes the file `path` with fused operators to the file `to`. Returns the names and numbers of the fused operators."""
    from onnxruntime.transformers import optimizer
    model = optimizer.optimize_model(path, model_type=model_type, num_heads=heads, hidden_size=hidden, opt_level=0, use_gpu=False)
    model.save_model_to_file(to)
    found = {}
    for name, count in model.get_fused_operator_statistics().items():
        if count and name in FUSED:
            found[FUSED[name]] = found.get(FUSED[name], 0) + count
    return found


def fused_text_model(model, ids, path):
    """Exports a model of texts by TorchScript, whose operators the fusions recognise, and fuses them.
    Returns the path, the inputs, and the fused operators."""
    config, whole = model.config, path.replace(".onnx", "-whole.onnx")
    inputs = (ids, torch.ones_like(ids))
    torch.onnx.export(Masked(model), inputs, whole, dynamo=False, opset_version=17, input_names=["input_ids", "attention_mask"])
    return path, inputs, fuse(whole, path, "bert", config.num_attention_heads, config.hidden_size)


def int8(path, to):
    """Quantises the weights when this function runs, and the activations in every call. Fused operators do not state their types: they are float32."""
    quantize_dynamic(path, to, weight_type=QuantType.QInt8, extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT})
    return to
