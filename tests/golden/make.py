"""Makes the golden arrays of this folder that are not plain copies; see README.md.

    pip install torch==2.13.0
    python tests/golden/make.py ../shared/golden

Writes encoders_small.npz: networks of few channels in PyTorch (benchmarks/peers.py), drawn weights,
inputs and what they give, in float64 on float32 values. And cuts, from the folder that is given,
arrays down to the rows that the tests read.
"""

import pathlib
import sys

import numpy as np
import torch  # pyright: ignore[reportMissingImports]

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent.parent))
CUTS = {  # file: arrays that are kept, and which of their rows
    "uclser_mixback": (dict.fromkeys(("fg", "bg", "lam", "out")), slice(1, 3)),
    "uclser_logmel": (
        dict.fromkeys(("wave", "wave_norm", "logmel", "short_wave", "short_logmel", "mel_basis")),
        slice(None),
    ),
}


def draw(network, rng) -> None:
    """Draws every parameter and running statistic, so that no part of a network is trivial."""
    for name, value in network.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        if name.endswith("running_var") or (value.ndim == 1 and name.endswith("weight")):
            new = rng.uniform(0.5, 1.5, value.shape)
        elif value.ndim > 1:
            new = rng.normal(size=value.shape) * (2 / value[0].numel()) ** 0.5
        else:
            new = 0.1 * rng.normal(size=value.shape)
        value.copy_(torch.from_numpy(new.astype(np.float32)).double())


def encoders() -> dict[str, np.ndarray]:
    """Arrays of every network: weights, input, output in evaluation and in training mode."""
    from benchmarks import peers

    arrays: dict[str, np.ndarray] = {}
    networks = {
        "vgg": peers.VGG(4),
        "resnet18": peers.ResNet18(4),
        "crnn": peers.CRNN(8),
        "cnn14": peers.CNN14(32, 2),
    }
    for number, (name, network) in enumerate(networks.items()):
        rng = np.random.default_rng(number)
        network.double()
        with torch.no_grad():
            draw(network, rng)
            mels = 32 if name == "cnn14" else 96
            x = rng.normal(size=(3, 40, mels)).astype(np.float32)
            for key, value in network.state_dict().items():
                if not key.endswith("num_batches_tracked"):
                    arrays[f"{name}/w/{key}"] = value.numpy().astype(np.float32)
            image = torch.from_numpy(x).double()[:, None]
            arrays[f"{name}/x"] = x
            arrays[f"{name}/eval"] = network.eval()(image).numpy()
            if name != "cnn14":  # its dropout draws
                arrays[f"{name}/train"] = network.train()(image).numpy()
    return arrays


def main() -> None:
    """Writes all files."""
    shared = pathlib.Path(sys.argv[1])
    np.savez_compressed(HERE / "encoders_small.npz", allow_pickle=False, **encoders())
    for name, (keep, rows) in CUTS.items():
        with np.load(shared / f"{name}.npz") as whole:
            cut = {key: whole[key][rows] for key in keep}
        small = {k: v.astype(np.float32) if v.ndim else v for k, v in cut.items()}
        np.savez_compressed(HERE / f"{name}.npz", allow_pickle=False, **small)


if __name__ == "__main__":
    main()
