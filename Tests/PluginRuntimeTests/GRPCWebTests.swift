import DataPlane
import MeshModel
import Testing

@testable import PluginRuntime

/// gRPC-Web to gRPC and back.
@Suite struct GRPCWebTests {
    private static let message: [UInt8] = [0, 0, 0, 0, 3, 0x0a, 0x01, 0x41]
    private static let trailers = "grpc-status: 0\r\ngrpc-message: fine\r\n"

    private func ask(
        _ type: String,
        _ body: [UInt8],
        answer: [UInt8]? = nil
    ) throws -> (rig: PluginRig, head: String, body: [UInt8]) {
        let rig = try PluginRig()
        rig.install([[Sample.binding("grpcWeb")]])
        let chunk = "\(String(Self.message.count, radix: 16))\r\n"
        let head =
            "HTTP/1.1 200 OK\r\ncontent-type: application/grpc+proto\r\n"
            + "transfer-encoding: chunked\r\n\r\n"
        rig.reply =
            answer ?? Array("\(head)\(chunk)".utf8) + Self.message
            + Array("\r\n0\r\n\(Self.trailers)\r\n".utf8)
        let request =
            "POST /s/m HTTP/1.1\r\nHost: h\r\ncontent-type: \(type)\r\n"
            + "transfer-encoding: chunked\r\n\r\n\(String(body.count, radix: 16))\r\n"
        let bytes = rig.ask(bytes: Array(request.utf8) + body + Array("\r\n0\r\n\r\n".utf8))
        let (answered, received) = CompressorTests.split(bytes)
        return (rig, answered, received)
    }

    private var frame: [UInt8] {
        [0x80, 0, 0, 0, UInt8(Self.trailers.utf8.count)] + Array(Self.trailers.utf8)
    }

    @Test func binaryMessagesPassAndTrailersBecomeAFrame() throws {
        let (rig, head, body) = try ask("application/grpc-web+proto", Self.message)
        #expect(rig.forwarded.contains("content-type: application/grpc+proto\r\n"))
        #expect(rig.forwarded.contains("te: trailers\r\n"))
        #expect(head.contains("content-type: application/grpc-web+proto"))
        #expect(body == Self.message + frame)
    }

    @Test func textMessagesAreDecodedAndEncoded() throws {
        let text = Base64Stream.encode(Self.message)
        let (rig, head, body) = try ask("application/grpc-web-text", text)
        #expect(rig.forwarded.contains("content-type: application/grpc\r\n"))
        #expect(CompressorTests.split(Array(rig.forwarded.utf8)).body == Self.message)
        #expect(head.contains("content-type: application/grpc-web-text+proto"))
        var decoder = Base64Stream.Decoder()
        let decoded = body.withRawSpan { decoder.decode($0, ends: true) }
        #expect(decoded == Self.message + frame)
    }

    @Test func aTextThatIsNoBase64IsRefused() throws {
        let (_, head, _) = try ask("application/grpc-web-text", Array("!!".utf8))
        #expect(head.hasPrefix("http/1.1 200") && head.contains("grpc-status: 13"), "\(head)")
    }

    @Test func aResponseThatIsAHeadAloneKeepsItsStatusThere() throws {
        let answer = Array(
            "HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ngrpc-status: 5\r\ncontent-length: 0\r\n\r\n"
                .utf8
        )
        let (_, head, body) = try ask("application/grpc-web", Self.message, answer: answer)
        #expect(head.contains("content-type: application/grpc-web\r\n"))
        #expect(head.contains("grpc-status: 5") && body.isEmpty)
    }

    @Test(arguments: ["application/grpc", "application/grpc-webby", "text/plain"])
    func otherTypesPass(_ type: String) throws {
        let (rig, head, body) = try ask(type, Self.message)
        #expect(rig.forwarded.contains("content-type: \(type)\r\n"))
        #expect(head.contains("content-type: application/grpc+proto") && body == Self.message)
    }

    @Test(arguments: [0, 1, 2, 3, 4, 5, 31])
    func base64ComesBackInAnyPieces(_ count: Int) {
        let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 73) }
        for text in [Base64Stream.encode(bytes), bytes.flatMap { Base64Stream.encode([$0]) }] {
            #expect(decode(text) == bytes)
        }
        var decoder = Base64Stream.Decoder()
        #expect([UInt8(ascii: "A")].withRawSpan { decoder.decode($0, ends: true) } == nil)
    }

    private func decode(_ text: [UInt8]) -> [UInt8] {
        var decoder = Base64Stream.Decoder()
        var back: [UInt8] = []
        for digit in text {
            back += [digit].withRawSpan { decoder.decode($0, ends: false) } ?? []
        }
        return back
    }

    @Test(arguments: [false, true])
    func aMessageOfAStreamIsPassedBeforeTheNextOne(isText: Bool) throws {
        let rig = try PluginRig()
        rig.install([[Sample.binding("grpcWeb")]])
        let type = isText ? "application/grpc-web-text" : "application/grpc-web"
        let stream = rig.begin(
            "POST /s/m HTTP/1.1\r\nHost: h\r\ncontent-type: \(type)\r\ncontent-length: 0\r\n\r\n",
            answer: "HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\n"
                + "transfer-encoding: chunked\r\n\r\n"
        )
        var wanted: [UInt8] = []
        for number in 1...3 {
            stream.answer(chunk: Self.message)
            wanted += Self.message
            let body = stream.body
            #expect((isText ? decode(body) : body) == wanted, "message \(number)")
        }
        stream.answer("0\r\n\(Self.trailers)\r\n")
        let body = stream.body
        #expect((isText ? decode(body) : body) == wanted + frame)
        #expect(stream.text.hasSuffix("\r\n0\r\n\r\n"), "its trailers are in the frame alone")
    }

    @Test func trailersOfARequestReachTheServer() throws {
        let rig = try PluginRig()
        rig.install([[Sample.binding("grpcWeb")]])
        _ = rig.ask(
            "POST /s/m HTTP/1.1\r\nHost: h\r\ncontent-type: application/grpc-web-text\r\n"
                + "transfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n4\r\nQUJD\r\n0\r\nx-sum: 7\r\n\r\n"
        )
        #expect(
            rig.forwarded.hasSuffix("\r\n3\r\nABC\r\n0\r\nx-sum: 7\r\n\r\n"),
            "\(rig.forwarded)"
        )
    }
}
