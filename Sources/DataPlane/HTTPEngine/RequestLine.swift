/// `method SP request-target SP HTTP-version` (RFC 9112 section 3).
enum RequestLine {
    static func read(
        _ bytes: RawSpan,
        into head: inout HTTP1RequestHead,
        _ limits: HeadLimits
    ) -> StartLineOutcome {
        var at = 0
        if bytes.byteCount > 0 && bytes.byte(at: 0) == UInt8(ascii: "\r") {
            // One empty line before the request is let pass (RFC 9112 section 2.2).
            guard bytes.byteCount > 1 else { return .needMore }
            guard bytes.byte(at: 1) == UInt8(ascii: "\n") else {
                return .fault(.bareCarriageReturn)
            }
            at = 2
        }
        let methodStart = at
        let word = bytes.word(at: at)
        if UInt32(truncatingIfNeeded: word) == RequestLine.get {
            head.method = .get
            at &+= 3
        } else {
            let space = ByteScan.equal(word, to: UInt8(ascii: " "))
            at += space == 0 ? 0 : ByteScan.firstLane(space)
            head.method = HTTPMethod.identify(bytes, offset: methodStart, count: at - methodStart)
        }
        if head.method == .other {
            at = methodStart
            while at < bytes.byteCount && ByteScan.isToken(bytes.byte(at: at)) { at += 1 }
            guard at < bytes.byteCount else { return short(bytes, limits) }
            guard at > methodStart, bytes.byte(at: at) == UInt8(ascii: " ") else {
                return .fault(.methodInvalid)
            }
        }
        head.methodOffset = methodStart
        head.methodLength = at - methodStart
        at += 1
        let targetStart = at
        while at < bytes.byteCount {
            let mask = ByteScan.notTargetByte(bytes.word(at: at))
            guard mask != 0 else {
                at += 8
                continue
            }
            at += ByteScan.firstLane(mask)
            break
        }
        guard at < bytes.byteCount else { return short(bytes, limits) }
        guard at > targetStart, bytes.byte(at: at) == UInt8(ascii: " ") else {
            return .fault(.targetInvalid)
        }
        guard at <= limits.startLineByteLimit else { return .fault(.startLineTooLong) }
        head.targetOffset = targetStart
        head.targetLength = at - targetStart
        switch version(bytes, at + 1, &head) {
        case .complete(let end):
            if let fault = target(bytes, &head) { return .fault(fault) }
            return .complete(end)
        case .needMore: return .needMore
        case .fault(let fault): return .fault(fault)
        }
    }

    private static func short(_ bytes: RawSpan, _ limits: HeadLimits) -> StartLineOutcome {
        bytes.byteCount > limits.startLineByteLimit ? .fault(.startLineTooLong) : .needMore
    }

    /// `GET` and a space, the first byte in the lowest bits.
    private static let get: UInt32 = 0x2054_4547
    /// `HTTP/1.1`, likewise.
    private static let http11: UInt64 = 0x312e_312f_5054_5448

    @inline(__always)
    private static func version(
        _ bytes: RawSpan,
        _ start: Int,
        _ head: inout HTTP1RequestHead
    ) -> StartLineOutcome {
        let available = min(bytes.byteCount - start, 10)
        if available == 10, bytes.pair(at: start + 8) == 0x0a0d {
            let word = bytes.word(at: start)
            if word == RequestLine.http11 || word == RequestLine.http11 &- 1 << 56 {
                head.minorVersion = word == RequestLine.http11 ? 1 : 0
                return .complete(start + 10)
            }
        }
        let expected: StaticString = "HTTP/"
        let prefixMatches = expected.withUTF8Bytes { text in
            for offset in 0..<min(available, 5)
            where bytes.byte(at: start + offset) != text.byte(at: offset) {
                return false
            }
            return true
        }
        guard prefixMatches else { return .fault(.versionInvalid) }
        guard available >= 8 else { return .needMore }
        let major = bytes.byte(at: start + 5) &- UInt8(ascii: "0")
        let minor = bytes.byte(at: start + 7) &- UInt8(ascii: "0")
        guard major < 10, minor < 10, bytes.byte(at: start + 6) == UInt8(ascii: ".") else {
            return .fault(.versionInvalid)
        }
        guard major == 1, minor < 2 else { return .fault(.versionUnsupported) }
        head.minorVersion = minor
        guard available >= 9 else { return .needMore }
        let ending = bytes.byte(at: start + 8)
        guard ending == UInt8(ascii: "\r") else {
            return .fault(ending == UInt8(ascii: "\n") ? .bareLineFeed : .versionInvalid)
        }
        guard available >= 10 else { return .needMore }
        guard bytes.byte(at: start + 9) == UInt8(ascii: "\n") else {
            return .fault(.bareCarriageReturn)
        }
        return .complete(start + 10)
    }

    /// Tells the four forms of a target apart (RFC 9112 section 3.2).
    private static func target(_ bytes: RawSpan, _ head: inout HTTP1RequestHead) -> HTTP1Fault? {
        let start = head.targetOffset
        let first = bytes.byte(at: start)
        if head.method == .connect {
            head.targetForm = .authority
            head.authorityOffset = start
            head.authorityLength = head.targetLength
            let range = start..<(start + head.targetLength)
            return isAuthority(bytes, range, mayBeEmpty: false) ? nil : .authorityInvalid
        }
        if first == UInt8(ascii: "/") {
            head.pathOffset = start
            head.pathLength = head.targetLength
            return nil
        }
        if first == UInt8(ascii: "*") && head.targetLength == 1 && head.method == .options {
            head.targetForm = .asterisk
            return nil
        }
        return absolute(bytes, &head)
    }

    private static func absolute(_ bytes: RawSpan, _ head: inout HTTP1RequestHead) -> HTTP1Fault? {
        let start = head.targetOffset
        let end = start + head.targetLength
        let schemeLength: Int
        if head.targetLength > 7 && bytes.equalsIgnoringCase(start, 7, "http://") {
            schemeLength = 7
        } else if head.targetLength > 8 && bytes.equalsIgnoringCase(start, 8, "https://") {
            schemeLength = 8
        } else {
            return .targetInvalid
        }
        head.targetForm = .absolute
        head.authorityOffset = start + schemeLength
        var at = head.authorityOffset
        while at < end && bytes.byte(at: at) != UInt8(ascii: "/")
            && bytes.byte(at: at) != UInt8(ascii: "?")
        {
            at += 1
        }
        head.authorityLength = at - head.authorityOffset
        let range = head.authorityOffset..<at
        guard isAuthority(bytes, range, mayBeEmpty: false) else { return .authorityInvalid }
        guard at == end || bytes.byte(at: at) == UInt8(ascii: "/") else { return .targetInvalid }
        head.pathOffset = at
        head.pathLength = end - at
        return nil
    }

    /// Whether bytes are `host[:port]` without user information (RFC 3986 section 3.2).
    static func isAuthority(_ bytes: RawSpan, _ range: Range<Int>, mayBeEmpty: Bool) -> Bool {
        guard !range.isEmpty else { return mayBeEmpty }
        if bytes.firstNotHost(range) == range.upperBound { return true }
        var at = range.lowerBound
        if bytes.byte(at: at) == UInt8(ascii: "[") {
            at += 1
            while at < range.upperBound && isAddressByte(bytes.byte(at: at)) { at += 1 }
            guard at < range.upperBound, at > range.lowerBound + 2,
                bytes.byte(at: at) == UInt8(ascii: "]")
            else { return false }
            at += 1
        } else {
            at = hostEnd(bytes, range)
            guard at > range.lowerBound else { return false }
        }
        guard at < range.upperBound else { return true }
        guard bytes.byte(at: at) == UInt8(ascii: ":"), range.upperBound - at <= 6 else {
            return false
        }
        at += 1
        var port: UInt32 = 0
        while at < range.upperBound {
            let digit = bytes.byte(at: at) &- UInt8(ascii: "0")
            guard digit < 10 else { return false }
            port = port * 10 + UInt32(digit)
            at += 1
        }
        return port <= 65_535
    }

    /// Where the first byte stands that no host name has.
    private static func hostEnd(_ bytes: RawSpan, _ range: Range<Int>) -> Int {
        var at = bytes.firstNotHost(range)
        while at < range.upperBound && isHostByte(bytes.byte(at: at)) {
            at = bytes.firstNotHost((at + 1)..<range.upperBound)
        }
        return at
    }

    private static func isHostByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."),
            UInt8(ascii: "_"), UInt8(ascii: "~"):
            true
        default: false
        }
    }

    private static func isAddressByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "f"), UInt8(ascii: "A")...UInt8(ascii: "F"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: ":"), UInt8(ascii: "."):
            true
        default: false
        }
    }
}
