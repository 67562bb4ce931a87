/// A port where TLS is terminated, as one worker knows it.
struct TLSPort {
    /// Which context a server name gets.
    var table: TLSHostTable
    /// Handshakes in hand.
    var handshakeCount: UInt32 = 0
}

/// What a connection's TLS means for its requests.
extension HTTPProxy {
    /// Puts a host table in force for new handshakes of an entry point's ports. Connections
    /// whose listener now asks something else of clients' certificates, or is gone, end after what
    /// they have in hand; a new certificate ends none.
    ///
    /// - Parameter number: the entry point's slot, which its ports' `PortConfiguration` names.
    package func setTLSHosts(ofEntry number: Int32, _ table: TLSHostTable?) {
        let old = tlsPorts[number]
        for index in 0..<HostMemo.count { nameMemos[index] = HostMemo() }
        if let table {
            tlsPorts[number] = TLSPort(table: table, handshakeCount: old?.handshakeCount ?? 0)
        } else {
            tlsPorts[number] = nil
        }
        guard let old, table?.keepsAll(of: old.table) != true else { return }
        for index in 0..<connections.endIndex {
            guard let handle = connections.handle(at: index),
                connections[handle].entry == number,
                let session = tlsSession(handle), session.isServer,
                table?.keeps(session.context, listener: session.listener) != true
            else { continue }
            retireDownstream(handle)
        }
    }

    /// Has a client's connection end after what it has in hand.
    private func retireDownstream(_ handle: ConnectionHandle) {
        let connection = connections[handle]
        if connection.flags.contains(.http2) {
            drainHTTP2(handle)
        } else if connection.exchange.isSome {
            connections[handle].flags.insert(.closesAfterExchange)
        } else {
            close(handle)
        }
    }

    /// Looks at a routed request that came by TLS: whether it belongs to its connection, and what
    /// its endpoint is told of the connection.
    ///
    /// - Returns: `false` when it was answered here.
    func admitsOverTLS(_ exchange: ExchangeHandle, _ listener: Int32) -> Bool {
        let downstream = exchanges[exchange].downstream
        guard connections.contains(downstream) else { return true }
        let own = connections[downstream].tlsListener
        let flags = connections[downstream].flags
        guard own < 0 || own == listener,
            !flags.contains(.comparesNames) || presents(downstream, exchange)
        else {
            counters.count(.misdirectedRequests)
            fail(exchange, status: 421, .noRoute)
            return false
        }
        if flags.contains(.early) {
            annexes[annex(exchange)].isEarly = true
            exchanges[exchange].flags.insert(.ruled)
        }
        guard flags.contains(.forwardsCertificate) else { return true }
        return addClientCertificate(downstream, exchange)
    }

    /// Whether the connection's certificate is for the request's host, where another name of the
    /// same listener has another certificate (RFC 9110 section 15.5.20).
    private func presents(_ downstream: ConnectionHandle, _ exchange: ExchangeHandle) -> Bool {
        guard let session = tlsSession(downstream),
            let table = tlsPorts[connections[downstream].entry]?.table
        else { return true }
        let bytes = headBytes(exchange)
        let start = Int(exchanges[exchange].head.authorityOffset)
        let count = Int(exchanges[exchange].head.authorityLength)
        guard count > 0 else { return true }
        guard count <= HostMemo.byteCountMax else {
            return presents(session, table, bytes, start, count)
        }
        var memo = HostMemo(session.context.number, bytes, start, count)
        let place = memo.place
        if nameMemos[place].isSameRequest(as: memo) { return nameMemos[place].host == 1 }
        memo.host = presents(session, table, bytes, start, count) ? 1 : 0
        nameMemos[place] = memo
        return memo.host == 1
    }

    private func presents(
        _ session: TLSSession,
        _ table: TLSHostTable,
        _ bytes: RawSpan,
        _ start: Int,
        _ count: Int
    ) -> Bool {
        let length = RoutingView.nameLength(bytes, start, count)
        var text: [UInt8] = []
        text.append(copying: bytes.extracting(start..<(start + length)))
        let name = String(decoding: text, as: UTF8.self)
        guard let host = table.host(for: name), host.context !== session.context else {
            return true
        }
        return session.context.presents(name)
    }

    /// Tells the endpoint of the client's certificate, which was verified.
    private func addClientCertificate(
        _ downstream: ConnectionHandle,
        _ exchange: ExchangeHandle
    ) -> Bool {
        guard let session = tlsSession(downstream) else { return true }
        let isAdded = session.forwardedCertificate.withRawSpan { value in
            let name: StaticString = "x-forwarded-client-cert"
            removeFields(exchange, .xForwardedClientCert, RawSpan())
            return name.withUTF8Bytes { addField(exchange, .other, $0, value) }
        }
        if !isAdded { fail(exchange, status: 431, .overflow) }
        return isAdded
    }
}
