/// How requests are traced.
package struct TraceConfiguration: Sendable {
    /// Where finished spans go.
    package var ring: LogRing
    /// Of traces that begin here, how many in a million are kept.
    package var samplesPerMillion: UInt32

    /// Makes a configuration.
    package init(ring: LogRing, samplesPerMillion: UInt32) {
        self.ring = ring
        self.samplesPerMillion = samplesPerMillion
    }
}

/// One worker's tracing.
final class Tracing {
    /// Finished spans, one JSON object of OTLP a line.
    let spans: AccessLog
    /// Where a header's value is put together.
    let text = ScratchBuffer(capacity: 128)
    private let samplesPerMillion: UInt32

    init(_ configuration: TraceConfiguration) {
        spans = AccessLog(ring: configuration.ring)
        samplesPerMillion = configuration.samplesPerMillion
    }

    /// Whether a trace that begins here is kept.
    func samples(_ random: inout FastRandom) -> Bool {
        random.next(below: 1_000_000) < samplesPerMillion
    }
}
