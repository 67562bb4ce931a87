/// TLS on the client's side: ciphertext between the socket and the proxy's plain bytes.
extension HTTPProxy {
    /// Ciphertext taken at once: with a record that OpenSSL holds in part, its plaintext still fits.
    static let ciphertextByteLimit = receiveByteLimit - 18_432

    // MARK: Sessions

    /// Begins a session on a new connection: nothing is kept for it until its ClientHello has come.
    ///
    /// - Returns: `false` when the port has no certificate, or too many handshakes are in hand.
    func beginTLS(_ handle: ConnectionHandle) -> Bool {
        let number = connections[handle].entry
        guard let port = tlsPorts[number] else { return false }
        let own = port.table.handshakeMax
        guard handshakeCount < limits.handshakeMax, own == 0 || port.handshakeCount < own else {
            counters.count(.handshakeLimitHits)
            return false
        }
        handshakeCount += 1
        tlsPorts[number]?.handshakeCount += 1
        connections[handle].tlsListener = number
        connections[handle].flags.formUnion([.tls, .handshaking])
        setDeadline(handle, port.table.handshakeTimeoutNanoseconds ?? timeouts.handshake)
        return true
    }

    func tlsSession(_ handle: ConnectionHandle) -> TLSSession? {
        Int(handle.index) < tlsSessions.count ? tlsSessions[Int(handle.index)] : nil
    }

    /// The handshake is complete: what it agreed on holds for every request.
    func handshakeEnded(_ handle: ConnectionHandle, _ session: TLSSession) {
        forgetHandshake(handle)
        let table = tlsPorts[connections[handle].tlsListener]?.table
        connections[handle].tlsListener = session.listener
        if table?.isSplit(session.listener) == true {
            connections[handle].flags.insert(.comparesNames)
        }
        if session.hasForwardedCertificate {
            connections[handle].flags.insert(.forwardsCertificate)
        }
        setDeadline(handle, headTime(handle))
        counters.count(.tlsHandshakes)
        if session.isResumed { counters.count(.tlsResumptions) }
    }

    /// A handshake is no longer in hand.
    private func forgetHandshake(_ handle: ConnectionHandle) {
        guard connections[handle].flags.contains(.handshaking) else { return }
        connections[handle].flags.remove(.handshaking)
        handshakeCount -= 1
        tlsPorts[connections[handle].tlsListener]?.handshakeCount -= 1
        greetings[handle.index] = nil
    }

    // MARK: Receiving

    /// Receives ciphertext until there is plaintext behind the bytes staged.
    ///
    /// - Returns: how many plain bytes; `nil` when none came or the connection is gone.
    func receiveEncrypted(_ handle: ConnectionHandle, _ waiting: Int) -> Int? {
        if connections[handle].flags.contains(.awaitsProxyHeader) {
            return receiveProxyHeader(handle, waiting)
        }
        if let session = tlsSession(handle), session.hasEnded {
            connections[handle].flags.remove(.readable)
            peerEnded(handle)
            return nil
        }
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
                let bytes = ciphertext.bytes(0, count)
                guard let produced = take(handle, bytes, waiting) else { return nil }
                if produced > 0 { return produced }
                if isLast { return nil }
            case .blocked:
                connections[handle].flags.remove(.readable)
                sessionEnded(handle)
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

    /// The peer's close_notify came with its last bytes, which have been dealt with: the peer may wait
    /// for the answer to it, and end the connection only then (RFC 8446 section 6.1).
    private func sessionEnded(_ handle: ConnectionHandle) {
        guard !connections[handle].flags.contains(.peerEnded),
            tlsSession(handle)?.hasEnded == true
        else { return }
        connections[handle].flags.insert(.peerEnded)
        peerEnded(handle)
    }

    /// Whether the kernel holds no more now: it gave less than it might have.
    func noteReceived(_ handle: ConnectionHandle, _ count: Int) -> Bool {
        guard count < HTTPProxy.ciphertextByteLimit,
            !connections[handle].flags.contains(.peerEnded), loop.network.simulation == nil
        else { return false }
        connections[handle].flags.remove(.readable)
        return true
    }

    /// Takes what was received: of an open session, or of the ClientHello that begins one.
    func take(_ handle: ConnectionHandle, _ bytes: RawSpan, _ waiting: Int) -> Int? {
        if let session = tlsSession(handle) {
            return decrypt(handle, session, bytes, waiting)
        }
        guard let port = tlsPorts[connections[handle].tlsListener] else {
            connectionFailed(handle)
            return nil
        }
        guard var greeting = greetings.removeValue(forKey: handle.index) else {
            return begin(handle, port.table.choose(bytes), bytes, waiting)
        }
        greeting.append(copying: bytes)
        return greeting.withRawSpan { begin(handle, port.table.choose($0), $0, waiting) }
    }

    /// Makes the session that a ClientHello asks for and gives it the bytes.
    private func begin(
        _ handle: ConnectionHandle,
        _ choice: TLSHostTable.Choice,
        _ bytes: RawSpan,
        _ waiting: Int
    ) -> Int? {
        switch choice {
        case .needMore where bytes.byteCount <= 2 * ClientHello.byteLimit:
            var greeting: [UInt8] = []
            greeting.append(copying: bytes)
            greetings[handle.index] = greeting
            return 0
        case .needMore: refuseGreeting(handle, alert: 50)
        case .refused(_, let alert): refuseGreeting(handle, alert: alert)
        case .host(let host):
            guard let tlsTransport, let session = TLSSession.server(host.context, tlsTransport)
            else {
                refuseGreeting(handle, alert: 80)
                return nil
            }
            session.listener = host.listener
            while tlsSessions.count <= Int(handle.index) { tlsSessions.append(nil) }
            tlsSessions[Int(handle.index)] = session
            return decrypt(handle, session, bytes, waiting)
        }
        return nil
    }

    /// Ends a connection that no session is made for; the alert is a fatal one (RFC 8446 section 6).
    private func refuseGreeting(_ handle: ConnectionHandle, alert: UInt8?) {
        counters.count(.tlsErrors)
        if let alert {
            let record: [UInt8] = [21, 3, 3, 0, 2, 2, alert]
            record.withRawSpan { sendPlain(handle, $0, RawSpan()) }
        }
        connectionFailed(handle)
    }

    private func decrypt(
        _ handle: ConnectionHandle,
        _ session: TLSSession,
        _ bytes: RawSpan,
        _ waiting: Int
    ) -> Int? {
        let wasEstablished = session.isEstablished
        var target = received.mutableBytes(waiting, HTTPProxy.receiveByteLimit)
        let progress = session.receive(bytes, into: &target)
        sendTransportOutput(handle)
        if session.isEstablished && !wasEstablished && session.isServer {
            if connections[handle].flags.contains(.early) {
                earlyDataEnded(handle)
                guard connections.contains(handle) else { return nil }
            } else {
                handshakeEnded(handle, session)
            }
        }
        switch progress {
        case .plaintext(let produced):
            if produced > 0 && !session.isEstablished { noteEarlyData(handle, session) }
            if session.hasEnded {
                // The end came with the last bytes: it is told once these are taken.
                connections[handle].flags.insert(.readable)
                schedule(handle)
            }
            return produced
        case .ended:
            peerEnded(handle)
        case .failed:
            if session.isServer { counters.count(.tlsErrors) }
            connectionFailed(handle)
        }
        return nil
    }

    // MARK: Sending

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

    func sendTransportOutput(_ handle: ConnectionHandle) {
        guard let tlsTransport, tlsTransport.output.count > 0 else { return }
        sendPlain(handle, tlsTransport.output.bytes(), RawSpan())
        tlsTransport.output.reset()
    }

    // MARK: Ending

    /// Whether HTTP/2 was negotiated on a connection.
    func negotiatedHTTP2(_ handle: ConnectionHandle) -> Bool {
        tlsSession(handle)?.speaksHTTP2 ?? false
    }

    /// A client's handshake takes too long: an offence of who has begun one.
    func handshakeTimedOut(_ handle: ConnectionHandle) {
        counters.count(.handshakeTimeouts)
        if tlsSession(handle) != nil || greetings[handle.index] != nil {
            noteProtocolAbuse(handle)
        }
        close(handle)
    }

    /// Forgets the sessions of a connection that is closed.
    func closeSessions(_ handle: ConnectionHandle) {
        let index = Int(handle.index)
        if connections[handle].flags.contains(.tls) {
            forgetHandshake(handle)
            if !earlyExchanges.isEmpty { earlyExchanges[handle.index] = nil }
            if index < tlsSessions.count { tlsSessions[index] = nil }
        }
        if connections[handle].flags.contains(.http2) && index < http2Connections.count {
            http2Connections[index] = nil
        }
    }
}
