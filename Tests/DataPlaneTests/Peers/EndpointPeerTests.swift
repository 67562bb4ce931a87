import Addressing
import LinuxSystem
import MeshModel
import TestSupport
import Testing

@testable import DataPlane

/// nghttpd, nginx and `openssl s_server` as endpoints by TLS and HTTP/2.
@Suite(.serialized) struct EndpointPeerTests {
    /// A server and how it is spoken to.
    enum Kind: CaseIterable, Sendable {
        case nghttpdCleartext
        case nghttpd
        case nginx
        case nginxHTTP1

        var isTLS: Bool { self != .nghttpdCleartext }
        var isHTTP2: Bool { self != .nginxHTTP1 }

        func command(_ port: UInt16) -> String {
            let server = "/usr/sbin/nghttpd -a 127.0.0.1 -d . --echo-upload -m 8"
            return switch self {
            case .nghttpdCleartext: "\(server) --no-tls --trailer \"x-end: 1\" \(port)"
            case .nghttpd: "\(server) --trailer \"x-end: 1\" \(port) server.key server.crt"
            case .nginx, .nginxHTTP1: "/usr/sbin/nginx -p . -c nginx.conf -g \"daemon off;\""
            }
        }

        func configuration(_ port: UInt16) -> String {
            """
            worker_processes 1; pid nginx.pid; error_log stderr warn;
            events { worker_connections 64; }
            http {
                access_log off; client_body_temp_path body; proxy_temp_path proxy;
                fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;
                server {
                    listen 127.0.0.1:\(port) ssl\(self == .nginx ? " http2" : "");
                    ssl_certificate server.crt; ssl_certificate_key server.key;
                    location / { root .; }
                    location /said { return 200 "$server_protocol $ssl_server_name $request_uri"; }
                }
            }
            """
        }
    }

    private final class Peer {
        var process: PeerProcess
        let authority: TestAuthority
        let port: UInt16

        init(_ name: String) throws {
            process = try PeerProcess(name)
            authority = TestAuthority(in: process.directory, name: "ca")
            port = try PeerProcess.freePort()
            _ = try authority.issue(
                "server",
                alternativeNames: "DNS:shop.example,URI:spiffe://mesh/shop,IP:127.0.0.1"
            )
        }

        func start(_ command: String) throws {
            process.start(command)
            try #require(PeerProcess.waits(for: port), "\(process.read("out"))")
        }

        var tls: BackendTLSSettings {
            var tls = BackendTLSSettings(host: "shop.example")
            tls.caPEM = Array(process.read("ca.crt").utf8)
            return tls
        }

        func rig(
            _ settings: BackendSettings,
            _ certificates: [ObjectKey: Certificate] = [:]
        ) throws -> SocketRig {
            try SocketRig(
                endpoint: SocketAddress(.loopbackIPv4, port),
                backend: settings,
                certificates: certificates
            )
        }
    }

    @Test(arguments: Kind.allCases)
    func bodiesOfAllSizesPassOverOneConnection(_ kind: Kind) throws {
        let peer = try Peer("endpoint")
        try peer.process.write("nginx.conf", kind.configuration(peer.port))
        Command.run("head -c 3000000 /dev/urandom > \(peer.process.directory)/big")
        Command.run("head -c 200000 /dev/urandom > \(peer.process.directory)/up")
        Command.run("chmod -R a+rX \(peer.process.directory)")
        try peer.start(kind.command(peer.port))
        var settings = BackendSettings()
        if kind.isTLS { settings.tls = peer.tls } else { settings.version = .http2 }
        let rig = try peer.rig(settings)
        let front = "http://127.0.0.1:\(rig.front.port)"
        let folder = peer.process.directory
        for version in ["--http1.1", "--http2-prior-knowledge"] {
            let got = rig.serve(
                "cd \(folder); curl -s -m 15 \(version) -o got -w %{http_code} \(front)/big && cmp got big"
            )
            #expect(got.output == "200", "\(version) \(got.output) \(peer.process.read("out"))")
            guard kind == .nghttpd || kind == .nghttpdCleartext else { continue }
            let sent = rig.serve(
                "cd \(folder); curl -s -m 15 \(version) -H Expect: --data-binary @up -o back "
                    + "-D heads -w %{http_code} \(front)/up && cmp up back"
            )
            #expect(sent.output == "200", "\(version) \(sent.output)")
        }
        #expect(rig.proxy.counters[.upstreamConnections] == 1)
        #expect(rig.proxy.counters[.upstreamHTTP2Sessions] == (kind.isHTTP2 ? 1 : 0))
        #expect(rig.proxy.counters[.upstreamTLSHandshakes] == (kind.isTLS ? 1 : 0))
        guard kind == .nginx || kind == .nginxHTTP1 else { return }
        let said = rig.serve("curl -s -m 5 \(front)/said?a=b").output
        #expect(said == "HTTP/\(kind.isHTTP2 ? "2.0" : "1.1") shop.example /said?a=b")
    }

    @Test func moreThanTheStreamsOfOneConnectionAreSpreadOverSeveral() throws {
        let peer = try Peer("streams")
        try peer.process.write("small", "hello")
        try peer.start(Kind.nghttpd.command(peer.port))
        var settings = BackendSettings()
        settings.tls = peer.tls
        let rig = try peer.rig(settings)
        let load = rig.serve(
            "h2load -n 2000 -c 4 -m 16 http://127.0.0.1:\(rig.front.port)/small"
        )
        #expect(load.output.contains("2000 succeeded, 0 failed"), "\(load.output)")
        let count = rig.proxy.counters[.upstreamConnections]
        #expect((2...16).contains(count), "\(count) connections for 64 streams, 8 each")
        #expect(rig.proxy.counters[.retries] == 0)
    }

    /// What is asked of the endpoint's certificate, and whether it is there.
    static let asked: [(String, [BackendTLSSettings.SubjectName], Bool)] = [
        ("shop.example", [], true),
        ("127.0.0.1", [], true),
        ("other.example", [], false),
        ("127.0.0.2", [], false),
        ("other.example", [.host("shop.example")], true),
        ("shop.example", [.host("other.example")], false),
        ("other.example", [.uri("spiffe://mesh/shop")], true),
        ("shop.example", [.uri("spiffe://mesh/shop/2")], false),
    ]

    @Test(arguments: asked)
    func theCertificateIsVerifiedByHostAddressAndNames(
        host: String,
        names: [BackendTLSSettings.SubjectName],
        isBelieved: Bool
    ) throws {
        let peer = try Peer("names")
        try peer.start(
            "openssl s_server -accept 127.0.0.1:\(peer.port) -cert server.crt -key server.key "
                + "-www -alpn http/1.1"
        )
        var settings = BackendSettings()
        var tls = peer.tls
        tls.host = host
        tls.names = names
        settings.tls = tls
        let rig = try peer.rig(settings)
        let code = rig.serve(
            "curl -s -m 10 -o /dev/null -w %{http_code} http://127.0.0.1:\(rig.front.port)/"
        ).output
        #expect(code == (isBelieved ? "200" : "503"))
        #expect((rig.proxy.counters[.upstreamCertificateErrors] == 0) == isBelieved)
    }

    @Test func anotherAuthoritysCertificateIsNotBelieved() throws {
        let peer = try Peer("authority")
        try peer.start(Kind.nghttpd.command(peer.port))
        var settings = BackendSettings()
        var tls = peer.tls
        let other = TestAuthority(in: peer.process.directory, name: "other")
        tls.caPEM = try FileSystem.read(other.certificate)
        settings.tls = tls
        for authorities in [tls.caPEM, []] {
            settings.tls?.caPEM = authorities
            let rig = try peer.rig(settings)
            let code = rig.serve(
                "curl -s -m 10 -o /dev/null -w %{http_code} http://127.0.0.1:\(rig.front.port)/"
            ).output
            #expect(code == "503" && rig.proxy.counters[.upstreamCertificateErrors] > 0)
        }
    }

    @Test(arguments: [true, false])
    func ourOwnCertificateIsShownWhereItIsAskedFor(_ isShown: Bool) throws {
        let peer = try Peer("client")
        let own = try peer.authority.issue("own", alternativeNames: "URI:spiffe://mesh/agent")
        try peer.start(
            "openssl s_server -accept 127.0.0.1:\(peer.port) -cert server.crt -key server.key "
                + "-www -alpn http/1.1 -Verify 1 -verify_return_error -CAfile ca.crt"
        )
        let key = ObjectKey(.secret, namespace: "ns", name: "own")
        var settings = BackendSettings()
        settings.tls = peer.tls
        if isShown { settings.tls?.certificate = key }
        let certificate = Certificate(
            key: key,
            chainPEM: try FileSystem.read(own.certificate),
            keyPEM: try FileSystem.read(own.key)
        )
        let rig = try peer.rig(settings, [key: certificate])
        let answer = rig.serve(
            "curl -s -m 10 -w %{http_code} http://127.0.0.1:\(rig.front.port)/"
        ).output
        #expect(answer.hasSuffix("200") == isShown, "\(answer)")
        #expect(answer.contains("URI:spiffe://mesh/agent") == isShown)
    }

    @Test func anEndpointOfTheOldestVersionOnlyIsRefusedWhereTheNewestIsAskedFor() throws {
        let peer = try Peer("version")
        try peer.start(
            "openssl s_server -accept 127.0.0.1:\(peer.port) -cert server.crt -key server.key "
                + "-www -alpn http/1.1 -tls1_2"
        )
        for (minimum, code) in [(ListenerTLSSettings.Version.tls12, "200"), (.tls13, "503")] {
            var settings = BackendSettings()
            settings.tls = peer.tls
            settings.tls?.minimumVersion = minimum
            let rig = try peer.rig(settings)
            let answer = rig.serve(
                "curl -s -m 10 -o /dev/null -w %{http_code} http://127.0.0.1:\(rig.front.port)/"
            ).output
            #expect(answer == code, "\(minimum)")
        }
    }
}
