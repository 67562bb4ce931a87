import DataPlane
import Discovery
import MeshModel
import TestSupport

/// Sources and objects for tests against the fake API server.
enum KubernetesRig {
    static let services = "/api/v1/services"
    static let slices = "/apis/discovery.k8s.io/v1/endpointslices"
    static let endpoints = "/api/v1/endpoints"

    static func service(_ ip: String) -> String {
        "\"apiVersion\":\"v1\",\"kind\":\"Service\",\"spec\":{\"clusterIP\":\"\(ip)\","
            + "\"ports\":[{\"name\":\"http\",\"port\":80,\"protocol\":\"TCP\"}]}"
    }

    /// Services and their slices.
    static var resources: [APIResource] { resources(of: [.service, .endpointSlice]) }

    static func resources(of kinds: Set<ObjectKind>) -> [APIResource] {
        APIResource.watched.filter { kinds.contains($0.kind) }
    }

    /// How a fake server is reached without TLS.
    static func plain(
        _ fake: RunningFakeAPIServer,
        token: ClusterConfiguration.TokenSource? = nil
    ) -> ClusterConfiguration {
        ClusterConfiguration(
            server: APIServerAddress(host: "127.0.0.1", port: fake.port, isTLS: false),
            token: token
        )
    }

    static func source(
        _ fake: RunningFakeAPIServer,
        _ configuration: ClusterConfiguration? = nil,
        credentials: CredentialStore? = nil,
        mirror: String? = nil,
        resources: [APIResource] = KubernetesRig.resources,
        timeouts: APITimeouts = APITimeouts()
    ) -> KubernetesSource {
        let configuration = configuration ?? plain(fake)
        let client = APIClient(
            configuration,
            credentials: credentials ?? CredentialStore(configuration),
            host: fake.client,
            timeouts: timeouts
        )
        return KubernetesSource(
            client: client,
            settings: ReduceSettings(nodeName: "n1", isManifestMode: false),
            mirrorDirectory: mirror,
            resources: resources
        )
    }

    /// How a server is spoken to.
    enum Speech: CaseIterable, Sendable {
        case http1, http2
    }

    /// Starts a server: in cleartext it speaks HTTP/1.1, over TLS HTTP/2.
    ///
    /// - Returns: the server, and how it is reached.
    static func serve(
        _ speech: Speech,
        in folder: TemporaryFolder
    ) async throws -> (RunningFakeAPIServer, ClusterConfiguration) {
        let fake = try RunningFakeAPIServer()
        guard speech == .http2 else { return (fake, plain(fake)) }
        let authority = TestAuthority(in: folder.path, name: "ca")
        let leaf = try authority.issue("server", alternativeNames: "IP:127.0.0.1")
        let files = FakeTLSContext.Files(
            certificate: leaf.certificate,
            key: leaf.key,
            takesHTTP2: true
        )
        await fake.tell { $0.setTLS(files) }
        let configuration = ClusterConfiguration(
            server: APIServerAddress(host: "127.0.0.1", port: fake.port, isTLS: true),
            trust: .authorities(.file(authority.certificate))
        )
        return (fake, configuration)
    }

    /// Takes snapshots until one holds exactly these Services.
    static func wait(
        _ stream: AsyncStream<(MeshSnapshot, SnapshotDelta)>,
        for names: Set<String>
    ) async -> MeshSnapshot? {
        for await (snapshot, _) in stream
        where Set(snapshot.services.keys.map(\.name)) == names {
            return snapshot
        }
        return nil
    }

    /// Waits until what the source says of itself fits.
    static func wait(
        _ source: KubernetesSource,
        until isSo: (SourceStatus) -> Bool
    ) async -> SourceStatus {
        while true {
            let status = await source.status
            if isSo(status) || Task.isCancelled { return status }
            try? await Task.sleep(for: .milliseconds(5))
        }
    }

    /// Waits until the server has seen what is asked for.
    static func wait(
        _ fake: RunningFakeAPIServer,
        until isSo: @escaping @Sendable (FakeAPIServer) -> Bool
    ) async {
        while await fake.ask(isSo) != true, !Task.isCancelled {
            try? await Task.sleep(for: .milliseconds(5))
        }
    }
}
