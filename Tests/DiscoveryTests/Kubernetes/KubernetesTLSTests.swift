import DataPlane
import LinuxSystem
import MeshModel
import TestSupport
import Testing

@testable import Discovery

/// The API server over TLS: whom the agent believes, and as whom it comes.
@Suite(.timeLimit(.minutes(2))) struct KubernetesTLSTests {
    private let folder: TemporaryFolder
    private let authority: TestAuthority
    private let server: TestAuthority.Leaf

    init() throws {
        folder = try TemporaryFolder()
        authority = TestAuthority(in: folder.path, name: "ca")
        server = try authority.issue("server", alternativeNames: "IP:127.0.0.1,DNS:api.example")
    }

    /// A server with one Service that speaks TLS.
    private func serve(
        _ leaf: TestAuthority.Leaf,
        clientAuthority: String? = nil
    ) async throws -> RunningFakeAPIServer {
        let fake = try RunningFakeAPIServer()
        let files = FakeTLSContext.Files(
            certificate: leaf.certificate,
            key: leaf.key,
            clientAuthority: clientAuthority
        )
        await fake.tell {
            $0.chunkByteCount = 1_000
            $0.setTLS(files)
            $0.upsert(KubernetesRig.services, "a", KubernetesRig.service("10.0.0.1"))
        }
        return fake
    }

    private func configuration(
        _ fake: RunningFakeAPIServer,
        trust: String,
        name: String? = nil,
        client: TestAuthority.Leaf? = nil
    ) -> ClusterConfiguration {
        ClusterConfiguration(
            server: APIServerAddress(host: "127.0.0.1", port: fake.port, isTLS: true),
            tlsServerName: name,
            trust: .authorities(.file(trust)),
            clientCertificate: client.map {
                .init(certificate: .file($0.certificate), key: .file($0.key))
            }
        )
    }

    private func expectServed(
        _ fake: RunningFakeAPIServer,
        _ configuration: ClusterConfiguration
    ) async {
        let source = KubernetesRig.source(fake, configuration)
        #expect(await KubernetesRig.wait(await source.start(), for: ["a"]) != nil)
        await source.stop()
    }

    private func expectRefused(
        _ fake: RunningFakeAPIServer,
        _ configuration: ClusterConfiguration,
        saying words: String
    ) async {
        let source = KubernetesRig.source(fake, configuration)
        _ = await source.start()
        let status = await KubernetesRig.wait(source) { !$0.faults.isEmpty }
        #expect(status.faults.contains { $0.contains(words) }, "\(status.faults)")
        #expect(!status.isConnected)
        #expect(await source.current.version == 0)
        #expect(await fake.ask(\.seen.isEmpty) == true)
        await source.stop()
    }

    @Test(arguments: [nil, "api.example"])
    func aServerWithACertificateOfTheAuthorityIsBelieved(name: String?) async throws {
        defer { folder.remove() }
        let fake = try await serve(server)
        defer { fake.stop() }
        await expectServed(fake, configuration(fake, trust: authority.certificate, name: name))
    }

    @Test func aCertificateOfAnotherAuthorityIsRefused() async throws {
        defer { folder.remove() }
        let other = TestAuthority(in: folder.path, name: "other")
        let fake = try await serve(server)
        defer { fake.stop() }
        await expectRefused(
            fake,
            configuration(fake, trust: other.certificate),
            saying: "certificate"
        )
    }

    @Test func aCertificateForAnotherNameIsRefused() async throws {
        defer { folder.remove() }
        let leaf = try authority.issue("wrong", alternativeNames: "DNS:other.example,IP:127.0.0.2")
        let fake = try await serve(leaf)
        defer { fake.stop() }
        for name in [nil, "api.example"] {
            await expectRefused(
                fake,
                configuration(fake, trust: authority.certificate, name: name),
                saying: "mismatch"
            )
        }
    }

    @Test func theClientCertificateIsShownAndWithoutItNothingIsServed() async throws {
        defer { folder.remove() }
        let client = try authority.issue("system-node", alternativeNames: "DNS:client")
        let fake = try await serve(server, clientAuthority: authority.certificate)
        defer { fake.stop() }
        let trust = authority.certificate
        let anonymous = KubernetesRig.source(fake, configuration(fake, trust: trust))
        _ = await anonymous.start()
        await KubernetesRig.wait(fake) { $0.handshakeFaultCount > 0 }
        #expect(await fake.ask(\.seen.isEmpty) == true)
        await anonymous.stop()
        await expectServed(fake, configuration(fake, trust: trust, client: client))
        #expect(await fake.ask { Set($0.seen.map(\.client)) } == ["system-node"])
    }

    @Test func anAuthorityFileThatIsReplacedIsReadAgain() async throws {
        defer { folder.remove() }
        let trust = "\(folder.path)/trust.crt"
        let other = TestAuthority(in: folder.path, name: "other")
        Command.run("cp \(other.certificate) \(trust)")
        let fake = try await serve(server)
        defer { fake.stop() }
        let source = KubernetesRig.source(fake, configuration(fake, trust: trust))
        let stream = await source.start()
        _ = await KubernetesRig.wait(source) { !$0.faults.isEmpty }
        Command.run("cp \(authority.certificate) \(trust).new; mv \(trust).new \(trust)")
        #expect(await KubernetesRig.wait(stream, for: ["a"]) != nil)
        await source.stop()
    }

    @Test func connectionsOfEarlierSettingsCarryNoMoreRequests() async throws {
        defer { folder.remove() }
        let client = try authority.issue("one", alternativeNames: "DNS:client")
        let next = try authority.issue("two", alternativeNames: "DNS:client")
        let fake = try await serve(server, clientAuthority: authority.certificate)
        defer { fake.stop() }
        let clock = ClockBox()
        let used = configuration(fake, trust: authority.certificate, client: client)
        let source = KubernetesRig.source(
            fake,
            used,
            credentials: CredentialStore(used, monotonicNanoseconds: { clock.now }),
            resources: KubernetesRig.resources(of: [.service])
        )
        _ = await source.start()
        await KubernetesRig.wait(fake) { $0.watchedPaths.count == 1 }
        for (from, to) in [(next.key, client.key), (next.certificate, client.certificate)] {
            Command.run("cp \(from) \(to)")
        }
        clock.advance(seconds: 60)
        await fake.tell { $0.expireWatches() }
        await KubernetesRig.wait(fake) { $0.seen.count == 3 && $0.watchedPaths.count == 1 }
        let seen = await fake.ask(\.seen) ?? []
        #expect(seen.map(\.client) == ["one", "one", "two"])
        #expect(seen.map(\.connection) == [1, 1, 2])
        await source.stop()
    }

    @Test func aPodIsServedByItsServiceAccountAndFollowsItsToken() async throws {
        defer { folder.remove() }
        let fake = try await serve(server)
        defer { fake.stop() }
        let files: [(String, String)] = [("token", "first\n"), ("namespace", "martlet-system")]
        for (name, text) in files {
            try FileSystem.replace("\(folder.path)/\(name)", with: Array(text.utf8))
        }
        await fake.tell { $0.token = "first" }
        let configuration = try ServiceAccountFiles.configuration(
            environment: [
                "KUBERNETES_SERVICE_HOST=127.0.0.1", "KUBERNETES_SERVICE_PORT=\(fake.port)",
            ],
            directory: folder.path
        )
        #expect(configuration.namespace == "martlet-system")
        let source = KubernetesRig.source(fake, configuration)
        let stream = await source.start()
        #expect(await KubernetesRig.wait(stream, for: ["a"]) != nil)
        try FileSystem.replace("\(folder.path)/token", with: Array("second".utf8))
        await fake.tell {
            $0.token = "second"
            $0.disconnect()
            $0.upsert(KubernetesRig.services, "b", KubernetesRig.service("10.0.0.2"))
        }
        #expect(await KubernetesRig.wait(stream, for: ["a", "b"]) != nil)
        #expect(await fake.ask { $0.seen.last?.token } == "second")
        await source.stop()
    }
}
