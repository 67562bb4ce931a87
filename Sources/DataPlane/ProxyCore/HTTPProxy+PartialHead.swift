/// Heads that arrive in pieces: each byte is searched once for the head's end, and parsed when the
/// end is there. A peer that sends byte by byte costs no more than one that does not.
extension HTTPProxy {
    /// Begins the search with the bytes of a head that is not complete.
    func beginHeadSearch(_ handle: ConnectionHandle, _ bytes: RawSpan) {
        counters.count(.partialHeadBytes, by: UInt64(bytes.byteCount))
        connections[handle].headEnd.begin()
        if connections[handle].headEnd.ends(within: bytes) {
            connections[handle].headEnd = HeadEndSearch()
        }
    }

    /// Receives more of a head whose beginning waits, and searches the new bytes alone. The search
    /// is over once the head is to be parsed.
    ///
    /// - Returns: whether bytes came and the connection is still there.
    func receiveHeadPart(_ handle: ConnectionHandle) -> Bool {
        guard let count = receive(handle, after: 0) else { return false }
        let bytes = received.bytes(0, count)
        counters.count(.partialHeadBytes, by: UInt64(count))
        guard connections[handle].input.append(bytes, pool) else {
            counters.count(.bufferLimitHits)
            markBroken(handle)
            return false
        }
        let ends = connections[handle].headEnd.ends(within: bytes)
        if ends || connections[handle].input.byteCount >= limits.head.headByteLimit {
            counters.count(.partialHeadBytes, by: UInt64(connections[handle].input.byteCount))
            connections[handle].headEnd = HeadEndSearch()
        }
        return true
    }
}
