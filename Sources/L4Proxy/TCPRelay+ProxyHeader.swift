import Addressing
import DataPlane
import MeshModel

/// The PROXY protocol in front of relayed connections: read where a listener's policy says so, from
/// trusted peers alone, and written where a Service's does.
extension TCPRelay {
    /// Has a client's connection begin by a header, or end where its peer may not send the one that
    /// must come.
    func awaitHeader(_ handle: Handle<Pair>, _ settings: ProxyProtocolSettings) {
        guard settings.acceptance == .optional || isTrusted(handle, settings) else {
            refuse(handle)
            return
        }
        pairs[handle].awaitsHeader = true
        let isRequired = settings.acceptance == .required
        setDeadline(handle, isRequired ? limits.proxyHeaderTimeout : limits.idleTimeout)
    }

    private func isTrusted(_ handle: Handle<Pair>, _ settings: ProxyProtocolSettings) -> Bool {
        settings.trustedPrefixes.contains { $0.contains(pairs[handle].peer.ip) }
    }

    /// Takes what has come of a header; once it is whole, the endpoint is connected.
    func receiveHeader(_ handle: Handle<Pair>) {
        while pairs.contains(handle), pairs[handle].awaitsHeader {
            let outcome = loop.network.receive(
                pairs[handle].client.fd,
                into: scratch,
                at: 0,
                byteLimit: scratch.capacity
            )
            switch outcome {
            case .received(let count):
                var bytes = firstBytes[handle.index] ?? []
                bytes.append(copying: scratch.bytes(0, count))
                take(handle, bytes)
            case .blocked: return
            case .ended, .failed:
                reset(handle)
                return
            }
        }
    }

    private func take(_ handle: Handle<Pair>, _ bytes: [UInt8]) {
        guard let settings = routes[pairs[handle].route]?.proxyProtocol else {
            reset(handle)
            return
        }
        switch bytes.withRawSpan({ ProxyHeader.read($0) }) {
        case .needMore: firstBytes[handle.index] = bytes
        case .absent where settings.acceptance == .required: refuse(handle)
        case .absent: begin(handle, bytes)
        case .header(let header, let byteCount):
            guard isTrusted(handle, settings) else {
                refuse(handle)
                return
            }
            count?(.proxyHeaders)
            if let ends = header.ends {
                pairs[handle].peer = ends.source
                pairs[handle].destination = ends.destination
            }
            begin(handle, Array(bytes[byteCount...]))
        case .fault(let fault):
            if fault == .tooLong { count?(.proxyHeaderLimitHits) }
            refuse(handle)
        }
    }

    /// Connects the endpoint, for which there are bytes already.
    private func begin(_ handle: Handle<Pair>, _ bytes: [UInt8]) {
        pairs[handle].awaitsHeader = false
        firstBytes[handle.index] = bytes.isEmpty ? nil : bytes
        connect(handle)
    }

    private func refuse(_ handle: Handle<Pair>) {
        count?(.proxyHeadersRefused)
        reset(handle)
    }

    /// Puts what an endpoint gets first before everything else: its header, then what the client sent
    /// behind its own.
    ///
    /// - Returns: `false` when there is no room.
    func queueFirstBytes(_ handle: Handle<Pair>) -> Bool {
        var bytes: [UInt8] = []
        if pairs[handle].headerVersion > 0 {
            let ends = ProxyHeader.Ends(
                source: pairs[handle].peer,
                destination: pairs[handle].destination
            )
            bytes = ProxyHeader(ends: ends).bytes(version: pairs[handle].headerVersion)
        }
        if !firstBytes.isEmpty { bytes += firstBytes.removeValue(forKey: handle.index) ?? [] }
        guard !bytes.isEmpty else { return true }
        return bytes.withRawSpan { pairs[handle].endpoint.output.append($0, pool) }
    }
}
