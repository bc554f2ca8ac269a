"""Spans for OpenTelemetry, where a program has set a provider for them.

Nothing is imported here that the program has not imported itself: without ``opentelemetry.trace`` in ``sys.modules`` no
provider can have been set. A span is opened there when it is opened here, so that what a tool calls in between (an HTTP
client that is instrumented) hangs under it, and a span of the notebook is the parent of ours.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import ciops_nb
from ciops_nb.execution.trace import Open, Span

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

__all__ = ["begin"]

_TOLD = ("span_id", "rows", "bytes", "cached", "retries", "source", "status", "call_id")

_tracer: tuple[Any, Tracer] | None = None  # with the provider that it is of


def begin(span: Open) -> Callable[[Span], object] | None:
    """Open *span* in OpenTelemetry too.

    Returns:
        What is to be told of its end; None if no provider is set.
    """
    api: Any = sys.modules.get("opentelemetry.trace")
    # Another thread may be importing it right now: then it has no provider yet.
    if api is None or not hasattr(api, "ProxyTracerProvider"):
        return None
    provider = api.get_tracer_provider()
    if isinstance(provider, api.ProxyTracerProvider):  # what stands there until one is set
        return None
    from opentelemetry import context

    made = _tracer_of(provider).start_span(span.name, start_time=span.start_ns, attributes={"ciops.kind": span.kind})
    return partial(_end, made, context.attach(api.set_span_in_context(made)))


def _tracer_of(provider: Any) -> Tracer:
    global _tracer
    known = _tracer
    if known is None or known[0] is not provider:
        known = _tracer = (provider, provider.get_tracer("ciops_nb", ciops_nb.__version__))
    return known[1]


def _end(made: Any, token: Any, span: Span) -> None:
    from opentelemetry import context
    from opentelemetry.trace import Status, StatusCode

    context.detach(token)
    made.set_attributes({f"ciops.{name}": value for name in _TOLD if (value := getattr(span, name)) is not None})
    if span.error is not None:
        made.set_attribute("error.type", span.error.partition(":")[0])
        made.set_status(Status(StatusCode.ERROR, span.error))
    made.end(end_time=span.start_ns + span.duration_ns)
