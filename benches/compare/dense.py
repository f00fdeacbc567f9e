"""The dense part alone of the Mask R-CNN R50-FPN in a folder that make_model.py wrote, in PyTorch, ONNX Runtime and OpenVINO.

    dense.py FOLDER WORK prepare             the graph as ONNX and the answers in f64, into the folder WORK
    dense.py FOLDER WORK ENGINE RUNS [2]     milliseconds: the fastest run and the median; then how far the answers are from the f64 ones, as
                                             the largest difference over the largest value: worst of the pyramid, of the RPN, of the box head

ENGINE: torch, torch-last (channels last), torch-bf16, torch-last-bf16 (autocast), onnxruntime, openvino, openvino-bf16.

Dense is what has a fixed size: ResNet, pyramid and the RPN's head for a page of 800 × 1056 pixels, and the box head's layers for 1,000 RoIs of
256 × 7 × 7 that are given, not pooled. No resize, no decoding of proposals, no NMS, no masks. The pyramid is among the answers, as pooling would
read it. Norms are folded into the convolutions for all engines, as docreader folds them. ONEDNN_VERBOSE=1 prints PyTorch's kernels.
"""
import json
import pathlib
import statistics
import sys
import time

import numpy
import torch
from torch.nn.functional import conv2d, interpolate, linear, max_pool2d

HEIGHT, WIDTH, ROIS = 1056, 800, 1000
STAGES = ((2, 3), (3, 4), (4, 6), (5, 3))
ANSWERS = [f"p{i}" for i in range(2, 7)] + [f"{kind}{i}" for i in range(2, 7) for kind in ("objectness", "deltas")] + ["classes", "boxes"]
# Pyramid, RPN, box head.
PARTS = range(0, 5), range(5, 15), range(15, 17)


class Dense(torch.nn.Module):
    def __init__(self, folder):
        super().__init__()
        raw = (folder / "model.safetensors").read_bytes()
        length = int.from_bytes(raw[:8], "little")
        header = json.loads(raw[8 : 8 + length])

        def tensor(name):
            start, end = header[name]["data_offsets"]
            data = numpy.frombuffer(raw, "<f4", (end - start) // 4, 8 + length + start)
            return torch.from_numpy(data.reshape(header[name]["shape"]).astype("f8"))

        for name in (key.removesuffix(".weight") for key in header if key.endswith(".weight")):
            if ".mask_head." in name or name.endswith(".norm"):
                continue
            weight = tensor(f"{name}.weight")
            if f"{name}.norm.weight" in header:
                gain, shift, mean, variance = (tensor(f"{name}.norm.{p}") for p in ("weight", "bias", "running_mean", "running_var"))
                scale = gain / (variance + 1e-5).sqrt()
                weight, bias = weight * scale[:, None, None, None], shift - mean * scale
            else:
                bias = tensor(f"{name}.bias")
            for part, value in (("weight", weight), ("bias", bias)):
                self.register_parameter(f"{name}.{part}".replace(".", "_"), torch.nn.Parameter(value))

    def layer(self, name):
        name = name.replace(".", "_")
        return getattr(self, f"{name}_weight"), getattr(self, f"{name}_bias")

    def conv(self, x, name, stride=1):
        weight, bias = self.layer(name)
        return conv2d(x, weight, bias, stride, weight.shape[-1] // 2)

    def levels(self, x):
        x = max_pool2d(self.conv(x, "backbone.bottom_up.stem.conv1", 2).relu_(), 3, 2, 1)
        for stage, blocks in STAGES:
            for block in range(blocks):
                name = f"backbone.bottom_up.res{stage}.{block}"
                # STRIDE_IN_1X1 is false.
                stride = 2 if block == 0 and stage > 2 else 1
                shortcut = self.conv(x, f"{name}.shortcut", stride) if block == 0 else x
                y = self.conv(x, f"{name}.conv1").relu_()
                y = self.conv(y, f"{name}.conv2", stride).relu_()
                x = self.conv(y, f"{name}.conv3").add_(shortcut).relu_()
            yield x

    def forward(self, image, rois):
        pyramid, above = [], None
        for i, level in reversed(list(enumerate(self.levels(image), start=2))):
            merged = self.conv(level, f"backbone.fpn_lateral{i}")
            if above is not None:
                merged = merged + interpolate(above, scale_factor=2.0, mode="nearest")
            pyramid.insert(0, self.conv(merged, f"backbone.fpn_output{i}"))
            above = merged
        pyramid.append(max_pool2d(pyramid[-1], 1, 2))
        answers = list(pyramid)
        for level in pyramid:
            hidden = self.conv(level, "proposal_generator.rpn_head.conv").relu_()
            answers += (self.conv(hidden, f"proposal_generator.rpn_head.{kind}") for kind in ("objectness_logits", "anchor_deltas"))
        x = rois.flatten(1)
        for name in ("fc1", "fc2"):
            x = linear(x, *self.layer(f"roi_heads.box_head.{name}")).relu_()
        return *answers, *(linear(x, *self.layer(f"roi_heads.box_predictor.{name}")) for name in ("cls_score", "bbox_pred"))


def inputs():
    """Noise as wide as a page's pixels, and as pooled features."""
    random = numpy.random.default_rng(0)
    image = random.normal(0, 60, (1, 3, HEIGHT, WIDTH)).astype("f4")
    return image, random.standard_normal((ROIS, 256, 7, 7), dtype="f4")


def prepare(folder, work):
    work.mkdir(parents=True, exist_ok=True)
    model, given = Dense(folder), [torch.from_numpy(v) for v in inputs()]
    with torch.inference_mode():
        exact = model(*(v.double() for v in given))
    numpy.savez(work / "exact.npz", **{name: value.float().numpy() for name, value in zip(ANSWERS, exact)})
    options = {"input_names": ["image", "rois"], "output_names": ANSWERS, "dynamo": True, "external_data": False, "verbose": False}
    torch.onnx.export(model.float().eval(), tuple(given), str(work / "new.onnx"), **options)
    (work / "new.onnx").replace(work / "dense.onnx")


def with_torch(folder, _, threads, options):
    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    model, (image, rois) = Dense(folder).float().eval(), (torch.from_numpy(v) for v in inputs())
    if "last" in options:
        # RoIs stay as torchvision's pooling gives them.
        model, image = model.to(memory_format=torch.channels_last), image.contiguous(memory_format=torch.channels_last)
    # Entered once, so that the weights are converted once.
    torch.autocast("cpu", torch.bfloat16, enabled="bf16" in options).__enter__()
    return lambda: model(image, rois), lambda answers: [v.float().numpy() for v in answers]


def with_onnxruntime(_, work, threads, options):
    import onnxruntime

    config = onnxruntime.SessionOptions()
    config.intra_op_num_threads, config.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(str(work / "dense.onnx"), config, providers=["CPUExecutionProvider"])
    # Bound, so that nothing is copied between NumPy and the engine.
    binding, given = session.io_binding(), [onnxruntime.OrtValue.ortvalue_from_numpy(v) for v in inputs()]
    for name, value in zip(("image", "rois"), given):
        binding.bind_ortvalue_input(name, value)
    for name in ANSWERS:
        binding.bind_output(name, "cpu")
    return lambda: session.run_with_iobinding(binding), lambda _: binding.copy_outputs_to_cpu()


def with_openvino(_, work, threads, options):
    import openvino

    config = {"INFERENCE_PRECISION_HINT": "bf16" if "bf16" in options else "f32", "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1}
    compiled = openvino.Core().compile_model(str(work / "dense.onnx"), "CPU", config)
    request, given = compiled.create_infer_request(), [openvino.Tensor(v) for v in inputs()]
    for i, value in enumerate(given):
        request.set_input_tensor(i, value)
    return request.infer, lambda _: [request.get_output_tensor(i).data for i in range(len(ANSWERS))]


ENGINES = {"torch": with_torch, "onnxruntime": with_onnxruntime, "openvino": with_openvino}


def measure(folder, work, engine, runs, threads):
    name, *options = engine.split("-")
    run, read = ENGINES[name](folder, work, threads, options)
    run()
    times = []
    for _ in range(runs):
        started = time.perf_counter()
        answers = run()
        times.append(1e3 * (time.perf_counter() - started))
    exact, found = numpy.load(work / "exact.npz"), read(answers)
    away = [float(abs(found[i] - exact[name]).max() / abs(exact[name]).max()) for i, name in enumerate(ANSWERS)]
    print(f"{min(times):.1f} {statistics.median(times):.1f}", *(f"{max(away[i] for i in part):.0e}" for part in PARTS))


if __name__ == "__main__":
    folder, work, engine = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3]
    if engine == "prepare":
        prepare(folder, work)
    else:
        measure(folder, work, engine, int(sys.argv[4]), int(sys.argv[5]) if len(sys.argv) > 5 else 2)
