import Addressing

/// What is known of a connection whose entry point has the PROXY protocol.
struct ProxiedConnection {
    /// The socket's own ends.
    var peer: SocketAddress
    var local: SocketAddress
    /// Whether TLS begins once the header has come.
    var isTLS: Bool
    /// Whether the peer may send a header.
    var isTrusted: Bool
    /// Whether the peer named other ends than the socket's.
    var isNamed = false
    /// What has come of a header.
    var bytes: [UInt8] = []
}

/// PROXY protocol in front of clients' connections: read before anything else, believed of trusted
/// peers alone.
extension HTTPProxy {
    /// Has a new connection begin by a header, or end where its peer may not send the one that must
    /// come.
    ///
    /// - Returns: whether the connection is still there.
    func awaitProxyHeader(
        _ handle: ConnectionHandle,
        _ configuration: PortConfiguration
    ) -> Bool {
        let connection = connections[handle]
        let row = view.entries[Int(connection.entry)]
        let proxied = ProxiedConnection(
            peer: connection.peer,
            local: connection.local,
            isTLS: configuration.isTLS,
            isTrusted: isIn(row.proxyTrusted, connection.peer.ip)
        )
        guard proxied.isTrusted || row.proxyProtocol == .optional else {
            refuseProxyHeader(handle)
            return false
        }
        proxiedConnections[handle.index] = proxied
        connections[handle].flags.formUnion([.proxied, .awaitsProxyHeader])
        let isRequired = row.proxyProtocol == .required
        setDeadline(handle, isRequired ? timeouts.proxyHeader : headTime(handle))
        return true
    }

    /// Receives the header's bytes, and takes what stands behind it for what the connection begins
    /// with.
    ///
    /// - Returns: how many plain bytes came behind the bytes staged; `nil` when none came, or the
    ///   connection is gone.
    func receiveProxyHeader(_ handle: ConnectionHandle, _ waiting: Int) -> Int? {
        while true {
            let outcome = loop.network.receive(
                connections[handle].fd,
                into: ciphertext,
                at: 0,
                byteLimit: HTTPProxy.ciphertextByteLimit
            )
            switch outcome {
            case .received(let count):
                let isLast = noteReceived(handle, count)
                var bytes = proxiedConnections[handle.index]?.bytes ?? []
                bytes.append(copying: ciphertext.bytes(0, count))
                let step = bytes.withRawSpan { takeProxyHeader(handle, $0, waiting) }
                guard let step else { return nil }
                if step > 0 { return step }
                if isLast { return nil }
                guard connections[handle].flags.contains(.awaitsProxyHeader) else {
                    return receive(handle, after: waiting)
                }
            case .blocked:
                connections[handle].flags.remove(.readable)
                return nil
            case .ended, .failed:
                connections[handle].flags.remove(.readable)
                close(handle)
                return nil
            }
        }
    }

    /// Takes all bytes that have come on a connection.
    private func takeProxyHeader(
        _ handle: ConnectionHandle,
        _ bytes: RawSpan,
        _ waiting: Int
    ) -> Int? {
        guard let proxied = proxiedConnections[handle.index] else { return nil }
        switch ProxyHeader.read(bytes) {
        case .needMore:
            var kept: [UInt8] = []
            kept.append(copying: bytes)
            proxiedConnections[handle.index]?.bytes = kept
            return 0
        case .absent where view.proxyAcceptance(connections[handle].entry) == .required:
            refuseProxyHeader(handle)
        case .absent:
            guard begin(handle, proxied) else { return nil }
            return takeFirstBytes(handle, bytes, waiting)
        case .header(let header, let byteCount):
            guard proxied.isTrusted else {
                refuseProxyHeader(handle)
                return nil
            }
            counters.count(.proxyHeaders)
            if let ends = header.ends { name(handle, ends) }
            guard begin(handle, proxied) else { return nil }
            let rest = bytes.extracting(byteCount..<bytes.byteCount)
            return rest.byteCount == 0 ? 0 : takeFirstBytes(handle, rest, waiting)
        case .fault(let fault):
            if fault == .tooLong { counters.count(.proxyHeaderLimitHits) }
            refuseProxyHeader(handle)
        }
        return nil
    }

    /// The peer speaks for another client: it is the one that everything but the packet layer and
    /// the addresses of the socket itself is about.
    private func name(_ handle: ConnectionHandle, _ ends: ProxyHeader.Ends) {
        proxiedConnections[handle.index]?.isNamed = true
        connections[handle].local = ends.destination
        connections[handle].peerText = AddressText(ends.source, addressScratch)
        if connections[handle].flags.contains(.tallied) {
            tally.remove(connections[handle].peer.ip, entry: connections[handle].entry)
            connections[handle].flags.remove(.tallied)
        }
        connections[handle].peer = ends.source
    }

    /// Goes on as a connection without a header does from the start.
    private func begin(_ handle: ConnectionHandle, _ proxied: ProxiedConnection) -> Bool {
        connections[handle].flags.remove(.awaitsProxyHeader)
        proxiedConnections[handle.index]?.bytes = []
        let entry = connections[handle].entry
        if connections[handle].flags.contains(.tallied) {
            tally.remove(connections[handle].peer.ip, entry: entry)
            connections[handle].flags.remove(.tallied)
        }
        if view.boundsConnections(entry) {
            guard admits(connections[handle].peer.ip, entry, isClient: true) else {
                close(handle)
                return false
            }
            connections[handle].flags.insert(.tallied)
        }
        if !proxied.isTLS {
            setDeadline(handle, headTime(handle))
        } else if !beginTLS(handle) {
            close(handle)
            return false
        }
        return true
    }

    private func takeFirstBytes(
        _ handle: ConnectionHandle,
        _ bytes: RawSpan,
        _ waiting: Int
    ) -> Int? {
        if connections[handle].flags.contains(.tls) { return take(handle, bytes, waiting) }
        guard connections[handle].input.append(bytes, pool) else {
            counters.count(.bufferLimitHits)
            markBroken(handle)
            return nil
        }
        schedule(handle)
        return nil
    }

    /// Resets a connection that does not begin as it must.
    private func refuseProxyHeader(_ handle: ConnectionHandle) {
        counters.count(.proxyHeadersRefused)
        loop.network.resetOnClose(connections[handle].fd)
        close(handle)
    }

    /// The header has not come in time.
    func proxyHeaderTimedOut(_ handle: ConnectionHandle) {
        counters.count(.proxyHeaderTimeouts)
        close(handle)
    }

    // MARK: The socket's own ends

    /// Whether a connection's peer named another client.
    func isProxied(_ handle: ConnectionHandle) -> Bool {
        connections.contains(handle) && connections[handle].flags.contains(.proxied)
            && proxiedConnections[handle.index]?.isNamed == true
    }

    /// The addresses of a connection's socket, whoever it is from.
    func socketEnds(
        _ handle: ConnectionHandle
    ) -> (peer: SocketAddress, local: SocketAddress) {
        guard connections[handle].flags.contains(.proxied),
            let proxied = proxiedConnections[handle.index]
        else { return (connections[handle].peer, connections[handle].local) }
        return (proxied.peer, proxied.local)
    }
}
