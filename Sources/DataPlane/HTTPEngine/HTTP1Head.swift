/// The heads of HTTP/1 messages (RFC 9112). Strict: whatever two readers could take differently is
/// a fault.
package enum HTTP1Head {
    /// How reading a head ended.
    package enum Outcome: BitwiseCopyable, Sendable {
        /// It was read.
        case complete
        /// It is not complete yet.
        case needMore
        /// It is refused.
        case fault(HTTP1Fault)
    }

    /// Reads a request's head.
    ///
    /// - Parameters:
    ///   - bytes: what has arrived of the message, from its first byte.
    ///   - fields: receives the field table.
    ///   - memos: what was read before.
    package static func parseRequest(
        _ bytes: RawSpan,
        into fields: inout MutableSpan<HeaderField>,
        limits: HeadLimits,
        memos: borrowing FieldMemos = FieldMemos(remembers: false)
    ) -> RequestParse {
        var head = HTTP1RequestHead()
        return switch read(&head, bytes, &fields, limits, memos) {
        case .complete: .head(head)
        case .needMore: .needMore
        case .fault(let fault): .fault(fault)
        }
    }

    /// Reads a request's head into `head`, which is a new one.
    ///
    /// - Parameter memos: what was read before.
    static func read(
        _ head: inout HTTP1RequestHead,
        _ bytes: RawSpan,
        _ fields: inout MutableSpan<HeaderField>,
        _ limits: HeadLimits,
        _ memos: borrowing FieldMemos
    ) -> Outcome {
        switch RequestLine.read(bytes, into: &head, limits) {
        case .needMore: return overLimit(bytes, limits) ? .fault(.headTooLarge) : .needMore
        case .fault(let fault): return .fault(fault)
        case .complete(let lineEnd):
            if let place = memos.place(bytes, lineEnd),
                memos.knows(place, bytes, lineEnd, limits, fields.count)
            {
                let lines = memos.recall(place, lineEnd, into: &fields)
                return conclude(&head, lines, bytes, &fields, limits)
            }
            return readAnew(&head, bytes, lineEnd, &fields, limits, memos)
        }
    }

    /// Reads the fields of a request that no memo has.
    @inline(never)
    private static func readAnew(
        _ head: inout HTTP1RequestHead,
        _ bytes: RawSpan,
        _ lineEnd: Int,
        _ fields: inout MutableSpan<HeaderField>,
        _ limits: HeadLimits,
        _ memos: borrowing FieldMemos
    ) -> Outcome {
        var lines = FieldLines()
        switch lines.read(bytes, from: lineEnd, into: &fields, limits, memos) {
        case .needMore: return overLimit(bytes, limits) ? .fault(.headTooLarge) : .needMore
        case .fault(let fault): return .fault(fault)
        case .complete: return conclude(&head, lines, bytes, &fields, limits)
        }
    }

    private static func overLimit(_ bytes: RawSpan, _ limits: HeadLimits) -> Bool {
        bytes.byteCount >= limits.headByteLimit
    }

    @inline(__always)
    private static func conclude(
        _ head: inout HTTP1RequestHead,
        _ lines: FieldLines,
        _ bytes: RawSpan,
        _ fields: inout MutableSpan<HeaderField>,
        _ limits: HeadLimits
    ) -> Outcome {
        guard lines.end <= limits.headByteLimit else { return .fault(.headTooLarge) }
        head.fieldCount = lines.count
        head.present = lines.present
        head.needsRewriting = lines.hasNominations || lines.lengthIsPadded
        head.headByteCount = lines.end
        head.hostField = lines.hostField
        head.upgradeField = lines.upgradeField
        head.hasUpgrade = lines.connectionUpgrades && lines.upgradeField >= 0
        head.expectsContinue = lines.expectsContinue && head.minorVersion == 1
        head.keepAlive =
            head.minorVersion == 1
            ? !lines.connectionCloses : lines.connectionKeepsAlive && !lines.connectionCloses
        if lines.hasNominations { lines.markNominated(bytes, &fields) }
        if let fault = frame(&head, lines, limits) { return .fault(fault) }
        if let fault = address(&head, lines, fields) { return .fault(fault) }
        return .complete
    }

    @inline(__always)
    private static func frame(
        _ head: inout HTTP1RequestHead,
        _ lines: FieldLines,
        _ limits: HeadLimits
    ) -> HTTP1Fault? {
        if lines.hasTransferEncoding {
            guard lines.contentLength == nil else { return .lengthAndTransferEncoding }
            guard head.minorVersion == 1 else { return .transferEncodingInHTTP10 }
            head.framing = .chunked
        } else if let length = lines.contentLength {
            guard length <= limits.bodyByteLimit else { return .bodyTooLarge }
            head.framing = length == 0 ? .none : .length(length)
            if length == 0 && head.method != .get && head.method != .head {
                head.framing = .length(0)
            }
        }
        guard head.method != .connect || head.framing == .none else { return .connectWithBody }
        return nil
    }

    @inline(__always)
    private static func address(
        _ head: inout HTTP1RequestHead,
        _ lines: FieldLines,
        _ fields: borrowing MutableSpan<HeaderField>
    ) -> HTTP1Fault? {
        guard head.hostField >= 0 else {
            return head.minorVersion == 1 ? .hostMissing : nil
        }
        guard lines.hostIsValid else { return .authorityInvalid }
        let host = fields[head.hostField]
        if head.targetForm == .origin || head.targetForm == .asterisk {
            head.authorityOffset = Int(host.valueOffset)
            head.authorityLength = Int(host.valueLength)
        }
        return nil
    }

    /// Reads a response's head.
    ///
    /// - Parameters:
    ///   - requestIsHead: the request's method was HEAD: no body follows.
    ///   - fields: receives the field table.
    package static func parseResponse(
        _ bytes: RawSpan,
        requestIsHead: Bool,
        into fields: inout MutableSpan<HeaderField>,
        limits: HeadLimits
    ) -> ResponseParse {
        var head = HTTP1ResponseHead()
        let memos = FieldMemos(remembers: false)
        return switch read(&head, bytes, requestIsHead: requestIsHead, &fields, limits, memos) {
        case .complete: .head(head)
        case .needMore: .needMore
        case .fault(let fault): .fault(fault)
        }
    }

    /// Reads a response's head into `head`, which is a new one.
    static func read(
        _ head: inout HTTP1ResponseHead,
        _ bytes: RawSpan,
        requestIsHead: Bool,
        _ fields: inout MutableSpan<HeaderField>,
        _ limits: HeadLimits,
        _ memos: borrowing FieldMemos
    ) -> Outcome {
        switch StatusLine.read(bytes, into: &head, limits) {
        case .needMore: return overLimit(bytes, limits) ? .fault(.headTooLarge) : .needMore
        case .fault(let fault): return .fault(fault)
        case .complete(let lineEnd):
            if let place = memos.place(bytes, lineEnd),
                memos.knows(place, bytes, lineEnd, limits, fields.count)
            {
                let lines = memos.recall(place, lineEnd, into: &fields)
                return conclude(&head, lines, lineEnd, bytes, requestIsHead, &fields, limits)
            }
            return readAnew(&head, bytes, lineEnd, requestIsHead, &fields, limits, memos)
        }
    }

    /// Reads the fields of a response that no memo has.
    @inline(never)
    private static func readAnew(
        _ head: inout HTTP1ResponseHead,
        _ bytes: RawSpan,
        _ lineEnd: Int,
        _ requestIsHead: Bool,
        _ fields: inout MutableSpan<HeaderField>,
        _ limits: HeadLimits,
        _ memos: borrowing FieldMemos
    ) -> Outcome {
        var lines = FieldLines()
        switch lines.read(bytes, from: lineEnd, into: &fields, limits, memos) {
        case .needMore: return overLimit(bytes, limits) ? .fault(.headTooLarge) : .needMore
        case .fault(.expectationUnsupported): return .fault(.fieldValueInvalid)
        case .fault(let fault): return .fault(fault)
        case .complete:
            return conclude(&head, lines, lineEnd, bytes, requestIsHead, &fields, limits)
        }
    }

    @inline(__always)
    private static func conclude(
        _ head: inout HTTP1ResponseHead,
        _ lines: FieldLines,
        _ lineEnd: Int,
        _ bytes: RawSpan,
        _ requestIsHead: Bool,
        _ fields: inout MutableSpan<HeaderField>,
        _ limits: HeadLimits
    ) -> Outcome {
        guard lines.end <= limits.headByteLimit else { return .fault(.headTooLarge) }
        head.statusLineLength = lineEnd
        head.fieldCount = lines.count
        head.present = lines.present
        head.needsRewriting = lines.hasNominations || lines.lengthIsPadded
        head.headByteCount = lines.end
        head.upgradeField = lines.upgradeField
        head.hasUpgrade = lines.connectionUpgrades && lines.upgradeField >= 0
        head.keepAlive =
            head.minorVersion == 1
            ? !lines.connectionCloses : lines.connectionKeepsAlive && !lines.connectionCloses
        if lines.hasNominations { lines.markNominated(bytes, &fields) }
        if let fault = frame(&head, lines, requestIsHead) { return .fault(fault) }
        return .complete
    }

    /// RFC 9112 section 6.3.
    @inline(__always)
    private static func frame(
        _ head: inout HTTP1ResponseHead,
        _ lines: FieldLines,
        _ requestIsHead: Bool
    ) -> HTTP1Fault? {
        if lines.hasTransferEncoding && lines.contentLength != nil {
            return .lengthAndTransferEncoding
        }
        if lines.hasTransferEncoding && head.minorVersion == 0 {
            return .transferEncodingInHTTP10
        }
        if head.status < 200 || head.status == 204 {
            // A body announced where none may be: what follows cannot be told from a head.
            head.framing = .none
            if lines.hasTransferEncoding || lines.contentLength ?? 0 > 0 { head.keepAlive = false }
        } else if requestIsHead || head.status == 304 {
            head.framing = .none
        } else if lines.hasTransferEncoding {
            head.framing = .chunked
        } else if let length = lines.contentLength {
            head.framing = .length(length)
        } else {
            head.framing = .untilClose
            head.keepAlive = false
        }
        return nil
    }
}

/// What reading a start line found.
enum StartLineOutcome {
    /// The offset after the line.
    case complete(Int)
    case needMore
    case fault(HTTP1Fault)
}

/// `HTTP-version SP status-code SP [reason-phrase]` (RFC 9112 section 4).
enum StatusLine {
    /// `HTTP/1.1` and ` 200 OK` with CR, the first byte in the lowest bits: nearly every response.
    private static let http11: UInt64 = 0x312e_312f_5054_5448
    private static let okay: UInt64 = 0x0d4b_4f20_3030_3220
    /// `HTTP/1.`, the first byte in the second lowest bits.
    private static let version: UInt64 = 0x2e31_2f50_5454_4800

    static func read(
        _ bytes: RawSpan,
        into head: inout HTTP1ResponseHead,
        _ limits: HeadLimits
    ) -> StartLineOutcome {
        guard bytes.byteCount >= 12 else { return .needMore }
        if bytes.byteCount >= 24, bytes.word(at: 0) == StatusLine.http11,
            bytes.word(at: 8) == StatusLine.okay, bytes.pair(at: 15) == 0x0a0d
        {
            head.status = 200
            head.reasonOffset = 13
            head.reasonLength = 2
            return limits.startLineByteLimit >= 15 ? .complete(17) : .fault(.startLineTooLong)
        }
        guard bytes.word(at: 0) << 8 == StatusLine.version else { return .fault(.versionInvalid) }
        let minor = bytes.byte(at: 7) &- UInt8(ascii: "0")
        guard minor < 2 else { return .fault(.versionUnsupported) }
        head.minorVersion = minor
        guard bytes.byte(at: 8) == UInt8(ascii: " ") else { return .fault(.statusInvalid) }
        var status: UInt16 = 0
        for offset in 9..<12 {
            let digit = bytes.byte(at: offset) &- UInt8(ascii: "0")
            guard digit < 10 else { return .fault(.statusInvalid) }
            status = status * 10 + UInt16(digit)
        }
        guard status >= 100 else { return .fault(.statusInvalid) }
        head.status = status
        let stop = bytes.lineMarks(from: 12).stop
        guard stop <= limits.startLineByteLimit else { return .fault(.startLineTooLong) }
        guard stop < bytes.byteCount else { return .needMore }
        guard bytes.byte(at: stop) == UInt8(ascii: "\r") else {
            return .fault(
                bytes.byte(at: stop) == UInt8(ascii: "\n") ? .bareLineFeed : .fieldValueInvalid
            )
        }
        guard stop + 1 < bytes.byteCount else { return .needMore }
        guard bytes.byte(at: stop + 1) == UInt8(ascii: "\n") else {
            return .fault(.bareCarriageReturn)
        }
        guard stop == 12 || bytes.byte(at: 12) == UInt8(ascii: " ") else {
            return .fault(.statusInvalid)
        }
        head.reasonOffset = min(13, stop)
        head.reasonLength = stop - head.reasonOffset
        return .complete(stop + 2)
    }
}
