import COpenSSL

@testable import DataPlane

/// A client and a server session whose ciphertext passes through arrays.
final class TLSPair {
    let client: TLSClient
    /// The server's end, once the ClientHello has come.
    private(set) var session: TLSSession?
    private let hosts: TLSHostTable
    private var greeting: [UInt8] = []
    let transport: TLSTransport
    private let plaintext = ScratchBuffer(capacity: 262_144)
    /// What the server could decrypt.
    var heard: [UInt8] = []
    /// What the client could decrypt.
    var answered: [UInt8] = []
    /// How the server's session ended, if it did.
    var serverError: TLSError?
    var serverEnded = false
    var clientEnded = false

    init?(
        _ hosts: TLSHostTable,
        _ context: TLSContext,
        name: String = "first.example",
        isAddress: Bool = false
    ) {
        guard let transport = TLSTransport(),
            let client = TLSClient(context, serverName: name, isAddress: isAddress)
        else { return nil }
        self.transport = transport
        self.hosts = hosts
        self.client = client
    }

    /// Gives ciphertext to the server in pieces.
    ///
    /// - Returns: what the server wants to be sent.
    func toServer(_ bytes: [UInt8], piece: Int = 16_384) -> [UInt8] {
        var output: [UInt8] = []
        var at = 0
        while at < bytes.count && serverError == nil {
            let part = Array(bytes[at..<min(at + piece, bytes.count)])
            at += part.count
            var target = plaintext.mutableBytes(0, plaintext.capacity)
            switch serve(part, into: &target) {
            case .plaintext(let count): heard += plaintext.array(0, count)
            case .ended: serverEnded = true
            case .failed(let error): serverError = error
            }
            output += takeOutput()
        }
        return output
    }

    private func serve(_ part: [UInt8], into target: inout MutableRawSpan) -> TLSProgress {
        if let session { return unsafe session.receive(part.span.bytes, into: &target) }
        greeting += part
        switch greeting.withRawSpan({ hosts.choose($0) }) {
        case .needMore: return .plaintext(0)
        case .refused(let error, _): return .failed(error)
        case .host(let host):
            guard let made = TLSSession.server(host.context, transport) else {
                return .failed(TLSError("no session"))
            }
            session = made
            let hello = greeting
            return unsafe made.receive(hello.span.bytes, into: &target)
        }
    }

    /// Whether the server's handshake is complete.
    var serverIsEstablished: Bool { session?.isEstablished ?? false }

    /// Gives ciphertext to the client.
    ///
    /// - Returns: what the client wants to be sent.
    func toClient(_ bytes: [UInt8]) throws(TLSError) -> [UInt8] {
        var output: [UInt8] = []
        var at = 0
        while at < bytes.count {
            let part = Array(bytes[at..<min(at + 8_000, bytes.count)])
            at += part.count
            let received = unsafe try client.receive(part.span.bytes)
            answered += received.plaintext
            output += received.output
            clientEnded = clientEnded || received.hasEnded
        }
        return output
    }

    func takeOutput() -> [UInt8] {
        let bytes = transport.output.array(0, transport.output.count)
        transport.output.reset()
        return bytes
    }

    /// Runs the handshake to its end.
    func handshake(piece: Int = 16_384) throws(TLSError) {
        var toServer = try client.start()
        while !toServer.isEmpty && serverError == nil {
            toServer = try toClient(self.toServer(toServer, piece: piece))
        }
    }

    /// Encrypts on the server, slice by slice.
    func answer(_ bytes: [UInt8]) -> [UInt8] {
        var output: [UInt8] = []
        var at = 0
        while at < bytes.count {
            let part = Array(bytes[at..<min(at + 65_536, bytes.count)])
            let taken = unsafe session?.send(part.span.bytes) ?? 0
            guard taken > 0 else { break }
            at += taken
            output += takeOutput()
        }
        return output
    }
}

/// What only tests ask of a context.
extension TLSContext {
    func limit(toVersion version: Int32) {
        _ = unsafe copenssl_set_version_range(pointer, version, version)
    }

    func offer(_ protocols: [String]) {
        let list = protocols.flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) }
        _ = unsafe SSL_CTX_set_alpn_protos(pointer, list, UInt32(list.count))
    }

    static let version12 = TLS1_2_VERSION
    static let version13 = TLS1_3_VERSION
}
