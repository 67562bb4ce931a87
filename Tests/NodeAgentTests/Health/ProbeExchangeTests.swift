import Addressing
import MeshModel
import Testing

@testable import NodeAgent

/// What a probe sends, and what it makes of answers good and bad.
@Suite struct ProbeExchangeTests {
    private static let address = SocketAddress(.loopbackIPv4, 8080)

    private func verdict(
        _ probe: HealthCheckSettings.Probe,
        _ pieces: [[UInt8]]
    ) -> ProbeExchange.Verdict {
        var exchange = ProbeExchange(probe, address: Self.address, isTLS: false)
        var last = ProbeExchange.Verdict.undecided(reply: [])
        for piece in pieces {
            last = exchange.receive(piece)
            if last == .healthy || last == .unhealthy { break }
        }
        return last
    }

    private func http(_ text: String, _ statuses: ClosedRange<UInt16> = 200...299)
        -> ProbeExchange.Verdict
    {
        verdict(.http(path: "/", host: "", statuses: statuses), [Array(text.utf8)])
    }

    @Test func anHTTPProbeAsksForItsPathAndHost() {
        let probe = HealthCheckSettings.Probe.http(path: "/h", host: "a.b", statuses: 200...200)
        let text = String(
            decoding: ProbeExchange(probe, address: Self.address, isTLS: false).request,
            as: UTF8.self
        )
        #expect(text.hasPrefix("GET /h HTTP/1.1\r\nHost: a.b\r\n"))
        #expect(text.hasSuffix("\r\n\r\n"))
    }

    @Test(arguments: [
        ("HTTP/1.1 200 OK\r\n", true), ("HTTP/1.0 204 No\r\n", true), ("HTTP/1.1 300 X\r\n", false),
        ("HTTP/1.1 503 X\r\n", false), ("HTTP/2.0 200 X\r\n", false), ("SSH-2.0-Open\r\n", false),
        ("HTTP/1.1 103 Early\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\n", true),
        ("HTTP/1.1 100 Go\r\n\r\nHTTP/1.1 500 OK\r\n", false),
    ])
    func theStatusDecides(text: String, isHealthy: Bool) {
        #expect(http(text) == (isHealthy ? .healthy : .unhealthy))
    }

    @Test func anAnswerThatDoesNotEndIsUnhealthyAtItsLimit() {
        let head = Array("HTTP/1.1 100 Go\r\nx: ".utf8)
        let rest = [UInt8](repeating: 0x61, count: ProbeExchange.answerByteLimit)
        let probe = HealthCheckSettings.Probe.http(path: "/", host: "", statuses: 200...299)
        #expect(verdict(probe, [head, rest]) == .unhealthy)
    }

    // MARK: gRPC

    private static func frame(_ type: UInt8, _ flags: UInt8, _ payload: [UInt8]) -> [UInt8] {
        [0, 0, UInt8(payload.count), type, flags, 0, 0, 0, 1] + payload
    }

    private static let settings: [UInt8] = [0, 0, 0, 4, 0, 0, 0, 0, 0]
    private static let acknowledgement: [UInt8] = [0, 0, 0, 4, 1, 0, 0, 0, 0]
    private static let serving: [UInt8] = [0, 0, 0, 0, 2, 8, 1]

    @Test(arguments: [
        (frame(0, 0, serving), true),
        (frame(0, 0, [0, 0, 0, 0, 2, 8, 2]), false),
        (frame(0, 0, [0, 0, 0, 0, 0]), false),
        (frame(0, 0, [1] + serving.dropFirst()), false),
        (frame(0, 0, [0, 255, 255, 255, 255]), false),
        (frame(0, 8, [2] + serving + [0, 0]), true),
        (frame(0, 8, [200, 1]), false),
        (frame(1, 5, [0x88]), false),
        (frame(3, 0, [0, 0, 0, 1]), false),
        (frame(7, 0, [0, 0, 0, 0, 0, 0, 0, 0]), false),
    ])
    func onlyServingIsHealthy(answer: [UInt8], isHealthy: Bool) {
        let wanted: ProbeExchange.Verdict = isHealthy ? .healthy : .unhealthy
        #expect(verdict(.grpc(service: ""), [Self.settings + answer]) == wanted)
        // The same byte by byte.
        #expect(verdict(.grpc(service: ""), (Self.settings + answer).map { [$0] }) == wanted)
    }

    @Test func settingsAreAcknowledged() {
        var exchange = ProbeExchange(.grpc(service: "x"), address: Self.address, isTLS: false)
        #expect(exchange.receive(Self.settings) == .undecided(reply: Self.acknowledgement))
    }
}
