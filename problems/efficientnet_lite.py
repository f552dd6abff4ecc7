"""EfficientNet-Lite0: EfficientNet without squeeze-and-excitation and with ReLU6, for processors of phones."""

from __future__ import annotations

from torch import Tensor, nn

# Of each stage: blocks, kernel, stride, expansion, channels.
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
STEM, HEAD = 32, 1280
EPSILON = 1e-3  # of batch norm


def padding(kernel: int, stride: int) -> nn.Module:
    """TensorFlow's "same" padding of images of an even size: at stride 2 one pixel less on the left and at the top."""
    before, after = (kernel - stride) // 2, (kernel - stride + 1) // 2
    return nn.ZeroPad2d((before, after, before, after))


class Block(nn.Module):
    """An inverted residual block (Sandler et al., CVPR 2018), with the names of the published weights."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        self.expands = expansion != 1
        self.adds = stride == 1 and inputs == outputs
        if self.expands:
            self._expand_conv = nn.Conv2d(inputs, inner, 1, bias=False)
            self._bn0 = nn.BatchNorm2d(inner, EPSILON)
        self._pad = padding(kernel, stride)
        self._depthwise_conv = nn.Conv2d(inner, inner, kernel, stride, groups=inner, bias=False)
        self._bn1 = nn.BatchNorm2d(inner, EPSILON)
        self._project_conv = nn.Conv2d(inner, outputs, 1, bias=False)
        self._bn2 = nn.BatchNorm2d(outputs, EPSILON)
        self._relu = nn.ReLU6()

    def forward(self, x: Tensor) -> Tensor:
        """Expand, filter each channel, project; added to x where shapes allow it."""
        inner = self._relu(self._bn0(self._expand_conv(x))) if self.expands else x
        inner = self._relu(self._bn1(self._depthwise_conv(self._pad(inner))))
        found = self._bn2(self._project_conv(inner))
        return found + x if self.adds else found


class EfficientNetLite0(nn.Module):
    """Tan and Le, "EfficientNet", ICML 2019, in the variant Lite0 of the TensorFlow authors (2020).

    4,652,008 parameters; names are those of the PyPI package `efficientnet-lite-pytorch`, whose weights fit.
    """

    def __init__(self) -> None:
        super().__init__()
        self._pad = padding(3, 2)
        self._conv_stem = nn.Conv2d(3, STEM, 3, 2, bias=False)
        self._bn0 = nn.BatchNorm2d(STEM, EPSILON)
        blocks, inputs = [], STEM
        for number, kernel, stride, expansion, outputs in STAGES:
            for i in range(number):
                blocks.append(Block(inputs, outputs, kernel, stride if i == 0 else 1, expansion))
                inputs = outputs
        self._blocks = nn.Sequential(*blocks)
        self._conv_head = nn.Conv2d(inputs, HEAD, 1, bias=False)
        self._bn1 = nn.BatchNorm2d(HEAD, EPSILON)
        self._relu = nn.ReLU6()
        self._pool = nn.AdaptiveAvgPool2d(1)
        self._flatten = nn.Flatten()
        self._fc = nn.Linear(HEAD, 1000)

    def forward(self, images: Tensor) -> Tensor:
        """Logits float32[n, 1000] of images float32[n, 3, 224, 224]."""
        features = self._blocks(self._relu(self._bn0(self._conv_stem(self._pad(images)))))
        features = self._relu(self._bn1(self._conv_head(features)))
        return self._fc(self._flatten(self._pool(features)))
