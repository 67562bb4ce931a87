import Addressing
import ArgumentParser
import DataPlane
import Discovery
import LinuxSystem

/// Asks an agent's status endpoint one thing over HTTP/1.1 and waits for the answer, on a loop of
/// its own that the calling thread turns.
final class StatusClient: StreamDelegate {
    /// Where an agent answers.
    enum Endpoint: CustomStringConvertible {
        case local(path: String)
        case network(SocketAddress)

        var description: String {
            switch self {
            case .local(let path): path
            case .network(let address): address.description
            }
        }
    }

    /// An answer.
    struct Answer: Equatable {
        var status: Int
        var body: String
    }

    private enum Outcome {
        case answer(Answer)
        case fault(String)
    }

    /// Time for the whole exchange.
    private static let timeLimitNanoseconds: UInt64 = 10_000_000_000
    /// Bytes of one answer; a node's whole configuration fits.
    private static let answerByteLimit = 67_108_864

    private let request: [UInt8]
    private var host: StreamHost?
    private var received: [UInt8] = []
    private var outcome: Outcome?

    private init(request: [UInt8]) { self.request = request }

    /// Asks, and returns the body of a good answer.
    ///
    /// - Throws: `ExitCode`, after saying why: 3 when the agent is not there, 1 when it refuses.
    static func ask(
        _ endpoint: Endpoint,
        _ method: String,
        _ target: String,
        body: String? = nil
    ) throws -> String {
        switch exchange(endpoint, method, target, body: body) {
        case .fault(let reason):
            Terminal.error("expected an answer from the agent, found \(reason): \(endpoint)")
            throw ExitCode.unreachable
        case .answer(let answer) where (200..<300).contains(answer.status):
            return answer.body
        case .answer(let answer):
            let reason = JSONText.parse(answer.body)?["error"].flatMap(\.text) ?? answer.body
            throw Terminal.refusal("\(reason) (\(answer.status)): \(endpoint)")
        }
    }

    private static func exchange(
        _ endpoint: Endpoint,
        _ method: String,
        _ target: String,
        body: String?
    ) -> Outcome {
        var request = "\(method) \(target) HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        if let body {
            request += "Content-Type: application/json\r\nContent-Length: \(body.utf8.count)\r\n"
        }
        request += "\r\n\(body ?? "")"
        let client = StatusClient(request: Array(request.utf8))
        do throws(Errno) {
            let loop = try EventLoop()
            defer { loop.dispose() }
            return try client.run(on: loop, endpoint)
        } catch {
            return .fault("\(error)")
        }
    }

    private func run(on loop: EventLoop, _ endpoint: Endpoint) throws(Errno) -> Outcome {
        let host = StreamHost(loop: loop, streamMax: 1, bufferBlockMax: 64)
        self.host = host
        let stream: StreamHandle
        switch endpoint {
        case .local(let path):
            stream = try host.adopt(try Socket.connect(toPath: path), delegate: self)
            streamConnected(stream)
        case .network(let address):
            stream = try host.connect(to: address, delegate: self)
        }
        host.setDeadline(stream, loop.nowNanoseconds + StatusClient.timeLimitNanoseconds)
        while true {
            if let outcome { return outcome }
            loop.turn(waitingUpTo: loop.waitMilliseconds())
        }
    }

    // MARK: StreamDelegate

    func streamConnected(_ stream: StreamHandle) {
        request.withRawSpan { _ = host?.write(stream, $0) }
    }

    func streamReceived(_ stream: StreamHandle, _ bytes: RawSpan) {
        guard received.count + bytes.byteCount <= StatusClient.answerByteLimit else {
            finish(stream, .fault("more than \(StatusClient.answerByteLimit) bytes"))
            return
        }
        received.append(copying: bytes)
    }

    func streamEnded(_ stream: StreamHandle) {
        finish(stream, StatusClient.answer(received))
    }

    func streamFailed(_ stream: StreamHandle, _ error: Errno) {
        if outcome == nil { outcome = .fault("\(error)") }
    }

    func streamDrained(_ stream: StreamHandle) {}

    func streamTimedOut(_ stream: StreamHandle) {
        finish(stream, .fault("nothing within 10 s"))
    }

    private func finish(_ stream: StreamHandle, _ outcome: Outcome) {
        self.outcome = outcome
        host?.close(stream)
    }

    /// Reads a whole answer: the agent states its length.
    private static func answer(_ bytes: [UInt8]) -> Outcome {
        var table = InlineArray<64, HeaderField>(repeating: HeaderField())
        let parse = bytes.withRawSpan { span in
            var fields = table.mutableSpan
            return HTTP1Head.parseResponse(
                span,
                requestIsHead: false,
                into: &fields,
                limits: HeadLimits()
            )
        }
        guard case .head(let head) = parse else { return .fault("no HTTP answer") }
        let body = bytes.dropFirst(head.headByteCount)
        if case .length(let length) = head.framing, UInt64(body.count) < length {
            return .fault("\(body.count) of \(length) bytes")
        }
        var text = String(decoding: body, as: UTF8.self)
        if text.hasSuffix("\n") { text.removeLast() }
        return .answer(Answer(status: Int(head.status), body: text))
    }
}
