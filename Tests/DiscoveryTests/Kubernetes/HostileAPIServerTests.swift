import DataPlane
import LinuxSystem
import MeshModel
import TestSupport
import Testing

@testable import Discovery

/// An API server that means harm: each attack ends its connection or stream with a reason, and once
/// the server behaves all is well.
@Suite(.timeLimit(.minutes(2))) struct HostileAPIServerTests {
    /// What is sent in place of an answer on stream 1.
    enum Attack: CaseIterable, Sendable {
        case settingsFlood, pingFlood, emptyDataFlood, windowFlood, continuationFlood, fieldBomb
        case manyFields, interimFlood, pushPromise, hugeFrame, noise, endlessField, resetAtOnce
        case goAwayFlood

        /// Header names of one byte, not compressed.
        private static func field(_ name: String, _ value: Int) -> [UInt8] {
            [0, UInt8(name.utf8.count)] + Array(name.utf8) + [0x7f] + integer(value - 127)
                + [UInt8](repeating: 0x78, count: value)
        }

        private static func integer(_ value: Int) -> [UInt8] {
            var (rest, bytes): (Int, [UInt8]) = (value, [])
            while rest >= 128 {
                bytes.append(UInt8(rest % 128) | 0x80)
                rest /= 128
            }
            return bytes + [UInt8(rest)]
        }

        private static func frame(
            _ type: UInt8,
            _ flags: UInt8,
            _ stream: UInt8,
            _ payload: [UInt8] = []
        ) -> [UInt8] {
            let count = payload.count
            return [
                UInt8(count >> 16), UInt8(count >> 8 & 0xff), UInt8(count & 0xff), type, flags, 0,
                0,
                0, stream,
            ] + payload
        }

        private static func many(_ count: Int, _ frame: [UInt8]) -> [UInt8] {
            Array(repeatElement(frame, count: count).joined())
        }

        var bytes: [UInt8] {
            let ok: [UInt8] = [0x88]
            let processing: [UInt8] = [0x08, 0x03, 0x31, 0x30, 0x32]
            return switch self {
            case .settingsFlood: Attack.many(20_000, Attack.frame(4, 0, 0))
            case .pingFlood:
                Attack.many(20_000, Attack.frame(6, 0, 0, [UInt8](repeating: 0, count: 8)))
            case .emptyDataFlood:
                Attack.frame(1, 4, 1, ok) + Attack.many(20_000, Attack.frame(0, 0, 1))
            case .windowFlood: Attack.many(20_000, Attack.frame(8, 0, 0, [0, 0, 0, 1]))
            case .continuationFlood:
                Attack.frame(1, 0, 1, ok) + Attack.many(20_000, Attack.frame(9, 0, 1))
            case .fieldBomb: Attack.bomb
            case .manyFields:
                Attack.frame(
                    1,
                    4,
                    1,
                    ok + Attack.many(2_000, [0, 1, 0x61, 1, 0x62])
                )
            case .interimFlood: Attack.many(5_000, Attack.frame(1, 4, 1, processing))
            case .pushPromise: Attack.frame(5, 4, 1, [0, 0, 0, 2] + ok)
            case .hugeFrame: [0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1]
            case .noise: Array("HTTP/1.1 200 OK\r\n\r\n".utf8) + Attack.many(50, [0xff, 0x17])
            case .endlessField: Attack.frame(1, 0, 1, ok + Attack.field("a", 16_000)) + Attack.rest
            case .resetAtOnce: Attack.frame(3, 0, 1, [0, 0, 0, 2])
            case .goAwayFlood:
                Attack.many(20_000, Attack.frame(7, 0, 0, [0, 0, 0, 1, 0, 0, 0, 0]))
            }
        }

        /// One field of 4,000 bytes in the table, then named 10,000 times by a byte each.
        private static var bomb: [UInt8] {
            let stored = [0x40, 1, 0x61, 0x7f] + integer(4_000 - 127)
            let value = [UInt8](repeating: 0x78, count: 4_000)
            let block: [UInt8] = [0x88] + stored + value + [UInt8](repeating: 0xbe, count: 10_000)
            return frame(1, 4, 1, block)
        }

        private static var rest: [UInt8] {
            many(7, frame(9, 0, 1, field("b", 16_000))) + frame(9, 4, 1)
        }
    }

    @Test(arguments: Attack.allCases)
    func anAttackIsOverSoonAndLeavesNothingBehind(attack: Attack) async throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        let (fake, configuration) = try await KubernetesRig.serve(.http2, in: folder)
        defer { fake.stop() }
        let bytes = attack.bytes
        await fake.tell {
            $0.chunkByteCount = 1_000
            $0.rawAnswer = bytes
            $0.upsert(KubernetesRig.services, "a", KubernetesRig.service("10.0.0.1"))
        }
        var timeouts = APITimeouts()
        timeouts.headNanoseconds = 2_000_000_000
        let source = KubernetesRig.source(
            fake,
            configuration,
            resources: KubernetesRig.resources(of: [.service]),
            timeouts: timeouts
        )
        let stream = await source.start()
        let status = await KubernetesRig.wait(source) { !$0.faults.isEmpty }
        #expect(status.faults.count == 1, "\(status.faults)")
        await fake.tell { $0.rawAnswer = [] }
        #expect(await KubernetesRig.wait(stream, for: ["a"]) != nil)
        // Nothing is held on to: neither connections nor bytes that wait to be sent.
        #expect(await fake.client.perform { $0.streamCount } ?? 9 <= 1)
        #expect(await fake.client.perform(\.exhaustedCount) == 0)
        let floods: Set<Attack> = [
            .settingsFlood, .pingFlood, .emptyDataFlood, .windowFlood, .goAwayFlood,
        ]
        if floods.contains(attack) {
            #expect(status.faults[0].contains("went past a limit of HTTP/2"), "\(status.faults)")
        }
        await source.stop()
    }

    @Test(arguments: KubernetesRig.Speech.allCases)
    func aLineThatDoesNotEndIsGivenUp(speech: KubernetesRig.Speech) async throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        let (fake, configuration) = try await KubernetesRig.serve(speech, in: folder)
        defer { fake.stop() }
        await fake.tell {
            $0.chunkByteCount = 16_000
            $0.upsert(KubernetesRig.services, "a", KubernetesRig.service("10.0.0.1"))
        }
        let source = KubernetesRig.source(
            fake,
            configuration,
            resources: KubernetesRig.resources(of: [.service])
        )
        let stream = await source.start()
        #expect(await KubernetesRig.wait(stream, for: ["a"]) != nil)
        await KubernetesRig.wait(fake) { $0.watchedPaths.count == 1 }
        let long = String(repeating: "x", count: WatchLineSplitter.lineByteLimit + 100_000)
        await fake.tell {
            $0.tellWatches(long, ends: false)
            $0.upsert(KubernetesRig.services, "b", KubernetesRig.service("10.0.0.2"))
        }
        #expect(await KubernetesRig.wait(stream, for: ["a", "b"]) != nil)
        await source.stop()
    }
}
