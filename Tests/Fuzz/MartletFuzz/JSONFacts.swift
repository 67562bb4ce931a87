import Discovery

/// Facts about the JSON scanner: it ends in a value or a fault that lies in the text, and a list's
/// items are the same however the transport cut the bytes.
enum JSONFacts {
    private struct Outcome: Equatable {
        var items: [[UInt8]] = []
        var fault: ListItemSplitter.Fault?
        var envelope: [UInt8]?
    }

    static func check(_ bytes: [UInt8]) {
        do throws(JSONFault) {
            _ = try ObjectEnvelope(json: bytes)
        } catch {
            precondition((0...bytes.count).contains(error.offset), "a fault outside the text")
        }
        let whole = split(bytes, pieceByteCount: max(bytes.count, 1))
        precondition(split(bytes, pieceByteCount: 1).items == whole.items, "cuts matter")
        precondition(split(bytes, pieceByteCount: 5).envelope == whole.envelope, "cuts matter")
    }

    private static func split(_ bytes: [UInt8], pieceByteCount: Int) -> Outcome {
        var splitter = ListItemSplitter()
        var outcome = Outcome()
        var start = 0
        do throws(ListItemSplitter.Fault) {
            while start < bytes.count {
                let end = min(start + pieceByteCount, bytes.count)
                outcome.items += try splitter.append(Array(bytes[start..<end]))
                start = end
            }
            outcome.envelope = try splitter.finish()
        } catch {
            // Items before the fault may have been given out or not, by how the bytes were cut.
            return Outcome(fault: error)
        }
        return outcome
    }
}
