"""torch's compiler is imported by what compiles, not by what transformers would like to be compiled one day.

Changes: the attribute ``torch._dynamo`` until that module is imported; ``disable``, ``allow_in_graph`` and
``assume_constant_result`` of ``torch.compiler``, and ``torch._compile._disable_dynamo``; what
``transformers.masking_utils`` and ``torchvision.ops.roi_align`` import from the compiler.
Necessary since: importing any model of transformers 5 imports ``torch._dynamo`` with its code generator (1.5 s of a
processor): to mark functions of quantized kernels and of a server for continuous batching as not to be compiled, and
for one context that few masks need. So does the first division of tensors without memory, as a model's that is loaded:
torch marks its own functions at their first call. As long as no compiler is imported, nothing needs a mark.
No longer needed when: ``python -c "import sys; from transformers import LlamaForCausalLM; sys.exit('torch._dynamo' in
sys.modules)"`` succeeds without this.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from importlib import import_module
from types import FunctionType, ModuleType
from typing import Any

from mgimm_patches._hooks import when_imported
from mgimm_patches._patch import Patch

_COMPILER = "torch._dynamo"


def _assume_constant_result(fn: Any) -> Any:
    """torch's, as soon as there is a compiler to be told."""
    when_imported(_COMPILER, lambda compiler: compiler.assume_constant_result(fn))
    return fn


def _allow_in_graph(fn: Any) -> Any:
    """torch's, as soon as there is a compiler to be told."""
    when_imported(_COMPILER, lambda compiler: compiler.allow_in_graph(fn))
    return fn


class _Compiler(ModuleType):
    """``torch._dynamo`` for those who only mark functions with it; whatever else is asked of it, imports the real one.

    It is an attribute of torch and not in ``sys.modules``: ``import torch._dynamo`` imports, and replaces it.
    """

    def __init__(self) -> None:
        super().__init__(_COMPILER)
        self.allow_in_graph = _allow_in_graph
        self.assume_constant_result = _assume_constant_result

    def __getattr__(self, name: str) -> Any:
        return getattr(import_module(_COMPILER), name)


def _put_off_compiler(torch: ModuleType) -> bool:
    if _COMPILER in sys.modules:
        return False
    torch._dynamo = _Compiler()  # type: ignore[attr-defined]
    same_code = _marked_when_called(_allow_in_graph, lambda: _allow_in_graph)
    when_imported(_COMPILER, lambda compiler: compiler.decorators.skip(same_code))
    return True


def _mark_publicly(compiler: ModuleType) -> bool:
    if _COMPILER in sys.modules:
        return False
    compiler.disable = _put_off_marking(compiler.disable)  # type: ignore[attr-defined]
    vars(compiler).update(allow_in_graph=_allow_in_graph, assume_constant_result=_assume_constant_result)
    return True


def _mark_inside(compile_module: ModuleType) -> bool:
    if _COMPILER in sys.modules:
        return False
    compile_module._disable_dynamo = _put_off_marking(compile_module._disable_dynamo)  # type: ignore[attr-defined]
    return True


def _put_off_marking(mark: Callable[..., Any]) -> Callable[..., Any]:
    def disable(fn: Any = None, recursive: bool = True, **options: Any) -> Any:
        """torch's; a plain function is marked when it is called and there is a compiler."""
        if _COMPILER not in sys.modules:
            if isinstance(fn, FunctionType):
                return _marked_when_called(fn, lambda: mark(fn, recursive, **options))
            if fn is None and not recursive:
                return functools.partial(disable, recursive=False, **options)
        return mark(fn, recursive, **options)

    return disable


def _marked_when_called(fn: Callable[..., Any], mark: Callable[[], Callable[..., Any]]) -> Callable[..., Any]:
    marked = functools.cache(mark)

    @functools.wraps(fn)
    def call(*args: Any, **kwargs: Any) -> Any:
        compiler = sys.modules.get(_COMPILER)
        return (marked() if hasattr(compiler, "disable") else fn)(*args, **kwargs)

    call._torchdynamo_disable = True  # type: ignore[attr-defined]  # the compiler goes around it, not into it
    return call


class _Borrowed(ModuleType):
    """A module of the compiler until ``borrower`` has taken one function from it; anything else is the real one's."""

    def __init__(self, module: str, function: str) -> None:
        super().__init__(module)
        self.function = function

    def __getattr__(self, name: str) -> Any:
        if name == "__path__":  # asked by the import statement
            raise AttributeError(name)
        self.give_back()
        if name == self.function and _COMPILER not in sys.modules:
            return functools.partial(_call, self.__name__, name)
        return getattr(import_module(self.__name__), name)

    def give_back(self) -> None:
        """Let the module be imported again."""
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]


def _call(module: str, function: str, *args: Any, **kwargs: Any) -> Any:
    return getattr(import_module(module), function)(*args, **kwargs)


def _borrowing(borrower: str, module: str, function: str) -> tuple[Patch, Patch]:
    """Let ``borrower`` import ``function`` from a ``module`` of the compiler when it is called."""
    stand_in = _Borrowed(f"{_COMPILER}.{module}", function)

    def put_off(_borrower: ModuleType) -> bool:
        if _COMPILER in sys.modules:
            return False
        sys.modules[stand_in.__name__] = stand_in
        return True

    def finish(borrower_module: ModuleType) -> bool:
        stand_in.give_back()  # if nobody asked
        return isinstance(vars(borrower_module).get(function), functools.partial)

    short = borrower.rpartition(".")[2].replace("_", "-")
    return _patch(f"{short}-put-off", borrower, put_off, early=True), _patch(f"{short}-when-used", borrower, finish)


def _patch(name: str, target: str, change: Callable[[ModuleType], bool], *, early: bool = False) -> Patch:
    return Patch(
        name=name,
        target=target,
        reason="importing a model of transformers imports torch's compiler, to mark functions and for one context",
        obsolete_when="importing a model of transformers does not import torch._dynamo",
        change=change,
        early=early,
    )


PATCHES = (
    _patch("compiler-put-off", "torch", _put_off_compiler),
    _patch("compiler-marks", "torch.compiler", _mark_publicly),
    _patch("compiler-marks-inside-torch", "torch._compile", _mark_inside),
    *_borrowing("transformers.masking_utils", "_trace_wrapped_higher_order_op", "TransformGetItemToIndex"),
    *_borrowing("torchvision.ops.roi_align", "utils", "is_compile_supported"),
)
