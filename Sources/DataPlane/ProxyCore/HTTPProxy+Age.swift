/// How long a listener's clients are waited for, and the age that its connections may reach.
extension HTTPProxy {
    /// Notes when a new connection is too old, where its entry point bounds its age.
    func beginAge(_ handle: ConnectionHandle) {
        let entry = Int(connections[handle].entry)
        guard entry >= 0, entry < view.entries.count, view.entries[entry].ageNanoseconds > 0 else {
            return
        }
        if ageEnds.isEmpty { ageEnds = Array(repeating: 0, count: limits.connectionMax) }
        ageEnds[Int(handle.index)] = loop.nowNanoseconds &+ view.entries[entry].ageNanoseconds
        connections[handle].flags.insert(.ages)
    }

    /// Whether a connection ends with the exchange that begins: it has reached its age.
    @inline(__always)
    func isTooOld(_ handle: ConnectionHandle) -> Bool {
        connections[handle].flags.contains(.ages)
            && ageEnds[Int(handle.index)] <= loop.nowNanoseconds
    }

    // MARK: Waiting for clients

    /// From a head's first byte to its last, nanoseconds.
    @inline(__always)
    func headTime(_ handle: ConnectionHandle) -> UInt64 {
        connections[handle].flags.contains(.timed) ? times(handle).head : timeouts.header
    }

    /// Between two arrivals of a request's body, nanoseconds.
    @inline(__always)
    func bodyTime(_ handle: ConnectionHandle) -> UInt64 {
        connections[handle].flags.contains(.timed) ? times(handle).body : timeouts.body
    }

    /// Between two requests, nanoseconds.
    @inline(__always)
    func idleTime(_ handle: ConnectionHandle) -> UInt64 {
        connections[handle].flags.contains(.timed) ? times(handle).idle : timeouts.idle
    }

    /// Between two looks at the streams of an HTTP/2 connection, nanoseconds.
    func sweepTime(_ handle: ConnectionHandle) -> UInt64 {
        guard connections[handle].flags.contains(.timed) else { return timeouts.sweep }
        let times = self.times(handle)
        return EngineTimeouts.sweep(header: times.head, send: timeouts.send, body: times.body)
    }

    /// The times of a connection whose entry point may have its own.
    @inline(never)
    private func times(
        _ handle: ConnectionHandle
    ) -> (head: UInt64, body: UInt64, idle: UInt64) {
        let own = view.times(connections[handle].entry)
        return (
            own.headNanoseconds == 0 ? timeouts.header : own.headNanoseconds,
            own.bodyNanoseconds == 0 ? timeouts.body : own.bodyNanoseconds,
            own.idleNanoseconds == 0 ? timeouts.idle : own.idleNanoseconds
        )
    }
}
