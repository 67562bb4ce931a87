import MeshModel
import Testing

@testable import DataPlane

/// What a listener's TLS settings mean to clients, by `openssl s_client`.
@Suite(.serialized) struct TLSListenerTests {
    @Test func theCertificateIsThatOfTheNameAndOfTheKindOfKey() throws {
        let shop = try TLSWorkshop()
        let rig = try shop.rig([
            TLSWorkshop.listener(
                0,
                "",
                [
                    shop.issue("a-ec", "DNS:a.example"),
                    shop.issue("a-rsa", "DNS:a.example", key: "rsa:2048"),
                    shop.issue("wild", "DNS:*.w.example"),
                ]
            )
        ])
        let elliptic = rig.client("a.example", "-tls1_2 -cipher ECDHE-ECDSA-AES128-GCM-SHA256")
        #expect(elliptic.contains("CN = a-ec"), "\(elliptic)")
        let rsa = rig.client("a.example", "-tls1_2 -cipher ECDHE-RSA-AES128-GCM-SHA256")
        #expect(rsa.contains("CN = a-rsa"), "\(rsa)")
        #expect(rig.client("x.w.example").contains("CN = wild"))
        #expect(rig.client("other.example").contains("CN = a-ec"))
        #expect(rig.client("").contains("CN = a-ec"))
    }

    @Test func versionsCiphersGroupsAndProtocolsAreThoseOfTheListener() throws {
        let shop = try TLSWorkshop()
        let rig = try shop.rig([
            TLSWorkshop.listener(0, "old.example", [shop.issue("old", "DNS:old.example")]) {
                $0.tls.maximumVersion = .tls12
                $0.tls.ciphers = ["ECDHE-ECDSA-CHACHA20-POLY1305"]
                $0.tls.groups = ["P-384"]
                $0.tls.alpn = ["http/1.1"]
            },
            TLSWorkshop.listener(1, "new.example", [shop.issue("new", "DNS:new.example")]) {
                $0.tls.minimumVersion = .tls13
                $0.tls.ciphers = ["TLS_AES_256_GCM_SHA384"]
            },
        ])
        let old = rig.client("old.example", "-alpn h2,http/1.1 -groups P-256:P-384")
        #expect(old.contains("TLSv1.2, Cipher is ECDHE-ECDSA-CHACHA20-POLY1305"), "\(old)")
        #expect(old.contains("ALPN protocol: http/1.1"), "\(old)")
        #expect(old.contains("ECDH, secp384r1"), "\(old)")
        #expect(rig.client("old.example", "-groups P-256").contains("alert"))
        #expect(rig.client("old.example", "-alpn h2").contains("no application protocol"))
        let new = rig.client(
            "new.example",
            "-ciphersuites TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384"
        )
        #expect(new.contains("TLSv1.3, Cipher is TLS_AES_256_GCM_SHA384"), "\(new)")
        #expect(rig.client("new.example", "-tls1_2").contains("alert protocol version"))
    }

    @Test(arguments: ["-tls1_3", "-tls1_2"])
    func aClientIsWhoItsCertificateSays(version: String) throws {
        let shop = try TLSWorkshop()
        let server = shop.issue("server", "DNS:a.example,URI:spiffe://td/server")
        shop.issue("good", "DNS:client.example,URI:spiffe://td/ns/x/sa/y")
        shop.issue("wrong", "DNS:stranger.example")
        let rig = try shop.rig([
            TLSWorkshop.listener(0, "a.example", [server]) {
                $0.tls.clientCertificate = .required
                $0.tls.clientCAPEM = shop.bytes("ca.crt")
                $0.tls.clientNames = ["client.example"]
                $0.tls.forwardsClientCertificate = true
            }
        ])
        let pair = { (name: String) in "-cert \(shop.path(name)).crt -key \(shop.path(name)).key" }
        let served = rig.client("a.example", "\(version) \(pair("good"))", asking: "a.example")
        #expect(served.contains("200 OK"), "\(served)")
        let head = try #require(rig.heads.last)
        let line = try #require(
            head.split(separator: "\r\n").first { $0.hasPrefix("x-forwarded-client-cert: ") }
        )
        #expect(line.contains("By=spiffe://td/server;Hash="), "\(line)")
        #expect(line.contains(";Subject=\"CN=good,O=Shop\""), "\(line)")
        #expect(line.hasSuffix(";URI=spiffe://td/ns/x/sa/y;DNS=client.example"), "\(line)")
        for more in ["", pair("wrong")] {
            let refused = rig.client("a.example", "\(version) \(more)", asking: "a.example")
            #expect(refused.contains("alert") && !refused.contains("200 OK"), "\(refused)")
        }
        #expect(rig.heads.count == 1)
    }

    @Test func anOptionalCertificateMayBeAbsentButNotWrong() throws {
        let shop = try TLSWorkshop()
        let other = try TLSWorkshop()
        other.issue("stranger", "DNS:client.example")
        let settings = {
            (kind: ListenerTLSSettings.ClientCertificate, tls: inout ListenerSettings) in
            tls.tls.clientCertificate = kind
            tls.tls.clientCAPEM = shop.bytes("ca.crt")
            tls.tls.forwardsClientCertificate = true
        }
        let rig = try shop.rig([
            TLSWorkshop.listener(0, "a.example", [shop.issue("a", "DNS:a.example")]) {
                settings(.optional, &$0)
            },
            TLSWorkshop.listener(1, "b.example", [shop.issue("b", "DNS:b.example")]) {
                settings(.unverified, &$0)
            },
        ])
        let pair = "-cert \(other.path("stranger")).crt -key \(other.path("stranger")).key"
        #expect(rig.client("a.example", asking: "a.example").contains("200 OK"))
        #expect(!rig.client("a.example", pair, asking: "a.example").contains("200 OK"))
        #expect(rig.client("b.example", pair, asking: "b.example").contains("200 OK"))
        #expect(rig.heads.count == 2)
        #expect(!rig.heads.contains { $0.contains("x-forwarded-client-cert") })
    }

    @Test func aClientCertificateHeaderFromOutsideIsNeverPassedOn() throws {
        let shop = try TLSWorkshop()
        let rig = try shop.rig([
            TLSWorkshop.listener(0, "", [shop.issue("a", "DNS:a.example")])
        ])
        let request = "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Client-Cert: Hash=00\r\n\r\n"
        let plain = try SocketRig()
        let fd = try plain.connect(sending: request)
        #expect(plain.run { plain.text(fd).contains("200 OK") })
        let curl = rig.serve(
            "curl -sk --http2 -H x-forwarded-client-cert:Hash=00 https://\(rig.front)/"
        )
        #expect(curl.output == "ok")
        for head in plain.heads + rig.heads {
            #expect(!head.lowercased().contains("x-forwarded-client-cert"), "\(head)")
        }
        #expect(plain.heads.count + rig.heads.count == 2)
    }

    @Test func handshakesAreBoundedByListenerAndByNode() throws {
        let shop = try TLSWorkshop()
        let certificate = shop.issue("a", "DNS:a.example")
        let wish = TLSWorkshop.listener(0, "", [certificate]) { $0.tls.handshakeMax = 2 }
        let rig = try shop.rig([wish])
        let idle = try (0..<2).map { _ in try rig.connect(sending: "") }
        let third = try rig.connect(sending: "")
        #expect(rig.run { rig.ended.contains(third) })
        #expect(rig.proxy.counters[.handshakeLimitHits] == 1)
        rig.hangUp(idle[0])
        #expect(rig.client("a.example", asking: "a.example").contains("200 OK"))
        var limits = EngineLimits()
        limits.handshakeMax = 1
        let tight = try shop.rig([TLSWorkshop.listener(0, "", [certificate])], limits: limits)
        _ = try tight.connect(sending: "")
        let second = try tight.connect(sending: "")
        #expect(tight.run { tight.ended.contains(second) })
    }

    @Test func aListenersHandshakeTimeHoldsForIt() throws {
        let shop = try TLSWorkshop()
        let rig = try shop.rig([
            TLSWorkshop.listener(0, "", [shop.issue("a", "DNS:a.example")]) {
                $0.timeouts.handshake = .milliseconds(200)
            }
        ])
        let silent = try rig.connect(sending: "")
        #expect(rig.run { rig.ended.contains(silent) })
        #expect(rig.proxy.counters[.handshakeTimeouts] == 1)
    }
}
