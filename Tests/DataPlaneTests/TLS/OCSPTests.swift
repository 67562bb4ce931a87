import LinuxSystem
import MeshModel
import TestSupport
import Testing

@testable import DataPlane

/// What of an authority's responses (RFC 6960), made by `openssl ocsp`, is stapled: `OCSPStaple`.
@Suite(.serialized) struct OCSPTests {
    private static let isStapled = "OCSP Response Status: successful"
    private static let isNotStapled = "OCSP response: no response sent"
    private static let name = "shop/gateway/l0"

    private let shop: TLSWorkshop

    init() throws {
        shop = try TLSWorkshop()
        shop.issue("a", "DNS:a.example")
    }

    /// The certificate `a`, with its authority's behind it.
    private var chained: Certificate {
        Certificate(
            key: ObjectKey(.secret, namespace: "shop", name: "a"),
            chainPEM: shop.bytes("a.crt") + shop.bytes("ca.crt"),
            keyPEM: shop.bytes("a.key")
        )
    }

    private func listener(
        _ certificate: Certificate,
        _ response: [UInt8],
        isRequired: Bool = false
    ) -> TLSListener {
        TLSWorkshop.listener(0, "", [certificate]) {
            $0.tls.ocspResponse = response
            $0.tls.requiresStaple = isRequired
        }
    }

    private func rig(_ outcome: TLSHostCompiler.Outcome) throws -> SocketRig {
        try SocketRig(tls: outcome.tables[0])
    }

    /// What a client that asks for a response, and verifies it, sees.
    private func seen(_ rig: SocketRig, _ more: String = "-status") -> String {
        let trust = "-CAfile \(shop.path("ca.crt")) -verify_return_error"
        return rig.client("a.example", "\(trust) \(more)", asking: "a.example")
    }

    @Test(arguments: ["-tls1_3", "-tls1_2"], [false, true])
    func aGoodResponseIsStapledToWhoAsks(version: String, isRequired: Bool) throws {
        let response = try shop.response(about: "a")
        let outcome = shop.compile([listener(chained, response, isRequired: isRequired)])
        #expect(outcome.listenerFaults.isEmpty)
        let rig = try rig(outcome)
        let text = seen(rig, "-status \(version)")
        #expect(text.contains(Self.isStapled) && text.contains("Cert Status: good"), "\(text)")
        #expect(text.contains("200 OK") && text.contains("Verify return code: 0 (ok)"), "\(text)")
        let other = seen(rig, version)
        #expect(other.contains("200 OK") && !other.contains("OCSP response"), "\(other)")
    }

    @Test func aResponderOfTheAuthoritysChoiceMaySign() throws {
        shop.issue("responder", "DNS:ocsp.example", extensions: ["extendedKeyUsage=OCSPSigning"])
        let response = try shop.response(about: "a", signer: "responder")
        let outcome = shop.compile([listener(chained, response)])
        #expect(outcome.listenerFaults.isEmpty)
        #expect(seen(try rig(outcome)).contains(Self.isStapled))
    }

    @Test(arguments: [
        ("revoked", "the certificate is revoked"), ("unknown", "does not know the certificate"),
        ("stale", "its time has passed"),
    ])
    func whatDoesNotSayGoodIsLeftOutAndTold(kind: String, reason: String) throws {
        let response = try shop.response(about: "a", kind)
        let outcome = shop.compile([listener(chained, response)])
        #expect(outcome.listenerFaults[Self.name]?.contains(reason) == true)
        let text = seen(try rig(outcome))
        #expect(text.contains(Self.isNotStapled) && text.contains("200 OK"), "\(text)")
        let strict = shop.compile([listener(chained, response, isRequired: true)])
        for more in ["-status", ""] {
            let refused = seen(try rig(strict), more)
            #expect(refused.contains("alert internal error"), "\(refused)")
            #expect(!refused.contains("200 OK"))
        }
    }

    /// Responses that cannot be about the certificate, with what is told.
    static let foreign: [(String, String)] = [
        ("another certificate", "is about none of the listener's certificates"),
        ("another authority's of the same number", "is about none of the listener's certificates"),
        ("a stranger's signature", "is not signed by the certificate's authority"),
        ("a leaf's signature", "is not signed by the certificate's authority"),
        ("a time to come", "begins in"),
        ("an error", "expected a successful one"),
        ("half of one", "expected DER"),
    ]

    private func response(_ kind: String) throws -> [UInt8] {
        switch kind {
        case "another certificate":
            shop.issue("b", "DNS:b.example")
            return try shop.response(about: "b")
        case "another authority's of the same number":
            shop.authority("other", "/CN=other")
            let number = "-set_serial 0x\(try shop.serial(of: "a")) -days 30"
            shop.issue("c", "DNS:a.example", more: number, by: "other")
            return try shop.response(about: "c", by: "other", signer: "other")
        case "a stranger's signature":
            // Of the same name, with another key.
            shop.authority("forger", "/CN=authority")
            return try shop.response(about: "a", signer: "forger")
        case "a leaf's signature":
            shop.issue("leaf", "DNS:leaf.example")
            return try shop.response(about: "a", signer: "leaf")
        case "a time to come": return try shop.response(about: "a", "ahead")
        case "an error": return [0x30, 0x03, 0x0a, 0x01, 0x06]
        default: return Array(try shop.response(about: "a").dropLast(40))
        }
    }

    @Test(arguments: foreign)
    func aForeignResponseIsRefusedAndTheLastGoodOneGoesOn(kind: String, reason: String) throws {
        let good = try shop.response(about: "a")
        let first = shop.compile([listener(chained, good)])
        let before = try #require(first.tables[0]?.fallback?.context)
        let second = shop.compile([listener(chained, try response(kind))])
        let fault = try #require(second.listenerFaults[Self.name])
        #expect(fault.contains("OCSP response: ") && fault.contains(reason), "\(fault)")
        #expect(second.tables[0]?.fallback?.context === before)
        #expect(seen(try rig(second)).contains(Self.isStapled))
    }

    @Test func aResponseIsStapledToItsOwnCertificateAlone() throws {
        shop.issue("rsa", "DNS:a.example", key: "rsa:2048")
        let response = try shop.response(about: "a")
        let wish = TLSWorkshop.listener(0, "", [chained, shop.certificate("rsa")]) {
            $0.tls.ocspResponse = response
        }
        let rig = try rig(shop.compile([wish]))
        let ciphers = "-status -tls1_2 -cipher"
        let own = seen(rig, "\(ciphers) ECDHE-ECDSA-AES128-GCM-SHA256")
        #expect(own.contains(Self.isStapled), "\(own)")
        let other = seen(rig, "\(ciphers) ECDHE-RSA-AES128-GCM-SHA256")
        #expect(other.contains(Self.isNotStapled) && other.contains("200 OK"), "\(other)")
    }

    @Test func aCertificateThatMustBeStapledIsNotShownBareToWhoAsks() throws {
        let must = shop.issue("a", "DNS:a.example", extensions: ["tlsfeature=status_request"])
        let bare = shop.compile([listener(must, [])])
        #expect(bare.listenerFaults[Self.name]?.contains("must be stapled") == true)
        #expect(seen(try rig(bare)).contains("alert"))
        #expect(seen(try rig(bare), "").contains("200 OK"), "who does not ask cannot tell")
        let revoked = shop.compile([listener(must, try shop.response(about: "a", "revoked"))])
        #expect(revoked.listenerFaults[Self.name]?.contains("revoked") == true)
        #expect(!seen(try rig(revoked)).contains("200 OK"))
        let good = shop.compile([listener(must, try shop.response(about: "a"))])
        #expect(good.listenerFaults.isEmpty)
        let text = seen(try rig(good))
        #expect(text.contains(Self.isStapled) && text.contains("200 OK"), "\(text)")
    }
}

extension TLSWorkshop {
    /// A certificate's serial number, hexadecimal.
    func serial(of name: String) throws -> String {
        let line = Command.run("openssl x509 -in \(path(name)).crt -noout -serial").output
        return String(try #require(line.split(separator: "=").last).filter(\.isHexDigit))
    }

    /// An authority's response about a certificate.
    ///
    /// - Parameters:
    ///   - kind: `good`, `revoked` or `unknown`; `stale` and `ahead` for good at another time.
    ///   - signer: whose key signs it.
    func response(
        about name: String,
        _ kind: String = "good",
        by authority: String = "ca",
        signer: String = "ca"
    ) throws -> [UInt8] {
        let (file, index) = (path("response.der"), path("index.txt"))
        try FileSystem.replace(file, with: [])
        let isTimed = kind == "stale" || kind == "ahead"
        let made =
            isTimed
            ? timed(name, hours: kind == "stale" ? -48 : 48, file)
            : try byOpenSSL(name, kind, authority, signer, index, file)
        #expect(made.status == 0, "\(made.output)")
        return bytes("response.der")
    }

    private func byOpenSSL(
        _ name: String,
        _ kind: String,
        _ authority: String,
        _ signer: String,
        _ index: String,
        _ file: String
    ) throws -> Command.Outcome {
        let serial = try serial(of: name)
        let known: [String: String] = [
            "good": "V\t400101000000Z\t\t\(serial)\tunknown\t/CN=\(name)\n",
            "revoked": "R\t400101000000Z\t260101000000Z\t\(serial)\tunknown\t/CN=\(name)\n",
        ]
        try FileSystem.replace(index, with: Array((known[kind] ?? "").utf8))
        return Command.run(
            "openssl ocsp -index \(index) -rsigner \(path(signer)).crt -rkey \(path(signer)).key "
                + "-CA \(path(authority)).crt -issuer \(path(authority)).crt -serial 0x\(serial) "
                + "-ndays 1 -respout \(file)"
        )
    }

    /// A good response whose day began so many hours from now: `openssl ocsp` knows only now.
    private func timed(_ name: String, hours: Int, _ file: String) -> Command.Outcome {
        let program = """
            import datetime, sys
            from cryptography import x509
            from cryptography.x509 import ocsp
            from cryptography.hazmat.primitives import hashes, serialization
            leaf, issuer, key, out, hours = sys.argv[1:]
            load = lambda path: x509.load_pem_x509_certificate(open(path, "rb").read())
            start = datetime.datetime.utcnow() + datetime.timedelta(hours=int(hours))
            made = ocsp.OCSPResponseBuilder().add_response(
                load(leaf), load(issuer), hashes.SHA1(), ocsp.OCSPCertStatus.GOOD, start,
                start + datetime.timedelta(days=1), None, None
            ).responder_id(ocsp.OCSPResponderEncoding.NAME, load(issuer)).sign(
                serialization.load_pem_private_key(open(key, "rb").read(), None), hashes.SHA256())
            open(out, "wb").write(made.public_bytes(serialization.Encoding.DER))
            """
        try? FileSystem.replace(path("timed.py"), with: Array(program.utf8))
        return Command.run(
            "/usr/bin/python3 \(path("timed.py")) \(path(name)).crt \(path("ca.crt")) "
                + "\(path("ca.key")) \(file) \(hours)"
        )
    }
}
