"""Attention: what each query takes from the values, weighted by its likeness to the keys."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...functions.join import cat
from ...tensor import Tensor, wrap
from .activation import dropout, softmax
from .common import check_all_floats, check_tensor, number
from .conv import linear


def _scores_mask(name: str, mask: Any, like: Tensor, shape: tuple[int, ...], keep: bool) -> Any:
    """A mask as what is added to scores of `shape`; bool elements equal to `keep` take part."""
    check_tensor(name, "attn_mask", mask)
    try:
        fits = np.broadcast_shapes(mask._array.shape, shape) == shape
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(
            f"{name}(): attn_mask of shape {mask._array.shape} does not fit scores of shape {shape}"
        )
    if mask._array.dtype.kind == "b":
        out = mask._array != keep
        return wrap(np.where(out, -np.inf, 0).astype(like._array.dtype))
    if mask._array.dtype != like._array.dtype:
        raise TypeError(
            f"{name}(): attn_mask must be bool or {like._array.dtype}, got {mask._array.dtype}"
        )
    return mask


def _causal(rows: int, columns: int, kind: Any) -> Tensor:
    """-inf above the diagonal."""
    return wrap(np.triu(np.full((rows, columns), -np.inf, kind), 1))  # type: ignore[no-any-return]


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """softmax(query · keyᵀ · scale + mask) · value (Vaswani et al. 2017).

    Parameters
    ----------
    query : Tensor
        (*, L, E).
    key, value : Tensor
        (*, S, E) and (*, S, Ev).
    attn_mask : Tensor, optional
        Broadcast to (*, L, S): bool, True where a query may look, or added to the scores. A query
        that may look nowhere gives zeros.
    dropout_p : float
        Of the weights; it is applied always.
    is_causal : bool
        Query i sees the keys up to i only. Not together with a mask.
    scale : float, optional
        1 / √E when not given.
    enable_gqa : bool
        Keys and values may have fewer heads (axis -3), which are repeated.

    Returns
    -------
    Tensor
        (*, L, Ev).

    Raises
    ------
    ValueError, TypeError
        For shapes and types that do not fit.
    """
    name = "scaled_dot_product_attention"
    check_all_floats(name, query=query, key=key, value=value)
    q, k, v = query._array.shape, key._array.shape, value._array.shape
    if min(len(q), len(k), len(v)) < 2 or q[-1] != k[-1] or k[-2] != v[-2]:
        raise ValueError(
            f"{name}(): query (*, L, E), key (*, S, E) and value (*, S, Ev) expected, "
            f"got shapes {q}, {k} and {v}"
        )
    if enable_gqa:
        if len(q) < 3 or len(k) < 3 or q[-3] % k[-3] or q[-3] % v[-3]:
            raise ValueError(
                f"{name}(): the query's heads must be a multiple of the key's and the value's, "
                f"got shapes {q}, {k} and {v}"
            )
        key = key.repeat_interleave(q[-3] // k[-3], -3)
        value = value.repeat_interleave(q[-3] // v[-3], -3)
    factor = 1 / math.sqrt(q[-1]) if scale is None else number(name, "scale", scale)
    scores = (query * factor).matmul(key.transpose(-1, -2))
    hidden = False
    if is_causal:
        if attn_mask is not None:
            raise ValueError(f"{name}(): attn_mask must be None with is_causal=True")
        scores = scores + _causal(q[-2], k[-2], query._array.dtype)
    elif attn_mask is not None:
        mask = _scores_mask(name, attn_mask, query, scores._array.shape, True)
        scores, hidden = scores + mask, True
    weights = softmax(scores, -1)
    if hidden:
        nowhere = np.isneginf(scores._array).all(-1, keepdims=True)
        if nowhere.any():
            shape = scores._array.shape
            scores = scores.masked_fill(wrap(np.broadcast_to(nowhere, shape)), 0)
            weights = softmax(scores, -1).masked_fill(wrap(np.broadcast_to(nowhere, shape)), 0)
    if dropout_p:
        weights = dropout(weights, dropout_p)
    return weights.matmul(value)


def multi_head_attention_forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: None = None,
    static_v: None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Attention of several heads: see `nn.MultiheadAttention`, whose parameters these are.

    Parameters
    ----------
    query, key, value : Tensor
        (L, N, E), (S, N, Ek), (S, N, Ev), or without N.
    key_padding_mask : Tensor, optional
        (N, S) or (S,): bool, True for keys to ignore, or added to the scores.
    attn_mask : Tensor, optional
        (L, S) or (N · heads, L, S): bool, True where a query may not look, or added to the scores.
    is_causal : bool
        Says that attn_mask is the causal one, which has to be given.

    Returns
    -------
    output : Tensor
        (L, N, E) or (L, E).
    weights : Tensor or None
        (N, L, S), or of each head (N, heads, L, S); without N as the input. None unless
        `need_weights`.
    """
    name = "multi_head_attention_forward"
    check_all_floats(name, query=query, key=key, value=value)
    if static_k is not None or static_v is not None:
        raise NotImplementedError(f"{name}(): static_k and static_v are not supported")
    rank = query._array.ndim
    if rank not in (2, 3) or key._array.ndim != rank or value._array.ndim != rank:
        raise ValueError(
            f"{name}(): query, key and value must all be 2-D or all 3-D, got shapes "
            f"{query._array.shape}, {key._array.shape} and {value._array.shape}"
        )
    if is_causal and attn_mask is None:
        raise RuntimeError("Need attn_mask if specifying the is_causal hint.")
    if rank == 2:
        query, key, value = query.unsqueeze(1), key.unsqueeze(1), value.unsqueeze(1)
        if key_padding_mask is not None:
            key_padding_mask = key_padding_mask.unsqueeze(0)
    target, batch, width = query._array.shape
    source = key._array.shape[0]
    if width != embed_dim_to_check or width % num_heads:
        raise ValueError(
            f"{name}(): query must have {embed_dim_to_check} features, divisible by {num_heads} "
            f"heads, got shape {query._array.shape}"
        )
    if key._array.shape[:2] != value._array.shape[:2] or key._array.shape[1] != batch:
        raise ValueError(
            f"{name}(): key of shape {key._array.shape} and value of shape {value._array.shape} "
            f"do not fit query of shape {query._array.shape}"
        )
    biases: Any = (None,) * 3 if in_proj_bias is None else in_proj_bias.chunk(3)
    if use_separate_proj_weight:
        parts: Any = (q_proj_weight, k_proj_weight, v_proj_weight)
    else:
        check_tensor(name, "in_proj_weight", in_proj_weight)
        parts = in_proj_weight.chunk(3)  # type: ignore[union-attr]
    q, k, v = (linear(t, w, b) for t, w, b in zip((query, key, value), parts, biases, strict=True))
    extra = 0
    if bias_k is not None and bias_v is not None:
        k, v = cat([k, bias_k.expand(1, batch, -1)]), cat([v, bias_v.expand(1, batch, -1)])
        extra += 1
    head = width // num_heads
    q = q.reshape(target, batch * num_heads, head).transpose(0, 1)
    k = k.reshape(source + extra, batch * num_heads, head).transpose(0, 1)
    v = v.reshape(source + extra, batch * num_heads, head).transpose(0, 1)
    if add_zero_attn:
        zeros = wrap(np.zeros((batch * num_heads, 1, head), q._array.dtype))
        k, v = cat([k, zeros], 1), cat([v, zeros], 1)
        extra += 1
    mask = _head_mask(name, attn_mask, q, (batch, num_heads, target, source), extra)
    if key_padding_mask is not None:
        pad = _scores_mask(name, key_padding_mask, q, (batch, source), False)
        if extra:
            pad = cat([pad, wrap(np.zeros((batch, extra), pad._array.dtype))], 1)
        pad = pad.reshape(batch, 1, 1, -1).expand(-1, num_heads, -1, -1)
        pad = pad.reshape(batch * num_heads, 1, -1)
        mask = pad if mask is None else mask + pad
    drop = dropout_p if training else 0.0
    weights: Tensor | None = None
    if need_weights:
        scores = (q * math.sqrt(1 / head)).matmul(k.transpose(1, 2))
        weights = softmax(scores if mask is None else scores + mask, -1)
        if drop:
            weights = dropout(weights, drop)
        out = weights.matmul(v)
        weights = weights.reshape(batch, num_heads, target, source + extra)
        if average_attn_weights:
            weights = weights.mean(1)
        weights = weights.squeeze(0) if rank == 2 else weights
    else:
        out = scaled_dot_product_attention(q, k, v, mask, drop)
    out = linear(out.transpose(0, 1).reshape(target, batch, width), out_proj_weight, out_proj_bias)
    return (out.squeeze(1) if rank == 2 else out), weights


def _head_mask(
    name: str, mask: Any, like: Tensor, sizes: tuple[int, int, int, int], extra: int
) -> Any:
    """The attention mask as (1 or N · heads, L, S + extra), to be added; or None."""
    if mask is None:
        return None
    batch, heads, target, source = sizes
    check_tensor(name, "attn_mask", mask)
    expected = {2: (target, source), 3: (batch * heads, target, source)}
    if mask._array.shape != expected.get(mask._array.ndim):
        raise ValueError(
            f"{name}(): attn_mask must have shape {expected[2]} or {expected[3]}, "
            f"got {mask._array.shape}"
        )
    added = _scores_mask(name, mask, like, mask._array.shape, False)
    if added._array.ndim == 2:
        added = added.unsqueeze(0)
    if extra:
        shape = (*added._array.shape[:-1], extra)
        added = cat([added, wrap(np.zeros(shape, added._array.dtype))], 2)
    return added
