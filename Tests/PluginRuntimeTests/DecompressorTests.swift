import DataPlane
import LinuxSystem
import MeshModel
import TestSupport
import Testing

@testable import PluginRuntime

/// Requests decompressed in passing, and bombs among them.
@Suite struct DecompressorTests {
    private func rig(_ members: [String: JSONValue] = [:]) throws -> PluginRig {
        let rig = try PluginRig()
        rig.install([[Sample.binding("decompressor", members)]])
        return rig
    }

    private func compressed(_ shell: String) throws -> [UInt8] {
        let path = "/tmp/martlet-\(Command.uniqueName("bomb"))"
        defer { _ = try? FileSystem.remove(path) }
        let outcome = Command.run("sh -c '\(shell)' > \(path)")
        try #require(outcome.status == 0)
        return try FileSystem.read(path, byteLimit: 1 << 26)
    }

    private func post(_ rig: PluginRig, _ coding: String, _ body: [UInt8]) -> String {
        let head =
            "POST / HTTP/1.1\r\nHost: h\r\ncontent-encoding: \(coding)\r\n"
            + "content-length: \(body.count)\r\n\r\n"
        return String(decoding: rig.ask(bytes: Array(head.utf8) + body), as: UTF8.self)
    }

    @Test(arguments: [
        ("gzip", "printf hello | gzip -c"), ("br", "printf hello | brotli -c"),
        ("zstd", "printf hello | zstd -c"),
        ("x-gzip", "(printf he | gzip -c; printf llo | gzip -c)"),
    ])
    func theEndpointHasTheBodyAsItWasBefore(_ coding: String, _ shell: String) throws {
        let rig = try rig()
        let answer = post(rig, coding, try compressed(shell))
        #expect(answer.hasPrefix("HTTP/1.1 200 "), "\(answer)")
        let (head, body) = CompressorTests.split(Array(rig.forwarded.utf8))
        #expect(body == Array("hello".utf8))
        #expect(!head.contains("content-encoding") && !head.contains("content-length"))
    }

    @Test(arguments: [
        ("gzip", "head -c 50000000 /dev/zero | gzip -9 -c"),
        ("br", "head -c 50000000 /dev/zero | brotli -c"),
        ("zstd", "head -c 50000000 /dev/zero | zstd -19 -c"),
    ])
    func aBombIsAnsweredBeforeItGoesOff(_ coding: String, _ shell: String) throws {
        let rig = try rig()
        let answer = post(rig, coding, try compressed(shell))
        #expect(answer.hasPrefix("HTTP/1.1 413 "), "\(answer)")
        #expect(rig.forwarded.utf8.count < 1_000_000)
    }

    @Test(arguments: [
        ("gzip", "printf hello | gzip -c"), ("br", "printf hello | brotli -c"),
        ("zstd", "printf hello | zstd -c"),
    ])
    func trailersPassBehindADecompressedBody(_ coding: String, _ shell: String) throws {
        let rig = try rig()
        let body = try compressed(shell)
        let head =
            "POST / HTTP/1.1\r\nHost: h\r\ncontent-encoding: \(coding)\r\ntrailer: x-sum\r\n"
            + "transfer-encoding: chunked\r\n\r\n\(String(body.count, radix: 16))\r\n"
        _ = rig.ask(bytes: Array(head.utf8) + body + Array("\r\n0\r\nx-sum: 7\r\n\r\n".utf8))
        #expect(rig.forwarded.hasSuffix("0\r\nx-sum: 7\r\n\r\n"), "\(rig.forwarded)")
        #expect(CompressorTests.split(Array(rig.forwarded.utf8)).body == Array("hello".utf8))
    }

    @Test func aBodyIsBoundedByLengthToo() throws {
        let rig = try rig(["maxBytes": .integer(2_048), "maxRatio": .integer(1_000)])
        let answer = post(rig, "gzip", try compressed("seq 1 1000 | gzip -c"))
        #expect(answer.hasPrefix("HTTP/1.1 413 "), "\(answer)")
    }

    @Test(
        arguments: [
            ("gzip", Array("no gzip at all".utf8)), ("br", [0xff, 0xff, 0xff]),
            ("zstd", [1, 2, 3, 4]),
        ] as [(String, [UInt8])]
    )
    func whatIsNoneOfItsCodingIsRefused(_ coding: String, _ body: [UInt8]) throws {
        let answer = post(try rig(), coding, body)
        #expect(answer.hasPrefix("HTTP/1.1 400 "), "\(answer)")
    }

    @Test func aBodyCutShortIsRefused() throws {
        let whole = try compressed("seq 1 1000 | gzip -c")
        let answer = post(try rig(), "gzip", Array(whole.dropLast(9)))
        #expect(answer.hasPrefix("HTTP/1.1 400 "), "\(answer)")
    }

    @Test func otherCodingsPassAsTheyAre() throws {
        let rig = try rig()
        let answer = post(rig, "deflate", Array("x\r\n\r\n".utf8))
        #expect(answer.hasPrefix("HTTP/1.1 200 "))
        #expect(rig.forwarded.contains("content-encoding: deflate"))
    }
}
