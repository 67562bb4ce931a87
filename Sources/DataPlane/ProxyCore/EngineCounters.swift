/// What one worker's engine counts.
package enum EngineCounter: Int, CaseIterable, Sendable {
    case downstreamConnections, upstreamConnections, requests, bytesReceived, bytesSent, retries
    case protocolErrors, tlsHandshakes, tlsErrors, http2Sessions
    case tlsResumptions, misdirectedRequests, handshakeLimitHits, handshakeTimeouts
    case connectionLimitHits, exchangeLimitHits, bufferLimitHits, poolLimitHits, triesLimitHits
    case discardLimitHits, headLimitHits
    case headerTimeouts, idleTimeouts, bodyTimeouts, sendTimeouts, connectTimeouts
    case upstreamTimeouts, poolIdleTimeouts
    case blockedConnections, dryRunBlockedConnections
    case partialHeadBytes, staleHandles, logLines, logLinesDropped
    case spans, spansDropped
    case filterOverruns, filterErrors, bodyLimitHits
    case startLineLimitHits, fieldLineLimitHits, fieldCountLimitHits, announcedBodyLimitHits
    case chunkExtensionLimitHits, trailerLimitHits, connectionOptionLimitHits
    case editedTextLimitHits, editedFieldLimitHits, headerOperationLimitHits
    case http2StreamLimitHits, http2HeaderListLimitHits, http2FieldCountLimitHits
    case http2ResetLimitHits, http2ContinuationLimitHits, http2ControlLimitHits
    case idleSearchLimitHits, discardTimeouts, streamIdleTimeouts, pauseTimeouts, requestTimeouts
    case responsesWithoutStatus, responses1xx, responses2xx, responses3xx, responses4xx
    case responses5xx
    case breakerConnectionOverflows, breakerPendingOverflows, breakerRequestOverflows
    case breakerRetryOverflows, outlierEjections, outlierEjectionsRefused, outlierReturns
    case panicChoices, affinityMoves
    case tunnels, tunnelTimeouts
    case addressRaces, addressRacesWon
    case retriesExhausted, retryBodyLimitHits
    case hedges, hedgesWon
    case mirrors, mirrorsDropped, mirrorFailures, mirrorLimitHits, mirrorBodyLimitHits
    case listenerHeadLimitHits, listenerBodyLimitHits, listenerRequestLimitHits
    case listenerConnectionLimitHits, sourceConnectionLimitHits
    case upstreamHTTP2Sessions, upstreamTLSHandshakes, upstreamTLSResumptions
    case upstreamTLSErrors, upstreamCertificateErrors, upstreamTunnelRefusals
    case interimLimitHits
    case earlyRequests, earlyRequestsRefused, earlyRequestsRepeated
    case proxyHeaders, proxyHeadersRefused, proxyHeaderLimitHits, proxyHeaderTimeouts

    /// The Prometheus name; `nil` for the counter of a limit, which is shown under the limit's name.
    package var metricName: String? {
        switch self {
        case .downstreamConnections: "martlet_downstream_connections_total"
        case .upstreamConnections: "martlet_upstream_connections_total"
        case .requests: "martlet_http_requests_total"
        case .bytesReceived: "martlet_http_request_body_bytes_total"
        case .bytesSent: "martlet_http_response_body_bytes_total"
        case .retries: "martlet_http_retries_total"
        case .protocolErrors: "martlet_http_protocol_errors_total"
        case .tlsHandshakes: "martlet_tls_handshakes_total"
        case .tlsErrors: "martlet_tls_errors_total"
        case .tlsResumptions: "martlet_tls_resumptions_total"
        case .misdirectedRequests: "martlet_http_misdirected_requests_total"
        case .http2Sessions: "martlet_http2_sessions_total"
        case .requestTimeouts: "martlet_http_request_timeouts_total"
        case .blockedConnections: "martlet_blocked_connections_total"
        case .dryRunBlockedConnections: "martlet_dry_run_blocked_connections_total"
        case .partialHeadBytes: "martlet_http_partial_head_bytes_total"
        case .staleHandles: "martlet_stale_handles_total"
        case .logLines: "martlet_access_log_lines_total"
        case .logLinesDropped: "martlet_access_log_lines_dropped_total"
        case .spans: "martlet_trace_spans_total"
        case .spansDropped: "martlet_trace_spans_dropped_total"
        case .filterErrors: "martlet_filter_errors_total"
        case .responsesWithoutStatus: "martlet_http_responses_aborted_total"
        case .responses1xx: "martlet_http_responses_1xx_total"
        case .responses2xx: "martlet_http_responses_2xx_total"
        case .responses3xx: "martlet_http_responses_3xx_total"
        case .responses4xx: "martlet_http_responses_4xx_total"
        case .responses5xx: "martlet_http_responses_5xx_total"
        case .breakerConnectionOverflows: "martlet_breaker_connection_overflows_total"
        case .breakerPendingOverflows: "martlet_breaker_pending_overflows_total"
        case .breakerRequestOverflows: "martlet_breaker_request_overflows_total"
        case .breakerRetryOverflows: "martlet_breaker_retry_overflows_total"
        case .outlierEjections: "martlet_outlier_ejections_total"
        case .outlierEjectionsRefused: "martlet_outlier_ejections_refused_total"
        case .outlierReturns: "martlet_outlier_returns_total"
        case .panicChoices: "martlet_balancing_panic_total"
        case .affinityMoves: "martlet_affinity_moves_total"
        case .tunnels: "martlet_http_tunnels_total"
        case .addressRaces: "martlet_address_races_total"
        case .addressRacesWon: "martlet_address_races_won_total"
        case .hedges: "martlet_http_hedges_total"
        case .hedgesWon: "martlet_http_hedges_won_total"
        case .mirrors: "martlet_http_mirrors_total"
        case .mirrorsDropped: "martlet_http_mirrors_dropped_total"
        case .mirrorFailures: "martlet_http_mirror_failures_total"
        case .retriesExhausted: "martlet_http_retries_exhausted_total"
        case .listenerHeadLimitHits: "martlet_listener_head_limit_total"
        case .listenerBodyLimitHits: "martlet_listener_body_limit_total"
        case .listenerRequestLimitHits: "martlet_listener_request_limit_total"
        case .listenerConnectionLimitHits: "martlet_listener_connection_limit_total"
        case .sourceConnectionLimitHits: "martlet_listener_source_connection_limit_total"
        case .upstreamHTTP2Sessions: "martlet_upstream_http2_sessions_total"
        case .upstreamTLSHandshakes: "martlet_upstream_tls_handshakes_total"
        case .upstreamTLSResumptions: "martlet_upstream_tls_resumptions_total"
        case .upstreamTLSErrors: "martlet_upstream_tls_errors_total"
        case .upstreamCertificateErrors: "martlet_upstream_certificate_errors_total"
        case .upstreamTunnelRefusals: "martlet_upstream_tunnel_refusals_total"
        case .earlyRequests: "martlet_early_requests_total"
        case .earlyRequestsRefused: "martlet_early_requests_refused_total"
        case .earlyRequestsRepeated: "martlet_early_requests_repeated_total"
        case .proxyHeaders: "martlet_proxy_headers_total"
        case .proxyHeadersRefused: "martlet_proxy_headers_refused_total"
        case .handshakeLimitHits, .handshakeTimeouts, .proxyHeaderLimitHits, .proxyHeaderTimeouts,
            .interimLimitHits, .connectionLimitHits, .exchangeLimitHits, .bufferLimitHits,
            .poolLimitHits,
            .triesLimitHits, .discardLimitHits, .headLimitHits, .headerTimeouts, .idleTimeouts,
            .bodyTimeouts, .sendTimeouts, .connectTimeouts, .upstreamTimeouts, .poolIdleTimeouts,
            .bodyLimitHits, .filterOverruns, .startLineLimitHits, .fieldLineLimitHits,
            .fieldCountLimitHits, .announcedBodyLimitHits, .chunkExtensionLimitHits,
            .trailerLimitHits, .connectionOptionLimitHits, .editedTextLimitHits,
            .editedFieldLimitHits, .headerOperationLimitHits, .http2StreamLimitHits,
            .http2HeaderListLimitHits, .http2FieldCountLimitHits, .http2ResetLimitHits,
            .http2ContinuationLimitHits, .http2ControlLimitHits, .idleSearchLimitHits,
            .discardTimeouts, .streamIdleTimeouts, .pauseTimeouts, .tunnelTimeouts,
            .retryBodyLimitHits, .mirrorLimitHits, .mirrorBodyLimitHits:
            nil
        }
    }

    /// The counter of responses of a status's class.
    @inline(__always)
    static func responses(classOf status: UInt16) -> EngineCounter {
        // Nearly every response; the others by comparison.
        status &- 200 < 100 ? .responses2xx : otherResponses(classOf: status)
    }

    @inline(never)
    private static func otherResponses(classOf status: UInt16) -> EngineCounter {
        switch status {
        case 100..<200: .responses1xx
        case 300..<400: .responses3xx
        case 400..<500: .responses4xx
        case 500..<600: .responses5xx
        default: .responsesWithoutStatus
        }
    }
}

/// One worker's counts: written by the worker alone, copied out for a scrape on its thread.
package final class EngineCounters {
    private let counts = Table<UInt64>(count: EngineCounter.allCases.count, repeating: 0)

    /// A count.
    package subscript(counter: EngineCounter) -> UInt64 {
        get { counts[counter.rawValue] }
        set { counts[counter.rawValue] = newValue }
    }

    /// Counts one more.
    @inline(__always)
    func count(_ counter: EngineCounter, by amount: UInt64 = 1) {
        counts[counter.rawValue] &+= amount
    }

    /// All counts, in the order of `EngineCounter.allCases`.
    package var values: [UInt64] { EngineCounter.allCases.map { self[$0] } }
}

/// Counts of one listener, route or cluster on one worker.
package struct TrafficRow: BitwiseCopyable, Sendable {
    /// Upper bounds of the duration buckets, nanoseconds; a last one takes the rest.
    package static let durationBounds: [UInt64] = [
        500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000, 25_000_000, 50_000_000, 100_000_000,
        250_000_000, 500_000_000, 1_000_000_000, 2_500_000_000, 5_000_000_000, 10_000_000_000,
    ]

    /// Requests by class of status: 0 aborted, 1xx to 5xx.
    package var requests: InlineArray<6, UInt64> = .init(repeating: 0)
    /// Bytes of request bodies.
    package var bytesReceived: UInt64 = 0
    /// Bytes of response bodies.
    package var bytesSent: UInt64 = 0
    /// Sum of durations, nanoseconds.
    package var durationSum: UInt64 = 0
    /// Durations by bucket.
    package var durations: InlineArray<15, UInt64> = .init(repeating: 0)

    /// Makes a row of zero.
    package init() {}

    /// Counts an ended exchange by its class of status, its duration in the bucket it falls in.
    @inline(__always)
    mutating func count(_ sample: TrafficSample, _ statusClass: Int, _ bucket: Int) {
        requests[statusClass] &+= 1
        bytesReceived &+= sample.bytesReceived
        bytesSent &+= sample.bytesSent
        durationSum &+= sample.nanoseconds
        durations[bucket] &+= 1
    }

    /// Adds another worker's row.
    package mutating func add(_ other: TrafficRow) {
        for index in requests.indices { requests[index] &+= other.requests[index] }
        for index in durations.indices { durations[index] &+= other.durations[index] }
        bytesReceived &+= other.bytesReceived
        bytesSent &+= other.bytesSent
        durationSum &+= other.durationSum
    }

    /// Twice-a-decade-and-a-bit buckets found by comparison: most requests take the first few.
    @inline(__always)
    static func bucket(of nanoseconds: UInt64) -> Int {
        switch nanoseconds {
        case ...500_000: 0
        case ...1_000_000: 1
        case ...2_500_000: 2
        case ...5_000_000: 3
        case ...10_000_000: 4
        case ...25_000_000: 5
        case ...50_000_000: 6
        case ...100_000_000: 7
        case ...250_000_000: 8
        case ...500_000_000: 9
        case ...1_000_000_000: 10
        case ...2_500_000_000: 11
        case ...5_000_000_000: 12
        case ...10_000_000_000: 13
        default: 14
        }
    }
}

/// What an ended exchange is counted by.
struct TrafficSample: BitwiseCopyable {
    var status: UInt16
    var bytesReceived: UInt64
    var bytesSent: UInt64
    var nanoseconds: UInt64
}
