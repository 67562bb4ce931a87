import TrafficPolicy

/// What a request has that hashes and ties are made of.
extension HTTPProxy {
    /// Keeps hashes of requests apart from those of endpoints.
    private static let requestKey: UInt64 = 0x7265_7175

    /// The hash of the first key that the request has; `nil` when it has none, or none is asked for.
    func hashKey(_ exchange: ExchangeHandle, _ policy: BalancingRow) -> UInt64? {
        guard policy.algorithm == .ringHash || policy.algorithm == .maglev else { return nil }
        for offset in 0..<policy.hashKeys.count {
            let row = view.hashKeys[Int(policy.hashKeys.first + offset)]
            if row.source == .address {
                let downstream = exchanges[exchange].downstream
                guard connections.contains(downstream) else { continue }
                let ip =
                    exchanges[exchange].flags.contains(.knowsClient)
                    ? annexes[exchanges[exchange].annex].client : connections[downstream].peer.ip
                return KeyedHash.of(ip.high, ip.low, key: HTTPProxy.requestKey)
            }
            let bytes = text(of: row, exchange)
            guard bytes.byteCount > 0 else { continue }
            return KeyedHash.of(byteCount: bytes.byteCount, key: HTTPProxy.requestKey) {
                bytes.byte(at: $0)
            }
        }
        return nil
    }

    @_lifetime(immortal)
    private func text(of row: HashKeyRow, _ exchange: ExchangeHandle) -> RawSpan {
        let name = view.bytes(row.name)
        switch row.source {
        case .address: return RawSpan()
        case .header: return field(exchange, row.id, name)
        case .cookie: return cookie(exchange, name)
        case .query: return parameter(exchange, name)
        case .path: return headBytes(exchange).extracting(exchanges[exchange].head.pathOnlyRange)
        }
    }

    /// The value of a field's first line; empty when there is none.
    @_lifetime(immortal)
    func field(_ exchange: ExchangeHandle, _ id: HeaderID, _ name: RawSpan) -> RawSpan {
        let bytes = headBytes(exchange)
        let fields = headFields(exchange)
        for index in fields.indices where fields[index].isNamed(id, name, in: bytes) {
            return bytes.extracting(fields[index].valueRange)
        }
        return RawSpan()
    }

    /// The value of the first cookie of a name (RFC 6265 section 5.4); empty when there is none.
    @_lifetime(immortal)
    func cookie(_ exchange: ExchangeHandle, _ name: RawSpan) -> RawSpan {
        let bytes = headBytes(exchange)
        let fields = headFields(exchange)
        for index in fields.indices where fields[index].id == .cookie {
            let range = fields[index].valueRange
            let found = pair(bytes, range, name, separator: UInt8(ascii: ";"))
            if let found { return bytes.extracting(found) }
        }
        return RawSpan()
    }

    /// The value of the first query parameter of a name, as it came; empty when there is none.
    @_lifetime(immortal)
    private func parameter(_ exchange: ExchangeHandle, _ name: RawSpan) -> RawSpan {
        let head = exchanges[exchange].head
        let start = min(head.pathOnlyRange.upperBound + 1, head.pathRange.upperBound)
        let bytes = headBytes(exchange)
        let range = start..<head.pathRange.upperBound
        let found = pair(bytes, range, name, separator: UInt8(ascii: "&"))
        guard let found else { return RawSpan() }
        return bytes.extracting(found)
    }

    /// Where the value of `name=value` is in a list of such.
    private func pair(
        _ bytes: RawSpan,
        _ range: Range<Int>,
        _ name: RawSpan,
        separator: UInt8
    ) -> Range<Int>? {
        var start = range.lowerBound
        while start < range.upperBound {
            var stop = start
            while stop < range.upperBound && bytes.byte(at: stop) != separator { stop += 1 }
            while start < stop && bytes.byte(at: start) == UInt8(ascii: " ") { start += 1 }
            let equal = start + name.byteCount
            if equal < stop, bytes.byte(at: equal) == UInt8(ascii: "="),
                bytes.extracting(start..<equal).equals(name)
            {
                return (equal + 1)..<stop
            }
            start = stop + 1
        }
        return nil
    }
}
