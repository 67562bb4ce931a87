/// TLS on the client's side: ciphertext between the socket and the proxy's plain bytes.
extension HTTPProxy {
    /// Ciphertext taken at once: with a record that OpenSSL holds in part, its plaintext still fits.
    private static let ciphertextByteLimit = receiveByteLimit - 18_432

    /// Puts a host table in force for new handshakes of the ports that name its number.
    package func setTLSHosts(_ number: Int32, _ table: TLSHostTable?) {
        tlsHosts[number] = table
    }

    /// Begins a session on a new connection.
    ///
    /// - Returns: `false` when the port has no certificate.
    func beginTLS(_ handle: ConnectionHandle, _ hosts: Int32) -> Bool {
        guard let table = tlsHosts[hosts], let tlsTransport,
            let session = TLSSession.server(table, tlsTransport)
        else { return false }
        while tlsSessions.count <= Int(handle.index) { tlsSessions.append(nil) }
        tlsSessions[Int(handle.index)] = session
        connections[handle].flags.insert(.tls)
        return true
    }

    private func tlsSession(_ handle: ConnectionHandle) -> TLSSession? {
        Int(handle.index) < tlsSessions.count ? tlsSessions[Int(handle.index)] : nil
    }

    /// Receives ciphertext until there is plaintext behind the bytes staged.
    ///
    /// - Returns: how many plain bytes; `nil` when none came or the connection is gone.
    func receiveEncrypted(_ handle: ConnectionHandle, _ waiting: Int) -> Int? {
        guard let session = tlsSession(handle) else { return nil }
        while true {
            let outcome = loop.network.receive(
                connections[handle].fd,
                into: ciphertext,
                at: 0,
                byteLimit: HTTPProxy.ciphertextByteLimit
            )
            switch outcome {
            case .received(let count):
                guard let produced = decrypt(handle, session, count, waiting) else { return nil }
                if produced > 0 { return produced }
            case .blocked:
                connections[handle].flags.remove(.readable)
                return nil
            case .ended:
                connections[handle].flags.remove(.readable)
                peerEnded(handle)
                return nil
            case .failed:
                connectionFailed(handle)
                return nil
            }
        }
    }

    private func decrypt(
        _ handle: ConnectionHandle,
        _ session: TLSSession,
        _ count: Int,
        _ waiting: Int
    ) -> Int? {
        let wasEstablished = session.isEstablished
        var target = received.mutableBytes(waiting, HTTPProxy.receiveByteLimit)
        let progress = session.receive(ciphertext.bytes(0, count), into: &target)
        sendTransportOutput(handle)
        if session.isEstablished && !wasEstablished { counters.count(.tlsHandshakes) }
        switch progress {
        case .plaintext(let produced): return produced
        case .ended:
            peerEnded(handle)
        case .failed:
            counters.count(.tlsErrors)
            connectionFailed(handle)
        }
        return nil
    }

    /// Encrypts bytes and sends them.
    func sendEncrypted(_ handle: ConnectionHandle, _ bytes: RawSpan) {
        guard let session = tlsSession(handle) else { return }
        var at = 0
        while at < bytes.byteCount {
            let end = min(at + HTTPProxy.receiveByteLimit, bytes.byteCount)
            let count = session.send(bytes.extracting(at..<end))
            guard count > 0 else {
                markBroken(handle)
                return
            }
            at += count
            sendTransportOutput(handle)
        }
    }

    /// Ends a session in order.
    func closeTLS(_ handle: ConnectionHandle) {
        tlsSession(handle)?.shutDown()
        sendTransportOutput(handle)
    }

    private func sendTransportOutput(_ handle: ConnectionHandle) {
        guard let tlsTransport, tlsTransport.output.count > 0 else { return }
        sendPlain(handle, tlsTransport.output.bytes(), RawSpan())
        tlsTransport.output.reset()
    }

    /// Whether HTTP/2 was negotiated on a connection.
    func negotiatedHTTP2(_ handle: ConnectionHandle) -> Bool {
        tlsSession(handle)?.speaksHTTP2 ?? false
    }

    /// Forgets the sessions of a connection that is closed.
    func closeSessions(_ handle: ConnectionHandle) {
        let index = Int(handle.index)
        if connections[handle].flags.contains(.tls) && index < tlsSessions.count {
            tlsSessions[index] = nil
        }
        if connections[handle].flags.contains(.http2) && index < http2Connections.count {
            http2Connections[index] = nil
        }
    }
}
