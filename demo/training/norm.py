"""Group normalisation whose backward pass is fast on a CPU in the channels-last layout, where PyTorch's own takes a quarter of a training step."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class _GroupNorm(torch.autograd.Function):
    """y = weight (x - mean) / sqrt(var + eps) + bias over groups of channels; x [b, c, h, w], channels last."""

    @staticmethod
    def forward(ctx, x, weight, bias, groups, eps):
        y, mean, rstd = torch.native_group_norm(x, weight, bias, x.shape[0], x.shape[1], x.shape[2] * x.shape[3], groups, eps)
        ctx.save_for_backward(x, weight, mean.float(), rstd.float())
        ctx.groups = groups
        return y

    @staticmethod
    def backward(ctx, dy):
        x, weight, mean, rstd = ctx.saved_tensors
        b, c, h, w = x.shape
        n = h * w * (c // ctx.groups)
        dy = dy.contiguous(memory_format=torch.channels_last)
        flat_dy, flat_x = (v.permute(0, 2, 3, 1).reshape(b, h * w, c) for v in (dy, x))
        db = flat_dy.sum(1, dtype=torch.float32)
        ds = (flat_dy * flat_x).sum(1, dtype=torch.float32)
        wide = lambda v: v.repeat_interleave(c // ctx.groups, 1)  # [b, groups] to [b, c]
        m, r = wide(mean), wide(rstd)
        d_weight, d_bias = ((ds - db * m) * r).sum(0), db.sum(0)
        w32 = weight.float()
        per_group = lambda v: wide((v * w32).view(b, ctx.groups, -1).sum(2))
        dsg, dbg = per_group(ds), per_group(db)
        k = (dbg * m - dsg) * r**3 / n
        shift = -k * m - dbg * r / n
        scale = (r * w32).to(x.dtype)
        dx = torch.addcmul(torch.addcmul(shift.to(x.dtype)[:, None], flat_x, k.to(x.dtype)[:, None]), flat_dy, scale[:, None])
        return dx.view(b, h, w, c).permute(0, 3, 1, 2), d_weight.to(weight.dtype), d_bias.to(weight.dtype), None, None


class GroupNorm(nn.GroupNorm):
    """`nn.GroupNorm` with the backward pass above where it is the faster one."""

    def forward(self, x):
        if x.device.type == "cpu" and torch.is_grad_enabled() and x.dim() == 4:
            x = x.contiguous(memory_format=torch.channels_last)
            return _GroupNorm.apply(x, self.weight, self.bias, self.num_groups, self.eps)
        return F.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)
