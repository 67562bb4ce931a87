import Telemetry

/// The status endpoint's limits with their counters.
struct StatusLimits: Sendable {
    /// Connections over `StatusServer.connectionMax`.
    let connections: SharedCounter
    /// Heads over `StatusServer.headByteLimit`.
    let head: SharedCounter
    /// Bodies over `StatusServer.bodyByteLimit`.
    let body: SharedCounter
    /// Requests that took longer than `StatusServer.requestTimeout`.
    let timeout: SharedCounter

    /// Lists the limits.
    init(_ registry: LimitRegistry) {
        connections = registry.add(
            Limit(
                "status.connectionMax",
                unit: "connections",
                value: UInt64(StatusServer.connectionMax),
                reason: "Each holds a descriptor and buffers; one more is closed at once."
            )
        )
        head = registry.add(
            Limit(
                "status.headByteLimit",
                unit: "bytes",
                value: UInt64(StatusServer.headByteLimit),
                reason: "A head is held in memory until it is whole; a longer one is answered 431."
            )
        )
        body = registry.add(
            Limit(
                "status.bodyByteLimit",
                unit: "bytes",
                value: UInt64(StatusServer.bodyByteLimit),
                reason: "A body is held in memory until it is whole; a longer one is answered 413."
            )
        )
        timeout = registry.add(
            Limit(
                "status.requestTimeout",
                unit: "seconds",
                value: UInt64(StatusServer.requestTimeout.components.seconds),
                reason: "A slow request holds a connection; one not whole in time is answered 408."
            )
        )
    }
}
