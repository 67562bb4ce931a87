import DataPlane
import L4Proxy
import Telemetry

/// The engine's and the relay's limits as `/config` lists them, each with its counter.
enum EngineLimitList {
    private typealias Row = (Limit, EngineCounter)

    /// Lists every limit.
    static func add(
        to registry: LimitRegistry,
        engine: EngineLimits = EngineLimits(),
        relay: RelayLimits = RelayLimits(),
        totals: EngineTotals
    ) {
        for (limit, counter) in sizes(engine) + times(engine) {
            registry.add(limit) { totals.value(counter) }
        }
        for (limit, read) in relays(relay) { registry.add(limit) { read(totals.relay) } }
        let blocks = Limit(
            "blocks.userspaceMax",
            unit: "entries",
            value: UInt64(UserspaceBlocks.entryMax),
            reason: "Each worker keeps its own table; a block without room is left to XDP alone."
        )
        registry.add(blocks) { totals.blockOverflowCount }
    }

    private static func sizes(_ limits: EngineLimits) -> [Row] {
        [
            (
                Limit(
                    "http.connectionMax",
                    unit: "connections",
                    value: UInt64(limits.connectionMax),
                    reason: "Per worker; bounds memory. One more is closed at once."
                ), .connectionLimitHits
            ),
            (
                Limit(
                    "http.exchangeMax",
                    unit: "requests",
                    value: UInt64(limits.exchangeMax),
                    reason: "Per worker, a block each. One more is answered 503."
                ), .exchangeLimitHits
            ),
            (
                Limit(
                    "http.bufferBlockMax",
                    unit: "blocks",
                    value: UInt64(limits.bufferBlockMax),
                    reason: "Per worker; bounds memory under slow peers, whose connections end."
                ), .bufferLimitHits
            ),
            (
                Limit(
                    "http.idlePerEndpointMax",
                    unit: "connections",
                    value: UInt64(limits.idlePerEndpointMax),
                    reason: "Idle connections kept per endpoint and worker; more are closed."
                ), .poolLimitHits
            ),
            (
                Limit(
                    "http.triesMax",
                    unit: "tries",
                    value: UInt64(limits.triesMax),
                    reason: "Connections one exchange may try; then it is answered 503."
                ), .triesLimitHits
            ),
            (
                Limit(
                    "http.discardByteLimit",
                    unit: "bytes",
                    value: UInt64(limits.discardByteLimit),
                    reason: "Of a body whose response is out already; then the connection ends."
                ), .discardLimitHits
            ),
            (
                Limit(
                    "http.headByteLimit",
                    unit: "bytes",
                    value: UInt64(limits.head.headByteLimit),
                    reason: "A head is kept whole; a longer one is answered 431."
                ), .headLimitHits
            ),
        ]
    }

    private static func times(_ limits: EngineLimits) -> [Row] {
        let row = { (name: String, time: Duration, reason: String, counter: EngineCounter) in
            let seconds = UInt64(time.components.seconds)
            return (Limit("http.\(name)", unit: "seconds", value: seconds, reason: reason), counter)
        }
        return [
            row(
                "headerTimeout",
                limits.headerTimeout,
                "A slow head is answered 408.",
                .headerTimeouts
            ),
            row("idleTimeout", limits.idleTimeout, "An idle client is closed.", .idleTimeouts),
            row(
                "bodyTimeout",
                limits.bodyTimeout,
                "A stalled body is answered 408.",
                .bodyTimeouts
            ),
            row(
                "sendTimeout",
                limits.sendTimeout,
                "A client that takes nothing of its response is closed.",
                .sendTimeouts
            ),
            row(
                "connectTimeout",
                limits.connectTimeout,
                "An endpoint that does not answer is given up for another.",
                .connectTimeouts
            ),
            row(
                "upstreamIdleTimeout",
                limits.upstreamIdleTimeout,
                "An endpoint that owes a response is given up: 504.",
                .upstreamTimeouts
            ),
            row(
                "poolIdleTimeout",
                limits.poolIdleTimeout,
                "An idle connection to an endpoint is closed.",
                .poolIdleTimeouts
            ),
        ]
    }

    private static func relays(
        _ limits: RelayLimits
    ) -> [(Limit, @Sendable (RelayCounters) -> UInt64)] {
        [
            (
                Limit(
                    "relay.pairMax",
                    unit: "connections",
                    value: UInt64(limits.pairMax),
                    reason: "Per worker; bounds memory. One more is closed at once."
                ), { $0.pairLimitHits }
            ),
            (
                Limit(
                    "relay.bufferBlockMax",
                    unit: "blocks",
                    value: UInt64(limits.bufferBlockMax),
                    reason: "Per worker; bounds memory under slow peers, whose connections end."
                ), { $0.bufferLimitHits }
            ),
            (
                Limit(
                    "relay.connectTimeout",
                    unit: "seconds",
                    value: UInt64(limits.connectTimeout.components.seconds),
                    reason: "An endpoint that does not answer is given up for another."
                ), { $0.connectTimeouts }
            ),
            (
                Limit(
                    "relay.idleTimeout",
                    unit: "seconds",
                    value: UInt64(limits.idleTimeout.components.seconds),
                    reason: "A pair without a byte either way is closed."
                ), { $0.idleTimeouts }
            ),
            (
                Limit(
                    "relay.triesMax",
                    unit: "tries",
                    value: UInt64(limits.triesMax),
                    reason: "Endpoints tried for one connection; then it is closed."
                ), { $0.triesLimitHits }
            ),
        ]
    }
}
