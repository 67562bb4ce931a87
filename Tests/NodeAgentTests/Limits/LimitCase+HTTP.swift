import Addressing
import DataPlane
import LinuxSystem
import Testing

@testable import NodeAgent

private let get = "GET / HTTP/1.1\r\nhost: a.test\r\n\r\n"

extension LimitRig {
    /// A client of the Gateway that has sent something.
    @discardableResult
    func client(_ text: String = "") throws -> LimitPeers.Peer {
        let peer = try peers.connect(places.web)
        if !text.isEmpty { peer.send(text) }
        return peer
    }

    /// A request that the endpoint has received and does not answer.
    func hanging() throws {
        let known = peers.accepted.count
        try client(get)
        let hasCome = peers.wait {
            peers.accepted.count > known && !peers.accepted[known].text.isEmpty
        }
        try #require(hasCome)
    }

    /// A request answered with a status.
    func request(_ text: String, expecting status: Int) throws {
        let peer = try client(text)
        let isAnswered = peers.wait { peer.text.hasPrefix("HTTP/1.1 \(status)") }
        #expect(isAnswered, "expected \(status), found \(peer.text)")
    }

    /// A request that the endpoint answers.
    func served() throws {
        peers.answers()
        try request(get, expecting: 200)
    }
}

extension LimitCase {
    /// A case whose one request earns a status.
    fileprivate static func refused(
        _ name: String,
        _ status: Int,
        _ text: String,
        tighten: @escaping @Sendable (inout AgentLimits) -> Void = { _ in }
    ) -> LimitCase {
        LimitCase(name: name, tighten: tighten) { try $0.request(text, expecting: status) }
    }

    private static func field(_ name: String, _ byteCount: Int) -> String {
        "\(name): \(String(repeating: "x", count: byteCount))\r\n"
    }

    private static let head = "GET / HTTP/1.1\r\nhost: a.test\r\n"
    private static let chunked =
        "POST / HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: chunked\r\n\r\n"

    static let http: [LimitCase] = [
        LimitCase(name: "http.connectionMax", tighten: { $0.engine.connectionMax = 2 }) { rig in
            for _ in 0..<2 { try rig.client() }
            let third = try rig.client()
            #expect(rig.peers.wait { third.isOver })
        },
        LimitCase(name: "http.exchangeMax", tighten: { $0.engine.exchangeMax = 1 }) { rig in
            try rig.hanging()
            try rig.request(get, expecting: 503)
        },
        LimitCase(name: "http.bufferBlockMax", tighten: { $0.engine.bufferBlockMax = 2 }) { rig in
            // One for the request, and one for what waits until the endpoint is connected.
            try rig.hanging()
            try rig.client(get)
        },
        LimitCase(
            name: "http.idlePerEndpointMax",
            tighten: { $0.engine.idlePerEndpointMax = 1 }
        ) { rig in
            for _ in 0..<2 { try rig.hanging() }
            for peer in rig.peers.accepted {
                peer.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            }
        },
        LimitCase(name: "http.idleSearchMax", tighten: { $0.engine.idleSearchMax = 1 }) { rig in
            try rig.searchIdle()
        },
        LimitCase(
            name: "http.triesMax",
            tighten: { $0.engine.triesMax = 1 },
            manifests: { ["web": LimitManifests.web($0, to: [$0.closed])] }
        ) { try $0.request(get, expecting: 503) },
        LimitCase(
            name: "http.retryBodyByteLimit",
            tighten: { $0.engine.retryBodyByteLimit = 10 },
            manifests: {
                let retry = ", retry: { attempts: 1, codes: [503] }"
                return ["web": LimitManifests.web($0, to: [$0.endpoint], retry)]
            }
        ) { rig in
            _ = try rig.client(
                "PUT / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 20\r\n\r\n0123456789abcdefghij"
            )
        },
        LimitCase(
            name: "http.mirrorMax",
            tighten: { $0.engine.mirrorMax = 0 },
            manifests: { ["web": LimitManifests.web($0, to: [$0.endpoint], mirrored)] }
        ) { _ = try $0.client(get) },
        LimitCase(
            name: "http.mirrorBodyByteLimit",
            tighten: { $0.engine.mirrorBodyByteLimit = 10 },
            manifests: { ["web": LimitManifests.web($0, to: [$0.endpoint], mirrored)] }
        ) { rig in
            _ = try rig.client(
                "PUT / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 20\r\n\r\n0123456789abcdefghij"
            )
        },
        LimitCase(
            name: "http.discardByteLimit",
            tighten: { $0.engine.discardByteLimit = 1_000 }
        ) { rig in
            let peer = try rig.client("GET / HTTP/1.1\r\nbad\r\n\r\n")
            rig.peers.wait { peer.text.hasPrefix("HTTP/1.1 400") }
            peer.send(String(repeating: "x", count: 4_000))
        },
        refused("http.headByteLimit", 431, head + (0..<5).map { field("f\($0)", 4_000) }.joined()),
        refused(
            "http.startLineByteLimit",
            414,
            "GET /\(String(repeating: "x", count: 2_000)) HTTP/1.1\r\nhost: a.test\r\n\r\n",
            tighten: { $0.engine.head.startLineByteLimit = 1_000 }
        ),
        refused(
            "http.fieldLineByteLimit",
            431,
            head + field("f", 2_000) + "\r\n",
            tighten: { $0.engine.head.fieldLineByteLimit = 1_000 }
        ),
        refused(
            "http.fieldCountMax",
            431,
            head + (0..<128).map { "f\($0): v\r\n" }.joined() + "\r\n"
        ),
        refused(
            "http.connectionOptionMax",
            400,
            head + "connection: " + (0..<17).map { "o\($0)" }.joined(separator: ", ")
                + "\r\n\r\n"
        ),
        refused(
            "http.bodyByteLimit",
            413,
            "POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 11\r\n\r\n",
            tighten: { $0.engine.head.bodyByteLimit = 10 }
        ),
        refused(
            "http.chunkExtensionByteLimit",
            400,
            chunked + "1;\(String(repeating: "x", count: 1_100))\r\n"
        ),
        refused("http.trailerByteLimit", 431, chunked + "0\r\n" + field("t", 9_000) + "\r\n"),
        LimitCase(
            name: "http.editedTextByteLimit",
            manifests: { places in
                let value = String(repeating: "v", count: 4_000)
                let adds = (0..<3).map { "{ name: a\($0), value: \(value) }" }
                return ["web": LimitManifests.modified(places, "Request", adds)]
            }
        ) { rig in
            let fields = (0..<3).map { field("f\($0)", 5_000) }.joined()
            try rig.request(head + fields + "\r\n", expecting: 431)
        },
        LimitCase(
            name: "http.editedFieldMax",
            tighten: { $0.engine.head.fieldCountMax = 256 },
            manifests: {
                ["web": LimitManifests.modified($0, "Request", ["{ name: a, value: b }"])]
            }
        ) { rig in
            let fields = (0..<255).map { "f\($0): v\r\n" }.joined()
            try rig.request(head + fields + "\r\n", expecting: 431)
        },
        LimitCase(
            name: "http.headerOperationMax",
            manifests: { places in
                let adds = (0...HTTPProxy.headerOperationMax).map { "{ name: a\($0), value: b }" }
                return ["web": LimitManifests.modified(places, "Response", adds)]
            }
        ) { try $0.request(get, expecting: 431) },
    ]

    static let httpTimes: [LimitCase] = [
        LimitCase(name: "http.headerTimeout", tighten: { $0.engine.headerTimeout = soon }) {
            try $0.request("GET /", expecting: 408)
        },
        LimitCase(name: "http.idleTimeout", tighten: { $0.engine.idleTimeout = soon }) { rig in
            try rig.served()
        },
        LimitCase(name: "http.bodyTimeout", tighten: { $0.engine.bodyTimeout = soon }) {
            try $0.request(
                "POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 9\r\n\r\nab",
                expecting: 408
            )
        },
        LimitCase(name: "http.discardTimeout", tighten: { $0.engine.discardTimeout = soon }) {
            try $0.request("GET / HTTP/1.1\r\nbad\r\n\r\n", expecting: 400)
        },
        LimitCase(name: "http.sendTimeout", tighten: { $0.engine.sendTimeout = soon }) { rig in
            let size = 64 << 20
            let client = try rig.client()
            client.pause()
            client.send(get)
            try #require(rig.peers.wait { rig.peers.accepted.first?.text.isEmpty == false })
            rig.peers.accepted.last?.send("HTTP/1.1 200 OK\r\ncontent-length: \(size)\r\n\r\n")
            rig.peers.accepted.last?.send([UInt8](repeating: 0x78, count: size))
        },
        LimitCase(
            name: "http.connectTimeout",
            tighten: {
                $0.engine.connectTimeout = soon
                $0.engine.triesMax = 1
            },
            manifests: { ["web": LimitManifests.web($0, to: [$0.silent])] }
        ) { try $0.request(get, expecting: 503) },
        LimitCase(
            name: "http.upstreamIdleTimeout",
            tighten: { $0.engine.upstreamIdleTimeout = soon }
        ) { try $0.request(get, expecting: 504) },
        LimitCase(
            name: "http.tunnelIdleTimeout",
            tighten: { $0.engine.tunnelIdleTimeout = soon }
        ) { rig in
            try rig.client(
                head + "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"
                    + "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
            )
            rig.peers.wait { rig.peers.accepted.first.map { !$0.text.isEmpty } ?? false }
            rig.peers.accepted.first?.send(
                "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n"
                    + "upgrade: websocket\r\n\r\n"
            )
        },
        LimitCase(name: "http.poolIdleTimeout", tighten: { $0.engine.poolIdleTimeout = soon }) {
            try $0.served()
        },
    ]

    static let soon = Duration.milliseconds(200)
    /// A rule's filter that copies requests to the rule's own Service.
    static let mirrored =
        ", filters: [{ type: RequestMirror, requestMirror: { backendRef: { name: s, port: 80 } } }]"
}

extension LimitManifests {
    /// The route adds headers.
    static func modified(
        _ places: LimitRig.Places,
        _ side: String,
        _ adds: [String]
    ) -> String {
        let key = "\(side.lowercased())HeaderModifier"
        let list = adds.joined(separator: ", ")
        let filter = "{ type: \(side)HeaderModifier, \(key): { add: [\(list)] } }"
        return web(places, to: [places.endpoint], ", filters: [\(filter)]")
    }
}

extension LimitRig {
    /// Two idle connections of one namespace, then a client of another.
    fileprivate func searchIdle() throws {
        let first = try LimitRig.Held(OwnedFD(opening: "/proc/thread-self/ns/net", flags: 0))
        let second = try LimitRig.Held(OwnedFD(opening: "/proc/thread-self/ns/net", flags: 0))
        held += [first, second]
        let ports = try [first, second].enumerated().map { index, origin in
            let address = SocketAddress(.loopbackIPv4, try LimitRig.freePort())
            let name = SocketAddress(.loopbackIPv4, places.web).description
            let descriptor = origin.fd.rawValue
            let agent = self.agent
            let isOpen = waitFor {
                guard let entry = await agent.assembler.entrySlot(name) else { return false }
                let target = PortTarget.http(PortConfiguration(entry: entry, origin: descriptor))
                let binding = PortBinding(target: target, local: address)
                let number = Int32(90_000 + index)
                return (try? await agent.workers.pool.listen(on: address, port: number, binding))
                    != nil
            }
            #expect(isOpen == true)
            return address.port
        }
        for _ in 0..<2 { try peers.connect(ports[0]).send(get) }
        try #require(peers.wait { peers.accepted.count { !$0.text.isEmpty } == 2 })
        for peer in peers.accepted { peer.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n") }
        peers.settle()
        try peers.connect(ports[1]).send(get)
        try #require(peers.wait { peers.accepted.count == 3 })
    }
}
