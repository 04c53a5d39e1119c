"""Writes torchvision networks with random weights as ONNX files: export_torchvision.py FOLDER [NAME...]

Debian's python3-torchvision 0.14.1 (torch 1.13.1) wrote the files that docs/searchable.md speaks of. The seed is fixed and running statistics are
drawn, so that norms do something. The batch is symbolic where the exporter can say so. Files that exist are kept.
"""

import os
import sys
import warnings

import torch
import torchvision

warnings.filterwarnings("ignore")

SIDES = {"inception_v3": 299, "deeplabv3_mobilenet_v3_large": 128, "fcos_resnet50_fpn": 160, "retinanet_resnet50_fpn": 160}
FIXED = {"fcos_resnet50_fpn", "retinanet_resnet50_fpn"}  # detectors take lists of images
NAMES = """
alexnet vgg11_bn resnet18 resnet50 resnext50_32x4d wide_resnet50_2 densenet121 googlenet inception_v3 squeezenet1_1 shufflenet_v2_x1_0
mnasnet1_0 mobilenet_v2 mobilenet_v3_large mobilenet_v3_small efficientnet_b0 efficientnet_v2_s regnet_y_400mf regnet_x_400mf convnext_tiny
vit_b_16 vit_b_32 swin_t swin_v2_t maxvit_t deeplabv3_mobilenet_v3_large fcn_resnet50 fcos_resnet50_fpn retinanet_resnet50_fpn
""".split()


def build(name):
    torch.manual_seed(1)
    kwargs = {}
    if name in ("googlenet", "inception_v3"):
        kwargs = {"init_weights": True}
    if name in ("deeplabv3_mobilenet_v3_large", "fcn_resnet50", "fcos_resnet50_fpn", "retinanet_resnet50_fpn"):
        kwargs = {"weights_backbone": None}
    model = torchvision.models.get_model(name, weights=None, **kwargs)
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            module.weight.data.uniform_(0.5, 1.5)
    return model.eval()


class First(torch.nn.Module):
    """The one output of a segmentation network, and all of a detector's."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        y = self.inner(x)
        if isinstance(y, dict) and "out" in y:
            return y["out"]
        return y


def export(name, path, opset):
    side = SIDES.get(name, 224)
    model = build(name)
    x = torch.randn(1, 3, side, side)
    axes = None if name in FIXED else {"input": {0: "N"}, "output": {0: "N"}}
    names = None if name in FIXED else ["output"]
    # The fused kernel of torch's encoder layers cannot be exported; it is not chosen in training mode of the layer alone.
    for module in model.modules():
        if isinstance(module, torch.nn.MultiheadAttention):
            module.training = True
            module.dropout = 0.0
    torch.onnx.export(First(model), x, path + ".part", opset_version=opset, input_names=["input"], output_names=names, dynamic_axes=axes,
                      training=torch.onnx.TrainingMode.PRESERVE, do_constant_folding=True)
    os.rename(path + ".part", path)


def main():
    folder, names = sys.argv[1], sys.argv[2:] or NAMES
    os.makedirs(folder, exist_ok=True)
    for name in names:
        stem, _, opset = name.partition("@")
        path = os.path.join(folder, name + ".onnx")
        if os.path.exists(path):
            continue
        try:
            export(stem, path, int(opset or 17))
            print(name, os.path.getsize(path), flush=True)
        except Exception as e:  # one network that does not export keeps nobody else back
            print(name, "failed:", type(e).__name__, str(e)[:300], flush=True)


main()
