import Addressing
import DataPlane
import LinuxSystem

/// A response being read: its parts in order, and a word on what was taken.
package struct APIResponse: Sendable {
    /// The parts; ends after `end` or `broken`.
    package let parts: AsyncStream<APIResponsePart>
    /// Says that so many bytes of the body were taken, so that more are read from the connection.
    package let taken: @Sendable (Int) -> Void
    /// Ends the request, whatever of the response is to come.
    package let cancel: @Sendable () -> Void
}

/// Sends requests to an API server from the control loop: over HTTP/2 where a server with TLS takes it,
/// else over HTTP/1.1. Connections are used again until their TLS settings change.
package actor APIClient {
    /// How long addresses found by name are taken for current.
    private static let nameIntervalNanoseconds: UInt64 = 30_000_000_000

    private let configuration: ClusterConfiguration
    private let credentials: CredentialStore
    private let pool: LoopBound<APIConnectionPool>
    private var context: (material: TLSMaterial, context: TLSContext)?
    private var generation: UInt64 = 0
    private var found: (addresses: [SocketAddress], atNanoseconds: UInt64)?

    /// Makes a client.
    ///
    /// - Parameters:
    ///   - host: streams of the control loop.
    ///   - timeouts: how long connections wait for what.
    package init(
        _ configuration: ClusterConfiguration,
        credentials: CredentialStore,
        host: LoopBound<StreamHost>,
        timeouts: APITimeouts = APITimeouts()
    ) {
        self.configuration = configuration
        self.credentials = credentials
        pool = host.binding(APIConnectionPool(host.ownedByThisThread, timeouts))
    }

    /// The server's URL.
    package nonisolated var location: String { configuration.server.url }

    /// Asks for a path with its query.
    ///
    /// - Parameter silenceMax: how long nothing may come once the response has begun.
    /// - Throws: when credentials, name service or TLS settings fail; faults of the connection are
    ///   parts of the response.
    package func get(
        _ target: String,
        silenceMax: Duration
    ) async throws(ClusterFault) -> APIResponse {
        try await send(.get(target), silenceMax: silenceMax)
    }

    /// Sends a request. One that reads is sent again where a connection breaks before its response;
    /// one that writes only where the server surely did nothing.
    ///
    /// - Parameter silenceMax: how long nothing may come once the response has begun.
    /// - Throws: when credentials, name service or TLS settings fail; faults of the connection are
    ///   parts of the response.
    package func send(
        _ request: APIRequest,
        silenceMax: Duration
    ) async throws(ClusterFault) -> APIResponse {
        let used = try await credentials.current()
        let addresses = try await resolve()
        let context = try used.tls.map { (material) throws(ClusterFault) in try tls(material) }
        let route = APIRoute(
            generation: generation,
            addresses: addresses,
            context: context,
            serverName: used.tls?.serverName ?? ""
        )
        let message = APIMessage(request: request, server: configuration.server, token: used.token)
        let seconds = silenceMax.components.seconds
        let (stream, continuation) = AsyncStream<APIResponsePart>.makeStream()
        let slot = ExchangeSlot(pool)
        let started = pool.submit { pool in
            let exchange = APIExchange(
                message: message,
                silenceNanosecondsMax: UInt64(max(1, seconds)) * 1_000_000_000,
                continuation: continuation
            )
            slot.fill(exchange)
            pool.send(exchange, route)
        }
        guard started else { throw ClusterFault("the control loop takes no more requests") }
        return APIResponse(
            parts: stream,
            taken: { count in slot.submit { $0.taken(count) } },
            cancel: { slot.submit { $0.cancel() } }
        )
    }

    /// The server answered 401: credentials are read anew before the next request.
    package func refused() async {
        if let used = try? await credentials.current() { await credentials.refused(used) }
    }

    /// A connection failed: files are read anew before the next request.
    package func failed() async { await credentials.readFilesAgain() }

    private func resolve() async throws(ClusterFault) -> [SocketAddress] {
        let (name, port) = (configuration.server.host, configuration.server.port)
        if let ip = IPAddress(name) { return [SocketAddress(ip, port)] }
        let now = Clock.monotonicNanoseconds()
        if let found, now &- found.atNanoseconds < APIClient.nameIntervalNanoseconds {
            return found.addresses
        }
        let ips = await BlockingThread.run(name: "martlet-names") {
            try? NameLookup.addresses(of: name)
        }
        guard let ips = ips.flatMap(\.self), !ips.isEmpty else {
            // The name service may be what the cluster itself serves.
            if let found { return found.addresses }
            throw ClusterFault("\(name): expected an address of the API server, found none")
        }
        let addresses = ips.map { SocketAddress($0, port) }
        found = (addresses, now)
        return addresses
    }

    private func tls(_ material: TLSMaterial) throws(ClusterFault) -> TLSContext {
        if let context, context.material == material { return context.context }
        do throws(TLSError) {
            let made = try TLSContext.client(
                authoritiesPEM: material.authorities ?? [],
                chainPEM: material.certificate ?? [],
                keyPEM: material.key ?? [],
                verifies: material.isVerified,
                protocols: ["h2", "http/1.1"]
            )
            context = (material, made)
            generation += 1
            return made
        } catch {
            throw ClusterFault("\(configuration.server.url): \(error)")
        }
    }
}

/// The exchange of a response, reached from other threads through the loop alone.
private final class ExchangeSlot: Sendable {
    private let table: LoopBound<ExchangeTable>

    init(_ pool: LoopBound<APIConnectionPool>) {
        table = pool.binding(ExchangeTable(pool.ownedByThisThread))
    }

    /// On the loop's thread.
    func fill(_ exchange: APIExchange) { table.ownedByThisThread.exchange = exchange }

    func submit(_ body: @escaping @Sendable (APIExchange) -> Void) {
        _ = table.submit { if let exchange = $0.exchange { body(exchange) } }
    }
}

/// Keeps the pool for as long as somebody waits for a response.
private final class ExchangeTable {
    var exchange: APIExchange?
    private let pool: APIConnectionPool

    init(_ pool: APIConnectionPool) { self.pool = pool }
}
