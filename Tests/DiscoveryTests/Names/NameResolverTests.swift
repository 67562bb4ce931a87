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
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("127.0.0.1", 0))
        tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        tcp.bind(("127.0.0.1", udp.getsockname()[1]))
        tcp.listen(8)
        def answer(query, isStream):
            question = query[12:query.index(b"\\0", 12) + 5]
            first = question[1:1 + question[0]]
            kind = question[-3]
            flags, records = 0x8180, b""
            count = 0
            if first == b"big" and not isStream: flags |= 0x0200
            elif first == b"absent": flags |= 3
            elif kind == 1:
                for last in (1, 2):
                    records += b"\\xc0\\x0c" + struct.pack(">HHIH", 1, 1, 1, 4) + bytes((10, 9, 8, last))
                    count += 1
                if first == b"local":
                    records += b"\\xc0\\x0c" + struct.pack(">HHIH", 1, 1, 1, 4) + bytes((127, 0, 0, 1))
                    records += b"\\xc0\\x0c" + struct.pack(">HHIH", 1, 1, 1, 4) + bytes((169, 254, 169, 254))
                    count += 2
            elif kind == 28 and first == b"both":
                records = b"\\xc0\\x0c" + struct.pack(">HHIH", 28, 1, 1, 16) + bytes((0x20, 1, 0xd, 0xb8)) + bytes(11) + b"\\1"
                count = 1
            head = query[:2] + struct.pack(">HHHHH", flags, 1, count, 0, 0)
            return first, head + question + records
        def streams():
            while True:
                peer, _ = tcp.accept()
                length = struct.unpack(">H", peer.recv(2))[0]
                _, reply = answer(peer.recv(length), True)
                # In pieces, as a stream may come.
                framed = struct.pack(">H", len(reply)) + reply
                for at in range(0, len(framed), 5): peer.sendall(framed[at:at + 5])
                peer.close()
        threading.Thread(target=streams, daemon=True).start()
        open(sys.argv[1], "w").write(str(udp.getsockname()[1]))
        while True:
            query, peer = udp.recvfrom(4096)
            first, reply = answer(query, False)
            if first == b"forged":
                for wrong in range(8):
                    other = bytes((query[0] ^ 1, query[1])) + reply[2:-1] + b"\\x66"
                    udp.sendto(other, peer)
                udp.sendto(b"short", peer)
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

    @Test func bothKindsComeInTurn() async throws {
        try await withServer { configuration in
            let found = NameQuery.look(up: "both.example", configuration)
            let first = try #require(IPAddress("2001:db8::1"))
            #expect(found?.addresses == [first] + Self.both)
            #expect(found?.seconds == 1)
        }
    }

    @Test(arguments: ["big", "forged"])
    func truncatedAnswersComeOverTCPAndForgedOnesNotAtAll(name: String) async throws {
        try await withServer { configuration in
            #expect(NameQuery.look(up: "\(name).example", configuration)?.addresses == Self.both)
        }
    }

    @Test func aNameThatIsNotThereHasNoAddresses() async throws {
        try await withServer { configuration in
            #expect(NameQuery.look(up: "absent.example", configuration)?.addresses == [])
        }
    }

    @Test func aServerThatIsSilentSaysNothing() throws {
        var configuration = ResolverConfiguration(servers: [SocketAddress(.loopbackIPv4, 1)])
        configuration.timeoutMilliseconds = 50
        #expect(NameQuery.look(up: "a.example", configuration) == nil)
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
        #expect(NameResolver.isUsable(try #require(IPAddress(text))) == isUsable)
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
