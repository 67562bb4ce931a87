/// Reads the field lines of a head and what they say of framing (RFC 9112 section 5, RFC 9110
/// section 5).
struct FieldLines: BitwiseCopyable {
    var count = 0
    /// Offset after the final empty line, once it was reached.
    var end = 0
    var hostField = -1
    /// `Host` is `host[:port]`, or empty.
    var hostIsValid = false
    var upgradeField = -1
    var contentLength: UInt64?
    /// The length has zeros before it, which another reader might take for octal.
    var lengthIsPadded = false
    var hasTransferEncoding = false
    var connectionCloses = false
    var connectionKeepsAlive = false
    var connectionUpgrades = false
    var expectsContinue = false
    /// The noted names that were read.
    var present = HeaderMask()

    typealias Outcome = HTTP1Head.Outcome

    /// Reads lines that no memo has, from `start` until the empty one.
    ///
    /// - Parameter memos: where they are remembered.
    @inline(never)
    mutating func read(
        _ bytes: RawSpan,
        from start: Int,
        into fields: inout MutableSpan<HeaderField>,
        _ limits: HeadLimits,
        _ memos: borrowing FieldMemos
    ) -> Outcome {
        let outcome = readLines(bytes, from: start, into: &fields, limits)
        if case .complete = outcome, let place = memos.place(bytes, start) {
            memos.note(place, bytes, start, fields, self)
        }
        return outcome
    }

    private mutating func readLines(
        _ bytes: RawSpan,
        from start: Int,
        into fields: inout MutableSpan<HeaderField>,
        _ limits: HeadLimits
    ) -> Outcome {
        let fieldMax = min(limits.fieldCountMax, fields.count)
        let lineLimit = min(limits.fieldLineByteLimit, Int(UInt16.max) - 2)
        let names = HeaderNames.known
        var at = start
        var index = 0
        var present = HeaderMask()
        while at < bytes.byteCount &- 1 {
            if bytes.pair(at: at) == FieldLines.lineEnd {
                count = index
                self.present = present
                end = at &+ 2
                return .complete
            }
            let (colon, stop) = bytes.lineMarks(from: at)
            // Whatever is not a plain line in full is looked at again, slowly. A blank at its start
            // fails as a name does.
            guard stop &- at <= lineLimit, stop < bytes.byteCount &- 1,
                bytes.pair(at: stop) == FieldLines.lineEnd, colon > at, colon < stop,
                index < fieldMax
            else { break }
            let id = names.identify(bytes, at, colon &- at)
            let value = FieldLines.trimmed(bytes, colon &+ 1, stop)
            var flags: HeaderField.Flags = []
            if id == .other {
                guard let found = FieldLines.tokenFlags(bytes, at, colon) else { break }
                flags = found
            } else if id.isNoted {
                present.insert(id)
                if id.isHopByHop { flags = .hopByHop }
                if let fault = consider(id, value.start..<value.end, index, bytes) {
                    return .fault(fault)
                }
            }
            fields[index] = HeaderField(
                nameOffset: UInt32(truncatingIfNeeded: at),
                valueOffset: UInt32(truncatingIfNeeded: value.start),
                nameLength: UInt16(truncatingIfNeeded: colon &- at),
                valueLength: UInt16(truncatingIfNeeded: value.end &- value.start),
                lineLength: UInt16(truncatingIfNeeded: stop &+ 2 &- at),
                id: id,
                flags: flags
            )
            index &+= 1
            at = stop &+ 2
        }
        count = index
        self.present = present
        return conclude(bytes, at, fieldMax, limits)
    }

    /// CR LF as `pair` reads it.
    private static let lineEnd: UInt16 = 0x0a0d

    /// What stands at `at` is no plain field line: the end of the head, a part of a line, or a
    /// fault.
    @inline(never)
    private mutating func conclude(
        _ bytes: RawSpan,
        _ at: Int,
        _ fieldMax: Int,
        _ limits: HeadLimits
    ) -> Outcome {
        guard at < bytes.byteCount else { return .needMore }
        switch bytes.byte(at: at) {
        case UInt8(ascii: "\r"):
            guard at + 1 < bytes.byteCount else { return .needMore }
            guard bytes.byte(at: at + 1) == UInt8(ascii: "\n") else {
                return .fault(.bareCarriageReturn)
            }
            end = at + 2
            return .complete
        case UInt8(ascii: "\n"): return .fault(.bareLineFeed)
        case UInt8(ascii: " "), UInt8(ascii: "\t"): return .fault(.foldedLine)
        default: break
        }
        guard count < fieldMax else { return .fault(.fieldCountExceeded) }
        return FieldLines.examine(bytes, at, limits)
    }

    /// Says what is wrong with a line, or that it has not arrived in full.
    private static func examine(_ bytes: RawSpan, _ start: Int, _ limits: HeadLimits) -> Outcome {
        var colon = start
        while colon < bytes.byteCount && ByteScan.isToken(bytes.byte(at: colon)) { colon += 1 }
        guard colon < bytes.byteCount else {
            return bytes.byteCount - start > limits.fieldLineByteLimit
                ? .fault(.fieldLineTooLong) : .needMore
        }
        guard bytes.byte(at: colon) == UInt8(ascii: ":") else {
            return .fault(FieldLines.nameFault(bytes.byte(at: colon)))
        }
        guard colon > start else { return .fault(.fieldNameEmpty) }
        let stop = bytes.firstControl(from: colon + 1)
        guard stop - start <= limits.fieldLineByteLimit else { return .fault(.fieldLineTooLong) }
        guard stop < bytes.byteCount else { return .needMore }
        guard bytes.byte(at: stop) == UInt8(ascii: "\r") else {
            return .fault(FieldLines.valueFault(bytes.byte(at: stop)))
        }
        guard stop + 1 < bytes.byteCount else { return .needMore }
        return .fault(
            bytes.byte(at: stop + 1) == UInt8(ascii: "\n") ? .fieldLineTooLong : .bareCarriageReturn
        )
    }

    /// What is found in an unknown name, an underscore or nothing; `nil` when it is no token.
    private static func tokenFlags(
        _ bytes: RawSpan,
        _ start: Int,
        _ colon: Int
    ) -> HeaderField.Flags? {
        var flags: HeaderField.Flags = []
        var at = start
        while at < colon {
            var mask = ByteScan.notNameByte(bytes.word(at: at))
            if colon &- at < 8 { mask &= 1 &<< UInt64((colon &- at) &* 8) &- 1 }
            guard mask != 0 else {
                at += 8
                continue
            }
            at += ByteScan.firstLane(mask)
            let byte = bytes.byte(at: at)
            guard ByteScan.isToken(byte) else { return nil }
            if byte == UInt8(ascii: "_") { flags.insert(.underscore) }
            at += 1
        }
        return flags
    }

    /// A value without the blanks around it.
    @inline(__always)
    private static func trimmed(_ bytes: RawSpan, _ start: Int, _ stop: Int) -> (
        start: Int, end: Int
    ) {
        // One space before, none behind: nearly every line.
        let lead = bytes.pair(at: start)
        if lead & 0xff == 0x20 && lead >> 8 > 0x20 && bytes.byte(at: stop &- 1) > 0x20 {
            return (start &+ 1, stop)
        }
        var start = start
        var end = stop
        while start < end && isBlank(bytes.byte(at: start)) { start &+= 1 }
        while end > start && isBlank(bytes.byte(at: end &- 1)) { end &-= 1 }
        return (start, end)
    }

    @inline(__always)
    private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }

    private static func nameFault(_ byte: UInt8) -> HTTP1Fault {
        switch byte {
        case UInt8(ascii: " "), UInt8(ascii: "\t"): .spaceBeforeColon
        case UInt8(ascii: "\n"): .bareLineFeed
        case UInt8(ascii: "\r"): .fieldNameInvalid
        default: .fieldNameInvalid
        }
    }

    private static func valueFault(_ byte: UInt8) -> HTTP1Fault {
        byte == UInt8(ascii: "\n") ? .bareLineFeed : .fieldValueInvalid
    }

    /// Reads a field of a noted name: what frames or routes the message, or is for one hop.
    private mutating func consider(
        _ id: HeaderID,
        _ value: Range<Int>,
        _ index: Int,
        _ bytes: RawSpan
    ) -> HTTP1Fault? {
        switch id {
        case .host:
            guard hostField < 0 else { return .hostDuplicate }
            hostField = index
            hostIsValid = RequestLine.isAuthority(bytes, value, mayBeEmpty: true)
        case .contentLength:
            guard contentLength == nil else { return .contentLengthDuplicate }
            guard let length = FieldLines.decimal(bytes, value) else {
                return .contentLengthInvalid
            }
            contentLength = length
            lengthIsPadded = value.count > 1 && bytes.byte(at: value.lowerBound) == 0x30
        case .transferEncoding:
            guard !hasTransferEncoding else { return .transferEncodingDuplicate }
            hasTransferEncoding = true
            return FieldLines.codingFault(bytes, value)
        case .connection: return considerConnection(bytes, value)
        case .upgrade: upgradeField = index
        case .expect:
            guard
                bytes.equalsIgnoringCase(value.lowerBound, value.count, "100-continue")
            else { return .expectationUnsupported }
            expectsContinue = true
        default: break
        }
        return nil
    }

    private static func decimal(_ bytes: RawSpan, _ text: Range<Int>) -> UInt64? {
        guard !text.isEmpty && text.count <= 19 else { return nil }
        if text.count <= 8 {
            return ByteScan.decimal(
                bytes.word(at: text.lowerBound),
                digits: text.count
            )
        }
        var value: UInt64 = 0
        for offset in text {
            let digit = bytes.byte(at: offset) &- UInt8(ascii: "0")
            guard digit < 10 else { return nil }
            value = value &* 10 &+ UInt64(digit)
        }
        return value <= UInt64(Int64.max) ? value : nil
    }

    /// Only `chunked` alone is spoken.
    private static func codingFault(_ bytes: RawSpan, _ value: Range<Int>) -> HTTP1Fault? {
        let start = value.lowerBound
        let count = value.count
        if bytes.equalsIgnoringCase(start, count, "chunked") { return nil }
        guard count > 7, bytes.equalsIgnoringCase(start + count - 7, 7, "chunked") else {
            return .transferEncodingInvalid
        }
        var at = start
        while at < start + count && ByteScan.isToken(bytes.byte(at: at)) { at += 1 }
        let separator = at < start + count ? bytes.byte(at: at) : 0
        guard at > start, separator == UInt8(ascii: ",") || isBlank(separator) else {
            return .transferEncodingInvalid
        }
        return bytes.equalsIgnoringCase(start, min(at - start, count), "chunked")
            ? .transferEncodingInvalid : .transferCodingUnsupported
    }

    /// Reads the list of `Connection` (RFC 9110 section 7.6.1).
    private mutating func considerConnection(
        _ bytes: RawSpan,
        _ value: Range<Int>
    ) -> HTTP1Fault? {
        var at = value.lowerBound
        let end = value.upperBound
        while at < end {
            while at < end
                && (FieldLines.isBlank(bytes.byte(at: at)) || bytes.byte(at: at) == 0x2c)
            {
                at += 1
            }
            let start = at
            while at < end && ByteScan.isToken(bytes.byte(at: at)) { at += 1 }
            if at == start {
                if at == end { break }
                return .connectionInvalid
            }
            if let fault = considerOption(bytes, start, at - start) { return fault }
        }
        return nil
    }

    private mutating func considerOption(
        _ bytes: RawSpan,
        _ start: Int,
        _ length: Int
    ) -> HTTP1Fault? {
        if bytes.equalsIgnoringCase(start, length, "close") {
            connectionCloses = true
        } else if bytes.equalsIgnoringCase(start, length, "keep-alive") {
            connectionKeepsAlive = true
        } else if bytes.equalsIgnoringCase(start, length, "upgrade") {
            connectionUpgrades = true
        } else {
            switch HeaderID.identify(bytes, offset: start, count: length) {
            case .host, .contentLength, .transferEncoding: return .connectionInvalid
            default:
                nominationCount += 1
                if nominationCount > FieldLines.nominationMax { return .connectionOptionsExceeded }
            }
        }
        return nil
    }

    /// Fields that `Connection` may name: each is compared with every field of the head.
    static let nominationMax = 16
    /// How many fields `Connection` names by their own names.
    private var nominationCount = 0
    /// Whether `Connection` names fields by their own names.
    var hasNominations: Bool { nominationCount > 0 }

    /// Marks the fields that `Connection` names as meant for this hop only.
    func markNominated(_ bytes: RawSpan, _ fields: inout MutableSpan<HeaderField>) {
        for index in 0..<count where fields[index].id == .connection {
            markNominated(bytes, by: fields[index], &fields)
        }
    }

    private func markNominated(
        _ bytes: RawSpan,
        by connection: HeaderField,
        _ fields: inout MutableSpan<HeaderField>
    ) {
        var at = Int(connection.valueOffset)
        let end = at + Int(connection.valueLength)
        while at < end {
            while at < end && !ByteScan.isToken(bytes.byte(at: at)) { at += 1 }
            let start = at
            while at < end && ByteScan.isToken(bytes.byte(at: at)) { at += 1 }
            let length = at - start
            guard length > 0 else { continue }
            for index in 0..<count where Int(fields[index].nameLength) == length {
                let name = Int(fields[index].nameOffset)
                if bytes.equalsIgnoringCase(start, name, count: length) {
                    fields[index].flags.insert(.hopByHop)
                }
            }
        }
    }
}
