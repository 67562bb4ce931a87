import DataPlane
import TestSupport

/// The newest connection to an endpoint of an engine rig, spoken to by hand in HTTP/2.
final class HTTP2Endpoint {
    let rig: EngineRig
    let fd: Int32

    /// - Parameter position: which connection, the newest unless given.
    /// - Returns: `nil` when nobody has connected.
    init?(_ rig: EngineRig, of index: Int = 0, at position: Int? = nil, settings: [UInt8] = []) {
        guard let last = rig.upstreams[index].last else { return nil }
        let fd = position.map { rig.upstreams[index][$0] } ?? last
        self.rig = rig
        self.fd = fd
        send(HTTP2Frames.frame(4, 0, 0, settings), HTTP2Frames.frame(4, 1, 0, []))
    }

    func send(_ frames: [UInt8]...) { rig.send(fd, frames.flatMap(\.self)) }

    /// Everything behind the preface.
    var frames: [HTTP2Frames.Frame] { HTTP2Frames.parse(Array(rig.bytes(fd).dropFirst(24))) }

    func frames(_ type: UInt8) -> [HTTP2Frames.Frame] { frames.filter { $0.type == type } }

    /// The fields of each header block, in order.
    var heads: [[String]] {
        let decoder = HeaderDecoder()
        return frames(1).map { decoder.decode($0.payload) ?? ["broken"] }
    }

    /// What came of a stream's body.
    func body(_ stream: UInt32) -> String {
        let bytes = frames(0).filter { $0.stream == stream }.flatMap(\.payload)
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Answers with a body.
    func answer(_ stream: UInt32, _ text: String = "ok") {
        send(
            HTTP2Frames.headers(
                stream,
                [(":status", "200"), ("content-length", "\(text.utf8.count)"), ("x-by", "h2")],
                ends: false
            ),
            HTTP2Frames.data(stream, text, ends: true)
        )
    }
}
