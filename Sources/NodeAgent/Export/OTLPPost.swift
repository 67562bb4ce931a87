import Addressing
import DataPlane
import LinuxSystem

/// One POST to a collector on the control loop, on a connection of its own, in cleartext or in TLS.
final class OTLPPost: StreamDelegate {
    /// Time for the whole of it.
    static let timeoutNanoseconds: UInt64 = 10_000_000_000
    /// Bytes of a response that are looked at: its status line.
    private static let answerByteLimit = 1_024

    private let host: StreamHost
    private let request: [UInt8]
    private var answer: [UInt8] = []
    private var done: ((UInt16?) -> Void)?
    private let tls: TLSClient?
    private var isSent = false

    /// Sends a request; `done` hears the status, or `nil` when there was none.
    ///
    /// - Parameter tls: the session to speak TLS by; `nil` for cleartext.
    static func send(
        _ request: [UInt8],
        to address: SocketAddress,
        on host: StreamHost,
        tls: TLSClient? = nil,
        done: @escaping (UInt16?) -> Void
    ) {
        let post = OTLPPost(host, request, tls, done)
        do {
            let stream = try host.connect(to: address, delegate: post)
            host.setDeadline(stream, host.loop.nowNanoseconds + timeoutNanoseconds)
        } catch {
            post.finish(nil, nil)
        }
    }

    private init(
        _ host: StreamHost,
        _ request: [UInt8],
        _ tls: TLSClient?,
        _ done: @escaping (UInt16?) -> Void
    ) {
        self.host = host
        self.request = request
        self.tls = tls
        self.done = done
    }

    private func finish(_ stream: StreamHandle?, _ status: UInt16?) {
        if let stream { host.close(stream) }
        done?(status)
        done = nil
    }

    func streamConnected(_ stream: StreamHandle) {
        guard let tls else {
            write(stream, request)
            return
        }
        do {
            write(stream, try tls.start())
        } catch {
            finish(stream, nil)
        }
    }

    func streamReceived(_ stream: StreamHandle, _ bytes: RawSpan) {
        guard let tls else {
            take(stream, bytes)
            return
        }
        do {
            let received = try tls.receive(bytes)
            write(stream, received.output)
            if tls.isEstablished && !isSent {
                isSent = true
                let request = self.request
                let sealed = request.withRawSpan { bytes in
                    Result { () throws(TLSError) in try tls.send(bytes) }
                }
                write(stream, try sealed.get())
            }
            received.plaintext.withRawSpan { take(stream, $0) }
            if received.hasEnded { finish(stream, nil) }
        } catch {
            finish(stream, nil)
        }
    }

    private func write(_ stream: StreamHandle, _ bytes: [UInt8]) {
        guard !bytes.isEmpty, done != nil else { return }
        _ = bytes.withRawSpan { host.write(stream, $0) }
    }

    /// Takes bytes of the answer.
    private func take(_ stream: StreamHandle, _ bytes: RawSpan) {
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
