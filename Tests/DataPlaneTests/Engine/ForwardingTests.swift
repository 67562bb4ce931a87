import Addressing
import DataPlane
import LinuxSystem
import MeshModel
import Testing

/// What endpoints are told of the client, and by whom; names with an underscore; fields for one hop.
@Suite struct ForwardingTests {
    private func rig(_ change: (inout ListenerSettings) -> Void = { _ in }) throws -> EngineRig {
        let rig = try EngineRig()
        var settings = ListenerSettings()
        change(&settings)
        rig.install(clusters: [[0]], listenerSettings: settings)
        return rig
    }

    /// The request's lines as the endpoint gets them, in lower case.
    private func lines(_ rig: EngineRig, _ fields: String) -> [String] {
        _ = rig.connect(sending: "GET /a HTTP/1.1\r\nhost: h.example\r\n\(fields)\r\n")
        return rig.forwarded().lowercased().split(separator: "\r\n").map(String.init)
    }

    private static let claims =
        "x-forwarded-for: 203.0.113.9\r\nx-forwarded-proto: https\r\nx-forwarded-host: evil\r\n"
        + "x-forwarded-port: 1\r\nx-real-ip: 203.0.113.9\r\nforwarded: for=203.0.113.9\r\n"
        + "x-forwarded-client-cert: by=evil\r\n"

    @Test(arguments: [false, true])
    func whatAStrangerClaimsIsSetAnew(hasPolicy: Bool) throws {
        let rig = try rig { if hasPolicy { $0.forwarding.addsForwarded = true } }
        let lines = lines(rig, ForwardingTests.claims)
        #expect(lines.filter { $0.contains("203.0.113.9") || $0.contains("evil") } == [])
        #expect(lines.filter { $0.hasPrefix("x-forwarded-for:") } == ["x-forwarded-for: 127.0.0.1"])
        #expect(lines.filter { $0.hasPrefix("x-forwarded-proto:") } == ["x-forwarded-proto: http"])
        #expect(!lines.contains { $0.hasPrefix("x-real-ip") || $0.hasPrefix("x-forwarded-port") })
        #expect(
            lines.filter { $0.hasPrefix("forwarded:") }
                == (hasPolicy
                    ? ["forwarded: for=127.0.0.1;host=\"h.example\";proto=http"] : [])
        )
    }

    @Test(arguments: [true, false])
    func aTrustedProxyIsBelievedAndAddedTo(byPrefix: Bool) throws {
        let rig = try rig { settings in
            if byPrefix {
                settings.forwarding.trustedPrefixes = [IPPrefix("127.0.0.0/8")].compactMap(\.self)
            } else {
                settings.forwarding.trustedHops = 1
            }
            settings.forwarding.addsForwarded = true
        }
        let lines = lines(rig, ForwardingTests.claims)
        #expect(lines.contains("x-forwarded-for: 203.0.113.9, 127.0.0.1"))
        #expect(lines.contains("x-forwarded-proto: https"))
        #expect(lines.contains("x-forwarded-host: evil") && lines.contains("x-forwarded-port: 1"))
        #expect(lines.contains("x-forwarded-client-cert: by=evil"))
        let own = "for=127.0.0.1;host=\"h.example\";proto=http"
        #expect(lines.contains("forwarded: for=203.0.113.9, \(own)"))
    }

    @Test func hostPortAndViaAreAddedWhereWanted() throws {
        let rig = try rig { settings in
            settings.forwarding.addsHost = true
            settings.forwarding.viaName = "edge"
        }
        let lines = lines(rig, "via: 1.0 before\r\n")
        #expect(lines.contains("x-forwarded-host: h.example"))
        #expect(lines.contains("x-forwarded-port: 80"))
        #expect(lines.contains("via: 1.0 before, 1.1 edge"))
    }

    @Test(arguments: [true, false])
    func aStrangersRequestIDIsKeptByChoice(keeps: Bool) throws {
        let rig = try rig { $0.forwarding.keepsRequestID = keeps }
        let ids = lines(rig, "x-request-id: mine\r\n").filter { $0.hasPrefix("x-request-id:") }
        #expect(ids.count == 1)
        #expect((ids == ["x-request-id: mine"]) == keeps)
    }

    /// Lists with the client they name at so many hops, or by trusted prefixes; `nil`: the peer.
    @Test(arguments: [
        (1, "198.51.100.1, 203.0.113.9", "203.0.113.9"),
        (2, "198.51.100.1, 203.0.113.9", "198.51.100.1"),
        (3, "198.51.100.1, 203.0.113.9", nil),
        (1, "198.51.100.1, nobody", nil),
        (1, "[2001:db8::1]:443", "2001:db8::1"),
        (1, "203.0.113.9:1234", "203.0.113.9"),
        (1, "", nil),
        (0, "198.51.100.1, 203.0.113.9, 127.0.0.2", "203.0.113.9"),
        (0, "127.0.0.3, 127.0.0.2", "127.0.0.3"),
    ])
    func theClientIsTheOneThatTrustedProxiesName(
        hops: Int,
        list: String,
        expected: String?
    ) throws {
        let path = "/tmp/martlet-forwarding-\(UInt64.random(in: 0...UInt64.max))"
        let writer = try LogWriter(path: path, workerCount: 1)
        defer { _ = try? FileSystem.remove(path) }
        let rig = try EngineRig(log: writer.rings[0])
        var settings = ListenerSettings()
        settings.forwarding.trustedHops = hops
        if hops == 0 {
            settings.forwarding.trustedPrefixes = [IPPrefix("127.0.0.0/8")].compactMap(\.self)
        }
        rig.install(clusters: [[0]], listenerSettings: settings)
        let client = rig.connect(
            sending: "GET / HTTP/1.1\r\nhost: h\r\nx-forwarded-for: \(list)\r\n\r\n"
        )
        rig.answer()
        #expect(rig.status(client) == "200")
        rig.pass(seconds: 2)
        writer.stop()
        let text = String(decoding: try FileSystem.read(path, byteLimit: 65_536), as: UTF8.self)
        let named = expected.flatMap { IPAddress($0) }
        let shown = try #require(text.firstRange(of: "\"downstream_remote_address\":\""))
        let address = text[shown.upperBound...].prefix { $0 != "\"" }
        if let named {
            #expect(address.hasSuffix(":0"), "the client's port is not known")
            #expect(SocketAddress(String(address))?.ip == named, "\(address)")
        } else {
            #expect(address.hasPrefix("127.0.0.1:") && !address.hasSuffix(":0"))
        }
    }

    // MARK: Names and hops

    @Test(arguments: UnderscoreRule.allCases)
    func namesWithAnUnderscoreFollowTheListenersRule(rule: UnderscoreRule) throws {
        let rig = try rig { $0.underscores = rule }
        let client = rig.connect(
            sending: "GET / HTTP/1.1\r\nhost: h\r\nx_forwarded_for: 1\r\nx-kept: a_b\r\n\r\n"
        )
        switch rule {
        case .keep: #expect(rig.forwarded().contains("x_forwarded_for: 1\r\n"))
        case .drop:
            #expect(!rig.forwarded().contains("x_forwarded_for"))
            #expect(rig.forwarded().contains("x-kept: a_b\r\n"))
        case .reject:
            #expect(rig.status(client) == "400")
            #expect(rig.forwarded().isEmpty)
        }
    }

    @Test(arguments: [false, true])
    func connectionTakesOutWhatTheClientSentAndNothingOfTheProxys(hasPolicy: Bool) throws {
        let rig = try rig {
            if hasPolicy {
                $0.forwarding.trustedHops = 1
                $0.forwarding.viaName = "edge"
            }
        }
        let lines = lines(
            rig,
            "connection: close, x-forwarded-for, x-forwarded-proto, x-request-id, via, x-own\r\n"
                + "x-forwarded-for: 203.0.113.9\r\nx-request-id: mine\r\nx-own: 1\r\nkeep-alive: 1\r\n"
                + "te: gzip\r\nproxy-connection: x\r\n"
        )
        #expect(lines.contains("x-forwarded-for: 127.0.0.1"))
        #expect(lines.contains("x-forwarded-proto: http"))
        #expect(lines.count { $0.hasPrefix("x-request-id: ") && $0 != "x-request-id: mine" } == 1)
        #expect(lines.contains("via: 1.1 edge") == hasPolicy)
        for name in ["connection", "x-own", "keep-alive", "te", "proxy-connection"] {
            #expect(!lines.contains { $0.hasPrefix("\(name):") }, "\(name)")
        }
    }

    @Test(arguments: [0, 1])
    func theHashOfTheSourceIsThatOfTheClientWhoIsBelieved(trustedHops: Int) throws {
        let rig = try EngineRig(endpointCount: 8)
        var backend = BackendSettings()
        backend.balancing.algorithm = .maglev
        backend.balancing.hashKeys = [.source]
        var listener = ListenerSettings()
        listener.forwarding.trustedHops = trustedHops
        rig.install(clusters: [Array(0..<8)], settings: backend, listenerSettings: listener)
        var chosen: [[Int]] = []
        for _ in 0..<2 {
            chosen.append(
                (1...12).map {
                    rig.ask(EngineRig.get("/", "x-forwarded-for: 203.0.113.\($0)")).endpoint
                }
            )
        }
        #expect(chosen[0] == chosen[1], "a client stays where it is")
        #expect((Set(chosen[0]).count > 1) == (trustedHops == 1))
    }
}
