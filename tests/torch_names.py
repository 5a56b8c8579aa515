"""Fills our modules with torch arrays: a table from our paths to their names."""

import jax.numpy as jnp
import numpy as np

PROJECTOR = {"hidden.0": "head.net1.0", "norms.0": "head.net1.1", "out": "head.net1.3"}


def nchw(x):
    """One-channel images without the channel."""
    return jnp.asarray(x, jnp.float32)[:, 0]


def vgg_names():
    names = {"dense": "dense1"}
    for i in range(6):
        names |= {f"convs.{i}.conv": f"conv{i}.conv", f"convs.{i}.norm": f"conv{i}.bn"}
    return names


def at(module, path):
    for key in path.split("."):
        module = module[int(key)] if key.isdigit() else getattr(module, key)
    return module


def ours(weight):
    """Kernel layout: OIHW to HWIO, (out, in) to (in, out)."""
    return weight.transpose(2, 3, 1, 0) if weight.ndim == 4 else weight.T


def fill(module, arrays, names):
    for path, theirs in names.items():
        node, weight = at(module, path), arrays[f"{theirs}.weight"]
        if hasattr(node, "kernel"):
            assert node.kernel.shape == ours(weight).shape
            node.kernel[...] = jnp.asarray(ours(weight))
        else:
            node.scale[...] = jnp.asarray(weight)
            node.mean[...] = jnp.asarray(arrays[f"{theirs}.running_mean"])
            node.var[...] = jnp.asarray(arrays[f"{theirs}.running_var"])
        if f"{theirs}.bias" in arrays:
            node.bias[...] = jnp.asarray(arrays[f"{theirs}.bias"])


def set_gru(gru, w_ih, w_hh, b_ih, b_hh):
    for variable, value in (
        (gru.w_in, w_ih.T),
        (gru.w_state, w_hh.T),
        (gru.b_in, b_ih),
        (gru.b_state, b_hh),
    ):
        assert variable.shape == value.shape
        variable[...] = jnp.asarray(value, jnp.float32)


def _resnet_layout():
    """(name, shape of the weight) in the order of torch's state dict, and our paths."""
    layout, names = [], {}

    def conv_norm(path, conv, norm, shape):
        layout.extend([(conv, shape), (norm, (shape[0],))])
        names.update({f"{path}.conv": conv, f"{path}.norm": norm})

    conv_norm("stem", "conv1", "bn1", (64, 1, 7, 7))
    n_in = 64
    for stage in range(4):
        n_out = 64 * 2**stage
        for block in range(2):
            ours_, theirs = f"blocks.{2 * stage + block}", f"layer{stage + 1}.{block}"
            conv_norm(f"{ours_}.conv1", f"{theirs}.conv1", f"{theirs}.bn1", (n_out, n_in, 3, 3))
            conv_norm(f"{ours_}.conv2", f"{theirs}.conv2", f"{theirs}.bn2", (n_out, n_out, 3, 3))
            if stage and not block:
                down = f"{theirs}.downsample"
                shape = (n_out, n_in, 1, 1)
                conv_norm(f"{ours_}.shortcut", f"{down}.0", f"{down}.1", shape)
            n_in = n_out
    return layout, names


def resnet_recipe():
    """The seeded weights that the golden ResNet-18 was made with."""
    r, arrays = np.random.RandomState(0), {}
    layout, names = _resnet_layout()
    for name, shape in layout:
        if len(shape) == 4:
            fan_out = shape[0] * shape[2] * shape[3]
            arrays[f"{name}.weight"] = r.standard_normal(shape) * np.sqrt(2 / fan_out)
            continue
        arrays[f"{name}.weight"] = r.uniform(0.5, 1.5, shape)
        arrays[f"{name}.bias"] = 0.1 * r.standard_normal(shape)
        arrays[f"{name}.running_mean"] = 0.1 * r.standard_normal(shape)
        arrays[f"{name}.running_var"] = r.uniform(0.5, 1.5, shape)
    return {key: value.astype(np.float32) for key, value in arrays.items()}, names
