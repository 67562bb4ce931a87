import Addressing
import LinuxSystem
import TestSupport

@testable import DataPlane

/// A backend whose every step is the test's: it accepts, reads and answers when told to.
final class HeldBackend {
    let port: UInt16
    private let listener: OwnedFD
    private let scratch = ScratchBuffer(capacity: 65_536)

    init() throws {
        listener = try Socket.listen(on: SocketAddress(.loopbackIPv4, 0))
        port = try Socket.localAddress(of: listener.rawValue).port
    }

    /// Waits up to five seconds for a connection and the head of a request on it.
    func takeRequest() -> (fd: Int32, text: String)? {
        var fd: Int32?
        var bytes: [UInt8] = []
        for _ in 0..<500 {
            if fd == nil { fd = (try? Network.kernel.accept(listener.rawValue))??.fd }
            if let fd,
                case .received(let count) = Network.kernel.receive(
                    fd,
                    into: scratch,
                    at: 0,
                    byteLimit: scratch.capacity
                )
            {
                bytes += scratch.array(0, count)
                let text = String(decoding: bytes, as: UTF8.self)
                if text.contains("\r\n\r\n") { return (fd, text) }
            }
            _ = Command.run("sleep 0.01")
        }
        return nil
    }

    /// Sends bytes on a connection and closes it.
    func answer(_ fd: Int32, _ text: String) {
        _ = Array(text.utf8).withRawSpan { Network.kernel.send(fd, $0) }
        Network.kernel.close(fd)
    }
}
