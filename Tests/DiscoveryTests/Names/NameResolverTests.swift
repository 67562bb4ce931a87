import Addressing
import LinuxSystem
import MeshModel
import TestSupport
import Testing

@testable import Discovery

/// Lookups before a real server, and what becomes of its answers.
@Suite(.serialized, .timeLimit(.minutes(2))) struct NameResolverTests {
    /// Answers over UDP and TCP on one port. Names begin with what is to happen.
    private static let server = """
        import socket, struct, sys, threading
        while True:
            udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            udp.bind(("127.0.0.1", 0))
            tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            try:
                tcp.bind(("127.0.0.1", udp.getsockname()[1]))
                break
            except OSError: pass
        tcp.listen(8)
        def labels(text):
            return b"".join(bytes([len(part)]) + part for part in text.split(b".")) + b"\\0"
        def record(owner, kind, data, seconds=1):
            return owner + struct.pack(">HHIH", kind, 1, seconds, len(data)) + data
        def answer(query, isStream):
            question = query[12:query.index(b"\\0", 12) + 5]
            first = question[1:1 + question[0]].lower()
            kind = question[-3]
            here = b"\\xc0\\x0c"
            if first in (b"lower", b"lowest"): question = question.lower()
            flags, answers, authorities = 0x8180, [], []
            if first == b"big" and not isStream: flags |= 0x0200
            elif first == b"absent":
                flags |= 3
                zone = labels(b"ns") + labels(b"root") + bytes(16) + struct.pack(">I", 40)
                authorities = [record(labels(b"example"), 6, zone, 90)]
            elif first == b"old" and query[11] != 0: flags |= 1
            elif first == b"broken" and kind == 28: flags |= 2
            elif first == b"chain": answers = [record(here, 5, labels(b"link.example"))]
            elif first == b"link": answers = [record(here, 5, labels(b"plain.example"))]
            elif first == b"circle": answers = [record(here, 5, labels(b"circle2.example"))]
            elif first == b"circle2": answers = [record(here, 5, labels(b"circle.example"))]
            elif kind == 1:
                answers = [record(here, 1, bytes((10, 9, 8, last))) for last in (1, 2)]
                if first == b"local":
                    answers += [record(here, 1, bytes((127, 0, 0, 1)))]
                    answers += [record(here, 1, bytes((169, 254, 169, 254)))]
            elif kind == 28 and first == b"both":
                answers = [record(here, 28, bytes((0x20, 1, 0xd, 0xb8)) + bytes(11) + b"\\1")]
            head = query[:2] + struct.pack(">HHHHH", flags, 1, len(answers), len(authorities), 0)
            return first, kind, head + question + b"".join(answers + authorities)
        def stream(peer):
            length = struct.unpack(">H", peer.recv(2))[0]
            first, _, reply = answer(peer.recv(length), True)
            # In pieces, as a stream may come.
            framed = struct.pack(">H", len(reply)) + reply
            if first != b"lowest":
                for at in range(0, len(framed), 5): peer.sendall(framed[at:at + 5])
            peer.close()
        def streams():
            while True: stream(tcp.accept()[0])
        threading.Thread(target=streams, daemon=True).start()
        open(sys.argv[1] + ".new", "w").write(str(udp.getsockname()[1]))
        import os
        os.rename(sys.argv[1] + ".new", sys.argv[1])
        while True:
            query, peer = udp.recvfrom(4096)
            first, kind, reply = answer(query, False)
            if first[:4] == b"slow" or (first == b"half" and kind == 28): continue
            if first == b"forged":
                for wrong in range(8):
                    other = bytes((query[0] ^ 1, query[1])) + reply[2:-1] + b"\\x66"
                    udp.sendto(other, peer)
                udp.sendto(b"short", peer)
            if first == b"guessed":
                # Everything is right but the case of the name's letters.
                end = reply.index(b"\\0", 12)
                udp.sendto(reply[:12] + reply[12:end].swapcase() + reply[end:-1] + b"\\x66", peer)
            udp.sendto(reply, peer)
        """

    private func withServer<Result>(
        _ body: (ResolverConfiguration) async throws -> Result
    ) async throws -> Result {
        try await ManifestFixture.withDirectory { directory in
            try ManifestFixture.write(Self.server, to: "\(directory)/server.py")
            let command =
                "/usr/bin/python3 \(directory)/server.py \(directory)/port"
                + " >\(directory)/out 2>&1 & echo $!"
            let pid = Command.run("sh -c '\(command)'").output.filter(\.isNumber)
            defer { Command.run("kill -9 \(pid)") }
            var port: UInt16?
            for _ in 0..<200 where port == nil {
                port = (try? FileSystem.readText("\(directory)/port")).flatMap { UInt16($0) }
                if port == nil { Command.run("sleep 0.05") }
            }
            let server = SocketAddress(.loopbackIPv4, try #require(port))
            return try await body(ResolverConfiguration(servers: [server]))
        }
    }

    private static let both = ["10.9.8.1", "10.9.8.2"].compactMap { IPAddress($0) }

    private func look(
        up name: String,
        _ configuration: ResolverConfiguration
    ) async throws -> NameQuery.Outcome? {
        let query = NameQuery(exchange: try ServerExchange(), configuration: configuration)
        return await query.look(up: name, .ipv4)
    }

    /// Follows names until something is known that is waited for.
    private func follow(
        _ names: Set<String>,
        _ configuration: ResolverConfiguration,
        until isSo: ([String: [IPAddress]]) -> Bool
    ) async -> NameResolver {
        let resolver = NameResolver { configuration }
        let (changes, continuation) = AsyncStream.makeStream(of: Void.self)
        await resolver.onChange { continuation.yield() }
        await resolver.follow(names)
        for await _ in changes where isSo(await resolver.addresses) { break }
        return resolver
    }

    @Test func bothKindsComeInTurn() async throws {
        try await withServer { configuration in
            let first = try #require(IPAddress("2001:db8::1"))
            let resolver = await follow(["both.example"], configuration) {
                $0["both.example"]?.count == 3
            }
            #expect(await resolver.addresses["both.example"] == [first] + Self.both)
        }
    }

    @Test(arguments: ["big", "forged", "guessed", "lower", "lowest", "old"])
    func theRightAnswerIsFound(name: String) async throws {
        try await withServer { configuration in
            for _ in 0..<4 {
                let found = try await look(up: "\(name).example", configuration)
                #expect(found?.addresses == Self.both)
                #expect(found?.seconds == 1)
            }
        }
    }

    @Test func aNameThatStandsForAnotherHasItsAddresses() async throws {
        try await withServer { configuration in
            let found = try await look(up: "chain.example", configuration)
            #expect(found?.addresses == Self.both)
            let circle = try await look(up: "circle.example", configuration)
            #expect(circle == nil)
        }
    }

    @Test func aNameThatIsNotThereHasNoAddressesForTheTimeOfItsZone() async throws {
        try await withServer { configuration in
            let found = try await look(up: "absent.example", configuration)
            #expect(found == NameQuery.Outcome(addresses: [], seconds: 40))
        }
    }

    @Test(arguments: ["half", "broken"])
    func oneKindIsKnownWhereNothingIsSaidOfTheOther(name: String) async throws {
        try await withServer { configuration in
            let resolver = await follow(["\(name).example"], configuration) { !$0.isEmpty }
            #expect(await resolver.addresses["\(name).example"] == Self.both)
        }
    }

    @Test func namesOfSilentServersHoldNoOtherUp() async throws {
        try await withServer { configuration in
            var configuration = configuration
            configuration.timeoutMilliseconds = 100_000
            let slow = Set((0..<100).map { "slow\($0).example" })
            let resolver = await follow(slow.union(["zest.example"]), configuration) {
                $0["zest.example"]?.isEmpty == false
            }
            #expect(await resolver.namesInHand.isSuperset(of: slow))
        }
    }

    @Test func whereAServerIsNotThereTheNextIsAsked() async throws {
        var configuration = ResolverConfiguration(servers: [SocketAddress(.loopbackIPv4, 1)])
        configuration.timeoutMilliseconds = 50
        let none = try await look(up: "a.example", configuration)
        #expect(none == nil)
        try await withServer { real in
            var both = configuration
            both.servers += real.servers
            let found = try await look(up: "a.example", both)
            #expect(found?.addresses == Self.both)
        }
    }

    @Test func anExternalNameServicesEndpointsAreItsAddresses() async throws {
        let manifest = """
            apiVersion: v1
            kind: Service
            metadata: { name: far, namespace: shop }
            spec: { type: ExternalName, externalName: local.example, ports: [{ port: 8443 }] }
            """
        let id = ClusterID(namespace: "shop", name: "far", port: 8443)
        try await withServer { configuration in
            try await ManifestFixture.withDirectory { directory in
                try ManifestFixture.write(manifest, to: "\(directory)/far.yaml")
                let source = ManifestSource(
                    path: directory,
                    settings: ManifestFixture.settings,
                    resolver: NameResolver { configuration }
                )
                for await (snapshot, _) in await source.start() {
                    let endpoints = snapshot.clusters[id]?.endpoints ?? []
                    if endpoints.isEmpty { continue }
                    // Addresses of the node itself and of metadata servers are left out.
                    #expect(endpoints.map(\.address) == Self.both.map { SocketAddress($0, 8443) })
                    break
                }
            }
        }
    }

    @Test(arguments: [
        ("10.0.0.1", true), ("127.0.0.1", false), ("127.9.9.9", false), ("169.254.169.254", false),
        ("0.0.0.0", false), ("224.0.0.1", false), ("255.255.255.255", false), ("2001:db8::1", true),
        ("::1", false), ("::", false), ("fe80::1", false), ("ff02::1", false), ("fd00::1", true),
    ])
    func aNameDoesNotLeadToTheNodeItself(text: String, isUsable: Bool) throws {
        #expect(NameRecord.isUsable(try #require(IPAddress(text))) == isUsable)
    }

    @Test func resolvConfIsRead() {
        let text = """
            # a comment
            search example.com
            nameserver 192.0.2.1
            nameserver 2001:db8::53
            nameserver nonsense
            nameserver 192.0.2.2
            nameserver 192.0.2.3
            options timeout:1 attempts:3 ndots:5
            """
        let configuration = ResolverConfiguration(text)
        #expect(
            configuration.servers.map(\.ip.description) == [
                "192.0.2.1", "2001:db8::53", "192.0.2.2",
            ]
        )
        #expect(configuration.timeoutMilliseconds == 1_000)
        #expect(configuration.attempts == 3)
        #expect(ResolverConfiguration("").servers == [SocketAddress(.loopbackIPv4, 53)])
    }
}
