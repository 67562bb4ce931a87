import Addressing
import MeshModel
import TestSupport
import Testing

@testable import DataPlane

/// nginx and HAProxy behind the proxy, and in front of it.
@Suite(.serialized) struct FrontAndUpstreamTests {
    enum Kind: String, CaseIterable, Sendable {
        case nginx
        case haproxy

        /// The program's name, as the shell finds it.
        var command: String {
            switch self {
            case .nginx: "/usr/sbin/nginx -p . -c nginx.conf -g \"daemon off;\""
            case .haproxy: "/usr/sbin/haproxy -db -f haproxy.cfg"
            }
        }

        var file: String { self == .nginx ? "nginx.conf" : "haproxy.cfg" }

        /// A server that answers with the forwarding fields it has got.
        func upstream(_ port: UInt16) -> String {
            switch self {
            case .nginx:
                """
                worker_processes 1; pid nginx.pid; error_log stderr warn;
                events { worker_connections 64; }
                http {
                    access_log off; client_body_temp_path body; proxy_temp_path proxy;
                    fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;
                    server {
                        listen 127.0.0.1:\(port);
                        location / {
                            return 200 "$request_method $request_uri $http_x_forwarded_for";
                        }
                    }
                }
                """
            case .haproxy:
                """
                defaults
                    mode http
                    timeout client 5s
                    timeout server 5s
                    timeout connect 5s
                frontend all
                    bind 127.0.0.1:\(port)
                    http-request return status 200 content-type text/plain \
                lf-string "%[method] %[pathq] %[hdr(x-forwarded-for)]"

                """
            }
        }

        /// A proxy in front.
        func front(_ port: UInt16, to target: UInt16) -> String {
            switch self {
            case .nginx:
                """
                worker_processes 1; pid nginx.pid; error_log stderr warn;
                events { worker_connections 64; }
                http {
                    access_log off; client_body_temp_path body; proxy_temp_path proxy;
                    fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;
                    upstream martlet { server 127.0.0.1:\(target); keepalive 4; }
                    server {
                        listen 127.0.0.1:\(port);
                        location / {
                            proxy_pass http://martlet;
                            proxy_http_version 1.1;
                            proxy_set_header Connection "";
                            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
                        }
                    }
                }
                """
            case .haproxy:
                """
                defaults
                    mode http
                    timeout client 5s
                    timeout server 5s
                    timeout connect 5s
                frontend all
                    bind 127.0.0.1:\(port)
                    option forwardfor
                    default_backend martlet
                backend martlet
                    server one 127.0.0.1:\(target)

                """
            }
        }
    }

    @Test(arguments: Kind.allCases)
    func asAnUpstreamItIsSpokenToOverKeptConnections(kind: Kind) throws {
        var peer = try PeerProcess(kind.rawValue)
        let port = try PeerProcess.freePort()
        try peer.write(kind.file, kind.upstream(port))
        peer.start(kind.command)
        try #require(PeerProcess.waits(for: port), "\(peer.read("out"))")
        let rig = try SocketRig(endpoint: SocketAddress(.loopbackIPv4, port))
        let client = try rig.connect(sending: "")
        for number in 0..<20 {
            rig.send(
                client,
                Array(
                    "GET /a\(number)?b=1 HTTP/1.1\r\nhost: h\r\nconnection: x-forwarded-for\r\n\r\n"
                        .utf8
                )
            )
            let body = "GET /a\(number)?b=1 127.0.0.1"
            #expect(rig.run { rig.text(client).hasSuffix("\r\n\r\n\(body)") })
            #expect(rig.status(client) == "200")
            _ = rig.take(client)
        }
        #expect(rig.proxy.counters[.upstreamConnections] == 1)
    }

    @Test(arguments: Kind.allCases)
    func asAFrontItIsBelievedAndServed(kind: Kind) throws {
        var settings = ListenerSettings()
        settings.forwarding.trustedHops = 1
        let rig = try SocketRig(settings: settings)
        var peer = try PeerProcess(kind.rawValue)
        let port = try PeerProcess.freePort()
        try peer.write(kind.file, kind.front(port, to: rig.front.port))
        peer.start(kind.command)
        try #require(PeerProcess.waits(for: port), "\(peer.read("out"))")
        peer.start(
            "/usr/bin/curl -s -m 20 -w \"%{http_code}.\" -o body http://127.0.0.1:\(port)/[1-20] "
                + "-H \"x-forwarded-for: 203.0.113.9\""
        )
        rig.run(seconds: 20) { peer.read("out").count(where: { $0 == "." }) >= 20 }
        #expect(peer.read("out") == String(repeating: "200.", count: 20))
        #expect(rig.heads.count == 20)
        for head in rig.heads {
            let list = head.lowercased().split(separator: "\r\n").filter {
                $0.hasPrefix("x-forwarded-for: ")
            }
            #expect(list == ["x-forwarded-for: 203.0.113.9, 127.0.0.1, 127.0.0.1"])
        }
    }
}
