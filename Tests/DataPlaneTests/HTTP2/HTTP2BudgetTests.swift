import Testing

@testable import DataPlane

@Suite struct HTTP2BudgetTests {
    private static let second: UInt64 = 1_000_000_000

    @Test func resetsAreForgivenWithTime() {
        var budget = HTTP2Budget(HTTP2Limits())
        for second in 0..<3_600 {
            budget.elapse(to: UInt64(second) * Self.second)
            for _ in 0..<30 { #expect(budget.resetCounted() == nil) }
        }
        for _ in 0..<256 { _ = budget.resetCounted() }
        #expect(budget.resetCounted() == .earlyResets)
    }

    @Test func pingsAreForgivenWithTimeWithStreamsAndWithBodies() {
        var budget = HTTP2Budget(HTTP2Limits())
        for second in 0..<3_600 {
            budget.elapse(to: UInt64(second) * Self.second)
            for _ in 0..<90 { #expect(budget.controlFrameCounted() == nil) }
        }
        budget.streamOpened()
        for _ in 0..<10_000 {
            #expect(budget.controlFrameCounted() == nil)
            #expect(budget.controlFrameCounted() == nil)
            budget.dataPassed()
        }
        for _ in 0..<1_000 { _ = budget.controlFrameCounted() }
        #expect(budget.controlFrameCounted() == .controlFrames)
    }

    @Test func aThousandStreamsForgiveTheirResets() {
        var budget = HTTP2Budget(HTTP2Limits())
        for stream in 0..<10_000 {
            budget.streamOpened()
            if stream % 5 == 0 { #expect(budget.resetCounted() == nil) }
        }
    }

    @Test func eachHeaderListHasItsContinuations() {
        var budget = HTTP2Budget(HTTP2Limits())
        for _ in 0..<100 {
            budget.blockBegan()
            for _ in 0..<8 { #expect(budget.continuationCounted() == nil) }
        }
        #expect(budget.continuationCounted() == .continuationFrames)
    }
}
