"""`functional_call`, as at ``torch.func``."""

from __future__ import annotations

from typing import Any

from .absent import missing

__all__ = ["functional_call"]


def functional_call(
    module: Any,
    parameter_and_buffer_dicts: Any,
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """Call a module with other tensors in place of its parameters and buffers.

    Parameters
    ----------
    module : Module
    parameter_and_buffer_dicts : dict of str to Tensor, or sequence of them
        By dotted name; gradients go to these tensors.
    args : object or tuple, optional
        What the module is called with.
    kwargs : dict, optional
    tie_weights : bool
        Whether a tensor that has several names is replaced under all of them.
    strict : bool
        Whether names that the module does not have, or that are left out, are an error.

    Raises
    ------
    RuntimeError
        For such names, when `strict`.
    """
    given = parameter_and_buffer_dicts
    dicts = [given] if isinstance(given, dict) else list(given)
    wanted: dict[str, Any] = {}
    for part in dicts:
        wanted.update(part)
    tables: dict[str, tuple[dict[str, Any], str]] = {}
    names: dict[int, list[str]] = {}
    for path, inner in module.named_modules(remove_duplicate=False):
        for table in (inner._parameters, inner._buffers):
            for name, tensor in table.items():
                if tensor is not None:
                    key = f"{path}.{name}" if path else name
                    tables[key] = table, name
                    names.setdefault(id(tensor), []).append(key)
    unknown = [name for name in wanted if name not in tables]
    left = [name for name in tables if name not in wanted]
    if strict and (unknown or left):
        raise RuntimeError(f"functional_call: unexpected names {unknown}, missing names {left}")
    if tie_weights:
        for keys in names.values():
            found = [wanted[key] for key in keys if key in wanted]
            if found:
                wanted.update(dict.fromkeys(keys, found[0]))
    before = [(table, name, table[name]) for table, name in tables.values()]
    try:
        for key, tensor in wanted.items():
            if key in tables:
                table, name = tables[key]
                table[name] = tensor
        values = () if args is None else args if isinstance(args, tuple) else (args,)
        return module(*values, **(kwargs or {}))
    finally:
        for table, name, tensor in before:
            table[name] = tensor


def __getattr__(name: str) -> Any:
    raise missing(__name__, name)
