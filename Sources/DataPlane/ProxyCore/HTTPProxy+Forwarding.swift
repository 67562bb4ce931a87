import Addressing
import MeshModel

/// Forwarding fields by a listener's policy: who is believed, who the client is, what is added.
extension HTTPProxy {
    /// Fields that only a trusted proxy may have set.
    private static let trustedOnly: [HeaderID] = [
        .xForwardedFor, .xForwardedProto, .xForwardedHost, .xForwardedPort, .xRealIP, .forwarded,
        .xForwardedClientCert,
    ]

    /// Writes the forwarding fields into the request, so that filters, conditions and the endpoint
    /// see the same.
    ///
    /// - Returns: `false` when there is no room.
    func writeForwarding(_ exchange: ExchangeHandle, _ row: EdgeRow) -> Bool {
        let downstream = exchanges[exchange].downstream
        guard connections.contains(downstream) else { return true }
        let peer = connections[downstream].peer.ip
        let isTrusted = row.trustedHops > 0 || isIn(row.trusted, peer)
        if isTrusted {
            dropNominated(exchange)
        } else {
            for id in HTTPProxy.trustedOnly { removeFields(exchange, id, RawSpan()) }
            if !row.keepsRequestID { removeFields(exchange, .xRequestID, RawSpan()) }
        }
        exchanges[exchange].flags.insert(.forwards)
        guard writeForwardedFor(exchange, row, peer) else { return false }
        let isTLS = exchanges[exchange].head.isTLS
        let proto: StaticString = isTLS ? "https" : "http"
        guard addUnlessPresent(exchange, .xForwardedProto, "x-forwarded-proto", proto) else {
            return false
        }
        if row.addsHost {
            guard addHost(exchange, connections[downstream].local.port) else { return false }
        }
        if row.addsForwarded {
            guard addForwarded(exchange, peer, proto) else { return false }
        }
        return row.via.byteCount == 0 || addVia(exchange, row.via)
    }

    /// Forwarding fields that `Connection` names end here.
    private func dropNominated(_ exchange: ExchangeHandle) {
        let fields = headFields(exchange)
        for id in HTTPProxy.trustedOnly {
            var isNominated = false
            for index in fields.indices
            where fields[index].id == id && fields[index].flags.contains(.hopByHop) {
                isNominated = true
            }
            if isNominated { removeFields(exchange, id, RawSpan()) }
        }
    }

    // MARK: X-Forwarded-For

    private func writeForwardedFor(
        _ exchange: ExchangeHandle,
        _ row: EdgeRow,
        _ peer: IPAddress
    ) -> Bool {
        edgeText.reset()
        gatherValues(exchange, .xForwardedFor)
        if let client = client(row, peer) {
            annexes[annex(exchange)].client = client
            exchanges[exchange].flags.insert(.knowsClient)
        }
        if edgeText.count > 0 { edgeText.append(", ") }
        edgeText.append(address: peer)
        removeFields(exchange, .xForwardedFor, RawSpan())
        return add(exchange, .xForwardedFor, "x-forwarded-for", edgeText.bytes())
    }

    /// Writes the values of a name's lines, as one list.
    private func gatherValues(_ exchange: ExchangeHandle, _ id: HeaderID) {
        let bytes = headBytes(exchange)
        let fields = headFields(exchange)
        for index in fields.indices where fields[index].id == id {
            if edgeText.count > 0 { edgeText.append(", ") }
            edgeText.append(bytes.extracting(fields[index].valueRange))
        }
    }

    /// The client by the list in hand: so many entries from its end, or else the last one that is
    /// no trusted proxy. An entry that is no address ends the search: nobody is made up.
    private func client(_ row: EdgeRow, _ peer: IPAddress) -> IPAddress? {
        let list = edgeText.bytes()
        var end = list.byteCount
        var found: IPAddress?
        var hops = Int(row.trustedHops)
        while end > 0 {
            var start = end
            while start > 0 && list.byte(at: start - 1) != UInt8(ascii: ",") { start -= 1 }
            guard let entry = ForwardedAddress.read(list.extracting(start..<end)) else { break }
            end = start - 1
            if row.trustedHops > 0 {
                hops -= 1
                guard hops > 0 else { return entry }
            } else {
                found = entry
                guard isIn(row.trusted, entry) else { break }
            }
        }
        // Fewer entries than hops: somebody did not come by the proxies in front.
        return row.trustedHops > 0 ? nil : found
    }

    func isIn(_ range: RowRange, _ address: IPAddress) -> Bool {
        for offset in 0..<range.count
        where view.prefixes[Int(range.first + offset)].contains(address) {
            return true
        }
        return false
    }

    // MARK: The others

    private func addUnlessPresent(
        _ exchange: ExchangeHandle,
        _ id: HeaderID,
        _ name: StaticString,
        _ value: StaticString
    ) -> Bool {
        value.withUTF8Bytes { value in
            isPresent(exchange, id) || add(exchange, id, name, value)
        }
    }

    private func isPresent(_ exchange: ExchangeHandle, _ id: HeaderID) -> Bool {
        let fields = headFields(exchange)
        for index in fields.indices where fields[index].id == id { return true }
        return false
    }

    private func addHost(_ exchange: ExchangeHandle, _ port: UInt16) -> Bool {
        if !isPresent(exchange, .xForwardedHost) {
            let authority = headBytes(exchange).extracting(
                exchanges[exchange].head.authorityRange
            )
            guard add(exchange, .xForwardedHost, "x-forwarded-host", authority) else {
                return false
            }
        }
        guard !isPresent(exchange, .xForwardedPort) else { return true }
        edgeText.reset()
        edgeText.append(decimal: UInt64(port))
        return add(exchange, .xForwardedPort, "x-forwarded-port", edgeText.bytes())
    }

    /// Adds this hop to `Forwarded` (RFC 7239 section 4).
    private func addForwarded(
        _ exchange: ExchangeHandle,
        _ peer: IPAddress,
        _ proto: StaticString
    ) -> Bool {
        edgeText.reset()
        gatherValues(exchange, .forwarded)
        if edgeText.count > 0 { edgeText.append(", ") }
        edgeText.append("for=")
        if !peer.isIPv4 { edgeText.append("\"[") }
        edgeText.append(address: peer)
        if !peer.isIPv4 { edgeText.append("]\"") }
        edgeText.append(";host=\"")
        edgeText.append(headBytes(exchange).extracting(exchanges[exchange].head.authorityRange))
        edgeText.append("\";proto=")
        edgeText.append(proto)
        removeFields(exchange, .forwarded, RawSpan())
        return add(exchange, .forwarded, "forwarded", edgeText.bytes())
    }

    /// Adds this hop to `Via` (RFC 9110 section 7.6.3).
    private func addVia(_ exchange: ExchangeHandle, _ name: TextRange) -> Bool {
        edgeText.reset()
        gatherValues(exchange, .via)
        if edgeText.count > 0 { edgeText.append(", ") }
        let head = exchanges[exchange].head
        edgeText.append(head.isHTTP2 ? "2 " : head.minorVersion == 0 ? "1.0 " : "1.1 ")
        edgeText.append(view.bytes(name))
        removeFields(exchange, .via, RawSpan())
        return add(exchange, .via, "via", edgeText.bytes())
    }

    private func add(
        _ exchange: ExchangeHandle,
        _ id: HeaderID,
        _ name: StaticString,
        _ value: RawSpan
    ) -> Bool {
        name.withUTF8Bytes { addField(exchange, id, $0, value) }
    }
}
