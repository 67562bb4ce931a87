import Addressing
import MeshModel

/// What a listener does with requests before they are routed, besides the defaults.
extension HTTPProxy {
    /// Gives a request the form that its listener wants: bounds, path, fields.
    ///
    /// - Parameter path: the path as it came.
    /// - Returns: the path to route by; `nil` when the request has been answered.
    func applyEdge(
        _ exchange: ExchangeHandle,
        _ host: Int32,
        _ path: RequestPath
    ) -> RequestPath? {
        if exchanges[exchange].head.tunnel != .none {
            guard permitTunnel(exchange, host) else { return nil }
        }
        let row = view.edge(of: host)
        guard isWithinBounds(exchange, row) else { return nil }
        guard let shaped = shape(exchange, row.path, path) else { return nil }
        if row.underscores != .keep {
            guard judgeNames(exchange, row.underscores) else { return nil }
        }
        if row.changesForwarding {
            guard writeForwarding(exchange, row) else {
                fail(exchange, status: 431, .overflow)
                return nil
            }
        }
        return shaped
    }

    // MARK: Bounds

    private func isWithinBounds(_ exchange: ExchangeHandle, _ row: EdgeRow) -> Bool {
        let head = exchanges[exchange].head
        if row.headByteLimit > 0 && Int(head.byteCount) > row.headByteLimit
            || row.fieldCountMax > 0 && Int(head.fieldCount) > row.fieldCountMax
        {
            counters.count(.listenerHeadLimitHits)
            fail(exchange, status: 431, .overflow)
            return false
        }
        countRequest(exchange, row.requestMax)
        guard row.bodyByteLimit > 0 else { return true }
        if case .length(let length) = head.framing, length > row.bodyByteLimit {
            refuseBodyOverLimit(exchange)
            return false
        }
        if head.framing == .chunked {
            annexes[annex(exchange)].bodyByteLimit = row.bodyByteLimit
            exchanges[exchange].flags.insert(.boundedBody)
        }
        return true
    }

    /// The last request that a connection may carry has it closed after the answer. HTTP/2 counts
    /// its streams itself.
    private func countRequest(_ exchange: ExchangeHandle, _ max: UInt32) {
        let downstream = exchanges[exchange].downstream
        guard max > 0, exchanges[exchange].stream == 0,
            connections[downstream].exchangeCount >= max
        else { return }
        counters.count(.listenerRequestLimitHits)
        connections[downstream].flags.insert(.closesAfterExchange)
    }

    /// Whether a body that comes in pieces is still within its listener's bound.
    func isBodyWithinBound(_ exchange: ExchangeHandle) -> Bool {
        let limit = annexes[exchanges[exchange].annex].bodyByteLimit
        guard exchanges[exchange].bytesReceived > limit else { return true }
        refuseBodyOverLimit(exchange)
        return false
    }

    private func refuseBodyOverLimit(_ exchange: ExchangeHandle) {
        counters.count(.listenerBodyLimitHits)
        fail(exchange, status: 413, .overflow)
    }

    /// Counts a connection at an entry point that bounds them.
    ///
    /// - Parameter isClient: whether the source is the client, and not a proxy that is to name it.
    func admits(_ source: IPAddress, _ entry: Int32, isClient: Bool) -> Bool {
        let row = view.entries[Int(entry)]
        let verdict = tally.admit(
            source,
            entry: entry,
            connectionMax: row.connectionMax,
            perSourceMax: isClient ? row.connectionPerSourceMax : 0
        )
        switch verdict {
        case .admitted: return true
        case .entryIsFull: counters.count(.listenerConnectionLimitHits)
        case .sourceIsFull: counters.count(.sourceConnectionLimitHits)
        }
        return false
    }

    // MARK: Path

    private func shape(
        _ exchange: ExchangeHandle,
        _ shape: PathShape,
        _ path: RequestPath
    ) -> RequestPath? {
        guard path.isNotable || shape.mergesSlashes else { return path }
        let bytes = headBytes(exchange)
        let range = path.start..<(path.start + path.pathByteCount)
        switch shape.judge(bytes, range) {
        case .asItCame: return path
        case .ambiguous:
            fail(exchange, status: 400, .downstreamProtocolError)
            return nil
        case .other: break
        }
        let start = Int(exchanges[exchange].head.byteCount)
        let queryStart = range.upperBound
        let queryByteCount = Int(exchanges[exchange].head.pathLength) - range.count
        guard start + range.count + queryByteCount <= ExchangeBlock.textByteLimit else {
            counters.count(.editedTextLimitHits)
            fail(exchange, status: 431, .overflow)
            return nil
        }
        edgeText.reset()
        shape.write(bytes, range, to: edgeText)
        let count = edgeText.count
        // The query goes over as it is, its question mark with it.
        edgeText.append(bytes.extracting(queryStart..<(queryStart + queryByteCount)))
        pool.write(edgeText.bytes(), to: exchanges[exchange].block, at: start)
        exchanges[exchange].head.pathOffset = Int32(start)
        exchanges[exchange].head.pathLength = Int32(count + queryByteCount)
        exchanges[exchange].head.byteCount = Int32(start + count + queryByteCount)
        exchanges[exchange].head.verbatimByteCount = 0
        return RequestPath(headBytes(exchange), start, count + queryByteCount)
    }

    // MARK: Names

    /// Drops fields whose names hold an underscore, or refuses them.
    private func judgeNames(_ exchange: ExchangeHandle, _ rule: EdgeRow.Underscores) -> Bool {
        let bytes = headBytes(exchange)
        let count = Int(exchanges[exchange].head.fieldCount)
        var fields = pool.mutableElements(
            exchanges[exchange].block,
            at: ExchangeBlock.fieldOffset,
            count: count,
            of: HeaderField.self
        )
        var kept = 0
        for index in 0..<count {
            let field = fields[index]
            if field.id == .other && bytes.extracting(field.nameRange).holds(UInt8(ascii: "_")) {
                guard rule == .drop else {
                    counters.count(.protocolErrors)
                    fail(exchange, status: 400, .downstreamProtocolError)
                    return false
                }
                continue
            }
            if kept != index { fields[kept] = field }
            kept += 1
        }
        if kept < count {
            exchanges[exchange].head.fieldCount = Int32(kept)
            exchanges[exchange].head.verbatimByteCount = 0
        }
        return true
    }
}

extension RawSpan {
    /// Whether a byte is among these.
    func holds(_ byte: UInt8) -> Bool {
        for offset in 0..<byteCount where self.byte(at: offset) == byte { return true }
        return false
    }
}
