import Addressing

/// Connections to endpoints that begin by a header of the PROXY protocol: made in the name of one
/// client's connection, used for its requests alone, and ended with it.
extension HTTPProxy {
    /// Whom an exchange's connection to an endpoint may be shared with: everybody of a namespace,
    /// or, where the endpoint is told of the client, nobody else.
    func owner(of exchange: ExchangeHandle) -> Int32 {
        let cluster = Int(exchanges[exchange].action.cluster)
        let downstream = exchanges[exchange].downstream
        guard cluster < view.clusters.count, view.clusters[cluster].proxyVersion > 0,
            connections.contains(downstream)
        else { return origin(of: exchange) }
        return HTTPProxy.clientKey(downstream)
    }

    /// What stands for a client's connection in the place of a namespace's descriptor.
    private static func clientKey(_ downstream: ConnectionHandle) -> Int32 {
        -2 - downstream.index
    }

    /// The client's connection that a key stands for; `nil` for a namespace.
    private func client(of key: Int32) -> ConnectionHandle? {
        key < -1 ? connections.handle(at: -2 - key) : nil
    }

    /// The network namespace behind a namespace or a client.
    func namespace(of key: Int32) -> Int32 {
        guard key < -1 else { return key }
        return client(of: key).map { connections[$0].origin } ?? -1
    }

    /// Whether a connection may carry one more request.
    func takesAnother(_ handle: ConnectionHandle) -> Bool {
        guard let max = transports[connections[handle].transport]?.requestMax, max > 0 else {
            return true
        }
        return connections[handle].exchangeCount < max
    }

    /// The header that tells an endpoint of a client; of the proxy itself where the client is gone.
    func header(for downstream: ConnectionHandle) -> ProxyHeader {
        guard connections.contains(downstream) else { return ProxyHeader(ends: nil) }
        let connection = connections[downstream]
        return ProxyHeader(
            ends: ProxyHeader.Ends(source: connection.peer, destination: connection.local)
        )
    }

    /// Has a new connection begin by its client's header.
    ///
    /// - Returns: `false` when there is no room.
    func beginInName(_ handle: ConnectionHandle, version: UInt8) -> Bool {
        let client = client(of: connections[handle].origin)
        if let client {
            connections[client].flags.insert(.named)
            var list = namedConnections[client.index] ?? []
            if list.count >= 16 { list.removeAll { !connections.contains($0) } }
            list.append(handle)
            namedConnections[client.index] = list
        }
        let bytes = header(for: client ?? ConnectionHandle.none).bytes(version: version)
        let isQueued = bytes.withRawSpan { connections[handle].output.append($0, pool) }
        if !isQueued { counters.count(.bufferLimitHits) }
        return isQueued
    }

    /// A connection of the client's that takes another request.
    func takeNamed(
        _ endpoint: EngineEndpoint,
        _ key: Int32,
        _ transport: Int32
    ) -> ConnectionHandle? {
        guard let client = client(of: key), let list = namedConnections[client.index] else {
            return nil
        }
        for handle in list {
            guard connections.contains(handle), connections[handle].flags.contains(.pooled),
                connections[handle].endpoint == endpoint.slot,
                connections[handle].endpointGeneration == endpoint.generation,
                connections[handle].transport == transport
            else { continue }
            if connections[handle].flags.contains(.multiplexed) { return handle }
            unlinkIdle(handle)
            connections[handle].flags.insert(.reused)
            return handle
        }
        return nil
    }

    /// A client's connection ends: those made in its name serve nobody else.
    func retireNamed(_ downstream: ConnectionHandle) {
        for handle in namedConnections.removeValue(forKey: downstream.index) ?? []
        where connections.contains(handle) {
            if connections[handle].flags.contains(.pooled) {
                retireIdle(handle)
            } else {
                connections[handle].flags.insert(.closesAfterExchange)
            }
        }
    }
}
