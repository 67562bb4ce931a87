/// Reads the field lines of a head and what they say of framing (RFC 9112 section 5, RFC 9110
/// section 5).
struct FieldLines: ~Copyable {
    var count = 0
    /// Offset after the final empty line, once it was reached.
    var end = 0
    var hostField = -1
    var upgradeField = -1
    var contentLength: UInt64?
    var hasTransferEncoding = false
    var connectionCloses = false
    var connectionKeepsAlive = false
    var connectionUpgrades = false
    var expectsContinue = false

    enum Outcome {
        case complete
        case needMore
        case fault(HTTP1Fault)
    }

    /// Reads lines from `start` until the empty one.
    mutating func read(
        _ bytes: RawSpan,
        from start: Int,
        into fields: inout MutableSpan<HeaderField>,
        _ limits: HeadLimits
    ) -> Outcome {
        let fieldMax = min(limits.fieldCountMax, fields.count)
        var at = start
        while true {
            guard at < bytes.byteCount else { return .needMore }
            let first = bytes.byte(at: at)
            if first == UInt8(ascii: "\r") {
                guard at + 1 < bytes.byteCount else { return .needMore }
                guard bytes.byte(at: at + 1) == UInt8(ascii: "\n") else {
                    return .fault(.bareCarriageReturn)
                }
                end = at + 2
                return .complete
            }
            guard first != UInt8(ascii: "\n") else { return .fault(.bareLineFeed) }
            guard first != UInt8(ascii: " "), first != UInt8(ascii: "\t") else {
                return .fault(.foldedLine)
            }
            guard count < fieldMax else { return .fault(.fieldCountExceeded) }
            switch readLine(bytes, at, limits) {
            case .needMore: return .needMore
            case .fault(let fault): return .fault(fault)
            case .field(var field):
                if field.id.decidesFraming || field.id.isHopByHop {
                    if let fault = consider(&field, bytes) { return .fault(fault) }
                }
                fields[count] = field
                count += 1
                at += Int(field.lineLength)
            }
        }
    }

    private enum Line {
        case field(HeaderField)
        case needMore
        case fault(HTTP1Fault)
    }

    private func readLine(_ bytes: RawSpan, _ start: Int, _ limits: HeadLimits) -> Line {
        var colon = start
        var flags: HeaderField.Flags = []
        while true {
            guard colon < bytes.byteCount else {
                return bytes.byteCount - start > limits.fieldLineByteLimit
                    ? .fault(.fieldLineTooLong) : .needMore
            }
            let mask = ByteScan.notNameByte(bytes.word(at: colon))
            guard mask != 0 else {
                colon += 8
                continue
            }
            colon += ByteScan.firstLane(mask)
            guard colon < bytes.byteCount else { continue }
            let byte = bytes.byte(at: colon)
            if byte == UInt8(ascii: ":") { break }
            guard ByteScan.isToken(byte) else { return .fault(FieldLines.nameFault(byte)) }
            if byte == UInt8(ascii: "_") { flags.insert(.underscore) }
            colon += 1
        }
        guard colon > start else { return .fault(.fieldNameEmpty) }
        let stop = bytes.firstControl(from: colon + 1)
        guard stop - start <= limits.fieldLineByteLimit else { return .fault(.fieldLineTooLong) }
        guard stop + 1 < bytes.byteCount else {
            return stop < bytes.byteCount && bytes.byte(at: stop) != UInt8(ascii: "\r")
                ? .fault(FieldLines.valueFault(bytes.byte(at: stop))) : .needMore
        }
        guard bytes.byte(at: stop) == UInt8(ascii: "\r") else {
            return .fault(FieldLines.valueFault(bytes.byte(at: stop)))
        }
        guard bytes.byte(at: stop + 1) == UInt8(ascii: "\n") else {
            return .fault(.bareCarriageReturn)
        }
        var field = FieldLines.field(bytes, start, colon, stop)
        field.flags.formUnion(flags)
        return .field(field)
    }

    private static func field(_ bytes: RawSpan, _ start: Int, _ colon: Int, _ stop: Int)
        -> HeaderField
    {
        var valueStart = colon + 1
        var valueEnd = stop
        while valueStart < valueEnd && isBlank(bytes.byte(at: valueStart)) { valueStart += 1 }
        while valueEnd > valueStart && isBlank(bytes.byte(at: valueEnd - 1)) { valueEnd -= 1 }
        let id = HeaderID.identify(bytes, offset: start, count: colon - start)
        return HeaderField(
            nameOffset: UInt32(truncatingIfNeeded: start),
            valueOffset: UInt32(truncatingIfNeeded: valueStart),
            nameLength: UInt16(truncatingIfNeeded: colon - start),
            valueLength: UInt16(truncatingIfNeeded: valueEnd - valueStart),
            lineLength: UInt16(truncatingIfNeeded: stop + 2 - start),
            id: id,
            flags: id.isHopByHop ? .hopByHop : []
        )
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

    /// Reads a field that frames or routes the message.
    private mutating func consider(_ field: inout HeaderField, _ bytes: RawSpan) -> HTTP1Fault? {
        switch field.id {
        case .host:
            guard hostField < 0 else { return .hostDuplicate }
            hostField = count
        case .contentLength:
            guard contentLength == nil else { return .contentLengthDuplicate }
            guard let length = FieldLines.decimal(bytes, field) else {
                return .contentLengthInvalid
            }
            contentLength = length
        case .transferEncoding:
            guard !hasTransferEncoding else { return .transferEncodingDuplicate }
            hasTransferEncoding = true
            return FieldLines.codingFault(bytes, field)
        case .connection: return considerConnection(bytes, field)
        case .upgrade: upgradeField = count
        case .expect:
            guard
                bytes.equalsIgnoringCase(
                    Int(field.valueOffset),
                    Int(field.valueLength),
                    "100-continue"
                )
            else { return .expectationUnsupported }
            expectsContinue = true
        default: break
        }
        return nil
    }

    private static func decimal(_ bytes: RawSpan, _ field: HeaderField) -> UInt64? {
        guard field.valueLength > 0 && field.valueLength <= 19 else { return nil }
        var value: UInt64 = 0
        for offset in field.valueRange {
            let digit = bytes.byte(at: offset) &- UInt8(ascii: "0")
            guard digit < 10 else { return nil }
            value = value &* 10 &+ UInt64(digit)
        }
        return value <= UInt64(Int64.max) ? value : nil
    }

    /// Only `chunked` alone is spoken.
    private static func codingFault(_ bytes: RawSpan, _ field: HeaderField) -> HTTP1Fault? {
        let start = Int(field.valueOffset)
        let count = Int(field.valueLength)
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
        _ field: HeaderField
    ) -> HTTP1Fault? {
        var at = Int(field.valueOffset)
        let end = at + Int(field.valueLength)
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
                if nominationCount > FieldLines.nominationMax { return .connectionInvalid }
            }
        }
        return nil
    }

    /// Fields that `Connection` may name: each is compared with every field of the head.
    private static let nominationMax = 16
    /// How many fields `Connection` names by their own names.
    private var nominationCount = 0

    /// Marks the fields that `Connection` names as meant for this hop only.
    func markNominated(_ bytes: RawSpan, _ fields: inout MutableSpan<HeaderField>) {
        guard nominationCount > 0 else { return }
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
