/// The age that a listener's connections may reach.
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
}
