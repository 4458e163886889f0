"""PyTorch on the same checkpoint: seconds per UNet evaluation, VAE decode, text encode and load.

    python benchmarks/peers/torch_peer.py model.safetensors [--size 512] [--threads 2] ...

Needs torch, diffusers, transformers and safetensors; no network. diffusers' modules in float32,
PyTorch's own defaults otherwise. Every figure is the median of `--repeat` runs after one that is
listed as `first` (it pays for page faults and kernel selection). One JSON object on stdout; what
is being measured goes to stderr.
"""

import argparse
import json
import resource
import statistics
import sys
import time

import diffusers
import torch
import transformers

from ldm_modules import Checkpoint, load_clip, load_open_clip, load_unet, load_vae

SIZE_NUMBERS = {"sdxl": 6, "refiner": 5}
BOS, EOS = 49406, 49407


def peak_rss_bytes():
    """Returns the process's largest resident size so far (Linux counts kilobytes)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def timed(work):
    start = time.perf_counter()
    result = work()
    return result, time.perf_counter() - start


def measure(label, repeat, work):
    """Returns the first run's seconds, those of the others, and their median."""
    print(label, file=sys.stderr, flush=True)
    first = timed(work)[1]
    runs = [timed(work)[1] for _ in range(repeat)]
    return {"first": first, "runs": runs, "seconds": statistics.median(runs)}


def unet_inputs(unet, family, batch, size):
    """Returns random inputs of one evaluation, as keyword arguments of the module's forward."""
    random = torch.Generator().manual_seed(1)
    normal = lambda *shape: torch.randn(*shape, generator=random)
    inputs = {
        "sample": normal(batch, unet.config.in_channels, size // 8, size // 8),
        "timestep": torch.tensor(521.37),
        "encoder_hidden_states": normal(batch, 77, unet.config.cross_attention_dim),
    }
    if family in SIZE_NUMBERS:
        count = SIZE_NUMBERS[family]
        pooled = unet.config.projection_class_embeddings_input_dim - 256 * count
        inputs["added_cond_kwargs"] = {
            "text_embeds": normal(batch, pooled),
            "time_ids": torch.full((batch, count), float(size)),
        }
    return inputs


def read_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("checkpoint")
    parser.add_argument("--size", type=int, help="pixels a side (SDXL 1024, others 512)")
    parser.add_argument("--vae-size", type=int, default=512, help="pixels a side of the decode")
    parser.add_argument("--batches", type=int, nargs="*", default=[1, 2], help="2 = cond + uncond")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=2, help="runs after the first")
    parser.add_argument("--channels-last", action="store_true", help="UNet and VAE in NHWC")
    parser.add_argument("--skip", nargs="*", default=[], choices=["text", "unet", "vae"])
    return parser.parse_args()


@torch.inference_mode()
def main():
    args = read_arguments()
    torch.set_num_threads(args.threads)
    checkpoint = Checkpoint(args.checkpoint)
    family = checkpoint.family
    size = args.size or (1024 if family in SIZE_NUMBERS else 512)
    layout = torch.channels_last if args.channels_last else torch.contiguous_format
    report = {
        "peer": "torch",
        "versions": {m.__name__: m.__version__ for m in (torch, diffusers, transformers)},
        "checkpoint": args.checkpoint,
        "family": family,
        "threads": args.threads,
        "dtype": "float32",
        "channelsLast": args.channels_last,
        "loadSeconds": {},
        "peakRssBytes": {},
    }

    def load(name, loader):
        print(f"load {name}", file=sys.stderr, flush=True)
        module, report["loadSeconds"][name] = timed(lambda: loader(checkpoint))
        return module

    # Everything stays loaded, as it does while a picture is made.
    texts = []
    if "text" not in args.skip:
        texts += [load("clip", load_clip)] if family in ("sd1", "sdxl") else []
        texts += [load("openClip", load_open_clip)] if family != "sd1" else []
    unet = None if "unet" in args.skip else load("unet", load_unet).to(memory_format=layout)
    vae = None if "vae" in args.skip else load("vae", load_vae).to(memory_format=layout)
    report["peakRssBytes"]["load"] = peak_rss_bytes()

    if texts:
        tokens = torch.tensor([[BOS, *range(1000, 1075), EOS]])
        encode = lambda: [module(tokens, output_hidden_states=True) for module in texts]
        report["textEncode"] = measure("text encode", args.repeat, encode)
        report["peakRssBytes"]["text"] = peak_rss_bytes()
    if unet is not None:
        report["unet"] = []
        for batch in args.batches:
            inputs = unet_inputs(unet, family, batch, size)
            times = measure(f"unet batch {batch}, {size}", args.repeat, lambda: unet(**inputs))
            report["unet"].append({"batch": batch, "width": size, "height": size, **times})
        report["peakRssBytes"]["unet"] = peak_rss_bytes()
    if vae is not None:
        latent = torch.randn(1, 4, args.vae_size // 8, args.vae_size // 8)
        times = measure(f"vae decode {args.vae_size}", args.repeat, lambda: vae.decode(latent))
        report["vaeDecode"] = {"width": args.vae_size, "height": args.vae_size, **times}
        report["peakRssBytes"]["vae"] = peak_rss_bytes()
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
