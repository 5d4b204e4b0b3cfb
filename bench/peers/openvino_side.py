"""OpenVINO on the CPU at its strongest, for one input at a time: static shapes, one stream, a given number of threads, and a fixed type of numbers.
peers.py and towers.py use it."""
import numpy as np
import openvino as ov


def converted(net, x):
    """Returns OpenVINO's model of a PyTorch module with one input. The shape of x becomes the shape of the input."""
    import torch
    x = torch.as_tensor(x)
    with torch.no_grad():
        model = ov.convert_model(net.eval(), example_input=x)
    model.reshape(list(x.shape))
    return model


def compiled(model, threads, precision="f32"):
    """model: a model or the path of a file. Without the precision, OpenVINO computes in bf16 on processors that have bf16."""
    return ov.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1,
                                                  "INFERENCE_NUM_THREADS": threads, "ENABLE_HYPER_THREADING": True})


def runner(net, x):
    """Returns a function that runs the compiled model once with x and returns the first output. The memory of x is not copied."""
    x = np.ascontiguousarray(x)
    request = net.create_infer_request()
    request.set_input_tensor(ov.Tensor(x, shared_memory=True))

    def run(x=x):  # the parameter keeps the memory
        request.infer()
        return request.get_output_tensor(0).data
    return run


def has(number_type):
    """Reports whether OpenVINO computes in this type, for example "BF16", on this machine."""
    return number_type in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def int8(model, inputs):
    """Quantises the weights and activations of a transformer by NNCF. The inputs give the ranges of the activations."""
    import nncf
    return nncf.quantize(model, nncf.Dataset([np.ascontiguousarray(x) for x in inputs]), model_type=nncf.ModelType.TRANSFORMER,
                         subset_size=len(inputs))
