import DataPlane
import Discovery
import LinuxSystem
import MeshModel
import Testing

/// The Kubernetes source against a fake API server on loopback.
@Suite(.timeLimit(.minutes(2))) struct KubernetesSourceTests {
    private static let services = "/api/v1/services"
    private static let slices = "/apis/discovery.k8s.io/v1/endpointslices"
    private static let endpoints = "/api/v1/endpoints"

    private static func service(_ ip: String) -> String {
        "\"apiVersion\":\"v1\",\"kind\":\"Service\",\"spec\":{\"clusterIP\":\"\(ip)\","
            + "\"ports\":[{\"name\":\"http\",\"port\":80,\"protocol\":\"TCP\"}]}"
    }

    private static var resources: [APIResource] {
        APIResource.watched.filter { $0.kind == .service || $0.kind == .endpointSlice }
    }

    private func source(
        _ fake: RunningFakeAPIServer,
        token: ClusterConfiguration.TokenSource? = nil,
        mirror: String? = nil
    ) -> KubernetesSource {
        let configuration = ClusterConfiguration(
            server: APIServerAddress(host: "127.0.0.1", port: fake.port, isTLS: false),
            token: token
        )
        let client = APIClient(
            configuration,
            credentials: CredentialStore(configuration),
            host: fake.client
        )
        return KubernetesSource(
            client: client,
            settings: ReduceSettings(nodeName: "n1", isManifestMode: false),
            mirrorDirectory: mirror,
            resources: Self.resources
        )
    }

    /// Takes snapshots until one holds exactly these Services.
    private func wait(
        _ stream: AsyncStream<(MeshSnapshot, SnapshotDelta)>,
        for names: Set<String>
    ) async -> MeshSnapshot? {
        for await (snapshot, _) in stream
        where Set(snapshot.services.keys.map(\.name)) == names {
            return snapshot
        }
        return nil
    }

    @Test(arguments: [1, 7, 4_096])
    func pagesAndEventsArriveHoweverTheyAreCut(chunkByteCount: Int) async throws {
        let fake = try FakeAPIServer.start()
        defer { fake.stop() }
        await fake.tell {
            $0.chunkByteCount = chunkByteCount
            for number in 1...5 {
                $0.upsert(Self.services, "s\(number)", Self.service("10.0.0.\(number)"))
            }
        }
        let source = source(fake)
        let stream = await source.start()
        let first = await wait(stream, for: ["s1", "s2", "s3", "s4", "s5"])
        #expect(first != nil)
        await fake.tell {
            $0.bookmark()
            $0.upsert(Self.services, "s6", Self.service("10.0.0.6"))
            $0.delete(Self.services, "s1")
        }
        #expect(await wait(stream, for: ["s2", "s3", "s4", "s5", "s6"]) != nil)
        #expect(await source.status.isConnected)
        #expect(await source.relistCount == 0)
        await source.stop()
    }

    @Test func aForgottenVersionLeadsToANewListAndWhatIsGoneDisappears() async throws {
        let fake = try FakeAPIServer.start()
        defer { fake.stop() }
        await fake.tell {
            $0.upsert(Self.services, "a", Self.service("10.0.0.1"))
            $0.upsert(Self.services, "b", Self.service("10.0.0.2"))
        }
        let source = source(fake)
        let stream = await source.start()
        #expect(await wait(stream, for: ["a", "b"]) != nil)
        await fake.tell {
            $0.disconnect()
            $0.delete(Self.services, "a")
            $0.upsert(Self.services, "c", Self.service("10.0.0.3"))
            $0.compact()
        }
        #expect(await wait(stream, for: ["b", "c"]) != nil)
        #expect(await source.relistCount >= 1)
        await source.stop()
    }

    @Test func aDroppedConnectionIsResumedWithoutANewList() async throws {
        let fake = try FakeAPIServer.start()
        defer { fake.stop() }
        await fake.tell { $0.upsert(Self.services, "a", Self.service("10.0.0.1")) }
        let source = source(fake)
        let stream = await source.start()
        #expect(await wait(stream, for: ["a"]) != nil)
        for name in ["b", "c"] {
            await fake.tell {
                $0.disconnect()
                $0.upsert(Self.services, name, Self.service("10.0.0.9"))
            }
        }
        #expect(await wait(stream, for: ["a", "b", "c"]) != nil)
        #expect(await source.relistCount == 0)
        await source.stop()
    }

    @Test func endpointsStandInWhereSlicesAreNotServed() async throws {
        let fake = try FakeAPIServer.start()
        defer { fake.stop() }
        await fake.tell {
            $0.statuses[Self.slices] = 404
            $0.upsert(Self.services, "a", Self.service("10.0.0.1"))
            $0.upsert(
                Self.endpoints,
                "a",
                "\"apiVersion\":\"v1\",\"kind\":\"Endpoints\",\"subsets\":[{\"addresses\":"
                    + "[{\"ip\":\"10.1.0.1\"}],\"ports\":[{\"name\":\"http\",\"port\":8080}]}]"
            )
        }
        let source = source(fake)
        var found = false
        for await (snapshot, _) in await source.start()
        where snapshot.objects.keys.contains(where: { $0.kind == .endpoints }) {
            found = true
            break
        }
        #expect(found)
        await source.stop()
    }

    @Test func aRotatedTokenIsReadAgainAfterARefusal() async throws {
        let fake = try FakeAPIServer.start()
        defer { fake.stop() }
        let path = "/tmp/martlet-token-\(ThisProcess.identifier)-\(fake.port)"
        try FileSystem.replace(path, with: Array("old\n".utf8))
        defer { _ = try? FileSystem.remove(path) }
        await fake.tell {
            $0.token = "new"
            $0.upsert(Self.services, "a", Self.service("10.0.0.1"))
        }
        let source = source(fake, token: .file(path))
        let stream = await source.start()
        try await Task.sleep(for: .milliseconds(200))
        #expect(await source.status.faults.contains { $0.contains("401") })
        try FileSystem.replace(path, with: Array("new\n".utf8))
        #expect(await wait(stream, for: ["a"]) != nil)
        await source.stop()
    }

    @Test func aRestartServesTheMirrorMarkedStaleWhileTheServerIsAway() async throws {
        let fake = try FakeAPIServer.start()
        defer { fake.stop() }
        let directory = "/tmp/martlet-mirror-\(ThisProcess.identifier)-\(fake.port)"
        defer { _ = try? FileSystem.removeDirectory(directory) }
        await fake.tell { $0.upsert(Self.services, "a", Self.service("10.0.0.1")) }
        let first = source(fake, mirror: directory)
        #expect(await wait(await first.start(), for: ["a"]) != nil)
        await first.stop()

        await fake.tell {
            $0.disconnect()
            $0.statuses[Self.services] = 503
        }
        let second = source(fake, mirror: directory)
        let stream = await second.start()
        let stale = try #require(await wait(stream, for: ["a"]))
        let key = ObjectKey(.service, namespace: "shop", name: "a")
        #expect(stale.objects[key]?.isStale == true)
        await fake.tell { $0.statuses = [:] }
        var isFresh = false
        for await (snapshot, _) in stream where snapshot.objects[key]?.isStale == false {
            isFresh = true
            break
        }
        #expect(isFresh)
        await second.stop()
    }
}
