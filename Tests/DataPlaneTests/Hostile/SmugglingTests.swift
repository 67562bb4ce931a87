import DataPlane
import Testing

/// Requests put together at random from what readers disagree about. Whatever becomes of them, what
/// reaches the endpoint is read by another, strict reader as exactly the requests that the proxy
/// means: one at a time, whole, nothing behind it.
@Suite struct SmugglingTests {
    private static let lines = [
        "content-length: 0", "content-length: 5", "Content-Length:5", "content-length: 44",
        "content-length: 05", "content-length: 5, 5", "content-length: +5", "content-length: 5 5",
        "content-length : 5", " content-length: 5", "content-length: 0x5", "content-length:",
        "content_length: 44", "x: y\r\n content-length: 5", "transfer-encoding: chunked",
        "Transfer-Encoding:chunked", "transfer-encoding:\tchunked", "transfer-encoding : chunked",
        "transfer-encoding: xchunked", "transfer-encoding: chunked, identity",
        "transfer-encoding: identity, chunked", "transfer-encoding: \"chunked\"",
        "transfer-encoding: chunked\r\n ", "transfer-encoding: chunk\u{0b}ed",
        "x: y\ntransfer-encoding: chunked", "x: y\rtransfer-encoding: chunked", "x: \0",
        "connection: content-length", "connection: transfer-encoding, close", "connection: close",
        "expect: 100-continue", "te: trailers", "upgrade: h2c", "host: other", "x-plain: 1",
        "connection: upgrade", "upgrade: websocket", ": empty", "trailer: content-length",
    ]
    private static let bodies = [
        "", "", "hello", "0\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n", "5;x=\"\n\"\r\nhello\r\n0\r\n\r\n",
        "5\nhello\n0\n\n", "0\r\ncontent-length: 5\r\n\r\n", "00\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "-1\r\n\r\n", "ffffffffffffffff5\r\nhello\r\n0\r\n\r\n", "5\r\nhelloX0\r\n\r\n",
        "0\r\nx: y\r\n z\r\n\r\n",
    ]
    private static let behind = [
        "", "GET /smuggled HTTP/1.1\r\nhost: h\r\n\r\n",
        "\r\nGET /smuggled HTTP/1.1\r\nhost: h\r\n\r\n",
        "0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: h\r\n\r\n",
    ]

    private static func request(_ random: inout SplitMix) -> String {
        let method = ["GET", "POST", "POST", "PUT", "HEAD"].randomElement(using: &random) ?? ""
        let version = Int.random(in: 0..<12, using: &random) == 0 ? "HTTP/1.0" : "HTTP/1.1"
        var text = "\(method) /first \(version)\r\nhost: h\r\n"
        for _ in 0..<Int.random(in: 0...3, using: &random) {
            text += lines.randomElement(using: &random) ?? ""
            let ending = Int.random(in: 0..<24, using: &random)
            text += ending == 0 ? "\n" : ending == 1 ? " \r\n" : ending == 2 ? "\r\r\n" : "\r\n"
        }
        text += "\r\n" + (bodies.randomElement(using: &random) ?? "")
        return text + (behind.randomElement(using: &random) ?? "")
    }

    @Test(arguments: UInt64(1)...24)
    func theEndpointReadsWhatTheProxyMeant(seed: UInt64) throws {
        var random = SplitMix(state: seed)
        for _ in 0..<25 {
            let text = SmugglingTests.request(&random)
            let rig = try EngineRig()
            let client = rig.connect(sending: text)
            var answered: [Int32: Int] = [:]
            for _ in 0..<4 {
                for endpoint in rig.upstreams[0] where !rig.ended.contains(endpoint) {
                    let reading = StrictReading(rig.text(endpoint))
                    let known = answered[endpoint, default: 0]
                    #expect(reading.fault == nil, "seed \(seed): \(text.debugDescription)")
                    #expect(
                        reading.wholeCount <= known + 1,
                        "more than one in hand, seed \(seed): \(text.debugDescription)"
                    )
                    #expect(
                        !reading.hasPart || reading.wholeCount == known,
                        "something behind a request, seed \(seed): \(text.debugDescription)"
                    )
                    guard reading.wholeCount == known + 1 else { continue }
                    answered[endpoint] = known + 1
                    rig.send(endpoint, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                }
            }
            let answers = rig.text(client).ranges(of: "HTTP/1.1 200 OK").count
            #expect(
                answers == answered.values.reduce(0, +),
                "seed \(seed): \(text.debugDescription)"
            )
        }
    }
}

/// A reader of HTTP/1.1 requests that knows nothing of the product's own and forgives nothing.
struct StrictReading {
    private(set) var wholeCount = 0
    /// Whether bytes of one more request have come.
    private(set) var hasPart = false
    private(set) var fault: String?

    private let bytes: [UInt8]
    private var at = 0

    init(_ text: String) {
        bytes = Array(text.utf8)
        while at < bytes.count && fault == nil {
            guard readOne() else {
                hasPart = true
                return
            }
            wholeCount += 1
        }
    }

    /// A line without its CR LF; `nil` when it has not come whole.
    private mutating func line() -> String? {
        guard let end = bytes[at...].firstIndex(of: 10) else {
            if bytes[at...].dropLast().contains(13) { fault = "a bare carriage return" }
            return nil
        }
        guard end > at, bytes[end - 1] == 13, !bytes[at..<(end - 1)].contains(13) else {
            fault = "a line end that is not CR LF"
            return nil
        }
        defer { at = end + 1 }
        return String(decoding: bytes[at..<(end - 1)], as: UTF8.self)
    }

    private mutating func readOne() -> Bool {
        guard let first = line() else { return false }
        guard first.hasSuffix(" HTTP/1.1"), first.split(separator: " ").count == 3 else {
            fault = "no request line: \(first)"
            return false
        }
        var lengths: [Int] = []
        var codings: [String] = []
        var hostCount = 0
        while true {
            guard let text = line() else { return false }
            if text.isEmpty { break }
            guard let colon = text.firstIndex(of: ":"), colon > text.startIndex,
                text[..<colon].allSatisfy({
                    $0.isASCII && ($0.isLetter || $0.isNumber || "-_".contains($0))
                })
            else {
                fault = "no field line: \(text)"
                return false
            }
            let value = text[text.index(after: colon)...].drop { $0 == " " || $0 == "\t" }
            switch text[..<colon].lowercased() {
            case "content-length":
                guard let length = Int(value), value.allSatisfy(\.isNumber) else {
                    fault = "a length that is none: \(text)"
                    return false
                }
                lengths.append(length)
            case "transfer-encoding": codings.append(String(value))
            case "host": hostCount += 1
            default: break
            }
        }
        guard lengths.count + codings.count <= 1, hostCount == 1,
            codings.allSatisfy({ $0 == "chunked" })
        else {
            fault = "framing that can be read in two ways"
            return false
        }
        if let length = lengths.first {
            guard bytes.count - at >= length else { return false }
            at += length
        }
        return codings.isEmpty || readChunks()
    }

    private mutating func readChunks() -> Bool {
        while true {
            guard let text = line() else { return false }
            guard let size = Int(text, radix: 16), text.allSatisfy(\.isHexDigit) else {
                fault = "no chunk size: \(text)"
                return false
            }
            if size == 0 { break }
            guard bytes.count - at >= size + 2 else { return false }
            at += size
            guard bytes[at] == 13, bytes[at + 1] == 10 else {
                fault = "a chunk without its end"
                return false
            }
            at += 2
        }
        while true {
            guard let text = line() else { return false }
            if text.isEmpty { return true }
        }
    }
}
