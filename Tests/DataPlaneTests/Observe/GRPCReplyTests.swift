import DataPlane
import Testing

/// Local replies to gRPC, and the count of its statuses.
@Suite struct GRPCReplyTests {
    private func ask(_ type: String, _ filters: [Filter] = []) throws -> (String, [UInt64]) {
        let rig = try ProxyRig(filters)
        let client = rig.connect(
            sending: "POST /s/m HTTP/1.1\r\nhost: h\r\ncontent-type: \(type)\r\n"
                + "content-length: 0\r\n\r\n"
        )
        rig.closeUpstream()
        return (rig.text(client), rig.proxy.traffic.grpcCounts)
    }

    @Test(arguments: ["application/grpc", "application/grpc+proto", "Application/gRPC; a=b"])
    func aLocalReplyToGRPCSaysItsStatus(_ type: String) throws {
        let (text, counts) = try ask(type)
        #expect(text.hasPrefix("HTTP/1.1 200 OK\r\n"))
        for line in [
            "content-type: application/grpc", "grpc-status: 14", "grpc-message: Bad Gateway",
        ] {
            #expect(text.contains("\r\n\(line)\r\n"), "\(text)")
        }
        #expect(text.hasSuffix("\r\n\r\n"))
        #expect(counts[14] == 1 && counts.reduce(0, +) == 1)
    }

    @Test(arguments: ["te: trailers\r\ngrpc-timeout: 300m\r\n", ""])
    func aTimeThatHasPassedIsADeadline(_ line: String) throws {
        let rig = try EngineRig()
        rig.install(clusters: [[0]])
        let client = rig.connect(
            sending: "POST /s/m HTTP/1.1\r\nhost: h\r\ncontent-type: application/grpc\r\n"
                + "\(line)content-length: 0\r\n\r\n"
        )
        rig.pass(seconds: line.isEmpty ? 61 : 1)
        #expect(rig.text(client).contains("\r\ngrpc-status: 4\r\n"))
        #expect(rig.proxy.traffic.grpcCounts[4] == 1)
    }

    @Test(arguments: ["application/grpc-web", "application/grpcx", "text/plain"])
    func otherRequestsAreAnsweredAsEver(_ type: String) throws {
        let (text, counts) = try ask(type)
        #expect(text.hasPrefix("HTTP/1.1 502 "))
        #expect(!text.contains("grpc-status"))
        #expect(counts.reduce(0, +) == 0)
    }

    @Test(
        arguments: [
            (400, "13"), (401, "16"), (403, "7"), (404, "12"), (429, "14"), (500, "2"), (503, "14"),
            (504, "14"),
        ] as [(UInt16, String)]
    )
    func aFiltersReplyIsMapped(_ status: UInt16, _ code: String) throws {
        final class Refuser: Filter {
            let status: UInt16

            init(_ status: UInt16) {
                self.status = status
                super.init(name: "refuser", phases: [.requestHeaders, .log])
            }

            private(set) var seen: UInt16 = 0

            override func requestHeaders(
                _ context: FilterContext,
                endStream: Bool
            ) -> FilterAction {
                .reply(LocalReply(status: status, body: Array("no 100%\n".utf8)))
            }

            override func log(_ context: FilterContext) { seen = context.status }
        }
        let filter = Refuser(status)
        let (text, _) = try ask("application/grpc", [filter])
        #expect(text.hasPrefix("HTTP/1.1 200 OK\r\n"))
        #expect(text.contains("\r\ngrpc-status: \(code)\r\n"))
        #expect(text.contains("\r\ngrpc-message: no 100%25%0A\r\n"))
        // Filters that count statuses see the one that was meant.
        #expect(filter.seen == status)
    }
}
