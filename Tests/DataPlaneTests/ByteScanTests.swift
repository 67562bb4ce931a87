import Testing

@testable import DataPlane

/// The tests on sixteen bytes against the same decisions taken one byte at a time.
@Suite struct ByteScanTests {
    /// Texts of every length up to 50 with every byte of interest at every place.
    private static let marks: [UInt8] = [
        0x00, 0x08, 0x09, 0x0a, 0x0d, 0x1f, 0x20, 0x22, 0x25, 0x2d, 0x2e, 0x2f, 0x30, 0x39, 0x3a,
        0x3f, 0x40, 0x41, 0x5a, 0x5b, 0x5c, 0x5f, 0x60, 0x61, 0x7a, 0x7b, 0x7e, 0x7f, 0x80, 0xff,
    ]

    private func forEachText(_ body: ([UInt8], Int) -> Void) {
        for count in 0...50 {
            for mark in ByteScanTests.marks {
                for place in stride(from: 0, to: max(count, 1), by: max(1, count / 7)) {
                    var text = [UInt8](repeating: 0x61, count: count)
                    if place < count { text[place] = mark }
                    if place + 3 < count { text[place + 3] = 0x3a }
                    body(text, min(place, count) / 2)
                }
            }
        }
    }

    @Test func aLinesEndAndColonAreFoundWhereverTheyStand() {
        forEachText { text, start in
            let stop = text[start...].firstIndex { !ByteScan.isValue($0) } ?? text.count
            let colon = text[start..<stop].firstIndex(of: 0x3a)
            let found = text.withRawSpan { $0.lineMarks(from: start) }
            #expect(found.stop == stop)
            #expect(colon.map { $0 == found.colon } ?? !(start..<stop).contains(found.colon))
        }
    }

    @Test func aRangesFirstByteOfAKindIsFoundAndNothingPastTheRange() {
        forEachText { text, start in
            for end in [start, (start + text.count) / 2, text.count] {
                let range = start..<end
                let bytes = text[range]
                let escaped = bytes.firstIndex { ByteScan.isEscaped($0) } ?? end
                let notable = bytes.firstIndex { [0x3f, 0x2e, 0x25, 0x5c].contains($0) } ?? end
                let notHost = bytes.firstIndex { !Self.isHost($0) } ?? end
                text.withRawSpan {
                    #expect($0.firstEscaped(range) == escaped)
                    #expect($0.firstNotable(range) == notable)
                    #expect($0.firstNotHost(range) == notHost)
                    #expect($0.firstColon(range) == bytes.firstIndex(of: 0x3a) ?? -1)
                }
            }
        }
    }

    private static func isHost(_ byte: UInt8) -> Bool {
        (0x61...0x7a).contains(byte | 0x20) && byte < 0x80 || (0x30...0x39).contains(byte)
            || byte == 0x2d || byte == 0x2e
    }

    @Test func aNumberIsReadFromAWordOrRefused() {
        for text in ["0", "7", "10", "1024", "00005", "99999999", "12345678"] {
            #expect(decimal(text) == UInt64(text))
        }
        for text in ["a", "1x", "-1", "+5", "1 ", "12:4", "1234567/", "\u{b}", "1\u{1a}"] {
            #expect(decimal(text) == nil, "\(text)")
        }
    }

    private func decimal(_ text: String) -> UInt64? {
        // What stands behind the number does not count.
        let word = Array((text + "9\r\n/;:x").utf8).withRawSpan { $0.word(at: 0) }
        return ByteScan.decimal(word, digits: text.utf8.count)
    }

    @Test func lettersOfAWordAreLoweredAndNothingElse() {
        for byte in UInt8.min...UInt8.max {
            for lane in 0..<8 {
                let word = UInt64(byte) << UInt64(lane * 8)
                #expect(ByteScan.lower(word) == UInt64(ByteScan.lower(byte)) << UInt64(lane * 8))
            }
        }
    }
}
