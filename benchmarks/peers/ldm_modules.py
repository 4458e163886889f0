"""A single-file checkpoint as diffusers and transformers modules, configured from its tensor shapes.

Shared by the PyTorch peer of the benchmarks and by the generators of tests/fixtures/networks.
Needs no network: key conversion is diffusers' own, configurations are read off the shapes.
"""

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.loaders.single_file_utils import (
    convert_ldm_clip_checkpoint,
    convert_ldm_unet_checkpoint,
    convert_ldm_vae_checkpoint,
    convert_open_clip_checkpoint,
)
from safetensors import safe_open
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

UNET = "model.diffusion_model."
HEAD_WIDTH = 64
EOS = 49407


class Checkpoint:
    """The names of a file's tensors; data is read by prefix, so that only one network is in memory
    twice at a time."""

    def __init__(self, path, dtype=torch.float32):
        self.path, self.dtype = str(path), dtype
        with safe_open(self.path, framework="pt") as file:
            self.names = list(file.keys())

    def read(self, prefix):
        """Returns the floating-point tensors whose names start with `prefix`, as `dtype`."""
        with safe_open(self.path, framework="pt") as file:
            return {
                name: tensor.to(self.dtype)
                for name in self.names
                if name.startswith(prefix)
                and (tensor := file.get_tensor(name)).is_floating_point()
            }

    @property
    def family(self):
        """sd1, sd2, sdxl or refiner, by where the text encoders are."""
        kinds = {
            "conditioner.embedders.1.": "sdxl",
            "conditioner.embedders.0.": "refiner",
            "cond_stage_model.model.": "sd2",
        }
        found = (k for p, k in kinds.items() if any(name.startswith(p) for name in self.names))
        return next(found, "sd1")


def _fill(module, states):
    """Gives a module made on the meta device its weights, without a copy."""
    module.load_state_dict(states, assign=True)
    return module.eval()


def _count(weights, prefix):
    """Counts the numbered children of a prefix."""
    return len({key[len(prefix) :].split(".")[0] for key in weights if key.startswith(prefix)})


def load_unet(checkpoint):
    """Returns UNet2DConditionModel with the weights of `model.diffusion_model`."""
    family = checkpoint.family
    weights = checkpoint.read(UNET)
    channels, depths = [], []
    for first in (1, 4, 7, 10):
        block = f"{UNET}input_blocks.{first}"
        if f"{block}.0.out_layers.3.weight" not in weights:
            break
        channels.append(weights[f"{block}.0.out_layers.3.weight"].shape[0])
        depths.append(_count(weights, f"{block}.1.transformer_blocks."))
    middle = _count(weights, f"{UNET}middle_block.1.transformer_blocks.")
    attention = "middle_block.1.transformer_blocks.0.attn2.to_k.weight"
    # diffusers gives the middle the depth of the last level, which the refiner leaves without any.
    layers = [depth or 1 for depth in depths[:-1]] + [middle]
    assert depths[-1] in (0, middle), "no diffusers configuration for this middle block"
    config = dict(
        in_channels=weights[f"{UNET}input_blocks.0.0.weight"].shape[1],
        out_channels=weights[f"{UNET}out.2.weight"].shape[0],
        block_out_channels=channels,
        layers_per_block=2,
        down_block_types=["CrossAttnDownBlock2D" if d else "DownBlock2D" for d in depths],
        up_block_types=["CrossAttnUpBlock2D" if d else "UpBlock2D" for d in reversed(depths)],
        transformer_layers_per_block=layers,
        cross_attention_dim=weights[UNET + attention].shape[1],
        use_linear_projection=weights[f"{UNET}middle_block.1.proj_in.weight"].ndim == 2,
        # Despite its name this is the number of heads.
        attention_head_dim=8 if family == "sd1" else [max(1, c // HEAD_WIDTH) for c in channels],
        flip_sin_to_cos=True,
        freq_shift=0,
    )
    if family in ("sdxl", "refiner"):
        config |= dict(
            addition_embed_type="text_time",
            addition_time_embed_dim=256,
            projection_class_embeddings_input_dim=weights[f"{UNET}label_emb.0.0.weight"].shape[1],
        )
    with torch.device("meta"):
        module = UNet2DConditionModel(**config)
    return _fill(module, convert_ldm_unet_checkpoint(weights, config))


def load_vae(checkpoint):
    """Returns AutoencoderKL with the weights of `first_stage_model`."""
    weights = checkpoint.read("first_stage_model.")
    channels = []
    while (key := f"first_stage_model.encoder.down.{len(channels)}.block.1.conv2.weight") in weights:
        channels.append(weights[key].shape[0])
    config = dict(
        block_out_channels=channels,
        layers_per_block=2,
        latent_channels=4,
        down_block_types=["DownEncoderBlock2D"] * len(channels),
        up_block_types=["UpDecoderBlock2D"] * len(channels),
    )
    with torch.device("meta"):
        module = AutoencoderKL(**config)
    return _fill(module, convert_ldm_vae_checkpoint(weights, config))


def load_clip(checkpoint):
    """Returns CLIPTextModel of SD 1 or of SDXL's first encoder (quick GELU)."""
    prefix = "cond_stage_model." if checkpoint.family == "sd1" else "conditioner.embedders.0."
    states = convert_ldm_clip_checkpoint(checkpoint.read(prefix))
    states = {key.removeprefix("text_model."): value for key, value in states.items()}
    width = states["embeddings.token_embedding.weight"].shape[1]
    module = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=states["embeddings.token_embedding.weight"].shape[0],
            hidden_size=width,
            intermediate_size=4 * width,
            num_hidden_layers=_count(states, "encoder.layers."),
            num_attention_heads=width // HEAD_WIDTH,
            hidden_act="quick_gelu",
            eos_token_id=EOS,
        )
    )
    module.load_state_dict(states)
    return module.eval()


def load_open_clip(checkpoint):
    """Returns CLIPTextModelWithProjection of SD 2, SDXL's second encoder or the refiner's."""
    prefix = {
        "sd2": "cond_stage_model.model.",
        "sdxl": "conditioner.embedders.1.model.",
        "refiner": "conditioner.embedders.0.model.",
    }[checkpoint.family]
    weights = checkpoint.read(prefix)
    width = weights[f"{prefix}token_embedding.weight"].shape[1]
    layers = _count(weights, f"{prefix}transformer.resblocks.")
    if checkpoint.family == "sd2":
        # The converter drops the 24th layer, which SD 2 never uses.
        layers = min(layers, 23)
    module = CLIPTextModelWithProjection(
        CLIPTextConfig(
            vocab_size=weights[f"{prefix}token_embedding.weight"].shape[0],
            hidden_size=width,
            intermediate_size=4 * width,
            num_hidden_layers=layers,
            num_attention_heads=width // HEAD_WIDTH,
            projection_dim=weights[f"{prefix}text_projection"].shape[1],
            hidden_act="gelu",
            eos_token_id=EOS,
        )
    )
    states = convert_open_clip_checkpoint(module, weights, prefix=prefix)
    missing, unexpected = module.load_state_dict(states, strict=False)
    # The converter also leaves out SD 2's projection, which nothing reads.
    assert not unexpected and set(missing) <= {"text_projection.weight"}, (missing, unexpected)
    return module.eval()
