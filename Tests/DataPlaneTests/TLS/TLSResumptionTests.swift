import MeshModel
import Synchronization
import Testing

@testable import DataPlane

/// Sessions go on only under the virtual host and the policy that they began under.
@Suite(.serialized) struct TLSResumptionTests {
    @Test(arguments: ["-tls1_3", "-tls1_2", "-tls1_2 -no_ticket"])
    func aSessionOfOneHostNeverOpensAnother(version: String) throws {
        let shop = try TLSWorkshop()
        let rig = try shop.rig([
            TLSWorkshop.listener(0, "a.example", [shop.issue("a", "DNS:a.example")]),
            TLSWorkshop.listener(1, "b.example", [shop.issue("b", "DNS:b.example")]),
        ])
        let file = shop.path("session")
        let first = rig.client("a.example", "\(version) -sess_out \(file)", asking: "a.example")
        #expect(first.contains("New, TLSv"), "\(first)")
        let again = rig.client("a.example", "\(version) -sess_in \(file)")
        #expect(again.contains("Reused, TLSv"), "\(again)")
        let other = rig.client("b.example", "\(version) -sess_in \(file)")
        #expect(other.contains("New, TLSv"), "\(other)")
        #expect(rig.proxy.counters[.tlsResumptions] == 1)
    }

    @Test(arguments: ["-tls1_3", "-tls1_2"])
    func aNewCertificateKeepsSessionsAndANewClientPolicyDoesNot(version: String) throws {
        let shop = try TLSWorkshop()
        let old = shop.issue("a", "DNS:a.example")
        let rig = try shop.rig([TLSWorkshop.listener(0, "a.example", [old])])
        let file = shop.path("session")
        _ = rig.client("a.example", "\(version) -sess_out \(file)", asking: "a.example")
        shop.issue("renewed", "DNS:a.example")
        let renewed = shop.certificate("renewed", as: "a")
        let swapped = shop.compile([TLSWorkshop.listener(0, "a.example", [renewed])])
        rig.proxy.setTLSHosts(ofEntry: 0, swapped.tables[0])
        let again = rig.client("a.example", "\(version) -sess_in \(file)")
        #expect(again.contains("Reused, TLSv"), "\(again)")
        let strict = shop.compile([
            TLSWorkshop.listener(0, "a.example", [renewed]) {
                $0.tls.clientCertificate = .optional
                $0.tls.clientCAPEM = shop.bytes("ca.crt")
            }
        ])
        rig.proxy.setTLSHosts(ofEntry: 0, strict.tables[0])
        let after = rig.client("a.example", "\(version) -sess_in \(file)")
        #expect(after.contains("New, TLSv"), "\(after)")
    }

    @Test func aListenerThatResumesNothingGivesNoTicket() throws {
        let shop = try TLSWorkshop()
        let rig = try shop.rig([
            TLSWorkshop.listener(0, "", [shop.issue("a", "DNS:a.example")]) {
                $0.tls.resumes = false
            }
        ])
        for version in ["-tls1_3", "-tls1_2"] {
            let text = rig.client("a.example", version)
            #expect(!text.contains("TLS session ticket:"), "\(text)")
        }
    }

    @Test func aTicketKeyMakesForItsLifetimeAndOpensForTwiceAsLong() throws {
        let clock = Clock()
        let keys = TLSTicketKeys(lifetime: .seconds(10)) { clock.now.withLock { $0 } }
        let first = try #require(keys.current())
        clock.advance(9)
        #expect(keys.current()?.name == first.name)
        clock.advance(2)
        let second = try #require(keys.current())
        #expect(second.name != first.name && second.cipher != first.cipher)
        #expect(second.mac != first.mac && second.mac != second.cipher)
        #expect(keys.key(named: first.name)?.isCurrent == false)
        #expect(keys.key(named: second.name)?.isCurrent == true)
        clock.advance(10)
        #expect(keys.key(named: first.name) == nil)
        #expect(keys.key(named: [UInt8](repeating: 0, count: 16)) == nil)
    }

    private final class Clock: Sendable {
        let now = Mutex<UInt64>(1)

        func advance(_ seconds: UInt64) { now.withLock { $0 += seconds * 1_000_000_000 } }
    }
}
