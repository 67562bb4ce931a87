import DataPlane
import LinuxSystem
import MeshModel
import TestSupport
import Testing

@testable import Discovery

/// How requests share connections to the API server.
@Suite(.timeLimit(.minutes(2))) struct APIConnectionTests {
    private static let oneKind = KubernetesRig.resources(of: [.service])

    private func served(_ count: Int) async throws -> RunningFakeAPIServer {
        let fake = try RunningFakeAPIServer()
        await fake.tell {
            for number in 0..<count {
                $0.upsert(
                    KubernetesRig.services,
                    "s\(number)",
                    KubernetesRig.service("10.0.0.\(number + 1)")
                )
            }
        }
        return fake
    }

    private func names(_ count: Int) -> Set<String> { Set((0..<count).map { "s\($0)" }) }

    @Test func thePagesOfAListAndTheWatchAfterThemUseOneConnection() async throws {
        let fake = try await served(5)
        defer { fake.stop() }
        let source = KubernetesRig.source(fake, resources: Self.oneKind)
        #expect(await KubernetesRig.wait(await source.start(), for: names(5)) != nil)
        await KubernetesRig.wait(fake) { $0.watchedPaths.count == 1 }
        let seen = await fake.ask(\.seen) ?? []
        #expect(seen.map(\.isWatch) == [false, false, false, true])
        #expect(seen.map(\.connection) == [1, 1, 1, 1])
        await source.stop()
    }

    @Test func everyWatchHoldsAConnectionOfItsOwnAndKeepsIt() async throws {
        let fake = try await served(1)
        defer { fake.stop() }
        let source = KubernetesRig.source(fake)
        _ = await source.start()
        for _ in 0..<3 {
            await KubernetesRig.wait(fake) { $0.watchedPaths.count == 2 }
            await fake.tell { $0.expireWatches() }
        }
        await KubernetesRig.wait(fake) { $0.watchedPaths.count == 2 }
        #expect(await fake.ask(\.connectionCount) == 2)
        #expect(await fake.ask { $0.seen.count { $0.isWatch } } == 8)
        await source.stop()
    }

    @Test func aServerThatClosesAfterEachResponseIsAskedOnNewConnections() async throws {
        let fake = try await served(5)
        defer { fake.stop() }
        await fake.tell { $0.closesConnections = true }
        let source = KubernetesRig.source(fake, resources: Self.oneKind)
        #expect(await KubernetesRig.wait(await source.start(), for: names(5)) != nil)
        await KubernetesRig.wait(fake) { $0.watchedPaths.count == 1 }
        #expect(await fake.ask { $0.seen.map(\.connection) } == [1, 2, 3, 4])
        #expect(await source.status.faults.isEmpty)
        await source.stop()
    }

    @Test func aRequestThatFindsAnIdleConnectionClosedIsSentOnceMore() async throws {
        let fake = try await served(3)
        defer { fake.stop() }
        await fake.tell { $0.dropsUsedConnections = true }
        let source = KubernetesRig.source(fake, resources: Self.oneKind)
        #expect(await KubernetesRig.wait(await source.start(), for: names(3)) != nil)
        await KubernetesRig.wait(fake) { $0.watchedPaths.count == 1 }
        let seen = await fake.ask(\.seen) ?? []
        // First page; second page dropped and repeated; watch dropped and repeated.
        #expect(seen.map(\.connection) == [1, 1, 2, 2, 3])
        #expect(seen[1].target == seen[2].target)
        #expect(seen[3].target == seen[4].target)
        #expect(await source.status.faults.isEmpty)
        await source.stop()
    }

    @Test func aFirstRequestThatIsDroppedIsNotRepeatedButFails() async throws {
        let fake = try await served(1)
        defer { fake.stop() }
        await fake.tell { $0.isAway = true }
        let client = client(fake)
        let response = try await client.get(KubernetesRig.services, silenceMax: .seconds(5))
        var parts: [APIResponsePart] = []
        for await part in response.parts { parts.append(part) }
        guard case .broken? = parts.last else {
            Issue.record("expected a broken response, found \(parts)")
            return
        }
        #expect(parts.count == 1)
    }

    private func client(_ fake: RunningFakeAPIServer) -> APIClient {
        let configuration = KubernetesRig.plain(fake)
        return APIClient(
            configuration,
            credentials: CredentialStore(configuration),
            host: fake.client
        )
    }

    /// Reads a response to its end; `nil` when it broke off.
    private func body(_ client: APIClient) async throws -> [UInt8]? {
        let target = "\(KubernetesRig.services)?limit=2"
        let response = try await client.get(target, silenceMax: .seconds(5))
        var body: [UInt8] = []
        for await part in response.parts {
            switch part {
            case .head(let status, _): #expect(status == 200)
            case .body(let bytes):
                response.taken(bytes.count)
                body += bytes
            case .end: return body
            case .withdrawn, .broken: return nil
            }
        }
        return nil
    }

    @Test func aResponseMayBeCutIntoPacketsAfterEveryByte() async throws {
        let fake = try await served(1)
        defer { fake.stop() }
        await fake.tell { $0.chunkByteCount = 7 }
        let client = client(fake)
        let whole = try #require(try await body(client))
        let wireByteCount = whole.count * 2 + 200
        for cut in 1..<wireByteCount {
            await fake.tell { $0.cutByteCount = cut }
            #expect(try await body(client) == whole, "cut after byte \(cut)")
        }
        #expect(await fake.ask(\.connectionCount) == 1)
    }

    @Test func aResponseThatEndsAfterAnyByteIsKnownToBeBroken() async throws {
        let fake = try await served(1)
        defer { fake.stop() }
        let client = client(fake)
        let whole = try #require(try await body(client))
        // A chunk of one byte is six on the wire; the head comes before, five bytes end it.
        for cut in 1..<(whole.count * 6 + 70) {
            await fake.tell {
                $0.cutByteCount = cut
                $0.breaksAtCut = true
            }
            #expect(try await body(client) == nil, "ended after byte \(cut)")
        }
        #expect(try await body(client) == whole)
    }
}
