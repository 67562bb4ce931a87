import DataPlane
import Discovery
import LinuxSystem
import MeshModel
import TestSupport
import Testing

/// The Kubernetes source against a fake API server on loopback.
@Suite(.timeLimit(.minutes(2))) struct KubernetesSourceTests {
    @Test(arguments: [1, 7, 4_096], KubernetesRig.Speech.allCases)
    func pagesAndEventsArriveHoweverTheyAreCut(
        chunkByteCount: Int,
        speech: KubernetesRig.Speech
    ) async throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        let (fake, configuration) = try await KubernetesRig.serve(speech, in: folder)
        defer { fake.stop() }
        await fake.tell {
            $0.chunkByteCount = chunkByteCount
            for number in 1...5 {
                $0.upsert(
                    KubernetesRig.services,
                    "s\(number)",
                    KubernetesRig.service("10.0.0.\(number)")
                )
            }
        }
        let source = KubernetesRig.source(fake, configuration)
        let stream = await source.start()
        let first = await KubernetesRig.wait(stream, for: ["s1", "s2", "s3", "s4", "s5"])
        #expect(first != nil)
        await fake.tell {
            $0.bookmark()
            $0.upsert(KubernetesRig.services, "s6", KubernetesRig.service("10.0.0.6"))
            $0.delete(KubernetesRig.services, "s1")
        }
        #expect(await KubernetesRig.wait(stream, for: ["s2", "s3", "s4", "s5", "s6"]) != nil)
        #expect(await source.status.isConnected)
        #expect(await source.relistCount == 0)
        await source.stop()
    }

    @Test func aForgottenVersionLeadsToANewListAndWhatIsGoneDisappears() async throws {
        let fake = try RunningFakeAPIServer()
        defer { fake.stop() }
        await fake.tell {
            $0.upsert(KubernetesRig.services, "a", KubernetesRig.service("10.0.0.1"))
            $0.upsert(KubernetesRig.services, "b", KubernetesRig.service("10.0.0.2"))
        }
        let source = KubernetesRig.source(fake)
        let stream = await source.start()
        #expect(await KubernetesRig.wait(stream, for: ["a", "b"]) != nil)
        await fake.tell {
            $0.disconnect()
            $0.delete(KubernetesRig.services, "a")
            $0.upsert(KubernetesRig.services, "c", KubernetesRig.service("10.0.0.3"))
            $0.compact()
        }
        #expect(await KubernetesRig.wait(stream, for: ["b", "c"]) != nil)
        #expect(await source.relistCount >= 1)
        await source.stop()
    }

    @Test func aDroppedConnectionIsResumedWithoutANewList() async throws {
        let fake = try RunningFakeAPIServer()
        defer { fake.stop() }
        await fake.tell {
            $0.upsert(KubernetesRig.services, "a", KubernetesRig.service("10.0.0.1"))
        }
        let source = KubernetesRig.source(fake)
        let stream = await source.start()
        #expect(await KubernetesRig.wait(stream, for: ["a"]) != nil)
        for name in ["b", "c"] {
            await fake.tell {
                $0.disconnect()
                $0.upsert(KubernetesRig.services, name, KubernetesRig.service("10.0.0.9"))
            }
        }
        #expect(await KubernetesRig.wait(stream, for: ["a", "b", "c"]) != nil)
        #expect(await source.relistCount == 0)
        await source.stop()
    }

    @Test func endpointsStandInWhereSlicesAreNotServed() async throws {
        let fake = try RunningFakeAPIServer()
        defer { fake.stop() }
        await fake.tell {
            $0.statuses[KubernetesRig.slices] = 404
            $0.upsert(KubernetesRig.services, "a", KubernetesRig.service("10.0.0.1"))
            $0.upsert(
                KubernetesRig.endpoints,
                "a",
                "\"apiVersion\":\"v1\",\"kind\":\"Endpoints\",\"subsets\":[{\"addresses\":"
                    + "[{\"ip\":\"10.1.0.1\"}],\"ports\":[{\"name\":\"http\",\"port\":8080}]}]"
            )
        }
        let source = KubernetesRig.source(fake)
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
        let fake = try RunningFakeAPIServer()
        defer { fake.stop() }
        let path = "/tmp/martlet-token-\(ThisProcess.identifier)-\(fake.port)"
        try FileSystem.replace(path, with: Array("old\n".utf8))
        defer { _ = try? FileSystem.remove(path) }
        await fake.tell {
            $0.token = "new"
            $0.upsert(KubernetesRig.services, "a", KubernetesRig.service("10.0.0.1"))
        }
        let source = KubernetesRig.source(fake, KubernetesRig.plain(fake, token: .file(path)))
        let stream = await source.start()
        _ = await KubernetesRig.wait(source) { $0.faults.contains { $0.contains("401") } }
        try FileSystem.replace(path, with: Array("new\n".utf8))
        #expect(await KubernetesRig.wait(stream, for: ["a"]) != nil)
        await source.stop()
    }

    @Test func aRestartServesTheMirrorMarkedStaleWhileTheServerIsAway() async throws {
        let fake = try RunningFakeAPIServer()
        defer { fake.stop() }
        let directory = "/tmp/martlet-mirror-\(ThisProcess.identifier)-\(fake.port)"
        defer { _ = try? FileSystem.removeDirectory(directory) }
        await fake.tell {
            $0.upsert(KubernetesRig.services, "a", KubernetesRig.service("10.0.0.1"))
        }
        let first = KubernetesRig.source(fake, mirror: directory)
        #expect(await KubernetesRig.wait(await first.start(), for: ["a"]) != nil)
        await first.stop()

        await fake.tell {
            $0.disconnect()
            $0.statuses[KubernetesRig.services] = 503
        }
        let second = KubernetesRig.source(fake, mirror: directory)
        let stream = await second.start()
        let stale = try #require(await KubernetesRig.wait(stream, for: ["a"]))
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

    /// Ways in which a server and its connections fail and come back.
    enum Disturbance: CaseIterable, Sendable {
        case watchesExpire, connectionsBreak, historyForgotten, goneInStream, errorInStream
        case bookmarkThenBreak, overloaded, responseCutOff, away
    }

    @Test(arguments: Disturbance.allCases, KubernetesRig.Speech.allCases)
    func theSourceIsInStepAgainAfter(
        disturbance: Disturbance,
        speech: KubernetesRig.Speech
    ) async throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        let (fake, configuration) = try await KubernetesRig.serve(speech, in: folder)
        defer { fake.stop() }
        await fake.tell {
            for number in 1...3 {
                $0.upsert(
                    KubernetesRig.services,
                    "s\(number)",
                    KubernetesRig.service("10.0.0.\(number)")
                )
            }
        }
        let source = KubernetesRig.source(fake, configuration)
        let stream = await source.start()
        #expect(await KubernetesRig.wait(stream, for: ["s1", "s2", "s3"]) != nil)
        await KubernetesRig.wait(fake) { $0.watchedPaths.count == 2 }
        await fake.tell { server in
            switch disturbance {
            case .watchesExpire: server.expireWatches()
            case .connectionsBreak: server.disconnect()
            case .historyForgotten:
                server.disconnect()
                server.delete(KubernetesRig.services, "s3")
                server.compact()
            case .goneInStream: server.failWatches(code: 410)
            case .errorInStream: server.failWatches(code: 500)
            case .bookmarkThenBreak:
                server.bookmark()
                server.disconnect()
            case .overloaded:
                server.statuses[KubernetesRig.services] = 429
                server.disconnect()
            case .responseCutOff:
                server.cutByteCount = 200
                server.breaksAtCut = true
                server.disconnect()
            case .away:
                server.isAway = true
                server.disconnect()
            }
            server.delete(KubernetesRig.services, "s1")
            server.upsert(KubernetesRig.services, "s4", KubernetesRig.service("10.0.0.4"))
        }
        if disturbance == .away || disturbance == .overloaded {
            _ = await KubernetesRig.wait(source) { !$0.isConnected && !$0.faults.isEmpty }
            // What was known stands while the server cannot be asked.
            #expect(await source.current.services.count == 3)
            await fake.tell {
                $0.isAway = false
                $0.statuses = [:]
            }
        }
        let wanted: Set<String> =
            disturbance == .historyForgotten ? ["s2", "s4"] : ["s2", "s3", "s4"]
        #expect(await KubernetesRig.wait(stream, for: wanted) != nil)
        _ = await KubernetesRig.wait(source) { $0.isConnected && $0.faults.isEmpty }
        let mustRelist: Set<Disturbance> = [.historyForgotten, .goneInStream]
        #expect(await source.relistCount > 0 || !mustRelist.contains(disturbance))
        await source.stop()
    }

    @Test func aServerInTroubleIsAskedLessAndLessOften() async throws {
        let fake = try RunningFakeAPIServer()
        defer { fake.stop() }
        await fake.tell { $0.statuses[KubernetesRig.services] = 503 }
        let source = KubernetesRig.source(
            fake,
            resources: KubernetesRig.resources(of: [.service])
        )
        let begun = ContinuousClock.now
        _ = await source.start()
        await KubernetesRig.wait(fake) { $0.seen.count >= 4 }
        // The least waits before the second, third and fourth request: half of each step.
        #expect(ContinuousClock.now - begun >= .milliseconds(125 + 250 + 500))
        await source.stop()
    }

    @Test func aServerThatAsksForAWaitGetsIt() async throws {
        let fake = try RunningFakeAPIServer()
        defer { fake.stop() }
        await fake.tell {
            $0.statuses[KubernetesRig.services] = 429
            $0.retryAfterSeconds = 1
        }
        let source = KubernetesRig.source(
            fake,
            resources: KubernetesRig.resources(of: [.service])
        )
        let begun = ContinuousClock.now
        _ = await source.start()
        await KubernetesRig.wait(fake) { $0.seen.count >= 2 }
        #expect(ContinuousClock.now - begun >= .seconds(1))
        await source.stop()
    }

    @Test func theMirrorIsReadableByTheAgentAlone() async throws {
        let fake = try RunningFakeAPIServer()
        defer { fake.stop() }
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        await fake.tell {
            $0.upsert(KubernetesRig.services, "a", KubernetesRig.service("10.0.0.1"))
        }
        let source = KubernetesRig.source(fake, mirror: "\(folder.path)/mirror")
        let stream = await source.start()
        #expect(await KubernetesRig.wait(stream, for: ["a"]) != nil)
        await source.stop()
        let modes = Command.run("stat -c '%a %n' \(folder.path)/mirror \(folder.path)/mirror/*")
            .output.split(separator: "\n").map { String($0.prefix { $0 != " " }) }
        #expect(modes == ["700", "600"])
        Command.run("rm -r \(folder.path)/mirror")
    }

    @Test(arguments: ["v1", "v1alpha2"])
    func aKindIsReadInTheVersionThatTheServerServes(version: String) async throws {
        let fake = try RunningFakeAPIServer()
        defer { fake.stop() }
        let group = "/apis/gateway.networking.k8s.io"
        let other = version == "v1" ? "v1alpha2" : "v1"
        await fake.tell {
            $0.statuses["\(group)/\(other)/tcproutes"] = 404
            $0.upsert(
                "\(group)/\(version)/tcproutes",
                "raw",
                "\"apiVersion\":\"gateway.networking.k8s.io/\(version)\",\"kind\":\"TCPRoute\","
                    + "\"spec\":{\"parentRefs\":[{\"name\":\"g\"}],\"rules\":[{\"backendRefs\":"
                    + "[{\"name\":\"s\",\"port\":80}]}]}"
            )
        }
        let source = KubernetesRig.source(
            fake,
            resources: KubernetesRig.resources(of: [.tcpRoute])
        )
        let stream = await source.start()
        let key = ObjectKey(.tcpRoute, namespace: "shop", name: "raw")
        for await (snapshot, _) in stream where snapshot.tcpRoutes[key] != nil { break }
        let status = await KubernetesRig.wait(source) { $0.isConnected }
        #expect(status.faults.isEmpty)
        #expect(await source.current.objects[key]?.acceptance == .accepted)
        await source.stop()
    }

    @Test(arguments: [403, 404])
    func aKindThatIsNotThereAtFirstIsFollowedOnceItIs(status: Int) async throws {
        let fake = try RunningFakeAPIServer()
        defer { fake.stop() }
        await fake.tell {
            $0.statuses[KubernetesRig.services] = status
            $0.upsert(KubernetesRig.services, "a", KubernetesRig.service("10.0.0.1"))
        }
        let source = KubernetesRig.source(fake)
        let stream = await source.start()
        // The other kinds are served without it.
        #expect(await KubernetesRig.wait(stream, for: []) != nil)
        let told = await KubernetesRig.wait(source) { !$0.faults.isEmpty }
        #expect(told.faults.contains { $0.contains("\(KubernetesRig.services): expected 200") })
        await fake.tell { $0.statuses = [:] }
        #expect(await KubernetesRig.wait(stream, for: ["a"]) != nil)
        await source.stop()
    }
}
