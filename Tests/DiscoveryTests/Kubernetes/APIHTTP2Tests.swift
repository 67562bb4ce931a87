import DataPlane
import LinuxSystem
import MeshModel
import TestSupport
import Testing

@testable import Discovery

/// The API server over HTTP/2: how requests share connections, and what ends them.
@Suite(.timeLimit(.minutes(2))) struct APIHTTP2Tests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private func serve() async throws -> (RunningFakeAPIServer, ClusterConfiguration) {
        let (fake, configuration) = try await KubernetesRig.serve(.http2, in: folder)
        await fake.tell {
            $0.chunkByteCount = 1_000
            $0.upsert(KubernetesRig.services, "a", KubernetesRig.service("10.0.0.1"))
        }
        return (fake, configuration)
    }

    private func client(
        _ fake: RunningFakeAPIServer,
        _ configuration: ClusterConfiguration
    ) -> APIClient {
        APIClient(
            configuration,
            credentials: CredentialStore(configuration),
            host: fake.client
        )
    }

    /// Reads a response to its end.
    private func read(_ response: APIResponse) async -> (status: Int, body: [UInt8]?) {
        var (status, body): (Int, [UInt8]) = (0, [])
        for await part in response.parts {
            switch part {
            case .head(let found, _): status = found
            case .body(let bytes):
                response.taken(bytes.count)
                body += bytes
            case .end: return (status, body)
            case .withdrawn, .broken: return (status, nil)
            }
        }
        return (status, nil)
    }

    // MARK: How many connections

    @Test func allKindsShareOneConnection() async throws {
        defer { folder.remove() }
        let (fake, configuration) = try await serve()
        defer { fake.stop() }
        let kinds = APIResource.watched.count
        let source = KubernetesRig.source(fake, configuration, resources: APIResource.watched)
        #expect(await KubernetesRig.wait(await source.start(), for: ["a"]) != nil)
        await KubernetesRig.wait(fake) { $0.watchedPaths.count == kinds }
        #expect(await fake.ask(\.connectionCount) == 1)
        #expect(await fake.ask { $0.seen.allSatisfy(\.isHTTP2) } == true)
        await source.stop()
    }

    @Test(arguments: [1, 3, 5, 17])
    func thereAreAsManyConnectionsAsTheStreamLimitAsksFor(streamMax: Int) async throws {
        defer { folder.remove() }
        let (fake, configuration) = try await serve()
        defer { fake.stop() }
        await fake.tell { $0.streamMax = streamMax }
        let kinds = APIResource.watched.count
        let source = KubernetesRig.source(fake, configuration, resources: APIResource.watched)
        #expect(await KubernetesRig.wait(await source.start(), for: ["a"]) != nil)
        for _ in 0..<2 {
            await KubernetesRig.wait(fake) { $0.watchedPaths.count == kinds }
            await fake.tell { $0.expireWatches() }
        }
        await KubernetesRig.wait(fake) { $0.watchedPaths.count == kinds }
        let needed = (kinds + streamMax - 1) / streamMax
        #expect(await fake.ask(\.connectionCount) == needed)
        #expect(await source.status.faults.isEmpty)
        await source.stop()
    }

    @Test func aServerThatLetsNoStreamBeOpenedIsNotHammered() async throws {
        defer { folder.remove() }
        let (fake, configuration) = try await serve()
        defer { fake.stop() }
        await fake.tell { $0.streamMax = 0 }
        let source = KubernetesRig.source(fake, configuration)
        let stream = await source.start()
        let status = await KubernetesRig.wait(source) { !$0.faults.isEmpty }
        #expect(status.faults.contains { $0.contains("lets no stream be opened") })
        await KubernetesRig.wait(fake) { $0.connectionCount >= 2 }
        let known = await fake.ask(\.connectionCount) ?? 0
        #expect(known <= 4)
        await fake.tell { $0.streamMax = 10 }
        #expect(await KubernetesRig.wait(stream, for: ["a"]) != nil)
        await source.stop()
    }

    @Test func aServerThatKnowsOnlyHTTP1IsSpokenToInIt() async throws {
        defer { folder.remove() }
        let (fake, configuration) = try await serve()
        defer { fake.stop() }
        let files = FakeTLSContext.Files(
            certificate: "\(folder.path)/server.crt",
            key: "\(folder.path)/server.key"
        )
        await fake.tell { $0.setTLS(files) }
        let source = KubernetesRig.source(fake, configuration)
        #expect(await KubernetesRig.wait(await source.start(), for: ["a"]) != nil)
        await KubernetesRig.wait(fake) { $0.watchedPaths.count == 2 }
        #expect(await fake.ask { $0.seen.contains(where: \.isHTTP2) } == false)
        #expect(await fake.ask(\.connectionCount) == 2)
        await source.stop()
    }

    // MARK: Ends

    @Test func afterTheAnnouncedEndOpenWatchesGoOnAndNewRequestsGoElsewhere() async throws {
        defer { folder.remove() }
        let (fake, configuration) = try await serve()
        defer { fake.stop() }
        let source = KubernetesRig.source(fake, configuration)
        let stream = await source.start()
        await KubernetesRig.wait(fake) { $0.watchedPaths.count == 2 }
        await fake.tell {
            $0.goAway()
            $0.upsert(KubernetesRig.services, "b", KubernetesRig.service("10.0.0.2"))
        }
        #expect(await KubernetesRig.wait(stream, for: ["a", "b"]) != nil)
        #expect(await fake.ask(\.connectionCount) == 1)
        await fake.tell { $0.expireWatches() }
        await KubernetesRig.wait(fake) {
            $0.watchedPaths.count == 2 && $0.seen.suffix(2).allSatisfy(\.isWatch)
        }
        #expect(await fake.ask { $0.seen.suffix(2).map(\.connection) } == [2, 2])
        #expect(await source.status.faults.isEmpty)
        await source.stop()
    }

    @Test func anAnnouncedEndLosesNoEventAndIsNoFault() async throws {
        defer { folder.remove() }
        let (fake, configuration) = try await serve()
        defer { fake.stop() }
        let source = KubernetesRig.source(fake, configuration)
        let stream = await source.start()
        #expect(await KubernetesRig.wait(stream, for: ["a"]) != nil)
        var names: Set<String> = ["a"]
        for number in 0..<6 {
            await KubernetesRig.wait(fake) { $0.watchedPaths.count == 2 }
            names.insert("s\(number)")
            await fake.tell {
                let ip = "10.0.1.\(number)"
                $0.upsert(KubernetesRig.services, "s\(number)", KubernetesRig.service(ip))
                $0.goAway()
                $0.leave()
                $0.upsert(KubernetesRig.services, "t\(number)", KubernetesRig.service(ip))
            }
            names.insert("t\(number)")
            // No fault is told at any time: the source's status is asked while it comes back.
            #expect(await source.status.faults.isEmpty)
        }
        #expect(await KubernetesRig.wait(stream, for: names) != nil)
        #expect(await source.relistCount == 0)
        #expect(await source.status.faults.isEmpty)
        await source.stop()
    }

    @Test(arguments: [1, 3]) func aRefusedStreamIsOpenedAgain(count: Int) async throws {
        defer { folder.remove() }
        let (fake, configuration) = try await serve()
        defer { fake.stop() }
        await fake.tell { $0.refusalCount = count }
        let answer = await read(
            try await client(fake, configuration)
                .send(
                    APIRequest(.post, "/x", contentType: "application/json", body: [0x7b, 0x7d]),
                    silenceMax: .seconds(5)
                )
        )
        #expect(answer.status == 200)
        #expect(await fake.ask { $0.seen.count } == count + 1)
    }

    @Test func aStreamThatIsRefusedForEverFails() async throws {
        defer { folder.remove() }
        let (fake, configuration) = try await serve()
        defer { fake.stop() }
        await fake.tell { $0.refusalCount = 1_000 }
        let client = client(fake, configuration)
        let response = try await client.get(KubernetesRig.services, silenceMax: .seconds(5))
        #expect(await read(response).body == nil)
        #expect(await fake.ask { $0.seen.count } == 4)
    }

    @Test func aRequestBeyondTheLastStreamOfAnAnnouncedEndIsSentElsewhere() async throws {
        defer { folder.remove() }
        let (fake, configuration) = try await serve()
        defer { fake.stop() }
        let client = client(fake, configuration)
        _ = await read(try await client.get(KubernetesRig.services, silenceMax: .seconds(5)))
        await fake.tell { $0.leavesUnserved = true }
        let request = APIRequest(.put, "/x", contentType: "application/json", body: [0x7b, 0x7d])
        let answer = await read(try await client.send(request, silenceMax: .seconds(5)))
        #expect(answer.status == 200)
        #expect(await fake.ask { $0.seen.map(\.connection) } == [1, 1, 2])
    }

    @Test func aDeadConnectionIsNoticedAndWatchesGoOnElsewhere() async throws {
        defer { folder.remove() }
        let (fake, configuration) = try await serve()
        defer { fake.stop() }
        var timeouts = APITimeouts()
        timeouts.pingAfterNanoseconds = 50_000_000
        timeouts.pingNanoseconds = 200_000_000
        let source = KubernetesRig.source(fake, configuration, timeouts: timeouts)
        let stream = await source.start()
        await KubernetesRig.wait(fake) { $0.watchedPaths.count == 2 && $0.pingCount > 1 }
        #expect(await fake.ask(\.connectionCount) == 1)
        await fake.tell {
            $0.deafConnectionMax = 1
            $0.upsert(KubernetesRig.services, "b", KubernetesRig.service("10.0.0.2"))
        }
        #expect(await KubernetesRig.wait(stream, for: ["a", "b"]) != nil)
        #expect(await fake.ask { $0.seen.last?.connection } == 2)
        #expect(await source.relistCount == 0)
        await source.stop()
    }

    // MARK: Bodies

    @Test(arguments: KubernetesRig.Speech.allCases)
    func whatIsWrittenArrivesWhole(speech: KubernetesRig.Speech) async throws {
        defer { folder.remove() }
        let (fake, configuration) = try await KubernetesRig.serve(speech, in: folder)
        defer { fake.stop() }
        await fake.tell { $0.chunkByteCount = 10_000 }
        let client = client(fake, configuration)
        // More than the server's window holds.
        let body = (0..<300_000).map { UInt8(truncatingIfNeeded: 0x61 + $0 % 23) }
        let kinds: [(APIRequest.Method, String)] = [
            (.post, "application/json"), (.put, "application/json"),
            (.patch, "application/merge-patch+json"),
        ]
        for (method, contentType) in kinds {
            let request = APIRequest(method, "/x", contentType: contentType, body: body)
            let answer = await read(try await client.send(request, silenceMax: .seconds(5)))
            #expect(answer.status == 200)
            #expect(answer.body == body)
            let seen = await fake.ask { $0.seen.last }
            #expect(seen??.method == method.rawValue)
            #expect(seen??.contentType == contentType)
        }
        _ = await read(try await client.send(APIRequest(.delete, "/x"), silenceMax: .seconds(5)))
        #expect(await fake.ask { $0.seen.last?.method } == "DELETE")
        #expect(await fake.ask(\.connectionCount) == 1)
    }

    @Test func aResponseThatNobodyReadsStopsAndHoldsUpNoOther() async throws {
        defer { folder.remove() }
        let (fake, configuration) = try await serve()
        defer { fake.stop() }
        let filling = String(repeating: "x", count: 8_000_000)
        await fake.tell {
            $0.chunkByteCount = 16_000
            $0.upsert("/api/v1/big", "big", "\"data\":\"\(filling)\"")
        }
        let client = client(fake, configuration)
        let unread = try await client.get("/api/v1/big", silenceMax: .seconds(60))
        // Only after the first piece: the stream is open and nobody takes it.
        var parts = unread.parts.makeAsyncIterator()
        _ = await parts.next()
        for _ in 0..<3 {
            let other = try await client.get("/api/v1/big", silenceMax: .seconds(60))
            #expect(await read(other).body?.count ?? 0 > 8_000_000)
        }
        let pending = await fake.ask(\.pendingByteCount) ?? 0
        #expect(pending > 7_500_000, "the window keeps the rest with the server")
        var count = 0
        while let part = await parts.next(), case .body(let bytes) = part {
            count += bytes.count
            unread.taken(bytes.count)
        }
        #expect(count > 8_000_000)
        #expect(await fake.ask(\.connectionCount) == 1)
    }

    @Test func aRequestThatIsGivenUpEndsItsStreamAlone() async throws {
        defer { folder.remove() }
        let (fake, configuration) = try await serve()
        defer { fake.stop() }
        let client = client(fake, configuration)
        let watch = "\(KubernetesRig.services)?watch=true&resourceVersion=10"
        let kept = try await client.get(watch, silenceMax: .seconds(60))
        let given = try await client.get(watch, silenceMax: .seconds(60))
        await KubernetesRig.wait(fake) { $0.watchedPaths.count == 2 }
        given.cancel()
        await KubernetesRig.wait(fake) { $0.watchedPaths.count == 1 }
        await fake.tell { $0.expireWatches() }
        #expect(await read(kept).body != nil)
        #expect(await fake.ask(\.connectionCount) == 1)
    }
}
