import Addressing
import DataPlane
import LinuxSystem

/// One POST to a collector on the control loop, on a connection of its own.
final class OTLPPost: StreamDelegate {
    /// Time for the whole of it.
    static let timeoutNanoseconds: UInt64 = 10_000_000_000
    /// Bytes of a response that are looked at: its status line.
    private static let answerByteLimit = 1_024

    private let host: StreamHost
    private let request: [UInt8]
    private var answer: [UInt8] = []
    private var done: ((UInt16?) -> Void)?

    /// Sends a request; `done` hears the status, or `nil` when there was none.
    static func send(
        _ request: [UInt8],
        to address: SocketAddress,
        on host: StreamHost,
        done: @escaping (UInt16?) -> Void
    ) {
        let post = OTLPPost(host, request, done)
        do {
            let stream = try host.connect(to: address, delegate: post)
            host.setDeadline(stream, host.loop.nowNanoseconds + timeoutNanoseconds)
        } catch {
            post.finish(nil, nil)
        }
    }

    private init(_ host: StreamHost, _ request: [UInt8], _ done: @escaping (UInt16?) -> Void) {
        self.host = host
        self.request = request
        self.done = done
    }

    private func finish(_ stream: StreamHandle?, _ status: UInt16?) {
        if let stream { host.close(stream) }
        done?(status)
        done = nil
    }

    func streamConnected(_ stream: StreamHandle) {
        _ = request.withRawSpan { host.write(stream, $0) }
    }

    func streamReceived(_ stream: StreamHandle, _ bytes: RawSpan) {
        answer.append(copying: bytes.extracting(first: OTLPPost.answerByteLimit - answer.count))
        let isWhole = answer.contains(UInt8(ascii: "\n"))
        guard isWhole || answer.count >= OTLPPost.answerByteLimit else { return }
        finish(stream, status)
    }

    /// The number in `HTTP/1.1 200 OK`.
    private var status: UInt16? {
        let line = String(decoding: answer, as: UTF8.self)
        guard line.hasPrefix("HTTP/1.") else { return nil }
        return UInt16(line.dropFirst(9).prefix(3))
    }

    func streamEnded(_ stream: StreamHandle) { finish(stream, nil) }

    func streamFailed(_ stream: StreamHandle, _ error: Errno) { finish(nil, nil) }

    func streamDrained(_ stream: StreamHandle) {}

    func streamTimedOut(_ stream: StreamHandle) { finish(stream, nil) }
}
