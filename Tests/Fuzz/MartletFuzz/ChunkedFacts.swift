import DataPlane

/// Facts about chunked bodies: the payload and the end are the same however the input is cut.
enum ChunkedFacts {
    private struct Outcome: Equatable {
        var payload: [UInt8] = []
        var consumed = 0
        var ended = false
        var fault: HTTP1Fault?
    }

    static func check(_ bytes: [UInt8]) {
        let whole = decode(bytes, pieceByteCount: max(bytes.count, 1))
        precondition(whole.consumed <= bytes.count, "more consumed than came")
        precondition(whole.payload.count <= bytes.count, "more payload than input")
        for pieceByteCount in [1, 2, 7] {
            precondition(decode(bytes, pieceByteCount: pieceByteCount) == whole, "cuts matter")
        }
    }

    private static func decode(_ bytes: [UInt8], pieceByteCount: Int) -> Outcome {
        var decoder = ChunkedDecoder()
        var outcome = Outcome()
        var start = 0
        while start < bytes.count {
            var rest = Array(bytes[start..<min(start + pieceByteCount, bytes.count)])
            start += rest.count
            while !rest.isEmpty {
                switch unsafe decoder.next(rest.span.bytes) {
                case .data(let range):
                    precondition(!range.isEmpty, "a step without progress")
                    outcome.payload += rest[range]
                    outcome.consumed += range.upperBound
                    rest.removeFirst(range.upperBound)
                case .needMore(let consumed):
                    precondition(consumed == rest.count, "framing left over")
                    outcome.consumed += consumed
                    rest = []
                case .end(let consumed):
                    outcome.consumed += consumed
                    outcome.ended = true
                    return outcome
                case .fault(let fault):
                    outcome.fault = fault
                    outcome.consumed = 0
                    return outcome
                }
            }
        }
        return outcome
    }
}
