"""no_grad and its kin, in one thread and in several."""

import asyncio
import inspect
import threading

import numpy as np
import pytest

import fastconv as fc


def leaf(*shape, dtype=fc.float64):
    return fc.randn(*shape, dtype=dtype, requires_grad=True)


def test_no_grad_and_friends():
    x = leaf(2)
    with fc.no_grad():
        assert not fc.is_grad_enabled()
        y = x * 2
        with fc.enable_grad():
            assert (x * 2).requires_grad
        assert not fc.is_grad_enabled()
    assert fc.is_grad_enabled() and not y.requires_grad and y.is_leaf
    with fc.inference_mode():
        assert not (x * 2).requires_grad and fc.is_inference_mode_enabled()
    assert not fc.is_inference_mode_enabled()
    with fc.inference_mode(False):
        assert (x * 2).requires_grad
    with fc.set_grad_enabled(False):
        assert not (x * 2).requires_grad
    assert (x * 2).requires_grad
    fc.set_grad_enabled(False)
    assert not fc.is_grad_enabled()
    fc.set_grad_enabled(True)


@pytest.mark.parametrize(
    "decorate", [fc.no_grad(), fc.no_grad, fc.inference_mode(), fc.inference_mode]
)
def test_modes_as_decorators(decorate):
    @decorate
    def f(x, depth=0):
        """Doc."""
        return f(x, depth + 1) if depth < 2 else x * 2

    assert not f(leaf(2)).requires_grad and f.__name__ == "f" and f.__doc__ == "Doc."
    assert fc.is_grad_enabled()


def test_set_grad_enabled_as_decorator():
    @fc.set_grad_enabled(False)
    def f(x):
        return x * 2

    assert fc.is_grad_enabled() and not f(leaf(2)).requires_grad


def test_mode_is_restored_after_an_exception():
    with pytest.raises(KeyError), fc.no_grad():
        raise KeyError
    assert fc.is_grad_enabled()


def test_modes_are_per_thread():
    seen = []
    with fc.no_grad():
        t = threading.Thread(target=lambda: seen.append(fc.is_grad_enabled()))
        t.start()
        t.join()
    assert seen == [True]


def test_backward_from_several_threads():
    x = leaf(50)
    start = threading.Barrier(4)

    def work():
        start.wait()
        for _ in range(50):
            (x * x).sum().backward()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    np.testing.assert_allclose(x.grad.numpy(), 400 * x.detach().numpy(), rtol=1e-9)


MODES = {
    "no_grad()": (lambda: fc.no_grad(), False),
    "no_grad": (lambda: fc.no_grad, False),
    "inference_mode()": (lambda: fc.inference_mode(), False),
    "inference_mode": (lambda: fc.inference_mode, False),
    "set_grad_enabled(False)": (lambda: fc.set_grad_enabled(False), False),
    "enable_grad()": (lambda: fc.enable_grad(), True),
    "enable_grad": (lambda: fc.enable_grad, True),
    "inference_mode(False)": (lambda: fc.inference_mode(False), True),
    "set_grad_enabled(True)": (lambda: fc.set_grad_enabled(True), True),
}


@pytest.fixture(params=MODES)
def decorator(request):
    """A decorator that sets a mode, and that mode, with the other one around it."""
    make, inside = MODES[request.param]
    with fc.enable_grad() if not inside else fc.no_grad():
        yield (lambda function: make()(function)), inside
        assert fc.is_grad_enabled() is not inside


def test_mode_of_a_generator_function(decorator):
    decorate, inside = decorator

    @decorate
    def steps(n):
        """Doc."""
        got = []
        try:
            for i in range(n):
                assert fc.is_grad_enabled() is inside
                try:
                    got.append((yield i))
                except KeyError:
                    assert fc.is_grad_enabled() is inside
                    got.append("error")
        finally:
            got.append(fc.is_grad_enabled())
        return got

    assert steps.__name__ == "steps" and steps.__doc__ == "Doc."
    assert inspect.isgeneratorfunction(steps)
    running = steps(4)
    assert fc.is_grad_enabled() is not inside
    assert next(running) == 0 and fc.is_grad_enabled() is not inside
    assert running.send("a") == 1 and fc.is_grad_enabled() is not inside
    assert running.throw(KeyError()) == 2 and fc.is_grad_enabled() is not inside
    assert next(running) == 3
    with pytest.raises(StopIteration) as end:
        next(running)
    assert end.value.value == ["a", "error", None, None, inside]
    assert fc.is_grad_enabled() is not inside
    running = steps(4)
    next(running)
    running.close()
    assert fc.is_grad_enabled() is not inside
    running = steps(4)
    next(running)
    with pytest.raises(ValueError):
        running.throw(ValueError())
    assert fc.is_grad_enabled() is not inside


def test_mode_of_generators_by_turns():
    @fc.no_grad()
    def off(x):
        for _ in range(3):
            yield (x * 2).requires_grad

    @fc.enable_grad()
    def on(x):
        for _ in range(3):
            yield (x * 2).requires_grad

    x = leaf(2)
    assert list(zip(off(x), on(x), strict=True)) == [(False, True)] * 3


def test_mode_of_a_coroutine(decorator):
    decorate, inside = decorator
    outside = not inside

    @decorate
    async def work(log):
        for _ in range(3):
            log.append(fc.is_grad_enabled())
            await asyncio.sleep(0)
        return "done"

    async def main():
        log, other = [], []

        async def undecorated():
            for _ in range(3):
                other.append(fc.is_grad_enabled())
                await asyncio.sleep(0)

        results = await asyncio.gather(work(log), undecorated(), work(log))
        return results, log, other

    assert inspect.iscoroutinefunction(work)
    results, log, other = asyncio.run(main())
    assert results == ["done", None, "done"]
    assert log == [inside] * 6 and other == [outside] * 3


def test_mode_of_an_asynchronous_generator(decorator):
    decorate, inside = decorator

    @decorate
    async def steps():
        try:
            for i in range(3):
                await asyncio.sleep(0)
                try:
                    yield i, fc.is_grad_enabled()
                except KeyError:
                    yield "error", fc.is_grad_enabled()
        finally:
            closed.append(fc.is_grad_enabled())

    async def main():
        found = []
        async for value in steps():
            found.append((value, fc.is_grad_enabled()))
        running = steps()
        await running.__anext__()
        found.append((await running.athrow(KeyError()), fc.is_grad_enabled()))
        await running.aclose()
        return found

    closed = []
    assert inspect.isasyncgenfunction(steps)
    found = asyncio.run(main())
    expected = [0, 1, 2, "error"]
    assert found == [((i, inside), not inside) for i in expected] and closed == [inside] * 2


def test_mode_of_a_class_is_that_of_making_an_instance(decorator):
    decorate, inside = decorator
    with pytest.warns(FutureWarning, match="decorate __init__"):

        @decorate
        class Layer:
            def __init__(self):
                self.made = fc.is_grad_enabled()

            def call(self):
                return fc.is_grad_enabled()

    layer = Layer()
    assert layer.made is inside and layer.call() is not inside
