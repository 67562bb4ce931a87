import Addressing
import DataPlane
import LinuxSystem

/// Sends bytes as they are and gathers what comes back until the peer closes, or a second passes
/// without a byte.
final class RawClient: StreamDelegate {
    private let bytes: [UInt8]
    private var host: StreamHost?
    private var received: [UInt8] = []
    private var done: ((String) -> Void)?

    private init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// Runs on a loop thread of its own: the server needs the threads of the concurrency runtime.
    static func exchange(_ address: SocketAddress, _ text: String) async throws -> String {
        let loop = try EventLoop()
        let client = RawClient(Array(text.utf8))
        let host = StreamHost(loop: loop, streamMax: 1, bufferBlockMax: 64)
        client.host = host
        let stream = try host.connect(to: address, delegate: client)
        host.setDeadline(stream, loop.nowNanoseconds + 60_000_000_000)
        let bound = LoopBound(loop, to: loop)
        defer { bound.stop() }
        return await withCheckedContinuation { continuation in
            client.done = { continuation.resume(returning: $0) }
            do { try LoopThread.start(bound, name: "raw-client") } catch { client.end() }
        }
    }

    private func end() {
        done?(String(decoding: received, as: UTF8.self))
        done = nil
    }

    private func quiet(_ stream: StreamHandle) {
        guard let host else { return }
        host.setDeadline(stream, host.loop.nowNanoseconds + 1_000_000_000)
    }

    func streamConnected(_ stream: StreamHandle) {
        bytes.withRawSpan { _ = host?.write(stream, $0) }
    }

    func streamReceived(_ stream: StreamHandle, _ bytes: RawSpan) {
        received.append(copying: bytes)
        quiet(stream)
    }

    func streamEnded(_ stream: StreamHandle) { finish(stream) }
    func streamFailed(_ stream: StreamHandle, _ error: Errno) { end() }
    func streamDrained(_ stream: StreamHandle) {}
    func streamTimedOut(_ stream: StreamHandle) { finish(stream) }

    private func finish(_ stream: StreamHandle) {
        host?.close(stream)
        end()
    }
}
