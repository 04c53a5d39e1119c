"""Export networks of torchvision with random weights, for TestFilesComputeWhatONNXRuntimeDoes:

    python3 export.py FOLDER [NAME ...]

Written for torch 1.13 and torchvision 0.14. A network whose file is there already is left out.
"""

import os
import sys
import warnings

import torch
from torch import nn
from torchvision import models

warnings.filterwarnings("ignore")


class Encoder(nn.Module):
    """A language encoder: tokens and a mask in, one vector per token out."""

    def __init__(self, words=211, size=48, heads=4, length=32):
        super().__init__()
        self.words, self.places = nn.Embedding(words, size), nn.Embedding(length, size)
        self.layers = nn.ModuleList(Layer(size, heads) for _ in range(2))
        self.norm = nn.LayerNorm(size)

    def forward(self, tokens, mask):
        places = torch.arange(tokens.shape[1])[None]
        x = self.norm(self.words(tokens) + self.places(places))
        bias = (1 - mask[:, None, None, :].to(x.dtype)) * -1e4
        for layer in self.layers:
            x = layer(x, bias)
        return x


class Layer(nn.Module):
    def __init__(self, size, heads):
        super().__init__()
        self.heads = heads
        self.qkv, self.out = nn.Linear(size, 3 * size), nn.Linear(size, size)
        self.up, self.down = nn.Linear(size, 4 * size), nn.Linear(4 * size, size)
        self.first, self.second = nn.LayerNorm(size), nn.LayerNorm(size)

    def forward(self, x, bias):
        n, length, size = x.shape
        q, k, v = self.qkv(x).view(n, length, 3, self.heads, size // self.heads).permute(2, 0, 3, 1, 4)
        scores = q @ k.transpose(-2, -1) / (size // self.heads) ** 0.5 + bias
        y = (scores.softmax(-1) @ v).transpose(1, 2).reshape(n, length, size)
        x = self.first(x + self.out(y))
        return self.second(x + self.down(nn.functional.gelu(self.up(x))))


class UNet(nn.Module):
    """Down, up by transposed convolutions and by interpolation, with skips."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 32, 3, 2, 1)
        self.c = nn.Conv2d(32, 32, 3, 2, 1)
        self.up, self.norm = nn.ConvTranspose2d(32, 16, 4, 2, 1), nn.GroupNorm(4, 16)
        self.d, self.e = nn.Conv2d(48, 16, 3, padding=1), nn.Conv2d(32, 5, 1)
        self.inorm = nn.InstanceNorm2d(16, affine=True)

    def forward(self, x):
        a = nn.functional.mish(self.a(x))
        b = nn.functional.selu(self.b(a))
        c = nn.functional.silu(self.c(b))
        d = torch.cat([self.norm(self.up(c)), b], 1)
        d = self.inorm(self.d(d))
        up = nn.functional.interpolate(d, scale_factor=2, mode="bicubic", align_corners=False)
        return self.e(torch.cat([up, a], 1)).argmax(1)


class Gated(nn.Module):
    """A recurrent layer behind convolutions, which the engine keeps as it is."""

    def __init__(self):
        super().__init__()
        self.conv, self.lstm, self.out = nn.Conv1d(8, 12, 3, padding=1), nn.LSTM(12, 10, bidirectional=True), nn.Linear(20, 7)

    def forward(self, x):
        return self.out(self.lstm(self.conv(x).relu().permute(2, 0, 1))[0])


def images(size):
    return {"x": torch.randn(1, 3, size, size)}


NETWORKS = {
    "resnet18": (lambda: models.resnet18(), images(64)),
    "resnext50": (lambda: models.resnext50_32x4d(), images(64)),
    "densenet121": (lambda: models.densenet121(), images(64)),
    "googlenet": (lambda: models.googlenet(init_weights=False, aux_logits=False), images(96)),
    "inception_v3": (lambda: models.inception_v3(init_weights=False, aux_logits=False), images(139)),
    "squeezenet": (lambda: models.squeezenet1_1(), images(96)),
    "shufflenet_v2": (lambda: models.shufflenet_v2_x1_0(), images(64)),
    "mnasnet": (lambda: models.mnasnet1_0(), images(64)),
    "mobilenet_v2": (lambda: models.mobilenet_v2(), images(64)),
    "mobilenet_v3": (lambda: models.mobilenet_v3_small(), images(64)),
    "efficientnet_b0": (lambda: models.efficientnet_b0(), images(64)),
    "efficientnet_v2_s": (lambda: models.efficientnet_v2_s(), images(64)),
    "regnet_y": (lambda: models.regnet_y_400mf(), images(64)),
    "convnext_tiny": (lambda: models.convnext_tiny(), images(64)),
    "vit_b_16": (lambda: models.vit_b_16(), images(224)),
    "swin_t": (lambda: models.swin_t(), images(224)),
    "maxvit_t": (lambda: models.maxvit_t(), images(224)),
    "alexnet": (lambda: models.alexnet(), images(224)),
    "deeplabv3": (lambda: models.segmentation.deeplabv3_mobilenet_v3_large(weights_backbone=None, num_classes=5), images(96)),
    "lraspp": (lambda: models.segmentation.lraspp_mobilenet_v3_large(weights_backbone=None, num_classes=5), images(96)),
    "fcos": (lambda: models.detection.fcos_resnet50_fpn(weights_backbone=None, num_classes=5), [torch.rand(3, 128, 128)]),
    "retinanet": (lambda: models.detection.retinanet_resnet50_fpn(weights_backbone=None, num_classes=5), [torch.rand(3, 128, 128)]),
    "encoder": (Encoder, {"tokens": torch.randint(0, 200, (2, 9)), "mask": torch.ones(2, 9, dtype=torch.int64)}),
    "unet": (UNet, images(32)),
    "gated": (Gated, {"x": torch.randn(2, 8, 11)}),
}


# Networks that are also exported with height and width left open.
ANY_SIZE = ["resnet18", "mobilenet_v3", "shufflenet_v2", "deeplabv3", "lraspp", "unet", "convnext_tiny", "swin_t"]


def export(name, folder, any_size=False):
    path = os.path.join(folder, name + ("_any" if any_size else "") + ".onnx")
    if os.path.exists(path):
        return
    torch.manual_seed(0)
    make, inputs = NETWORKS[name]
    model = make().eval()
    for p in model.parameters():  # heads that start at zero hide everything before them
        if p.dim() > 1 and not p.any():
            nn.init.normal_(p, std=0.05)
    if isinstance(inputs, list):
        args, names = (inputs,), ["x"]
        axes = {}
    else:
        args, names = tuple(inputs.values()), list(inputs)
        axes = {n: {0: "N", 2: "H", 3: "W"} if any_size else {0: "N"} for n in names}
    opset = 11 if isinstance(inputs, list) else 16
    torch.onnx.export(model, args, path, opset_version=opset, input_names=names, dynamic_axes=axes)


def main(folder, *names):
    os.makedirs(folder, exist_ok=True)
    for name in names or NETWORKS:
        try:
            export(name, folder)
            if name in ANY_SIZE:
                export(name, folder, True)
        except Exception as e:  # the exporter's own limits
            print(f"{name}: {e}", file=sys.stderr)


if __name__ == "__main__":
    main(*sys.argv[1:])
