import Telemetry

/// The bounds of the status endpoint.
struct StatusBounds: Sendable {
    /// Connections open at once, TCP and local together.
    var connectionMax = 64
    /// Blocks of 32 KiB for answers that the peers have not taken yet.
    var bufferBlockMax = 8_192
    /// Time for one request to arrive, and for a connection to be idle.
    var requestTimeout = Duration.seconds(30)
}

/// The status endpoint's limits with their counters.
struct StatusLimits: Sendable {
    /// The bounds.
    let bounds: StatusBounds
    /// Connections over `connectionMax`.
    let connections: SharedCounter
    /// Heads over `StatusServer.headByteLimit`.
    let head: SharedCounter
    /// Bodies over `StatusServer.bodyByteLimit`.
    let body: SharedCounter
    /// Requests that took longer than `requestTimeout`.
    let timeout: SharedCounter
    /// Answers that found no block.
    let buffers: SharedCounter
    /// Operators' blocks of more than `StatusRouter.blockTTLMax`.
    let blockTTL: SharedCounter
    /// Operators' reasons of more than `StatusRouter.reasonByteLimit`.
    let reason: SharedCounter

    /// Lists the limits.
    init(_ registry: LimitRegistry, bounds: StatusBounds = StatusBounds()) {
        self.bounds = bounds
        let add = { (name: String, unit: String, value: Int, reason: String) in
            registry.add(Limit("status.\(name)", unit: unit, value: value, reason: reason))
        }
        connections = add(
            "connectionMax",
            "connections",
            bounds.connectionMax,
            "Each holds a descriptor and buffers; one more is closed at once."
        )
        head = add(
            "headByteLimit",
            "bytes",
            StatusServer.headByteLimit,
            "A head is held in memory until it is whole; a longer one is answered 431."
        )
        body = add(
            "bodyByteLimit",
            "bytes",
            StatusServer.bodyByteLimit,
            "A body is held in memory until it is whole; a longer one is answered 413."
        )
        timeout = registry.add(
            Limit(
                "status.requestTimeout",
                time: bounds.requestTimeout,
                reason: "A slow request holds a connection; one not whole in time is answered 408."
            )
        )
        buffers = add(
            "bufferBlockMax",
            "blocks",
            bounds.bufferBlockMax,
            "Bounds memory under peers that do not read; an answer without room ends its connection."
        )
        blockTTL = registry.add(
            Limit(
                "status.blockTTLMax",
                time: StatusRouter.blockTTLMax,
                reason: "A forgotten block must end; a longer one is answered 400."
            )
        )
        reason = add(
            "blockReasonByteLimit",
            "bytes",
            StatusRouter.reasonByteLimit,
            "Reasons are kept in the kernel beside the block; a longer one is answered 400."
        )
    }
}
