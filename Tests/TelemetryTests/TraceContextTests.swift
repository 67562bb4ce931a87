import Telemetry
import Testing

@Suite struct TraceContextTests {
    private static let trace = "0af7651916cd43dd8448eb211c80319c"
    private static let parent = "b7ad6b7169203331"

    private func parse(_ text: String) -> TraceContext? {
        TraceContext(parsing: Array(text.utf8).span)
    }

    @Test func aValidHeaderIsReadAndWrittenBack() throws {
        let text = "00-\(TraceContextTests.trace)-\(TraceContextTests.parent)-01"
        let context = try #require(parse(text))
        #expect(context.traceHigh == 0x0af7_6519_16cd_43dd)
        #expect(context.traceLow == 0x8448_eb21_1c80_319c)
        #expect(context.parent == 0xb7ad_6b71_6920_3331)
        #expect(context.isSampled)
        #expect(context.headerValue == text)
    }

    @Test func aLaterVersionMayBeLonger() {
        let text = "01-\(TraceContextTests.trace)-\(TraceContextTests.parent)-00-more"
        #expect(parse(text) != nil)
    }

    @Test(arguments: [
        "",
        "00-\(trace)-\(parent)-0",
        "00-\(trace)-\(parent)-01-more",
        "00-\(trace)-\(parent)-01x",
        "01-\(trace)-\(parent)-01x",
        "ff-\(trace)-\(parent)-01",
        "00-\(trace.uppercased())-\(parent)-01",
        "00-00000000000000000000000000000000-\(parent)-01",
        "00-\(trace)-0000000000000000-01",
        "00_\(trace)-\(parent)-01",
        "00-\(trace)-\(parent)-zz",
    ])
    func anInvalidHeaderIsIgnored(_ text: String) {
        #expect(parse(text) == nil)
    }
}
