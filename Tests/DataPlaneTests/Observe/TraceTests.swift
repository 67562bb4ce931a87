import DataPlane
import LinuxSystem
import Synchronization
import Testing

/// Trace contexts: continued where they are valid, begun where they are not, passed on, exported.
@Suite struct TraceTests {
    private final class Spans: Sendable {
        private let text = Mutex<[UInt8]>([])

        func put(_ bytes: [UInt8]) { text.withLock { $0 += bytes } }

        var lines: [String] {
            text.withLock { String(decoding: $0, as: UTF8.self) }
                .split(separator: "\n").map(String.init)
        }
    }

    /// What the endpoint received, and the spans.
    private func send(
        _ lines: [String],
        samplesPerMillion: UInt32 = 1_000_000,
        answer: String = "HTTP/1.1 204 No Content\r\n\r\n"
    ) throws -> (forwarded: [String], spans: [String]) {
        let spans = Spans()
        let writer = try LogWriter(path: nil, workerCount: 1) { spans.put($0) }
        let tracing = TraceConfiguration(
            ring: writer.rings[0],
            samplesPerMillion: samplesPerMillion
        )
        let rig = try ProxyRig(tracing: tracing)
        let head = ["GET /cart?secret=1 HTTP/1.1", "host: shop.test"] + lines + ["", ""]
        _ = rig.connect(sending: head.joined(separator: "\r\n"))
        rig.answer(answer)
        rig.network.advance(nanoseconds: 1_000_000_000)
        rig.settle()
        writer.stop()
        let forwarded = rig.forwarded.split(separator: "\r\n").map(String.init)
        return (forwarded, spans.lines)
    }

    private func value(_ name: String, _ lines: [String]) -> String? {
        let found = lines.filter { $0.lowercased().hasPrefix("\(name): ") }
        return found.count == 1 ? String(found[0].dropFirst(name.count + 2)) : nil
    }

    private static let trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    private static let parent = "00f067aa0ba902b7"

    @Test func aValidContextIsContinued() throws {
        let given = "traceparent: 00-\(TraceTests.trace)-\(TraceTests.parent)-01"
        let (forwarded, spans) = try send([given, "tracestate: a=1,b=2"], samplesPerMillion: 0)
        let passed = try #require(value("traceparent", forwarded))
        #expect(passed.hasPrefix("00-\(TraceTests.trace)-") && passed.hasSuffix("-01"))
        #expect(!passed.contains(TraceTests.parent))
        #expect(value("tracestate", forwarded) == "a=1,b=2")
        let span = try #require(spans.first)
        let spanID = passed.split(separator: "-")[2]
        for part in [
            "\"traceId\":\"\(TraceTests.trace)\"", "\"spanId\":\"\(spanID)\"",
            "\"parentSpanId\":\"\(TraceTests.parent)\"", "\"name\":\"GET ns/route/0\"",
            "\"intValue\":\"204\"", "\"stringValue\":\"/cart\"", "\"stringValue\":\"shop.test\"",
        ] {
            #expect(span.contains(part), "\(part) in \(span)")
        }
        #expect(!span.contains("secret"))
    }

    @Test func aContextThatIsNotKeptIsPassedOnAndNotExported() throws {
        let given = "traceparent: 00-\(TraceTests.trace)-\(TraceTests.parent)-00"
        let (forwarded, spans) = try send([given])
        #expect(value("traceparent", forwarded)?.hasSuffix("-00") == true)
        #expect(spans.isEmpty)
    }

    @Test(
        arguments: [
            [], ["traceparent: 00-00000000000000000000000000000000-00f067aa0ba902b7-01"],
            ["traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01"],
            ["traceparent: ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"],
            ["traceparent: 00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01"],
            ["traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x"],
            ["traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7"],
            [
                "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b8-01",
            ],
            ["b3: nonsense"], ["x-b3-traceid: 12"],
        ] as [[String]]
    )
    func withoutAValidContextATraceBegins(_ given: [String]) throws {
        let (forwarded, spans) = try send(given + ["tracestate: foreign=1"])
        let passed = try #require(value("traceparent", forwarded))
        #expect(passed.wholeMatch(of: /00-[0-9a-f]{32}-[0-9a-f]{16}-01/) != nil, "\(passed)")
        #expect(!passed.contains(TraceTests.trace))
        #expect(value("tracestate", forwarded) == nil)
        #expect(spans.count == 1 && spans[0].contains("parentSpanId") == false)
    }

    @Test func aLaterVersionIsReadAsFarAsItIsKnown() throws {
        let given = "traceparent: cc-\(TraceTests.trace)-\(TraceTests.parent)-01-more"
        let passed = try #require(value("traceparent", try send([given]).forwarded))
        #expect(passed.hasPrefix("00-\(TraceTests.trace)-"))
    }

    @Test func b3InOneHeaderIsContinued() throws {
        let given = "b3: \(TraceTests.trace)-\(TraceTests.parent)-1-\(TraceTests.parent)"
        let (forwarded, spans) = try send([given], samplesPerMillion: 0)
        let passed = try #require(value("b3", forwarded))
        #expect(passed.hasPrefix("\(TraceTests.trace)-") && passed.hasSuffix("-1"))
        #expect(value("traceparent", forwarded)?.contains(TraceTests.trace) == true)
        #expect(spans.count == 1)
    }

    @Test func b3InSeveralHeadersIsContinued() throws {
        let given = [
            "X-B3-TraceId: a3ce929d0e0e4736", "X-B3-SpanId: \(TraceTests.parent)",
            "X-B3-Sampled: 1",
        ]
        let (forwarded, spans) = try send(given, samplesPerMillion: 0)
        #expect(value("x-b3-traceid", forwarded) == "0000000000000000a3ce929d0e0e4736")
        #expect(value("x-b3-parentspanid", forwarded) == TraceTests.parent)
        #expect(value("x-b3-sampled", forwarded) == "1")
        #expect(value("x-b3-spanid", forwarded) != TraceTests.parent)
        #expect(spans.count == 1)
    }

    @Test func aDecisionAloneIsFollowed() throws {
        #expect(try send(["b3: 0"]).spans.isEmpty)
        #expect(try send(["b3: 1"], samplesPerMillion: 0).spans.count == 1)
        #expect(try send([], samplesPerMillion: 0).spans.isEmpty)
    }

    @Test func anErrorIsMarkedInItsSpan() throws {
        let spans = try send([], answer: "HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n").spans
        #expect(spans.first?.hasSuffix("\"status\":{\"code\":2}}") == true)
    }

    @Test func withoutTracingHeadersPassUntouched() throws {
        let rig = try ProxyRig()
        let given = "traceparent: 00-\(TraceTests.trace)-\(TraceTests.parent)-01"
        _ = rig.connect(sending: "GET / HTTP/1.1\r\nhost: h\r\n\(given)\r\nb3: 0\r\n\r\n")
        #expect(rig.forwarded.contains(given))
    }
}
