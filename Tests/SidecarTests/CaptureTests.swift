import Addressing
import DataPlane
import L4Proxy
import LinuxSystem
import MeshModel
import TestSupport
import Testing

@testable import Sidecar

/// Capture in a real network namespace, by a real agent's workers.
@Suite(.serialized) struct CaptureTests {
    /// Workers with their capture tools.
    private final class Harness: Sendable {
        let pool: WorkerPool
        let layer: CaptureLayer
        private let task: Task<Void, Never>

        struct NoFilters: FilterFactory {
            func chains(
                for lists: [[PluginBinding]],
                worker: Int,
                store: FilterStore
            ) -> [FilterChain] { [] }
        }

        init() throws {
            let tools = ToolTable()
            pool = try WorkerPool(count: 2, accessLog: nil, seed: 1) { worker in
                let gate = try? NamespaceGate()
                worker.proxy.gate = gate
                worker.proxy.originMark = CaptureConstants.ownMark
                let relay = TCPRelay(loop: worker.loop, gate: gate)
                tools.set(
                    worker.number,
                    CaptureTools(
                        dispatcher: CaptureDispatcher(worker: worker, relay: relay),
                        relay: relay
                    )
                )
            }
            try pool.start()
            let assembler = EngineAssembler(pool: pool, factory: NoFilters())
            let made = try CaptureLayer(pool: pool, assembler: assembler) {
                tools.get($0.number)
            }
            layer = made
            task = Task { await made.run() }
        }

        deinit {
            task.cancel()
            pool.stop()
        }
    }

    private func snapshot(_ fixture: PodFixture, _ capture: Workload.Capture, version: UInt64 = 1)
        -> MeshSnapshot
    {
        var snapshot = MeshSnapshot()
        snapshot.version = version
        let key = ObjectKey(.pod, namespace: "default", name: "app")
        snapshot.workloads[key] = Workload(
            key: key,
            uid: "uid-1",
            addresses: [IPAddress(fixture.podAddress), IPAddress("fd77::2")].compactMap(\.self),
            networkNamespace: fixture.pod,
            capture: capture
        )
        return snapshot
    }

    private func apply(_ harness: Harness, _ snapshot: MeshSnapshot) async -> AppliedReport {
        await harness.layer.apply(
            snapshot,
            delta: SnapshotDelta(from: MeshSnapshot(), to: snapshot)
        )
    }

    @Test func aCapturedPodIsReachedWithTheClientsAddressAndReachesOutWithItsOwn() async throws {
        let fixture = PodFixture()
        let harness = try Harness()
        fixture.startEcho(in: fixture.pod, port: 8_080)
        fixture.startEcho(in: fixture.peer, port: 9_090)
        fixture.startEcho(in: fixture.pod, port: 8_086, isIPv6: true)
        fixture.startEcho(in: fixture.peer, port: 9_096, isIPv6: true)
        let report = await apply(harness, snapshot(fixture, .enabled(.init())))
        #expect(report.faults.isEmpty)
        let status = try #require(await harness.layer.statuses.first)
        #expect(status.state == .captured)
        #expect(status.proof?.listenerCount == 4)
        #expect(fixture.ask(in: fixture.peer, fixture.podAddress, 8_080) == "10.77.1.1\n")
        #expect(fixture.ask(in: fixture.pod, fixture.peerAddress, 9_090) == "10.77.1.2\n")
        #expect(fixture.ask(in: fixture.peer, "fd77::2", 8_086) == "fd77::1\n")
        #expect(fixture.ask(in: fixture.pod, "fd77::1", 9_096) == "fd77::2\n")
        let rules = fixture.run(in: fixture.pod, "nft list ruleset").output
        #expect(rules.contains("redirect to :15001"))
        #expect(rules.contains("redirect to :15006"))
        let counted = rules.split(separator: "\n").filter { $0.contains("counter packets") }
        #expect(counted.allSatisfy { !$0.contains("packets 0 ") })
    }

    @Test func excludedPortsAndPrefixesAreLeftAlone() async throws {
        let fixture = PodFixture()
        let harness = try Harness()
        fixture.startEcho(in: fixture.pod, port: 8_080)
        fixture.startEcho(in: fixture.peer, port: 9_090)
        let prefix = try #require(IPPrefix("10.77.1.0/24"))
        let exclusions = Workload.Exclusions(
            inboundPorts: [8_080...8_081],
            outboundPorts: [22...22],
            outboundPrefixes: [prefix]
        )
        _ = await apply(harness, snapshot(fixture, .enabled(exclusions)))
        #expect(fixture.ask(in: fixture.peer, fixture.podAddress, 8_080) == "10.77.1.1\n")
        #expect(fixture.ask(in: fixture.pod, fixture.peerAddress, 9_090) == "10.77.1.2\n")
        let rules = fixture.run(in: fixture.pod, "nft list ruleset").output
        let counted = rules.split(separator: "\n").filter { $0.contains("counter packets") }
        #expect(counted.allSatisfy { $0.contains("packets 0 ") })
    }

    @Test func aNamespaceWithoutThePodsAddressesIsRefused() async throws {
        let fixture = PodFixture()
        let harness = try Harness()
        var wrong = snapshot(fixture, .enabled(.init()))
        for key in wrong.workloads.keys {
            wrong.workloads[key]?.addresses = [IPAddress(10, 1, 1, 1)]
        }
        let report = await apply(harness, wrong)
        #expect(report.faults.contains { $0.contains("expected a namespace with 10.1.1.1") })
        #expect(!fixture.run(in: fixture.pod, "nft list ruleset").output.contains("martlet"))
    }

    @Test func flushedRulesAreRepaired() async throws {
        let fixture = PodFixture()
        let harness = try Harness()
        _ = await apply(harness, snapshot(fixture, .enabled(.init())))
        _ = fixture.run(in: fixture.pod, "nft flush table inet martlet")
        for _ in 0..<100 {
            if fixture.run(in: fixture.pod, "nft list ruleset").output.contains(":15001") { break }
            try await Task.sleep(for: .milliseconds(50))
        }
        #expect(fixture.run(in: fixture.pod, "nft list ruleset").output.contains(":15006"))
        #expect(await harness.layer.statuses.first?.repairCount == 1)
    }

    @Test func aRunningPodIsTakenAndLetGoWithoutBreakingItsConnections() async throws {
        let fixture = PodFixture()
        let harness = try Harness()
        let path = "/tmp/\(Command.uniqueName("talk"))"
        let server =
            "import socket;s=socket.socket();s.setsockopt(1,2,1);s.bind(('',9191));s.listen()\n"
            + "c,a=s.accept()\nwhile True:\n d=c.recv(100)\n if not d: break\n c.sendall(d)\n"
        let client =
            "import socket,time\ns=socket.create_connection(('10.77.1.1',9191))\n"
            + "for i in range(60):\n s.sendall(b'x'); assert s.recv(1)==b'x'; time.sleep(0.05)\n"
            + "open('\(path).done','w').write('fine')\n"
        try FileSystem.replace("\(path)s.py", with: Array(server.utf8))
        try FileSystem.replace("\(path)c.py", with: Array(client.utf8))
        fixture.start(in: fixture.peer, "python3 \(path)s.py")
        try await Task.sleep(for: .milliseconds(300))
        fixture.start(in: fixture.pod, "python3 \(path)c.py")
        try await Task.sleep(for: .milliseconds(400))
        _ = await apply(harness, snapshot(fixture, .enabled(.init())))
        #expect(await harness.layer.statuses.first?.state == .captured)
        try await Task.sleep(for: .milliseconds(500))
        _ = await apply(harness, snapshot(fixture, .disabled, version: 2))
        for _ in 0..<120 where (try? FileSystem.read("\(path).done")) == nil {
            try await Task.sleep(for: .milliseconds(50))
        }
        #expect((try? FileSystem.readText("\(path).done")) == "fine")
        for _ in 0..<60 where await !harness.layer.statuses.isEmpty {
            try await Task.sleep(for: .milliseconds(50))
        }
        let rules = fixture.run(in: fixture.pod, "nft list ruleset").output
        #expect(!rules.contains("martlet"))
        #expect(!fixture.run(in: fixture.pod, "ip rule").output.contains("fwmark"))
    }
}

/// Tools by worker number, filled before the workers run.
private final class ToolTable: @unchecked Sendable {
    // SAFETY: written before the workers start, read on their threads afterwards.
    private var tools: [Int: CaptureTools] = [:]

    func set(_ number: Int, _ made: CaptureTools) { tools[number] = made }

    func get(_ number: Int) -> CaptureTools? { tools[number] }
}
