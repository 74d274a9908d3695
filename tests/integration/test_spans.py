"""Spans as a collector gets them: what is sampled, up to the limit of a batch."""

from storelog import tracing
from storelog.config import Settings
from support.otlp import collecting

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"


def test_a_batch_traces_what_is_sampled_up_to_its_limit() -> None:
    with collecting() as collector:
        tracing.set_up(Settings(otlp_endpoint=collector.url), "test")
        spans = tracing.BatchSpans("client", 1)
        assert spans.begin("unsampled", PARENT[:-2] + "00") is None
        assert spans.begin("untraced", None) is None
        begun = [spans.begin("event", PARENT) for _ in range(tracing.MAX_SPANS + 5)]
        assert sum(span is not None for span in begun) == tracing.MAX_SPANS
        spans.end({"batch": 1})
        tracing.shut_down()
        assert {(s.process, s.name, s.trace, s.parent) for s in collector.spans} == {
            ("test", "event", TRACE, "b7ad6b7169203331")
        }
        assert len(collector.spans) == tracing.MAX_SPANS


def test_none_of_the_requests_are_traced_at_zero_percent() -> None:
    with collecting() as collector:
        tracing.set_up(Settings(otlp_endpoint=collector.url, trace_percent=0), "test")
        span = tracing.begin("request", "server", None)
        assert not tracing.is_sampled(span.traceparent)
        span.end()
        tracing.shut_down()
        assert collector.spans == []
