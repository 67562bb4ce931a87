import Addressing
import DataPlane
import LinuxSystem

/// A response being read: its parts in order, and a word on what was taken.
package struct APIResponse: Sendable {
    /// The parts; ends after `end` or `broken`.
    package let parts: AsyncStream<APIResponsePart>
    /// Says that so many bytes of the body were taken, so that more are read from the connection.
    package let taken: @Sendable (Int) -> Void
    /// Closes the connection.
    package let cancel: @Sendable () -> Void
}

/// Sends requests to an API server over HTTP/1.1 and TLS from the control loop: a connection for each.
package actor APIClient {
    /// The longest silence of a watch: servers send bookmarks every minute.
    private static let watchIdleNanoseconds: UInt64 = 150_000_000_000

    private let configuration: ClusterConfiguration
    private let credentials: CredentialStore
    private let host: LoopBound<StreamHost>
    private var context: (material: TLSMaterial, context: TLSContext)?

    /// Makes a client.
    ///
    /// - Parameters:
    ///   - host: streams of the control loop.
    package init(
        _ configuration: ClusterConfiguration,
        credentials: CredentialStore,
        host: LoopBound<StreamHost>
    ) {
        self.configuration = configuration
        self.credentials = credentials
        self.host = host
    }

    /// The server's URL.
    package nonisolated var location: String { configuration.server.url }

    /// Asks for a path with its query.
    ///
    /// - Throws: when credentials, name service or TLS settings fail; faults of the connection are
    ///   parts of the response.
    package func get(_ target: String) async throws(ClusterFault) -> APIResponse {
        let used = try await credentials.current()
        let address = try await resolve()
        let context = try used.tls.map { (material) throws(ClusterFault) in try tls(material) }
        let request = Array(text(target, used.token).utf8)
        let serverName = used.tls?.serverName ?? ""
        let (stream, continuation) = AsyncStream<APIResponsePart>.makeStream()
        let slot = ExchangeSlot(host)
        let started = host.submit { host in
            var tls: TLSClient?
            if let context {
                let isAddress = IPAddress(serverName) != nil
                tls = TLSClient(context, serverName: serverName, isAddress: isAddress)
            }
            let exchange = APIExchange(
                host: host,
                request: request,
                tls: tls,
                idleTimeoutNanoseconds: APIClient.watchIdleNanoseconds,
                continuation: continuation
            )
            guard (tls != nil) == (context != nil) else {
                continuation.yield(.broken("expected a TLS session, OpenSSL has no memory"))
                continuation.finish()
                return
            }
            slot.fill(exchange)
            exchange.start(address)
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

    private func text(_ target: String, _ token: String?) -> String {
        var text = "GET \(configuration.server.basePath)\(target) HTTP/1.1\r\n"
        text += "Host: \(configuration.server.authority)\r\n"
        text += "User-Agent: martlet\r\nAccept: application/json\r\nConnection: close\r\n"
        if let token { text += "Authorization: Bearer \(token)\r\n" }
        return text + "\r\n"
    }

    private func resolve() async throws(ClusterFault) -> SocketAddress {
        let name = configuration.server.host
        if let ip = IPAddress(name) { return SocketAddress(ip, configuration.server.port) }
        let found = await BlockingThread.run(name: "martlet-names") {
            (try? NameLookup.addresses(of: name))?.first
        }
        guard let ip = found.flatMap({ $0 }) else {
            throw ClusterFault("\(name): expected an address of the API server, found none")
        }
        return SocketAddress(ip, configuration.server.port)
    }

    private func tls(_ material: TLSMaterial) throws(ClusterFault) -> TLSContext {
        if let context, context.material == material { return context.context }
        do throws(TLSError) {
            let made = try TLSContext.client(
                authoritiesPEM: material.authorities ?? [],
                chainPEM: material.certificate ?? [],
                keyPEM: material.key ?? [],
                verifies: material.isVerified
            )
            context = (material, made)
            return made
        } catch {
            throw ClusterFault("\(configuration.server.url): \(error)")
        }
    }
}

/// The exchange of a response, reached from other threads through the loop alone.
private final class ExchangeSlot: Sendable {
    private let table: LoopBound<ExchangeTable>

    init(_ host: LoopBound<StreamHost>) { table = host.binding(ExchangeTable()) }

    /// On the loop's thread.
    func fill(_ exchange: APIExchange) { table.ownedByThisThread.exchange = exchange }

    func submit(_ body: @escaping @Sendable (APIExchange) -> Void) {
        _ = table.submit { if let exchange = $0.exchange { body(exchange) } }
    }
}

private final class ExchangeTable {
    var exchange: APIExchange?
}
