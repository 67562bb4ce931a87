import Addressing
import MeshModel

/// A client's TLS session with buffers of its own, for the control side: bytes in, bytes out.
package final class TLSClient {
    private let session: TLSSession
    private let transport: TLSTransport
    private let endpoint: BackendTLSSettings?
    private let plaintext = ScratchBuffer(capacity: TLSClient.receiveByteLimit * 2)
    /// The most ciphertext that `receive` takes at once.
    package static let receiveByteLimit = 65_536

    /// What came of giving ciphertext to the session.
    package struct Received {
        /// Decrypted bytes.
        package var plaintext: [UInt8]
        /// Ciphertext to send: handshake, alerts.
        package var output: [UInt8]
        /// Whether the peer ended the session in order.
        package var hasEnded: Bool
    }

    /// Begins a session; `nil` when OpenSSL has no memory.
    ///
    /// - Parameter serverName: the name or address to verify the server by.
    package init?(_ context: TLSContext, serverName: String, isAddress: Bool) {
        guard let transport = TLSTransport(),
            let session = TLSSession.client(
                context,
                serverName: serverName,
                isAddress: isAddress,
                transport
            )
        else { return nil }
        self.transport = transport
        self.session = session
        endpoint = nil
    }

    /// Begins a session as requests to a cluster's endpoints do; `nil` when OpenSSL has no memory.
    ///
    /// - Parameters:
    ///   - context: of `TLSContext.endpoint`, by the same settings.
    package init?(_ context: TLSContext, endpoint settings: BackendTLSSettings) {
        guard let transport = TLSTransport(),
            let session = TLSSession.endpoint(
                context,
                settings,
                isAddress: IPAddress(settings.host) != nil,
                resuming: nil,
                transport
            )
        else { return nil }
        self.transport = transport
        self.session = session
        endpoint = settings
    }

    /// Whether an established session's server has one of the names that are asked of endpoints.
    package var hasName: Bool { endpoint.map { session.hasName(of: $0) } ?? true }

    /// Whether the handshake is complete and the server verified.
    package var isEstablished: Bool { session.isEstablished }

    /// Whether the server chose HTTP/2 by ALPN.
    package var speaksHTTP2: Bool { session.speaksHTTP2 }

    /// The first flight, to be sent.
    package func start() throws(TLSError) -> [UInt8] {
        if case .failed(let error) = session.startHandshake() { throw error }
        return takeOutput()
    }

    /// Takes ciphertext.
    package func receive(_ ciphertext: RawSpan) throws(TLSError) -> Received {
        var target = plaintext.mutableBytes(0, TLSClient.receiveByteLimit * 2)
        switch session.receive(ciphertext, into: &target) {
        case .plaintext(let count):
            return Received(
                plaintext: plaintext.array(0, count),
                output: takeOutput(),
                hasEnded: session.hasEnded
            )
        case .ended: return Received(plaintext: [], output: takeOutput(), hasEnded: true)
        case .failed(let error): throw error
        }
    }

    /// Encrypts bytes; established sessions only.
    package func send(_ plaintext: RawSpan) throws(TLSError) -> [UInt8] {
        var output: [UInt8] = []
        var at = 0
        while at < plaintext.byteCount {
            let slice = plaintext.extracting(at..<min(at + 65_536, plaintext.byteCount))
            let count = session.send(slice)
            guard count > 0 else { throw TLSError("the session does not take bytes to send") }
            at += count
            output += takeOutput()
        }
        return output
    }

    private func takeOutput() -> [UInt8] {
        let bytes = transport.output.array(0, transport.output.count)
        transport.output.reset()
        return bytes
    }
}
