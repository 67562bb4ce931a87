import DataPlane
import TestSupport

/// A client of HTTP/2 on an engine rig: what it received, by stream.
final class HTTP2Client {
    /// One message, or the part of it that came.
    struct Message {
        /// Interim heads, then the head, then trailers: fields as `name: value`.
        var heads: [[String]] = []
        var body: [UInt8] = []
        var isEnded = false
        var resetCode: UInt32?

        /// The final head's status.
        var status: String? {
            heads.last { $0.first?.hasPrefix(":status: ") == true }?.first.map {
                String($0.dropFirst(9))
            }
        }
        var statuses: [String] {
            heads.compactMap { $0.first }.filter { $0.hasPrefix(":status: ") }
                .map { String($0.dropFirst(9)) }
        }
        var text: String { String(decoding: body, as: UTF8.self) }
    }

    let rig: EngineRig
    let fd: Int32

    /// Connects and sends the preface.
    init(_ rig: EngineRig, preface: [UInt8] = HTTP2Frames.preface) {
        self.rig = rig
        fd = rig.connect()
        rig.send(fd, preface)
    }

    /// Sends frames.
    func send(_ frames: [UInt8]...) { rig.send(fd, frames.flatMap(\.self)) }

    /// A request without a body.
    func get(_ stream: UInt32, _ more: [(String, String)] = []) {
        send(HTTP2Frames.headers(stream, HTTP2Frames.get + more, ends: true))
    }

    /// A request's head; its body is to come.
    func post(_ stream: UInt32, _ more: [(String, String)] = []) {
        var fields = HTTP2Frames.get
        fields[0].1 = "POST"
        send(HTTP2Frames.headers(stream, fields + more, ends: false))
    }

    /// Everything that came, as frames.
    var frames: [HTTP2Frames.Frame] { HTTP2Frames.parse(rig.bytes(fd)) }

    /// What came of one type.
    func frames(_ type: UInt8) -> [HTTP2Frames.Frame] { frames.filter { $0.type == type } }

    /// The last stream that each GOAWAY names, with its code.
    var goAways: [[UInt32]] {
        frames(7).map { frame in
            let last = frame.payload[..<4].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            return [last, frame.code ?? 0]
        }
    }

    /// What came on each stream.
    var messages: [UInt32: Message] {
        let decoder = HeaderDecoder()
        var result: [UInt32: Message] = [:]
        for frame in frames where frame.stream > 0 {
            switch frame.type {
            case 0: result[frame.stream, default: Message()].body += frame.payload
            case 1:
                let fields = decoder.decode(frame.payload) ?? ["broken"]
                result[frame.stream, default: Message()].heads.append(fields)
            case 3: result[frame.stream, default: Message()].resetCode = frame.code
            default: break
            }
            if frame.type < 2 && frame.flags & 1 == 1 {
                result[frame.stream]?.isEnded = true
            }
        }
        return result
    }
}
