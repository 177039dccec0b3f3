"""Results that repeat from one pass through a model to the next: computed once, then read in the same order.

A Hessian-vector product is a pass on dual numbers (`curvature`). Its real parts, a third of the arithmetic, are the
same for every vector. The engine's functions ask for them through `kept`; outside a section it only calls.
"""

import contextlib
from collections.abc import Callable, Hashable, Iterator
from contextvars import ContextVar

import torch

_section: ContextVar[Callable | None] = ContextVar("section", default=None)


def kept(function: Callable, *arguments):
    """``function(*arguments)``, a tensor or a tuple of them; in a section that was passed before, as it was then."""
    section = _section.get()
    return function(*arguments) if section is None else section(function, arguments)


class Kept:
    """What the sections of a repeated computation left; none is added once ``limit`` bytes are taken.

    Every pass through a section must call `kept` with the same arguments in the same order.
    """

    def __init__(self, limit: int):
        self.limit = limit
        self.bytes = 0
        self._sections: dict[Hashable, list] = {}

    @contextlib.contextmanager
    def section(self, name: Hashable) -> Iterator[None]:
        """Within it, `kept` computes at the first pass and reads at all later ones, which must ask for as many results.

        RuntimeError where they do not.
        """
        results = self._sections.get(name)
        if results is None and self.bytes >= self.limit:
            yield
            return
        new, left = [], iter(results or ())

        def compute(function, arguments):
            result = function(*arguments)
            new.append(_aliases(result))
            return result

        def read(function, arguments):
            result = next(left, None)
            if result is None:
                raise RuntimeError(f"section {name!r} asks for more than the {len(results)} results that it kept")
            return _aliases(result)

        token = _section.set(compute if results is None else read)
        try:
            yield
        finally:
            _section.reset(token)
        if results is None:
            self._sections[name] = new
            self.bytes += sum(tensor.nbytes for result in new for tensor in tensors(result))
        elif next(left, None) is not None:
            raise RuntimeError(f"section {name!r} has not asked for all of the {len(results)} results that it kept")


def tensors(result) -> tuple[torch.Tensor, ...]:
    """A result of one tensor or several, as a tuple."""
    return (result,) if isinstance(result, torch.Tensor) else result


def _aliases(result):
    """The same memory under new names: autograd writes its node on what a function returns."""
    aliases = tuple(tensor.detach() for tensor in tensors(result))
    return aliases[0] if isinstance(result, torch.Tensor) else aliases
