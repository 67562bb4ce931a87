import DataPlane
import LinuxSystem
import MeshModel
import TestSupport
import Testing

@testable import PluginRuntime

/// Responses compressed in passing, decoded by the codings' own programs.
@Suite struct CompressorTests {
    private static let body = (0..<400).map { "line \($0 % 17) of the page\n" }.joined()

    private func rig(_ members: [String: JSONValue] = [:]) throws -> PluginRig {
        let rig = try PluginRig()
        rig.install([[Sample.binding("compressor", members)]])
        return rig
    }

    private func answer(
        _ rig: PluginRig,
        accept: String?,
        head: [String] = ["content-type: text/html"],
        status: String = "200 OK",
        body: String = CompressorTests.body,
        method: String = "GET"
    ) -> (head: String, body: [UInt8]) {
        let lines =
            ["HTTP/1.1 \(status)", "content-length: \(body.utf8.count)"] + head + ["", ""]
        rig.reply = Array((lines.joined(separator: "\r\n") + (method == "HEAD" ? "" : body)).utf8)
        let asked = accept.map { "accept-encoding: \($0)\r\n" } ?? ""
        let bytes = rig.ask(bytes: Array("\(method) / HTTP/1.1\r\nHost: h\r\n\(asked)\r\n".utf8))
        return CompressorTests.split(bytes)
    }

    /// Head and body of a message, the chunks put together.
    static func split(_ bytes: [UInt8]) -> (head: String, body: [UInt8]) {
        guard let end = bytes.indices.first(where: { bytes[$0...].starts(with: "\r\n\r\n".utf8) })
        else { return ("", []) }
        let head = String(decoding: bytes[..<end], as: UTF8.self).lowercased()
        var rest = bytes[(end + 4)...]
        guard head.contains("transfer-encoding: chunked") else { return (head, Array(rest)) }
        var body: [UInt8] = []
        while let line = rest.firstIndex(of: 10),
            let size = Int(
                String(decoding: rest[rest.startIndex..<(line - 1)], as: UTF8.self),
                radix: 16
            ),
            size > 0, line + 1 + size + 2 <= rest.endIndex
        {
            body += rest[(line + 1)..<(line + 1 + size)]
            rest = rest[(line + 1 + size + 2)...]
        }
        return (head, body)
    }

    private func decode(_ bytes: [UInt8], _ program: String) throws -> String {
        let path = "/tmp/martlet-\(Command.uniqueName("zip"))"
        try FileSystem.replace(path, with: bytes)
        defer { _ = try? FileSystem.remove(path) }
        return Command.run("\(program) -dc < \(path)").output
    }

    @Test(arguments: [("gzip", "gzip"), ("br", "brotli"), ("zstd", "zstd")])
    func aCodingsOwnProgramReadsWhatComesOut(_ coding: String, _ program: String) throws {
        let (head, body) = answer(
            try rig(),
            accept: coding,
            head: ["content-type: text/html", "etag: \"v1\"", "accept-ranges: bytes"]
        )
        #expect(head.contains("content-encoding: \(coding)") && head.contains("etag: w/\"v1\""))
        #expect(head.contains("vary: accept-encoding") && !head.contains("content-length"))
        #expect(!head.contains("accept-ranges"))
        #expect(body.count < Self.body.utf8.count / 4)
        #expect(try decode(body, program) == Self.body)
    }

    @Test(arguments: [
        ("gzip, br;q=0.5", "gzip"), ("gzip;q=0, *", "zstd"), ("br, gzip, zstd", "zstd"),
        ("x-gzip", "gzip"), ("*;q=0.1, br;q=0", "zstd"), ("GZIP ; Q=1.0", "gzip"),
    ])
    func theClientsWeightsChoose(_ accept: String, _ coding: String) throws {
        let (head, _) = answer(try rig(), accept: accept)
        #expect(head.contains("content-encoding: \(coding)"), "\(head)")
    }

    @Test(
        arguments: [
            nil, "identity", "gzip;q=0", "identity;q=1, gzip;q=0.5", "compress", "gzip;q=x", "",
        ] as [String?]
    )
    func whoAcceptsNothingHasItAsItIs(_ accept: String?) throws {
        let (head, body) = answer(try rig(), accept: accept)
        #expect(!head.contains("content-encoding") && head.contains("vary: accept-encoding"))
        #expect(body == Array(Self.body.utf8))
    }

    @Test(
        arguments: [
            ["content-type: image/png"], ["content-type: text/html", "content-encoding: br"],
            ["content-type: text/html", "cache-control: public, no-transform"],
            ["content-type: text/html", "content-range: bytes 0-1/2"], ["x: y"],
        ] as [[String]]
    )
    func whatIsNotToBeCompressedPasses(_ head: [String]) throws {
        let (passed, body) = answer(try rig(), accept: "gzip", head: head)
        #expect(body == Array(Self.body.utf8))
        #expect(passed.contains("content-length: \(Self.body.utf8.count)"))
        #expect(!passed.contains("content-encoding: gzip") && !passed.contains("vary"))
    }

    @Test func partialAndShortBodiesAndHeadsPass() throws {
        let rig = try rig()
        #expect(!answer(rig, accept: "gzip", status: "206 Partial Content").head.contains("gzip"))
        #expect(!answer(rig, accept: "gzip", body: "short").head.contains("gzip"))
        let (head, body) = answer(rig, accept: "gzip", method: "HEAD")
        #expect(body.isEmpty && !head.contains("content-encoding"))
        #expect(head.contains("vary: accept-encoding") && head.contains("content-length"))
    }

    @Test func aPresentVaryIsKept() throws {
        let types = ["content-type: text/css"]
        for (vary, count) in [("*", 0), ("Accept-Encoding", 1), ("origin", 1)] {
            let (head, _) = answer(try rig(), accept: "gzip", head: types + ["vary: \(vary)"])
            #expect(head.ranges(of: "accept-encoding").count == count, "\(head)")
        }
    }

    @Test(
        arguments: ContentCoding.allCases,
        ["text/event-stream", "text/event-stream; charset=utf-8", "application/x-ndjson"]
    )
    func anEventIsPassedAtOnce(coding: ContentCoding, type: String) throws {
        let rig = try rig()
        let stream = rig.begin(
            "GET / HTTP/1.1\r\nHost: h\r\naccept-encoding: \(coding.rawValue)\r\n\r\n",
            answer: "HTTP/1.1 200 OK\r\ncontent-type: \(type)\r\n"
                + "transfer-encoding: chunked\r\n\r\n"
        )
        let decoder = try #require(DecompressionStream(coding))
        var taken = 0
        for number in 1...4 {
            let event = "data: \(number)\n\n"
            stream.answer(chunk: Array(event.utf8))
            let new = Array(stream.body.dropFirst(taken))
            taken += new.count
            let decoded = new.withRawSpan { decoder.write($0, byteLimit: 1_000) }
            #expect(decoded == .bytes(Array(event.utf8)), "event \(number)")
        }
        #expect(stream.text.lowercased().contains("content-encoding: \(coding.rawValue)"))
    }

    @Test(arguments: ContentCoding.allCases)
    func trailersPassBehindACompressedBody(coding: ContentCoding) throws {
        let rig = try rig()
        let stream = rig.begin(
            "GET / HTTP/1.1\r\nHost: h\r\nTE: trailers\r\naccept-encoding: \(coding.rawValue)\r\n\r\n",
            answer: "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ntrailer: x-sum\r\n"
                + "transfer-encoding: chunked\r\n\r\n"
        )
        stream.answer(chunk: Array(Self.body.utf8))
        stream.answer("0\r\nx-sum: 7\r\n\r\n")
        #expect(stream.text.hasSuffix("\r\n0\r\nx-sum: 7\r\n\r\n"))
        let decoder = try #require(DecompressionStream(coding))
        let decoded = stream.body.withRawSpan { decoder.write($0, byteLimit: 100_000) }
        #expect(decoded == .bytes(Array(Self.body.utf8)) && decoder.isEnded)
    }

    @Test(
        arguments: [
            (["codings": .array([.string("lzma")])], "codings: expected zstd, br or gzip"),
            (["contentTypes": .string("a")], "contentTypes: expected a list"),
            (["minBytes": .integer(-1)], "minBytes: expected an integer of 0...1048576"),
            (["level": .integer(1)], "level: unknown field"),
        ] as [([String: JSONValue], String)]
    )
    func settingsThatMeanNothingAreRefused(_ members: [String: JSONValue], _ reason: String) {
        let fault = PluginRegistry.shipped.fault(of: "compressor", Sample.object(members))
        #expect(fault?.hasPrefix(reason) == true, "\(fault ?? "none")")
    }
}
