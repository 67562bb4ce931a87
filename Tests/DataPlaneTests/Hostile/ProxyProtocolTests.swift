import Addressing
import LinuxSystem
import MeshModel
import TestSupport
import Testing

@testable import DataPlane

/// The PROXY protocol in front of clients' connections, over real sockets, with haproxy and curl as
/// peers, and with peers that may not send a header or send none that is one.
@Suite(.serialized) struct ProxyProtocolTests {
    private func settings(
        _ acceptance: ProxyProtocolSettings.Acceptance,
        trusting prefix: String = "127.0.0.0/8"
    ) throws -> ListenerSettings {
        var settings = ListenerSettings()
        settings.proxyProtocol.acceptance = acceptance
        settings.proxyProtocol.trustedPrefixes = [try #require(IPPrefix(prefix))]
        return settings
    }

    private func table() throws -> TLSHostTable {
        let context = try TLSContext.server(
            chainPEM: Array(TLSFixtures.firstChain.utf8),
            keyPEM: Array(TLSFixtures.firstKey.utf8)
        )
        return TLSHostTable([(.any, context)])
    }

    private static let line = Array("PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n".utf8)
    private static let get = Array("GET / HTTP/1.1\r\nhost: h\r\n\r\n".utf8)

    private func forwardedFor(_ rig: SocketRig) -> [String] {
        rig.heads.map { head in
            head.lowercased().split(separator: "\r\n").first { $0.hasPrefix("x-forwarded-for: ") }
                .map(String.init) ?? ""
        }
    }

    static let headers: [(String, [UInt8])] = [
        ("version 1", line),
        (
            "version 2",
            ProxyHeader(
                ends: ProxyHeader.Ends(
                    source: SocketAddress(IPAddress(192, 0, 2, 7), 56_324),
                    destination: SocketAddress(IPAddress(198, 51, 100, 1), 443)
                )
            ).bytes(version: 2)
        ),
    ]

    @Test(arguments: headers, [ProxyProtocolSettings.Acceptance.required, .optional])
    func theClientIsTheOneThatATrustedPeerNames(
        header: (name: String, bytes: [UInt8]),
        acceptance: ProxyProtocolSettings.Acceptance
    ) throws {
        var settings = try settings(acceptance)
        settings.forwarding.addsHost = true
        let rig = try SocketRig(settings: settings)
        let fd = try rig.connect(sending: header.bytes + ProxyProtocolTests.get)
        #expect(rig.run { rig.status(fd) == "200" })
        // The header is for the connection, not for each request.
        _ = rig.take(fd)
        rig.send(fd, ProxyProtocolTests.get)
        #expect(rig.run { rig.status(fd) == "200" })
        #expect(forwardedFor(rig) == ["x-forwarded-for: 192.0.2.7", "x-forwarded-for: 192.0.2.7"])
        #expect(rig.heads.allSatisfy { $0.contains("x-forwarded-port: 443\r\n") })
        #expect(rig.proxy.counters[.proxyHeaders] == 1)
    }

    @Test(arguments: [false, true])
    func aHeaderMayComeByteByByteAndBeforeTLS(isTLS: Bool) throws {
        let rig = try SocketRig(
            tls: isTLS ? try table() : nil,
            settings: try settings(.required)
        )
        let fd = try rig.connect(sending: [])
        for byte in ProxyProtocolTests.line { rig.send(fd, [byte]) }
        guard isTLS else {
            rig.send(fd, ProxyProtocolTests.get)
            #expect(rig.run { rig.status(fd) == "200" })
            #expect(forwardedFor(rig) == ["x-forwarded-for: 192.0.2.7"])
            return
        }
        let context = try TLSContext.client(authoritiesPEM: Array(TLSFixtures.authority.utf8))
        let tls = try #require(TLSClient(context, serverName: "first.example", isAddress: false))
        rig.send(fd, try tls.start())
        var text = ""
        var hasAsked = false
        let isServed = rig.run {
            let bytes = rig.take(fd)
            guard !bytes.isEmpty, let step = bytes.withRawSpan({ try? tls.receive($0) }) else {
                return false
            }
            text += String(decoding: step.plaintext, as: UTF8.self)
            if !step.output.isEmpty { rig.send(fd, step.output) }
            if tls.isEstablished && !hasAsked {
                hasAsked = true
                rig.send(fd, ProxyProtocolTests.get.withRawSpan { (try? tls.send($0)) ?? [] })
            }
            return text.hasSuffix("\r\n\r\nok")
        }
        #expect(isServed)
        #expect(forwardedFor(rig) == ["x-forwarded-for: 192.0.2.7"])
    }

    @Test func aProxyThatSpeaksForItselfIsTheClient() throws {
        for bytes in [
            ProxyHeader(ends: nil).bytes(version: 2), ProxyHeader(ends: nil).bytes(version: 1),
        ] {
            let rig = try SocketRig(settings: try settings(.required))
            let fd = try rig.connect(sending: bytes + ProxyProtocolTests.get)
            #expect(rig.run { rig.status(fd) == "200" })
            #expect(forwardedFor(rig) == ["x-forwarded-for: 127.0.0.1"])
        }
    }

    @Test func whereItIsOptionalAConnectionMayBeginWithoutIt() throws {
        for trusted in ["127.0.0.0/8", "203.0.113.0/24"] {
            let rig = try SocketRig(settings: try settings(.optional, trusting: trusted))
            let fd = try rig.connect(sending: ProxyProtocolTests.get)
            #expect(rig.run { rig.status(fd) == "200" })
            #expect(forwardedFor(rig) == ["x-forwarded-for: 127.0.0.1"])
            #expect(rig.proxy.counters[.proxyHeaders] == 0)
        }
    }

    static let hostile: [(String, ProxyProtocolSettings.Acceptance, String, [UInt8])] = [
        ("a stranger's header", .optional, "203.0.113.0/24", line + get),
        ("a stranger where one must come", .required, "203.0.113.0/24", line + get),
        ("no header where one must come", .required, "127.0.0.0/8", get),
        ("a broken line", .required, "127.0.0.0/8", Array("PROXY TCP4 a b c d\r\n".utf8) + get),
        ("a broken line, optional", .optional, "127.0.0.0/8", Array("PROXY x\r\n".utf8) + get),
        (
            "a line without end", .required, "127.0.0.0/8",
            Array("PROXY UNKNOWN ".utf8) + [UInt8](repeating: 120, count: 500)
        ),
        (
            "a checksum of other bytes", .required, "127.0.0.0/8",
            ProxyHeader.signature + [0x21, 0x11, 0, 19, 192, 0, 2, 1, 198, 51, 100, 1, 1, 1, 1, 1]
                + [3, 0, 4, 1, 2, 3, 4] + get
        ),
        (
            "a block of 64 KiB", .required, "127.0.0.0/8",
            ProxyHeader.signature + [0x20, 0, 255, 255] + [UInt8](repeating: 0, count: 65_535)
        ),
    ]

    @Test(arguments: hostile)
    func whatMayNotBeginAConnectionResetsIt(
        name: String,
        acceptance: ProxyProtocolSettings.Acceptance,
        trusted: String,
        bytes: [UInt8]
    ) throws {
        let rig = try SocketRig(settings: try settings(acceptance, trusting: trusted))
        let fd = try rig.connect(sending: bytes)
        #expect(rig.run { rig.ended.contains(fd) })
        #expect(rig.text(fd) == "" && rig.heads.isEmpty)
        #expect(rig.proxy.counters[.proxyHeadersRefused] == 1)
        #expect(rig.proxy.activeCount == 0 && rig.proxy.proxiedConnections.isEmpty)
    }

    @Test func aHeaderThatDoesNotEndInTimeEndsTheConnection() throws {
        var limits = EngineLimits()
        limits.proxyHeaderTimeout = .milliseconds(200)
        let rig = try SocketRig(limits: limits, settings: try settings(.required))
        let silent = try rig.connect(sending: [])
        let slow = try rig.connect(sending: Array("PROXY TCP4 192.".utf8))
        let honest = try rig.connect(sending: ProxyProtocolTests.line + ProxyProtocolTests.get)
        #expect(rig.run { rig.ended.contains(silent) && rig.ended.contains(slow) })
        #expect(rig.status(honest) == "200" && !rig.ended.contains(honest))
        #expect(rig.proxy.counters[.proxyHeaderTimeouts] == 2)
    }

    @Test func aRequestsConnectionsAreBoundedByTheClientsThatAreNamed() throws {
        var settings = try settings(.required)
        settings.limits.connectionsPerSource = 1
        let rig = try SocketRig(settings: settings)
        let other = Array("PROXY TCP4 192.0.2.8 198.51.100.1 56324 443\r\n".utf8)
        let first = try rig.connect(sending: ProxyProtocolTests.line + ProxyProtocolTests.get)
        let second = try rig.connect(sending: other + ProxyProtocolTests.get)
        let third = try rig.connect(sending: ProxyProtocolTests.line + ProxyProtocolTests.get)
        #expect(rig.run { rig.ended.contains(third) })
        #expect(rig.status(first) == "200" && rig.status(second) == "200")
        #expect(rig.proxy.counters[.sourceConnectionLimitHits] == 1)
        rig.hangUp(first)
        let fourth = try rig.connect(sending: ProxyProtocolTests.line + ProxyProtocolTests.get)
        #expect(rig.run { rig.status(fourth) == "200" })
    }

    /// A filter that asks for its source to be blocked, and says what it saw.
    private final class Blocker: Filter {
        private(set) var verdicts: [BlockVerdict] = []
        private(set) var seen: [(peer: IPAddress, client: IPAddress)] = []

        init() { super.init(name: "blocker", phases: []) }

        override func protocolAbuse(_ context: FilterContext) {
            seen.append((context.peer.ip, context.clientAddress))
            verdicts.append(
                context.block(for: .seconds(5), reason: "r", owner: .operator, dryRun: false)
            )
        }
    }

    @Test func nobodyIsBlockedForAClientThatAHeaderNamed() throws {
        for isNamed in [true, false] {
            let blocker = Blocker()
            let rig = try SocketRig(settings: try settings(.optional), listener: blocker)
            var asked: [BlockRequest] = []
            rig.proxy.blockSink = { request in
                asked.append(request)
                return .granted
            }
            let bad = Array("GET / HTTP/1.1\r\nhost: h\r\nbad header\r\n\r\n".utf8)
            let fd = try rig.connect(sending: (isNamed ? ProxyProtocolTests.line : []) + bad)
            #expect(rig.run { !blocker.verdicts.isEmpty })
            #expect(rig.status(fd) == "400")
            #expect(blocker.verdicts == [isNamed ? .refused(.proxied) : .granted])
            #expect(blocker.seen.map(\.peer) == [.loopbackIPv4])
            let client = isNamed ? IPAddress(192, 0, 2, 7) : .loopbackIPv4
            #expect(blocker.seen.map(\.client) == [client])
            #expect(asked.map(\.source) == (isNamed ? [] : [.loopbackIPv4]))
        }
    }

    @Test(arguments: ["send-proxy", "send-proxy-v2", "send-proxy-v2 crc32c on"])
    func haproxyNamesItsClients(option: String) throws {
        let rig = try SocketRig(settings: try settings(.required))
        var peer = try PeerProcess("haproxy")
        let port = try PeerProcess.freePort()
        let options = option.split(separator: " ")
        let server =
            options.count == 1
            ? "\(options[0])" : "send-proxy-v2 proxy-v2-options crc32c,unique-id"
        try peer.write(
            "haproxy.cfg",
            """
            defaults
                mode http
                timeout client 5s
                timeout server 5s
                timeout connect 5s
            frontend all
                bind 127.0.0.1:\(port)
                default_backend martlet
            backend martlet
                server one 127.0.0.1:\(rig.front.port) \(server)

            """
        )
        peer.start("/usr/sbin/haproxy -db -f haproxy.cfg")
        try #require(PeerProcess.waits(for: port), "\(peer.read("out"))")
        let outcome = rig.serve(
            "/usr/bin/curl -s -m 10 --interface 127.0.0.9 http://127.0.0.1:\(port)/[1-3]"
        )
        #expect(outcome.output == "okokok", "\(outcome) \(peer.read("out"))")
        let wanted = "x-forwarded-for: 127.0.0.9"
        #expect(forwardedFor(rig) == [wanted, wanted, wanted])
        #expect(rig.proxy.counters[.proxyHeadersRefused] == 0)
    }

    @Test(arguments: [UInt8(1), 2])
    func nginxHearsOfClientsBehindTheProxy(version: UInt8) throws {
        var peer = try PeerProcess("nginx")
        let port = try PeerProcess.freePort()
        try peer.write(
            "nginx.conf",
            """
            worker_processes 1; pid nginx.pid; error_log stderr warn;
            events { worker_connections 64; }
            http {
                access_log off; client_body_temp_path body; proxy_temp_path proxy;
                fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;
                server {
                    listen 127.0.0.1:\(port) proxy_protocol;
                    location / { return 200 "$proxy_protocol_addr $connection_requests;"; }
                }
            }
            """
        )
        peer.start("/usr/sbin/nginx -p . -c nginx.conf -g \"daemon off;\"")
        try #require(PeerProcess.waits(for: port), "\(peer.read("out"))")
        var backend = BackendSettings()
        backend.proxyProtocolVersion = version
        let rig = try SocketRig(
            endpoint: SocketAddress(.loopbackIPv4, port),
            settings: try settings(.optional),
            backend: backend
        )
        let ask = "/usr/bin/curl -s -m 10 http://127.0.0.1:\(rig.front.port)/[1-2] --interface "
        #expect(rig.serve(ask + "127.0.0.8").output == "127.0.0.8 1;127.0.0.8 2;")
        #expect(rig.serve(ask + "127.0.0.9").output == "127.0.0.9 1;127.0.0.9 2;")
        // Who came by a header is handed on.
        let fd = try rig.connect(sending: ProxyProtocolTests.line + ProxyProtocolTests.get)
        #expect(rig.run { rig.text(fd).hasSuffix("\r\n\r\n192.0.2.7 1;") }, "\(rig.text(fd))")
    }

    @Test func curlNamesItself() throws {
        let rig = try SocketRig(settings: try settings(.required))
        let outcome = rig.serve(
            "/usr/bin/curl -s -m 10 --haproxy-protocol --interface 127.0.0.9 "
                + "http://127.0.0.1:\(rig.front.port)/"
        )
        #expect(outcome.output == "ok")
        #expect(forwardedFor(rig) == ["x-forwarded-for: 127.0.0.9"])
        #expect(rig.proxy.counters[.proxyHeaders] == 1)
    }
}
