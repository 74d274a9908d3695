"""OpenTelemetry traces, from an HTTP request to the write in MongoDB; off unless a setting says so.

A trace is carried by `traceparent`: in the request, in the log, in Kafka's headers. Off, it costs a
comparison; on, at most MAX_SPANS of a batch get spans, and what the exporter cannot send in time is
dropped and delays nothing. The SDK is the extra `storelog[tracing]`.
Next: web/app.py
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from storelog import __version__
from storelog.config import Settings
from storelog.errors import CannotRun
from storelog.proxies import is_own

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Tracer

MAX_SPANS = 64
EXPORT_SECONDS = 5
Attributes = Mapping[str, str | int | float]
_NONE: Attributes = MappingProxyType({})
_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_provider: "TracerProvider | None" = None
_tracer: "Tracer | None" = None


def set_up(settings: Settings, process: str) -> None:
    """Begin to send spans where STORELOG_OTLP_ENDPOINT says. Raises CannotRun without the SDK."""
    global _provider, _tracer
    if settings.otlp_endpoint is None:
        return
    try:
        import requests
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
    except ImportError as error:
        raise CannotRun("STORELOG_OTLP_ENDPOINT needs pip install 'storelog[tracing]'") from error
    _provider = TracerProvider(
        sampler=ParentBased(TraceIdRatioBased(settings.trace_percent / 100)),
        resource=Resource.create({"service.name": process, "service.version": __version__}),
        shutdown_on_exit=False,
    )
    url = settings.otlp_endpoint.rstrip("/") + "/v1/traces"
    session = requests.Session()
    # Other hosts are reached through the proxy that the environment names, except `no_proxy`'s.
    session.trust_env = not is_own(url)
    exporter = OTLPSpanExporter(endpoint=url, timeout=EXPORT_SECONDS, session=session)
    _provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=1_000))
    _tracer = _provider.get_tracer("storelog", __version__)


def shut_down() -> None:
    """Send what is left, for a few seconds at most."""
    global _provider, _tracer
    if _provider is not None:
        _provider.force_flush(EXPORT_SECONDS * 1000)
        _provider.shutdown()
    _provider = _tracer = None


def is_on() -> bool:
    """Tell whether spans are made at all."""
    return _tracer is not None


class Span:
    """One span that has begun. `traceparent` names it to the process that continues the work."""

    __slots__ = ("_span",)

    def __init__(self, span: Any) -> None:
        self._span = span

    @property
    def traceparent(self) -> str:
        """The span's W3C trace context."""
        c = self._span.get_span_context()
        return f"00-{c.trace_id:032x}-{c.span_id:016x}-{int(c.trace_flags):02x}"

    def end(
        self, attributes: Attributes = _NONE, *, at_ns: int | None = None, error: str | None = None
    ) -> None:
        """End the span, with what is known by now; `error` says what went wrong."""
        from opentelemetry.trace import StatusCode

        self._span.set_attributes(attributes)
        if error is not None:
            self._span.set_status(StatusCode.ERROR, error)
        self._span.end(at_ns)


def begin(
    name: str,
    kind: str,
    parent: str | None,
    attributes: Attributes = _NONE,
    *,
    at_ns: int | None = None,
) -> Span:
    """Begin a span below `parent` (a traceparent), or a trace; only while tracing is on.

    `kind` is server, client, producer or consumer; times are in ns since 1970, default now.
    """
    # Imported where it is used: the SDK is an extra, and costs time at the start.
    from opentelemetry.trace import SpanKind

    assert _tracer is not None, "tracing is off"
    return Span(
        _tracer.start_span(name, _context(parent), SpanKind[kind.upper()], attributes, (), at_ns)
    )


def is_traceparent(text: str) -> bool:
    """Tell whether the text is a trace context of W3C's version 00."""
    return _TRACEPARENT.fullmatch(text) is not None


def is_sampled(traceparent: str | None) -> bool:
    """Tell whether the trace is to be recorded, as its beginner decided."""
    return traceparent is not None and int(traceparent[-2:], 16) & 1 == 1


def _context(parent: str | None) -> "Context":
    from opentelemetry import trace
    from opentelemetry.context import Context

    if parent is None:
        return Context()
    _, trace_id, span_id, flags = parent.split("-")
    context = trace.SpanContext(
        int(trace_id, 16),
        int(span_id, 16),
        is_remote=True,
        trace_flags=trace.TraceFlags(int(flags, 16)),
    )
    return trace.set_span_in_context(trace.NonRecordingSpan(context), Context())


class BatchSpans:
    """Spans of the commands or events of one batch that are traced, MAX_SPANS at most."""

    def __init__(self, kind: str, began_ns: int) -> None:
        self._kind = kind
        self._began_ns = began_ns
        self._spans: list[Span] = []

    def begin(self, name: str, parent: str | None, attributes: Attributes = _NONE) -> Span | None:
        """Begin the span of one command or event, from the batch's beginning."""
        if not is_sampled(parent) or len(self._spans) == MAX_SPANS:
            return None
        span = begin(name, self._kind, parent, attributes, at_ns=self._began_ns)
        self._spans.append(span)
        return span

    def end(self, attributes: Attributes = _NONE, error: str | None = None) -> None:
        """End all spans, since the batch ends for all of them at once."""
        for span in self._spans:
            span.end(attributes, error=error)
