"""Networks in PyTorch, after the papers; benchmarks time them, tests/golden is made with them."""

import itertools

import torch  # pyright: ignore[reportMissingImports]
from torch import nn  # pyright: ignore[reportMissingImports]
from torch.nn import functional  # pyright: ignore[reportMissingImports]


def conv_norm(n_in: int, n_out: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Makes a convolution and a batch normalisation."""
    conv = nn.Conv2d(n_in, n_out, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(n_out))


class VGG(nn.Module):
    """The VGG-like encoder of Fonseca et al. 2021."""

    def __init__(self, width: int = 32):
        super().__init__()
        widths = [1, *(width * n for n in (1, 1, 1, 2, 2, 4))]
        self.convs = nn.ModuleList(conv_norm(a, b) for a, b in itertools.pairwise(widths))
        self.dense = nn.Linear(8 * width, 16 * width)

    def forward(self, x):
        """Encodes (batch, 1, time, mel)."""
        for i, conv in enumerate(self.convs):
            x = functional.relu(conv(x))
            x = functional.max_pool2d(x, 2) if i in (2, 4, 5) else x
        return functional.relu(self.dense(torch.cat([x.amax((2, 3)), x.mean((2, 3))], 1)))


class Block(nn.Module):
    """A basic block of ResNet (He et al. 2016)."""

    def __init__(self, n_in: int, n_out: int, stride: int):
        super().__init__()
        self.conv1, self.conv2 = conv_norm(n_in, n_out, 3, stride), conv_norm(n_out, n_out)
        changes = stride != 1 or n_in != n_out
        self.shortcut = conv_norm(n_in, n_out, 1, stride) if changes else nn.Identity()

    def forward(self, x):
        """Applies two convolutions and the shortcut."""
        return functional.relu(self.conv2(functional.relu(self.conv1(x))) + self.shortcut(x))


class ResNet18(nn.Module):
    """ResNet-18 for one channel."""

    def __init__(self, width: int = 64):
        super().__init__()
        self.stem, blocks, n_in = conv_norm(1, width, 7, 2), [], width
        for stage in range(4):
            for i in range(2):
                blocks.append(Block(n_in, width * 2**stage, 2 if stage and not i else 1))
                n_in = width * 2**stage
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x):
        """Encodes (batch, 1, time, mel)."""
        x = functional.max_pool2d(functional.relu(self.stem(x)), 3, 2, 1)
        for block in self.blocks:
            x = block(x)
        return x.mean((2, 3))


class CRNN(nn.Module):
    """Three convolutions and a bidirectional GRU, for 96 mel bands."""

    def __init__(self, width: int = 128):
        super().__init__()
        self.convs = nn.ModuleList(conv_norm(n, width, 5) for n in (1, width, width))
        self.gru = nn.GRU(2 * width, width // 2, batch_first=True, bidirectional=True)

    def forward(self, x):
        """Encodes (batch, 1, time, mel)."""
        for conv, pool in zip(self.convs, ((2, 5), (2, 4), (2, 2)), strict=True):
            x = functional.max_pool2d(functional.relu(conv(x)), pool)
        out, _ = self.gru(x.permute(0, 2, 3, 1).flatten(2))
        half = out.shape[2] // 2
        return out[:, -1, :half] * out[:, -1, half:]


class CNN14(nn.Module):
    """PANNs' CNN14 without its tail (Kong et al. 2020)."""

    def __init__(self, mels: int = 64, width: int = 64):
        super().__init__()
        self.norm, widths = nn.BatchNorm2d(mels), [1, *(width * 2**i for i in range(6))]
        self.blocks = nn.ModuleList(
            nn.ModuleList([conv_norm(a, b), conv_norm(b, b)]) for a, b in itertools.pairwise(widths)
        )

    def forward(self, x):
        """Encodes (batch, 1, time, mel)."""
        x = self.norm(x.transpose(1, 3)).transpose(1, 3)
        for i, (first, second) in enumerate(self.blocks):
            x = functional.relu(second(functional.relu(first(x))))
            x = functional.avg_pool2d(x, 2) if i < 5 else x
            x = functional.dropout(x, 0.2, self.training)
        x = x.mean(3)
        return x.amax(2) + x.mean(2)


ENCODERS = {
    "resnet18": (ResNet18, 512),
    "vgg": (VGG, 512),
    "crnn": (CRNN, 64),
    "cnn14": (CNN14, 2048),
}


class SimCLR(nn.Module):
    """An encoder and uclser's projector; NT-Xent of two views."""

    def __init__(self, encoder: nn.Module, features: int, temperature: float = 0.2):
        super().__init__()
        self.encoder, self.temperature = encoder, temperature
        self.projector = nn.Sequential(
            nn.Linear(features, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, 512)
        )

    def forward(self, views):
        """Computes the loss of (batch, 2, time, mel)."""
        z = torch.cat([self.projector(self.encoder(views[:, i : i + 1])) for i in range(2)])
        z, n = functional.normalize(z.float(), dim=1), len(views)
        logits = z @ z.T / self.temperature
        logits = logits.masked_fill(torch.eye(2 * n, dtype=torch.bool, device=z.device), -torch.inf)
        return functional.cross_entropy(logits, torch.arange(2 * n, device=z.device).roll(n))
