"""Programs as data: what the graph fuzzer draws, prints on one line, and reads back.

A program is a few facts (type, threads, seed, the input's shape), steps that make values from
earlier ones, and rounds that run the steps and then change the weights. Its text is one line::

    float64 threads=1 seed=7 input=2,4,6,6 style=module | 1=conv(0,8,3,1,0,1) 2=bn(1) | train.sgd

A step ``label=name(reference, …)`` refers to labels; a reference to one that is not there (a step
was dropped, or made nothing) means the last one before it. Whether a step applies is seen from the
shapes when it runs; if not, it makes nothing. So every list of steps is a program, and a failing
one shrinks by leaving steps out.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import NamedTuple


class Step(NamedTuple):
    """One operation: the label of its result, its name, references and parameters."""

    label: int
    name: str
    args: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.label}={self.name}({','.join(map(str, self.args))})"


@dataclass(frozen=True)
class Program:
    """What is run: see the module's docstring."""

    dtype: str
    threads: int
    seed: int
    shape: tuple[int, ...]
    batched: bool
    style: str  # "module": the steps are one module's forward; "bare": they are not; "last"
    steps: tuple[Step, ...]
    rounds: tuple[tuple[str, str], ...]  # (how the steps run, what is changed afterwards)

    def __str__(self) -> str:
        shape = ",".join(map(str, self.shape))
        kind = "input" if self.batched else "single"
        facts = f"{self.dtype} threads={self.threads} seed={self.seed} {kind}={shape}"
        steps = " ".join(map(str, self.steps))
        rounds = " ".join(f"{mode}.{edit}" for mode, edit in self.rounds)
        return f"{facts} style={self.style} | {steps} | {rounds}"

    def without(self, index: int) -> Program:
        """The program without one of its steps."""
        return replace(self, steps=self.steps[:index] + self.steps[index + 1 :])


def parse(text: str) -> Program:
    """The program of a line.

    Raises
    ------
    ValueError
        If the line is no program's.
    """
    try:
        head, body, tail = (part.split() for part in text.strip().split("|"))
        facts = dict(word.split("=") for word in head[1:])
        steps = []
        for word in body:
            label, call = word.split("=")
            name, _, rest = call.partition("(")
            if name not in STEPS:
                raise ValueError(f"there is no step {name!r}")
            args = tuple(int(a) for a in rest.removesuffix(")").split(",") if a)
            steps.append(Step(int(label), name, args))
        rounds = []
        for word in tail:
            mode, _, edit = word.partition(".")
            if mode not in MODES or edit not in EDITS:
                raise ValueError(f"there is no round {word!r}")
            rounds.append((mode, edit))
        batched = "input" in facts
        shape = tuple(int(n) for n in facts["input" if batched else "single"].split(","))
        return Program(
            head[0], int(facts["threads"]), int(facts["seed"]), shape, batched, facts["style"],
            tuple(steps), tuple(rounds),
        )  # fmt: skip
    except (KeyError, IndexError, ValueError) as error:
        raise ValueError(f"not a program: {text!r} ({error})") from error


#: How the steps run, with weights.
MODES = {"train": 8, "eval": 3, "nograd": 2, "infer": 2}
#: What is changed after a round, with weights.
EDITS = {
    "none": 4, "sgd": 4, "inplace": 2, "data": 2, "copy": 1, "load": 2, "numpy": 2, "deepcopy": 2,
    "keep": 1,
}  # fmt: skip
#: Names of the activations, by number.
ACTIVATIONS = (
    "relu", "relu6", "leaky_relu", "hardtanh", "sigmoid", "tanh", "silu", "elu", "hardswish",
)  # fmt: skip
STYLES = ("module", "module", "module", "bare", "last")


def _conv(draw: random.Random) -> tuple[int, ...]:
    channels = draw.choice((1, 2, 3, 4, 5, 8, 8, 12, 16, 17))
    kernel, stride = draw.choice((1, 2, 3, 3, 3, 5)), draw.choice((1, 1, 1, 2))
    return channels, kernel, stride, draw.choice((0, 0, 0, 1, 2)), draw.randrange(2)


def _act(draw: random.Random) -> tuple[int, ...]:
    which = draw.choice((0, 0, 0, 0, 0, 1, 1, 2, 2, 3, *range(4, len(ACTIVATIONS))))
    return which, draw.randrange(3), draw.choice((0, 0, 1))


#: Each step: references, weight, and what draws its parameters.
STEPS: dict[str, tuple[int, float, object]] = {
    "conv": (1, 9, _conv),
    "convt": (1, 1, lambda d: (d.choice((1, 4, 8)), d.choice((1, 2, 3)), d.choice((1, 2)))),
    "linear": (1, 2, lambda d: (d.choice((1, 3, 8, 16)), d.randrange(2))),
    "bn": (1, 7, lambda d: (d.randrange(2),)),
    "gn": (1, 1.5, lambda d: (d.choice((1, 2)),)),
    "inorm": (1, 1.5, lambda d: (d.randrange(2),)),
    "ln": (1, 1, lambda d: ()),
    "act": (1, 12, _act),
    "pool": (1, 2, lambda d: (d.randrange(3), d.choice((2, 3)), d.choice((1, 2)))),
    "up": (1, 0.7, lambda d: (d.randrange(2),)),
    "drop": (1, 0.6, lambda d: (d.choice((0, 0, 5)),)),
    "add": (2, 7, lambda d: ()),
    "sub": (2, 0.7, lambda d: ()),
    "mul": (2, 1.5, lambda d: ()),
    "iadd": (2, 1.5, lambda d: ()),
    "imul": (2, 0.5, lambda d: ()),
    "adds": (1, 0.7, lambda d: (d.choice((-2, 1, 3)),)),
    "imuls": (1, 0.7, lambda d: (d.choice((2, 3)),)),
    "cat": (2, 1.5, lambda d: ()),
    "flat": (1, 0.7, lambda d: ()),
    "chan": (1, 1, lambda d: (d.randrange(3),)),
    "crop": (1, 0.7, lambda d: (d.randrange(2),)),
    "swap": (1, 0.7, lambda d: ()),
    "view": (1, 0.7, lambda d: ()),
    "spread": (1, 0.7, lambda d: ()),
    "last": (1, 0.7, lambda d: ()),
    "plain": (1, 0.5, lambda d: ()),
    "clone": (1, 0.5, lambda d: ()),
    "iview": (1, 0.7, lambda d: (d.choice((2, 3)),)),
    "hook": (1, 1.2, lambda d: (d.choice((0, 2, 3)),)),
    "keep": (1, 1, lambda d: ()),
    "detach": (1, 0.5, lambda d: ()),
    "nograd": (1, 0.5, lambda d: ()),
    "read": (1, 0.8, lambda d: ()),
    "ckpt": (1, 1.5, lambda d: (d.choice((4, 8)), d.randrange(4))),
    "again": (2, 1.5, lambda d: ()),
    "hooked": (1, 1, lambda d: (d.randrange(4), d.randrange(2))),
    "out": (1, 1.5, lambda d: ()),
}

#: Runs of steps that fusion is made for, each taking what the one before has made.
MOTIFS = (
    ("conv", "bn", "act"),
    ("conv", "act"),
    ("conv", "bn", "add", "act"),
    ("conv", "add", "act"),
    ("bn", "act"),
    ("bn", "add", "act"),
    ("conv", "iadd", "act"),
)


def draw_program(seed: int) -> Program:
    """The program of a seed: the same on every machine."""
    draw = random.Random(seed)
    rank = draw.choice((1, 2, 2, 2, 2, 3))
    batched = draw.random() < 0.9
    large = draw.random() < 0.08
    if large:
        size = (draw.choice((2, 4)), draw.choice((3, 8, 16)), *(24 if rank < 3 else 10,) * rank)
    else:
        sizes = (1, 2, 3, 4, 5, 6, 6, 8, 9)
        side = draw.choice(sizes[2:])
        spatial = (side,) * rank if draw.random() < 0.5 else tuple(draw.choices(sizes, k=rank))
        size = (draw.choice((1, 2, 3)), draw.choice((1, 2, 3, 4, 8, 16, 17)), *spatial)
    steps: list[Step] = []
    count = draw.choice((3, 5, 7, 9, 12, 16))
    names, weights = list(STEPS), [STEPS[name][1] for name in STEPS]
    while len(steps) < count:
        motif = draw.random() < 0.35
        run = draw.choice(MOTIFS) if motif else tuple(draw.choices(names, weights))
        for place, name in enumerate(run):
            label = len(steps) + 1
            recent = place > 0 or draw.random() < 0.55
            first = label - 1 if recent else draw.randrange(label)
            references = [first]
            for _ in range(STEPS[name][0] - 1):
                references.append(draw.randrange(label))
            if len(references) > 1 and draw.random() < 0.5:
                references.reverse()
            make: object = STEPS[name][2]
            parameters = make(draw)  # type: ignore[operator]
            steps.append(Step(label, name, (*references, *parameters)))
    rounds = tuple(
        (
            draw.choices(list(MODES), list(MODES.values()))[0],
            draw.choices(list(EDITS), list(EDITS.values()))[0],
        )
        for _ in range(draw.choice((1, 2, 2, 3)))
    )
    return Program(
        draw.choice(("float32", "float64")), draw.choice((1, 2)), seed,
        size if batched else size[1:], batched, draw.choice(STYLES), tuple(steps), rounds,
    )  # fmt: skip
