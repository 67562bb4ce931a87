import MeshModel
import Testing

@testable import DataPlane

/// Requests that do not belong to their connection (RFC 9110 section 15.5.20, GEP-3567).
@Suite(.serialized) struct MisdirectionTests {
    private func rig(_ shop: TLSWorkshop) throws -> SocketRig {
        try shop.rig([
            TLSWorkshop.listener(0, "a.example", [shop.issue("a", "DNS:a.example")]),
            TLSWorkshop.listener(1, "b.example", [shop.issue("b", "DNS:b.example")]) {
                $0.tls.clientCertificate = .required
                $0.tls.clientCAPEM = shop.bytes("ca.crt")
            },
            TLSWorkshop.listener(
                2,
                "*.c.example",
                [
                    shop.issue("c-one", "DNS:one.c.example,DNS:both.c.example"),
                    shop.issue("c-two", "DNS:two.c.example,DNS:both.c.example"),
                ]
            ),
        ])
    }

    /// Statuses of requests by curl on one connection to `name`, each with its own host.
    private func statuses(
        _ rig: SocketRig,
        _ name: String,
        _ hosts: [String],
        _ version: String
    ) -> String {
        let resolve = "--connect-to \(name):443:\(rig.front)"
        let requests = hosts.map { "-H Host:\($0) -o /dev/null https://\(name)/" }
        let each = requests.map {
            "-sk \(version) \(resolve) -w \"%{http_code}/%{num_connects} \" \($0)"
        }
        return rig.serve("curl \(each.joined(separator: " --next "))").output
    }

    @Test(arguments: ["--http1.1", "--http2"])
    func aRequestForAnotherListenerIsMisdirected(version: String) throws {
        let shop = try TLSWorkshop()
        let rig = try rig(shop)
        let hosts = ["a.example", "b.example", "A.EXAMPLE:443", "b.example", "none.example"]
        let seen = statuses(rig, "a.example", hosts, version)
        #expect(seen == "200/1 421/0 200/0 421/0 404/0 ", "\(seen)")
        #expect(rig.heads.count == 2)
        #expect(rig.proxy.counters[.misdirectedRequests] == 2)
    }

    @Test(arguments: ["--http1.1", "--http2"])
    func aRequestForANameOfAnotherCertificateIsMisdirected(version: String) throws {
        let shop = try TLSWorkshop()
        let rig = try rig(shop)
        let hosts = ["one.c.example", "two.c.example", "both.c.example", "two.c.example"]
        let seen = statuses(rig, "one.c.example", hosts, version)
        #expect(seen == "200/1 421/0 200/0 421/0 ", "\(seen)")
    }

    @Test func aListenerThatAsksMoreOfClientsRetiresItsConnections() throws {
        let shop = try TLSWorkshop()
        let certificate = shop.issue("a", "DNS:a.example")
        let rig = try shop.rig([TLSWorkshop.listener(0, "a.example", [certificate])])
        let open = TLSWorkshop.listener(0, "a.example", [certificate])
        let strict = TLSWorkshop.listener(0, "a.example", [certificate]) {
            $0.tls.clientCertificate = .required
            $0.tls.clientCAPEM = shop.bytes("ca.crt")
        }
        for (wish, isKept) in [(open, true), (strict, false)] {
            let context = try TLSContext.client(authoritiesPEM: shop.bytes("ca.crt"))
            let tls = try #require(
                TLSClient(context, serverName: "a.example", isAddress: false)
            )
            let fd = try rig.connect(sending: tls.start())
            rig.run {
                let bytes = rig.take(fd)
                guard !bytes.isEmpty else { return tls.isEstablished }
                let step = unsafe try? tls.receive(bytes.span.bytes)
                if let output = step?.output, !output.isEmpty { rig.send(fd, output) }
                return tls.isEstablished
            }
            rig.settle()
            rig.proxy.setTLSHosts(ofEntry: 0, shop.compile([wish]).tables[0])
            rig.settle()
            #expect(rig.ended.contains(fd) != isKept)
        }
    }
}
