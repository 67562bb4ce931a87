import Addressing
import DataPlane
import LinuxSystem
import Synchronization
import TestSupport
import Testing

@testable import Discovery
@testable import NodeAgent

extension LimitCase {
    static let control: [LimitCase] = [
        LimitCase(name: "loop.mailboxMax") { rig in
            let isReleased = Released()
            let worker = rig.agent.workers.pool.workers[0]
            _ = worker.submit { _ in
                while !isReleased.flag.load(ordering: .acquiring) {
                    RawThread.sleep(milliseconds: 1)
                }
            }
            var count = 0
            while worker.submit({ _ in }) { count += 1 }
            isReleased.flag.store(true, ordering: .releasing)
            #expect(count <= EventLoop.mailboxMax)
        },
        LimitCase(
            name: "accessLog.blockMax",
            configure: { configuration, places in
                configuration.accessLog = .file(path: "/tmp/\(places.name).fifo")
            },
            prepare: { places in
                let path = "/tmp/\(places.name).fifo"
                Command.run("mkfifo \(path)")
                // Read and write: the pipe has a reader that reads nothing, and is full.
                let pipe = LimitRig.Held(try OwnedFD(opening: path, flags: 2))
                try FileSystem.writeAll([UInt8](repeating: 10, count: 65_536), to: pipe.fd.rawValue)
                return pipe
            }
        ) { try $0.fillLog() },
        LimitCase(name: "accessLog.textByteLimit") { rig in
            let path = String(repeating: "x", count: 3_000)
            rig.peers.answers()
            try rig.request("GET /\(path) HTTP/1.1\r\nhost: a.test\r\n\r\n", expecting: 200)
        },
        LimitCase(
            name: "export.waitingByteLimit",
            tighten: { $0.exportWaitingByteLimit = 10 },
            configure: { configuration, _ in
                configuration.accessLogCollector = OTLPEndpoint("http://127.0.0.1:1")
            }
        ) { rig in
            rig.peers.answers()
            try rig.request("GET / HTTP/1.1\r\nhost: a.test\r\n\r\n", expecting: 200)
        },
        LimitCase(
            name: "export.flushTimeout",
            isReadInside: true,
            tighten: { $0.exportFlush = soon },
            configure: { configuration, places in
                configuration.accessLogCollector = OTLPEndpoint("http://127.0.0.1:\(places.silent)")
            }
        ) { rig in
            rig.peers.answers()
            try rig.request("GET / HTTP/1.1\r\nhost: a.test\r\n\r\n", expecting: 200)
            rig.end()
        },
        LimitCase(name: "log.repeatMax") { rig in
            for _ in 0...5 { rig.agent.logger.warning("the same") }
        },
        LimitCase(name: "log.kindMax") { rig in
            for number in 0..<1_000 where rig.agent.log.forgottenKindCount == 0 {
                rig.agent.logger.warning("number \(number)")
            }
        },
        LimitCase(
            name: "agent.drainGrace",
            isReadInside: true,
            tighten: { $0.drainGrace = soon }
        ) { rig in
            try rig.hanging()
            rig.end()
            let log = try FileSystem.readText("\(rig.process.directory)/access.log")
            #expect(log.contains("\"response_flags\":\"UO\""), "what was cut is logged: \(log)")
        },
        LimitCase(
            name: "capture.leaveMax",
            tighten: { $0.captureLeave = .milliseconds(1_200) },
            configure: { configuration, _ in configuration.captureIsEnabled = true },
            manifests: { ["pod": LimitManifests.pod($0, isCaptured: true)] },
            prepare: { places in
                try LimitRig.makePod(places)
                return nil
            }
        ) { try $0.leaveWithAConnection() },
    ]

    private final class Released: Sendable {
        let flag = Atomic<Bool>(false)
    }

    static let status: [LimitCase] = [
        LimitCase(name: "status.connectionMax", tighten: { $0.status.connectionMax = 2 }) { rig in
            let port = try rig.statusPort()
            let open = try (0..<2).map { _ in try rig.peers.connect(port) }
            let third = try rig.peers.connect(port)
            #expect(rig.peers.wait { third.isOver })
            for peer in open { peer.close() }
            rig.peers.settle()
        },
        LimitCase(name: "status.headByteLimit") { rig in
            let field = String(repeating: "x", count: 20_000)
            try rig.askStatus("GET /healthz HTTP/1.1\r\nhost: localhost\r\nf: \(field)", 431)
        },
        LimitCase(name: "status.bodyByteLimit") { rig in
            try rig.askStatus(
                "POST /blocks HTTP/1.1\r\nhost: localhost\r\ncontent-length: 70000\r\n\r\n",
                413
            )
        },
        LimitCase(name: "status.requestTimeout", tighten: { $0.status.requestTimeout = soon }) {
            try $0.askStatus("GET /", 408)
        },
        LimitCase(
            name: "status.bufferBlockMax",
            tighten: { $0.status.bufferBlockMax = 1 },
            manifests: { _ in
                let spaces = (0..<2_000).map {
                    "apiVersion: v1\nkind: Namespace\nmetadata: { name: n\($0) }\n---\n"
                }
                return ["many": spaces.joined()]
            }
        ) { rig in
            let local = LimitRig.Held(try Socket.connect(toPath: rig.process.socket))
            let request = "GET /objects HTTP/1.1\r\nhost: localhost\r\n\r\n"
            try FileSystem.writeAll(Array(request.utf8), to: local.fd.rawValue)
            rig.held.append(local)
        },
        LimitCase(name: "status.blockTTLMax") {
            $0.post(#"{"source":"203.0.113.7","ttlSeconds":9999999}"#)
        },
        LimitCase(name: "status.blockReasonByteLimit") {
            let reason = String(repeating: "x", count: 300)
            $0.post(#"{"source":"203.0.113.7","ttlSeconds":9,"reason":"\#(reason)"}"#)
        },
    ]

    private static func file(_ name: String, _ text: @escaping @Sendable () -> String) -> LimitCase
    {
        LimitCase(name: name, manifests: { _ in ["big": text()] }) { _ in }
    }

    static let documents: [LimitCase] = [
        file("documents.byteLimit") { String(repeating: "#", count: YAMLReader.byteLimit + 1) },
        file("documents.depthMax") {
            String(repeating: "[", count: 70) + String(repeating: "]", count: 70)
        },
        file("documents.nodeMax") {
            "[" + String(repeating: "1,", count: YAMLReader.nodeCountMax) + "1]"
        },
        LimitCase(name: "json.depthMax") {
            $0.post(String(repeating: "[", count: 200) + String(repeating: "]", count: 200))
        },
        LimitCase(name: "kubernetes.watchLineByteLimit") { _ in
            var splitter = WatchLineSplitter()
            let line = [UInt8](repeating: 0x20, count: WatchLineSplitter.lineByteLimit + 1)
            #expect(throws: WatchLineSplitter.LineTooLong.self) { try splitter.append(line) }
        },
        LimitCase(name: "kubernetes.listItemByteLimit") { _ in
            var splitter = ListItemSplitter()
            let item = String(repeating: "x", count: ListItemSplitter.itemByteLimit)
            let list = Array("{\"items\":[{\"a\":\"\(item)\"}]}".utf8)
            #expect(throws: ListItemSplitter.Fault.self) { try splitter.append(list) }
        },
        LimitCase(name: "kubernetes.listEnvelopeByteLimit") { _ in
            var splitter = ListItemSplitter()
            let name = String(repeating: "x", count: ListItemSplitter.envelopeByteLimit)
            let list = Array("{\"kind\":\"\(name)\"}".utf8)
            #expect(throws: ListItemSplitter.Fault.self) { try splitter.append(list) }
        },
    ]
}

extension LimitRig {
    fileprivate func statusPort() throws -> UInt16 {
        try #require(agent.configuration.statusAddress).port
    }

    fileprivate func askStatus(_ text: String, _ status: Int) throws {
        let peer = try peers.connect(try statusPort())
        peer.send(text)
        let isAnswered = peers.wait { peer.text.hasPrefix("HTTP/1.1 \(status)") }
        #expect(isAnswered, "\(peer.text)")
    }

    /// Requests until the log's writer, which nobody reads, has fallen behind.
    fileprivate func fillLog() throws {
        let path = "/tmp/\(places.name).fifo"
        defer { Command.run("(timeout 4 cat \(path); rm -f \(path)) >/dev/null 2>&1 &") }
        let name = "accessLog.blockMax"
        peers.answers()
        // A line waits 100 ms at most: each is a block of its own.
        for _ in 0..<100 where outside(name) == 0 {
            try request("GET / HTTP/1.1\r\nhost: a.test\r\n\r\n", expecting: 200)
            peers.settle()
        }
    }

    /// A namespace that the node reaches by a pair of interfaces.
    fileprivate static func makePod(_ places: Places) throws {
        let name = places.name
        for command in [
            "ip netns add \(name)", "ip -n \(name) link set lo up",
            "ip link add \(name) type veth peer name eth0 netns \(name)",
            "ip -n \(name) addr add 10.211.9.1/30 dev eth0", "ip -n \(name) link set eth0 up",
            "ip addr add 10.211.9.2/30 dev \(name)", "ip link set \(name) up",
        ] {
            try #require(Command.run(command).status == 0, "\(command)")
        }
    }

    /// Takes a pod's annotation away while a connection through its listener is open.
    fileprivate func leaveWithAConnection() throws {
        for _ in 0..<100 where !process.ask("/status").contains(#""state":"captured""#) {
            RawThread.sleep(milliseconds: 100)
        }
        let namespace = try OwnedFD(opening: "/run/netns/\(places.name)", flags: 0)
        let gate = try NamespaceGate()
        let server = try gate.inside(namespace.rawValue) { () throws(Errno) -> OwnedFD in
            try Socket.listen(on: SocketAddress(IPAddress(10, 211, 9, 1), 7_000))
        }
        let fd = try Socket.connect(to: SocketAddress(IPAddress(10, 211, 9, 1), 7_000))
        held += [Held(server), Held(fd)]
        peers.settle()
        try process.write("manifests/pod.yaml", LimitManifests.pod(places, isCaptured: false))
        for _ in 0..<100 where outside("capture.leaveMax") == 0 {
            RawThread.sleep(milliseconds: 100)
        }
    }
}

extension LimitManifests {
    static func pod(_ places: LimitRig.Places, isCaptured: Bool) -> String {
        """
        apiVersion: v1
        kind: Pod
        metadata:
          name: p
          namespace: d
          annotations:
            martlet.mesh/capture: \(isCaptured ? "enabled" : "disabled")
            martlet.mesh/netns: \(places.name)
        spec: { containers: [{ name: c, image: i }] }
        status: { podIPs: [{ ip: 10.211.9.1 }] }
        """
    }
}
