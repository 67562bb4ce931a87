import DataPlane
import LinuxSystem
import Testing

/// Every line of the access log is one object, whatever clients send.
@Suite struct AccessLogTests {
    private func lines(
        _ requests: [String],
        answer: String = "HTTP/1.1 204 No Content\r\n\r\n"
    ) throws -> (lines: [Substring], dropped: UInt64) {
        let path = "/tmp/martlet-access-log-\(UInt64.random(in: 0...UInt64.max))"
        let writer = try LogWriter(path: path, workerCount: 1)
        let rig = try ProxyRig(log: writer.rings[0])
        for request in requests {
            _ = rig.connect(sending: request)
            rig.answer(answer)
        }
        rig.network.advance(nanoseconds: 1_000_000_000)
        rig.settle()
        writer.stop()
        defer { _ = try? FileSystem.remove(path) }
        let bytes = try FileSystem.read(path, byteLimit: 1 << 24)
        let text = String(decoding: bytes, as: UTF8.self)
        return (text.split(separator: "\n"), rig.proxy.counters[.logLinesDropped])
    }

    private func isOneObject(_ line: Substring) -> Bool {
        guard line.hasPrefix("{\"start_time\":\""), line.hasSuffix(":null}"),
            line.ranges(of: "\"start_time\":").count == 1
        else { return false }
        // Every string closes: quotes inside are written as \u0022, so that bare ones pair up.
        return line.utf8.count { $0 == UInt8(ascii: "\"") } % 2 == 0
            && line.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7f }
    }

    @Test func linesOfHostileRequestsAreWholeAndApart() throws {
        let quotes = String(repeating: "\"", count: 3_000)
        let method = String(repeating: "A", count: 9_000)
        let plain = "GET /plain HTTP/1.1\r\nhost: h\r\n\r\n"
        let identifier = String(repeating: "\\", count: 500)
        var requests: [String] = []
        for _ in 0..<20 {
            requests.append("GET /..?\(quotes) HTTP/1.1\r\nhost: h\r\n\r\n")
            requests.append("\(method) /.. HTTP/1.1\r\nhost: h\r\n\r\n")
            requests.append(
                "GET /\(quotes) HTTP/1.1\r\nhost: h\r\nx-request-id: \(identifier)\r\n\r\n"
            )
            requests.append(plain)
        }
        let (lines, dropped) = try lines(requests)
        #expect(dropped == 0)
        #expect(lines.count == requests.count)
        for line in lines { #expect(isOneObject(line), "\(line.prefix(200))") }
        #expect(lines.filter { $0.contains("\"path\":\"/plain\"") }.count == 20)
    }

    @Test func linesOfTheUsualKindSayNoLessThanOthers() throws {
        let requests = ["GET /a HTTP/1.1\r\nhost: h\r\n\r\n", "POST /a HTTP/1.1\r\nhost: h\r\n"]
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\nhello, world"
        let (usual, _) = try lines([requests[0]], answer: answer)
        let (other, _) = try lines([requests[1] + "content-length: 3\r\n\r\nabc"], answer: answer)
        for (line, method, received) in [(usual, "GET", 0), (other, "POST", 3)] {
            let text = try #require(line.first)
            #expect(
                text.contains(
                    "Z\",\"method\":\"\(method)\",\"path\":\"/a\",\"protocol\":\"HTTP/1.1\","
                        + "\"response_code\":200,\"response_flags\":\"-\","
                        + "\"bytes_received\":\(received),\"bytes_sent\":12,\"duration\":"
                ),
                "\(text)"
            )
        }
    }

    @Test func aLineSaysWhatWasAskedAndAnswered() throws {
        let (lines, _) = try lines(["GET /a?b=\u{7f} HTTP/1.1\r\nhost: h\r\n\r\n"])
        #expect(lines.count == 1)
        let refused = try #require(lines.first)
        #expect(refused.contains("\"response_code\":400"))
        let (answered, _) = try self.lines([
            "GET /a?b HTTP/1.1\r\nhost: h\r\nx-request-id: i\r\n\r\n"
        ])
        let line = try #require(answered.first)
        for part in [
            "\"method\":\"GET\"", "\"path\":\"/a?b\"", "\"protocol\":\"HTTP/1.1\"",
            "\"response_code\":204", "\"response_flags\":\"-\"", "\"bytes_received\":0",
            "\"bytes_sent\":0", "\"upstream_host\":\"127.0.0.1:9000\"",
            "\"route_name\":\"ns/route/0\"", "\"x_request_id\":\"i\"",
            "\"downstream_remote_address\":\"127.0.0.1:", "\"plugin\":null",
        ] {
            #expect(line.contains(part), "\(part) in \(line)")
        }
    }
}
