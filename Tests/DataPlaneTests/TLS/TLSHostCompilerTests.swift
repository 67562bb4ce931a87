import LinuxSystem
import MeshModel
import TestSupport
import Testing

@testable import DataPlane

@Suite struct TLSHostCompilerTests {
    private func key(_ name: String) -> ObjectKey {
        ObjectKey(.secret, namespace: "shop", name: name)
    }

    @Test(arguments: [
        ("rsa:1024", "-days 30", "bits"),
        ("ec -pkeyopt ec_paramgen_curve:secp192k1", "-days 30", "bits"),
        ("rsa:2048", "-days 30 -sha1", "SHA1"),
        ("rsa:2048", "-days -1", "expired"),
    ])
    func whatIsWeakOrEndedIsRefusedAndTheLastGoodOneGoesOn(
        newKey: String,
        more: String,
        word: String
    ) throws {
        let shop = try TLSWorkshop()
        let good = shop.issue("good", "DNS:a.example")
        let first = shop.compile([TLSWorkshop.listener(0, "", [good])])
        let before = try #require(first.tables[0]?.fallback?.context)
        #expect(first.usable == [key("good")])
        shop.issue("bad", "DNS:a.example", key: newKey, more: more)
        let second = shop.compile([
            TLSWorkshop.listener(0, "", [shop.certificate("bad", as: "good")])
        ])
        let fault = try #require(second.certificateFaults[key("good")])
        #expect(fault.contains(word), "\(fault)")
        #expect(second.tables[0]?.fallback?.context === before)
        #expect(second.usable == [key("good")])
        var fresh = TLSHostCompiler()
        let alone = fresh.compile([0: [TLSWorkshop.listener(0, "", [shop.certificate("bad")])]])
        #expect(alone.tables[0] == nil && alone.usable.isEmpty)
    }

    @Test func protocolsFollowTheVersionsOfHTTPUnlessTheyAreNamed() {
        var configuration = TLSServerConfiguration(materials: [])
        #expect(configuration.protocols == [2] + Array("h2".utf8) + [8] + Array("http/1.1".utf8))
        configuration.versions = [.http1]
        #expect(configuration.protocols == [8] + Array("http/1.1".utf8))
        configuration.settings.alpn = ["h2"]
        #expect(configuration.protocols == [2] + Array("h2".utf8))
    }

    @Test func whatHasNotChangedKeepsItsContext() throws {
        let shop = try TLSWorkshop()
        let wish = TLSWorkshop.listener(0, "", [shop.issue("a", "DNS:a.example")])
        let first = shop.compile([wish]).tables[0]?.fallback?.context
        #expect(first != nil && shop.compile([wish]).tables[0]?.fallback?.context === first)
    }

    @Test func settingsThatOpenSSLRefusesKeepTheLastGoodOnes() throws {
        let shop = try TLSWorkshop()
        let certificate = shop.issue("a", "DNS:a.example")
        let good = shop.compile([TLSWorkshop.listener(0, "", [certificate])])
        let before = try #require(good.tables[0]?.fallback?.context)
        let changes: [(String, (inout ListenerSettings) -> Void)] = [
            ("NO-SUCH-CIPHER", { $0.tls.ciphers = ["NO-SUCH-CIPHER"] }),
            ("@SECLEVEL=0", { $0.tls.ciphers = ["ALL-@SECLEVEL=0"] }),
            ("TLS_NONE", { $0.tls.ciphers = ["TLS_NONE"] }),
            ("P-1", { $0.tls.groups = ["P-1"] }),
            ("CA certificates", { $0.tls.clientCertificate = .required }),
            (
                "versions",
                {
                    $0.tls.minimumVersion = .tls13
                    $0.tls.maximumVersion = .tls12
                }
            ),
            ("OCSP", { $0.tls.ocspResponse = [1, 2, 3] }),
        ]
        for (word, change) in changes {
            let outcome = shop.compile([TLSWorkshop.listener(0, "", [certificate], change)])
            let fault = try #require(outcome.listenerFaults["shop/gateway/l0"])
            #expect(fault.contains(word), "\(fault)")
            #expect(outcome.tables[0]?.fallback?.context === before)
        }
    }

    @Test func theMoreSpecificListenerHasTheName() throws {
        let shop = try TLSWorkshop()
        let any = TLSWorkshop.listener(
            0,
            "",
            [shop.issue("any", "DNS:x.a.example,DNS:y.example"), shop.issue("y", "DNS:y.example")]
        )
        let wild = TLSWorkshop.listener(1, "*.a.example", [shop.issue("wild", "DNS:*.a.example")])
        let table = try #require(shop.compile([any, wild]).tables[0])
        #expect(table.host(for: "x.a.example")?.listener == 1)
        #expect(table.host(for: "X.B.A.example.")?.listener == 1)
        #expect(table.host(for: "y.example")?.listener == 0)
        #expect(table.host(for: nil)?.listener == 0)
    }

    @Test func whatTimeMakesStaleIsTold() throws {
        let shop = try TLSWorkshop()
        let day: UInt64 = 86_400_000_000_000
        let certificate = shop.issue("a", "DNS:a.example")
        let staple = try shop.response(about: "a")
        try #require(!staple.isEmpty)
        var compiler = TLSHostCompiler()
        let outcome = compiler.compile([
            0: [
                TLSWorkshop.listener(0, "a.example", [certificate]) { $0.tls.ocspResponse = staple }
            ]
        ])
        #expect(outcome.listenerFaults.isEmpty && outcome.certificateFaults.isEmpty)
        let end = try #require(compiler.certificateEnds[certificate.key])
        let left = end - Clock.wallNanoseconds()
        #expect(29 * day < left && left <= 30 * day)
        #expect(compiler.overdue() == TLSHostCompiler.Overdue())
        #expect(compiler.nextEnd() == .seconds(3_600), "the clock is looked at meanwhile")
        let stale = compiler.overdue(at: end - 20 * day)
        #expect(stale.certificates.isEmpty)
        #expect(stale.listeners == ["shop/gateway/l0": "OCSP response: its time has passed"])
        #expect(compiler.nextEnd(from: end - 5_000_000_000) == .seconds(5))
        let late = compiler.overdue(at: end)
        #expect(late.certificates[certificate.key]?.contains("expired") == true)
        #expect(compiler.nextEnd(from: end) == nil)
    }
}
