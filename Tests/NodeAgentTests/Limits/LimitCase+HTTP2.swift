import DataPlane
import LinuxSystem
import MeshModel
import PluginRuntime
import Testing

@testable import NodeAgent

/// HTTP/2 frames as bytes (RFC 9113 section 4).
private enum Frame {
    static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8) + make(4, 0, 0, [])

    static func make(_ type: UInt8, _ flags: UInt8, _ stream: UInt32, _ payload: [UInt8]) -> [UInt8]
    {
        let length = [UInt8(payload.count >> 16), UInt8(payload.count >> 8 & 0xff)]
        let id = [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: stream >> $0) }
        return length + [UInt8(payload.count & 0xff), type, flags] + id + payload
    }

    /// GET http://a.test/ (RFC 7541 appendix A for the indices).
    static let block: [UInt8] = [0x82, 0x86, 0x84, 0x41, 6] + Array("a.test".utf8)

    /// A literal field without indexing, its value of at most 254 bytes.
    static func field(_ name: String, _ value: String) -> [UInt8] {
        let count = value.utf8.count
        let length = count < 127 ? [UInt8(count)] : [127, UInt8(count - 127)]
        return [0, UInt8(name.utf8.count)] + Array(name.utf8) + length + Array(value.utf8)
    }

    static func headers(_ stream: UInt32, _ more: [UInt8] = []) -> [UInt8] {
        make(1, 5, stream, block + more)
    }

    static func reset(_ stream: UInt32) -> [UInt8] { make(3, 0, stream, [0, 0, 0, 8]) }
    static let ping = make(6, 0, 0, [UInt8](repeating: 0, count: 8))
}

extension LimitCase {
    private static func frames(
        _ name: String,
        _ tighten: @escaping @Sendable (inout AgentLimits) -> Void,
        _ frames: [[UInt8]]
    ) -> LimitCase {
        LimitCase(name: name, tighten: tighten) { rig in
            try rig.client().send(Frame.preface + frames.flatMap(\.self))
        }
    }

    static let http2: [LimitCase] = [
        frames(
            "http2.concurrentStreamMax",
            { $0.engine.http2.concurrentStreamMax = 1 },
            [Frame.headers(1), Frame.headers(3)]
        ),
        frames(
            "http2.headerListByteLimit",
            { $0.engine.http2.headerListByteLimit = 300 },
            [Frame.headers(1, Frame.field("f", String(repeating: "x", count: 250)))]
        ),
        frames(
            "http2.fieldCountMax",
            { $0.engine.http2.fieldCountMax = 2 },
            [Frame.headers(1, (0..<3).flatMap { Frame.field("f\($0)", "v") })]
        ),
        frames(
            "http2.earlyResetMax",
            { $0.engine.http2.earlyResetMax = 2 },
            (0..<4).flatMap { [Frame.headers($0 * 2 + 1), Frame.reset($0 * 2 + 1)] }
        ),
        frames(
            "http2.continuationFrameMax",
            { $0.engine.http2.continuationFrameMax = 1 },
            [Frame.make(1, 1, 1, Frame.block)]
                + (0..<3).map { Frame.make(9, 0, 1, Frame.field("f\($0)", "v")) }
        ),
        frames(
            "http2.controlFrameMax",
            { $0.engine.http2.controlFrameMax = 3 },
            (0..<6).map { _ in Frame.ping }
        ),
        frames(
            "http2.streamIdleTimeout",
            { $0.engine.streamIdleTimeout = soon },
            [Frame.make(1, 4, 1, Frame.block)]
        ),
    ]

    private static func filter(
        _ name: String,
        _ does: String,
        expecting status: Int,
        tighten: @escaping @Sendable (inout AgentLimits) -> Void = { _ in }
    ) -> LimitCase {
        LimitCase(
            name: name,
            registry: PluginRegistry([LimitProbe()]),
            tighten: tighten,
            manifests: {
                let keyAuth = "{ keyAuth: { config: { keys: [{ name: k }] } } }"
                return ["web": LimitManifests.web($0) + LimitManifests.plugin(keyAuth)]
            }
        ) { rig in
            let body = String(repeating: "x", count: 300)
            try rig.request(
                "POST / HTTP/1.1\r\nhost: a.test\r\nx-does: \(does)\r\ncontent-length: 300\r\n\r\n"
                    + body,
                expecting: status
            )
        }
    }

    static let filters: [LimitCase] = [
        filter("filter.timeBudget", "sleep", expecting: 500),
        filter("filter.pauseMax", "pause", expecting: 500) { $0.engine.filterPauseMax = soon },
        filter("filter.bodyByteLimit", "body", expecting: 413) {
            $0.engine.filterBodyByteLimit = 100
        },
    ]
}

/// Stands in for `keyAuth`, whose configuration it takes, and does what a request's header says.
private struct LimitProbe: PluginDefinition {
    let name = "keyAuth"
    let order = PluginOrder(.unspecified, name: "keyAuth")

    func validate(_ configuration: JSONValue) throws(PluginFault) {}

    func makeFilter(_ binding: PluginBinding, _ host: PluginHost) throws(PluginFault) -> Filter {
        LimitProbeFilter(name: name, phases: [.requestHeaders, .request])
    }
}

private final class LimitProbeFilter: Filter {
    override func requestHeaders(
        _ context: FilterContext,
        endStream: Bool
    ) throws(FilterError) -> FilterAction {
        let does = "x-does".withBytes { name in
            context.withRequestHeader(named: name) { value in
                var bytes: [UInt8] = []
                bytes.append(copying: value)
                return String(decoding: bytes, as: UTF8.self)
            }
        }
        switch does {
        case "sleep":
            RawThread.sleep(milliseconds: 30)
            return .proceed
        case "pause": return .pause(deadline: .seconds(600))
        case "body": return .waitForAll(byteLimit: 1 << 30)
        default: return .proceed
        }
    }
}
