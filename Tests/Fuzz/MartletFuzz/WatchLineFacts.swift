import Discovery

/// Facts about watch responses: the lines are the same however the transport cut the bytes, and
/// whatever a line holds, reading it ends in a value or a fault.
enum WatchLineFacts {
    private static let lineByteLimit = 512

    static func check(_ bytes: [UInt8]) {
        let whole = lines(bytes, pieceByteCount: max(bytes.count, 1))
        for pieceByteCount in [1, 3, 16] {
            precondition(lines(bytes, pieceByteCount: pieceByteCount) == whole, "cuts matter")
        }
        for line in whole ?? [] {
            precondition(!line.isEmpty && !line.contains(UInt8(ascii: "\n")), "not one line")
            precondition(line.count <= lineByteLimit, "a line past its limit")
            if let read = try? WatchLine(line, kind: .service) {
                precondition(read.objectRange.upperBound <= line.count, "an object past its line")
            }
        }
    }

    /// - Returns: `nil` where a line was too long.
    private static func lines(_ bytes: [UInt8], pieceByteCount: Int) -> [[UInt8]]? {
        var splitter = WatchLineSplitter(lineByteLimit: lineByteLimit)
        var found: [[UInt8]] = []
        var start = 0
        while start < bytes.count {
            let end = min(start + pieceByteCount, bytes.count)
            guard let more = try? splitter.append(Array(bytes[start..<end])) else { return nil }
            found += more
            start = end
        }
        if let last = splitter.finish() { found.append(last) }
        return found
    }
}
