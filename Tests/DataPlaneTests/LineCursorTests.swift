import DataPlane
import Testing

@Suite struct LineCursorTests {
    private func text(_ scratch: ScratchBuffer) -> String {
        String(decoding: scratch.array(0, scratch.count), as: UTF8.self)
    }

    private func line(capacity: Int = 512, _ body: (inout LineCursor) -> Void) -> ScratchBuffer {
        let scratch = ScratchBuffer(capacity: capacity)
        scratch.append("<")
        var line = LineCursor(scratch)
        body(&line)
        line.finish(scratch)
        return scratch
    }

    @Test(arguments: [
        0, 9, 10, 99, 100, 999, 1_000, 1_024, 9_999, 10_000, 65_536, 123_456_789, UInt64.max,
    ])
    func numbersAreWrittenAsTheStandardLibraryWritesThem(value: UInt64) {
        #expect(text(line { $0.write(decimal: value) }) == "<\(value)")
    }

    @Test func everyNumberBelowAThousandHasThreeDigits() {
        for value in UInt64(0)..<1_000 {
            let digits = String(value)
            let wanted = "<" + String(repeating: "0", count: 3 - digits.count) + digits
            #expect(text(line { $0.write(thousandths: value) }) == wanted)
        }
    }

    @Test(arguments: [0, 1, 15, 16, 17, 63, 64, 65, 200, 256])
    func runsOfEveryLengthGoOverWholeFromEveryPlace(length: Int) {
        let bytes = (0..<256).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ 33) }
        for start in [0, 1, 100, 256 - length] where start + length <= 256 {
            let written = line { line in
                bytes.withRawSpanForTest { line.write($0, start..<(start + length)) }
                line.write(">")
            }
            let wanted = [UInt8(ascii: "<")] + bytes[start..<(start + length)] + [UInt8(ascii: ">")]
            #expect(written.array(0, written.count) == wanted, "from \(start)")
        }
    }

    @Test func whatDoesNotFitIsLeftOutAndTold() {
        let whole = line(capacity: 4) { $0.write("abc") }
        #expect(text(whole) == "<abc" && !whole.overflowed)
        let cut = line(capacity: 4) { line in
            line.write("ab")
            line.write("cd")
            line.write(decimal: 12)
        }
        #expect(text(cut) == "<ab" && cut.overflowed)
    }

    @Test func othersAppendInBetweenByTheirOwnMeans() {
        let scratch = ScratchBuffer(capacity: 64)
        var line = LineCursor(scratch)
        line.write("a")
        line.detour(scratch) { scratch.append("b") }
        line.write("c")
        line.finish(scratch)
        #expect(text(scratch) == "abc")
    }
}

extension [UInt8] {
    fileprivate func withRawSpanForTest(_ body: (RawSpan) -> Void) {
        unsafe body(span.bytes)
    }
}
