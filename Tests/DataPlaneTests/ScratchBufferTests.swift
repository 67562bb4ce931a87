import DataPlane
import Testing

@Suite struct ScratchBufferTests {
    private func text(_ body: (ScratchBuffer) -> Void) -> String {
        let scratch = ScratchBuffer(capacity: 256)
        body(scratch)
        var bytes: [UInt8] = []
        let span = scratch.bytes()
        for index in 0..<span.byteCount { bytes.append(span.unsafeLoadByte(index)) }
        return String(decoding: bytes, as: UTF8.self)
    }

    @Test(arguments: [
        0, 1, 9, 10, 15, 16, 255, 256, 0xdead_beef, 0x0123_4567_89ab_cdef, UInt64.max,
        1 << 63, 999, 1_000, 10_000_000_000_000_000_000,
    ])
    func numbersAreWrittenAsTheStandardLibraryWritesThem(value: UInt64) {
        #expect(text { $0.append(decimal: value) } == String(value))
        #expect(text { $0.append(hexadecimal: value) } == String(value, radix: 16))
        let padded = String(repeating: "0", count: 16 - String(value, radix: 16).count)
        let wanted = padded + String(value, radix: 16)
        #expect(text { $0.append(hexadecimal: value, digits: 16) } == wanted)
    }

    @Test func whatDoesNotFitIsLeftOutAndTold() {
        let scratch = ScratchBuffer(capacity: 4)
        scratch.append("abcd")
        #expect(!scratch.overflowed)
        scratch.append(byte: 0)
        #expect(scratch.overflowed)
        #expect(scratch.count == 4)
    }
}

extension RawSpan {
    /// One byte, for a test to look at.
    fileprivate func unsafeLoadByte(_ offset: Int) -> UInt8 {
        unsafe unsafeLoad(fromByteOffset: offset, as: UInt8.self)
    }
}
