import Addressing
import DataPlane
import LinuxSystem
import Telemetry
import Testing

@testable import NodeAgent

@Suite(.serialized) struct StatusServerTests {
    private func withServer(
        _ body: (SocketAddress, LimitRegistry) async throws -> Void
    ) async throws {
        let loop = try EventLoop()
        let limits = LimitRegistry()
        let access = StatusAccess(token: nil, agentUserID: 0, hostNames: [])
        let router = StatusRouter(
            subject: StatusRouterTests.Subject(),
            access: access,
            limits: StatusLimits(limits)
        )
        let server = StatusServer(loop: loop, router: router)
        let address = try server.listen(on: SocketAddress(.loopbackIPv4, 0))
        let bound = LoopBound(loop, to: loop)
        try LoopThread.start(bound, name: "status-test")
        defer { bound.stop() }
        try await body(address, limits)
        withExtendedLifetime(server) {}
    }

    private func reached(_ limits: LimitRegistry, _ name: String) -> UInt64 {
        limits.rows().first { $0.limit.name == name }?.reachedCount ?? .max
    }

    @Test func pipelinedRequestsAreAnsweredInOrder() async throws {
        try await withServer { address, _ in
            let text = try await RawClient.exchange(
                address,
                "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
                    + "GET /status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            )
            let answers = text.components(separatedBy: "HTTP/1.1 200 OK")
            try #require(answers.count == 3)
            #expect(answers[1].hasSuffix("ok\n"))
            #expect(answers[2].contains("Connection: close"))
            #expect(answers[2].hasSuffix("{\"status\":1}\n"))
        }
    }

    @Test func headIsAnsweredWithoutABody() async throws {
        try await withServer { address, _ in
            let text = try await RawClient.exchange(
                address,
                "HEAD /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            )
            #expect(text.contains("Content-Length: 3\r\n") && text.hasSuffix("\r\n\r\n"))
        }
    }

    @Test(arguments: [
        ("nonsense\r\n\r\n", "400"), ("GET / HTTP/1.1\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", "421"),
        ("GET / HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\n\r\n", "403"),
        ("POST /drain HTTP/1.1\r\nHost: localhost\r\n\r\n", "403"),
        ("POST /blocks HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n", "411"),
    ])
    func hostilePeersAreRefused(_ request: String, _ status: String) async throws {
        try await withServer { address, _ in
            let text = try await RawClient.exchange(address, request)
            #expect(text.hasPrefix("HTTP/1.1 \(status) "))
        }
    }

    @Test func sizesAreBoundedAndCounted() async throws {
        try await withServer { address, limits in
            let long = String(repeating: "a", count: 20_000)
            let head = try await RawClient.exchange(
                address,
                "GET / HTTP/1.1\r\nHost: localhost\r\nA: \(long)\r\n\r\n"
            )
            #expect(head.hasPrefix("HTTP/1.1 431 "))
            #expect(reached(limits, "status.headByteLimit") == 1)
            let body = try await RawClient.exchange(
                address,
                "POST /blocks HTTP/1.1\r\nHost: localhost\r\nContent-Length: 70000\r\n\r\n"
            )
            #expect(body.hasPrefix("HTTP/1.1 413 "))
            #expect(reached(limits, "status.bodyByteLimit") == 1)
        }
    }

    @Test func oneConnectionTooManyIsClosedAndCounted() async throws {
        try await withServer { address, limits in
            var held: [Int32] = []
            defer { for fd in held { _ = OwnedFD(owning: fd) } }
            for _ in 0..<StatusBounds().connectionMax {
                held.append(try Socket.connect(to: address).release())
            }
            let text = try await RawClient.exchange(
                address,
                "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
            )
            #expect(text == "")
            #expect(reached(limits, "status.connectionMax") == 1)
        }
    }
}

extension String {
    fileprivate func components(separatedBy separator: String) -> [String] {
        var parts: [String] = []
        var rest = self[...]
        while let range = rest.firstRange(of: separator) {
            parts.append(String(rest[..<range.lowerBound]))
            rest = rest[range.upperBound...]
        }
        return parts + [String(rest)]
    }
}
