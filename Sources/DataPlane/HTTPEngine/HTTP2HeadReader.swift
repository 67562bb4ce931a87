/// The pseudo-header fields of a request, as places in its header bytes.
struct HTTP2Pseudo: BitwiseCopyable {
    var methodOffset = 0
    var methodLength = 0
    var pathOffset = 0
    var pathLength = 0
    var authorityOffset = 0
    var authorityLength = 0
    var protocolOffset = 0
    var protocolLength = 0
    var hasScheme = false
    var contentLength: UInt64?
}

/// Reads header lists field by field (RFC 9113 section 8). One serves all connections of a worker:
/// a list that arrives in pieces is put aside between them.
final class HTTP2HeadReader {
    /// How many times a limit a list may have before decoding it any further is refused, and the
    /// connection ended (CVE-2016-6581).
    static let bombFactor = 4

    /// A list that has come in part.
    struct Partial {
        fileprivate var text: [UInt8]
        fileprivate var fields: [HeaderField]
        fileprivate var state: State
    }

    /// What is known of the list in hand.
    fileprivate struct State: BitwiseCopyable {
        var fieldCount = 0
        var pseudo = HTTP2Pseudo()
        var isMalformed = false
        var isTooLarge = false
        /// Bytes of the list as RFC 9113 section 10.5.1 counts them, and all its fields.
        var byteCount = 0
        var totalCount = 0
        var sawRegularField = false
        var cookieCount = 0
        var hasTrailerField = false
    }

    private let byteLimit: Int
    private let fieldMax: Int
    private var text: ScratchBuffer
    private var spare: ScratchBuffer
    private let table: Table<HeaderField>
    private var state = State()

    init(_ limits: HTTP2Limits) {
        byteLimit = limits.headerListByteLimit
        fieldMax = limits.fieldCountMax
        text = ScratchBuffer(capacity: limits.headerListByteLimit + 64)
        spare = ScratchBuffer(capacity: limits.headerListByteLimit + 64)
        table = Table(count: limits.fieldCountMax, repeating: HeaderField())
    }

    /// Whether the list breaks a rule of the protocol.
    var isMalformed: Bool { state.isMalformed }
    /// Whether it is past a limit; what followed was passed over.
    var isTooLarge: Bool { state.isTooLarge }
    /// Whether it is so far past a limit that decoding it is to stop.
    var isBomb: Bool {
        state.byteCount > byteLimit * HTTP2HeadReader.bombFactor
            || state.totalCount > fieldMax * HTTP2HeadReader.bombFactor
    }
    /// The pseudo-header fields.
    var pseudo: HTTP2Pseudo { state.pseudo }
    /// Whether a field announces trailers.
    var hasTrailerField: Bool { state.hasTrailerField }

    /// The bytes that fields point into.
    var bytes: RawSpan {
        @_lifetime(immortal)
        get { text.bytes(0, text.capacity) }
    }

    /// The bytes in use.
    var usedBytes: RawSpan {
        @_lifetime(immortal)
        get { text.bytes() }
    }

    /// The fields, pseudo-header fields and host not among them.
    var fields: Span<HeaderField> {
        @_lifetime(immortal)
        get { table.span.extracting(0..<state.fieldCount) }
    }

    /// Begins a list.
    func begin() {
        text.reset()
        state = State()
    }

    /// Puts the list in hand aside.
    func putAside() -> Partial {
        var fields: [HeaderField] = []
        for index in 0..<state.fieldCount { fields.append(table[index]) }
        return Partial(text: text.array(0, text.count), fields: fields, state: state)
    }

    /// Goes on with a list that was put aside.
    func resume(_ partial: Partial) {
        text.reset()
        text.append(partial.text)
        for (index, field) in partial.fields.enumerated() { table[index] = field }
        state = partial.state
    }

    /// Notes a field that no message may hold, such as one with a line break in its value.
    func noteInvalid() { state.isMalformed = true }

    /// Takes one field; of a list past its limits the rest is passed over, so that the table that
    /// both ends share stays whole (RFC 7541 section 2.2).
    ///
    /// - Returns: the limit that this field is the first past.
    func add(_ name: RawSpan, _ value: RawSpan) -> HTTP2Limit? {
        state.byteCount += name.byteCount + value.byteCount + 32
        state.totalCount += 1
        guard !state.isTooLarge else { return nil }
        if state.byteCount > byteLimit || state.totalCount > fieldMax + 5 {
            state.isTooLarge = true
            return state.byteCount > byteLimit ? .headerListBytes : .fieldCount
        }
        let nameOffset = text.count
        text.append(name)
        let valueOffset = text.count
        text.append(value)
        if name.byteCount > 0 && name.byte(at: 0) == UInt8(ascii: ":") {
            addPseudo(nameOffset, name.byteCount, valueOffset, value.byteCount)
            return nil
        }
        state.sawRegularField = true
        return addField(nameOffset, name.byteCount, valueOffset, value.byteCount)
    }

    private func addPseudo(_ nameOffset: Int, _ nameLength: Int, _ offset: Int, _ length: Int) {
        let span = bytes
        if span.equalsIgnoringCase(nameOffset, nameLength, ":method") {
            state.pseudo.methodOffset = offset
            state.pseudo.methodLength = length
        } else if span.equalsIgnoringCase(nameOffset, nameLength, ":path") {
            state.pseudo.pathOffset = offset
            state.pseudo.pathLength = length
        } else if span.equalsIgnoringCase(nameOffset, nameLength, ":authority") {
            state.pseudo.authorityOffset = offset
            state.pseudo.authorityLength = length
        } else if span.equalsIgnoringCase(nameOffset, nameLength, ":scheme") {
            state.pseudo.hasScheme = true
        } else if span.equalsIgnoringCase(nameOffset, nameLength, ":protocol") {
            state.pseudo.protocolOffset = offset
            state.pseudo.protocolLength = length
        }
    }

    private func addField(_ nameOffset: Int, _ nameLength: Int, _ offset: Int, _ length: Int)
        -> HTTP2Limit?
    {
        let span = bytes
        let id = HeaderID.identify(span, offset: nameOffset, count: nameLength)
        switch id {
        case .connection, .keepAlive, .proxyConnection, .transferEncoding, .upgrade:
            state.isMalformed = true
            return nil
        case .host:
            noteHost(offset, length)
            return nil
        case .contentLength:
            noteLength(offset, length)
            return nil
        case .cookie: state.cookieCount += 1
        case .trailer: state.hasTrailerField = true
        default: break
        }
        guard state.fieldCount < fieldMax else {
            state.isTooLarge = true
            return .fieldCount
        }
        table[state.fieldCount] = HeaderField(
            nameOffset: UInt32(nameOffset),
            valueOffset: UInt32(offset),
            nameLength: UInt16(clamping: nameLength),
            valueLength: UInt16(clamping: length),
            id: id,
            flags: id.isHopByHop ? .hopByHop : []
        )
        state.fieldCount += 1
        return nil
    }

    /// Two readers must not see two hosts (RFC 9113 section 8.3.1).
    private func noteHost(_ offset: Int, _ length: Int) {
        if state.pseudo.authorityLength == 0 {
            state.pseudo.authorityOffset = offset
            state.pseudo.authorityLength = length
            return
        }
        let span = text.bytes()
        let isSame =
            length == state.pseudo.authorityLength
            && span.equalsIgnoringCase(offset, state.pseudo.authorityOffset, count: length)
        if !isSame { state.isMalformed = true }
    }

    private func noteLength(_ offset: Int, _ length: Int) {
        guard let number = HTTP2HeadReader.decimal(text.bytes(), offset, length),
            state.pseudo.contentLength == nil || state.pseudo.contentLength == number
        else {
            state.isMalformed = true
            return
        }
        state.pseudo.contentLength = number
    }

    private static func decimal(_ bytes: RawSpan, _ offset: Int, _ length: Int) -> UInt64? {
        guard (1...18).contains(length) else { return nil }
        var value: UInt64 = 0
        for position in offset..<(offset + length) {
            let digit = bytes.byte(at: position) &- UInt8(ascii: "0")
            guard digit < 10 else { return nil }
            value = value * 10 + UInt64(digit)
        }
        return value
    }

    // MARK: The whole list

    /// Whether the list is a request's as a whole: what it must have, it has, and path and
    /// authority could stand in a request line of HTTP/1 as they are.
    var isRequest: Bool {
        let pseudo = state.pseudo
        guard !state.isMalformed, pseudo.methodLength > 0 else { return false }
        let span = text.bytes()
        let method = HTTPMethod.identify(
            span,
            offset: pseudo.methodOffset,
            count: pseudo.methodLength
        )
        let authority =
            pseudo.authorityOffset..<(pseudo.authorityOffset + pseudo.authorityLength)
        if method == .connect && pseudo.protocolLength == 0 {
            return RequestLine.isAuthority(span, authority, mayBeEmpty: false)
        }
        guard pseudo.hasScheme, pseudo.pathLength > 0,
            RequestLine.isAuthority(span, authority, mayBeEmpty: true)
        else { return false }
        if span.byte(at: pseudo.pathOffset) == UInt8(ascii: "/") { return hasPlainPath(span) }
        return method == .options && pseudo.pathLength == 1
            && span.byte(at: pseudo.pathOffset) == UInt8(ascii: "*")
    }

    private func hasPlainPath(_ span: RawSpan) -> Bool {
        let end = state.pseudo.pathOffset + state.pseudo.pathLength
        var at = state.pseudo.pathOffset
        while at < end {
            let mask = ByteScan.notTargetByte(span.word(at: at))
            if mask != 0 && at + ByteScan.firstLane(mask) < end { return false }
            at += 8
        }
        return true
    }

    /// Makes one cookie field of several, as HTTP/1 has them (RFC 9113 section 8.2.3).
    func joinCookies() {
        guard state.cookieCount > 1 else { return }
        spare.reset()
        copyPseudo()
        var kept = 0
        var first = -1
        for index in 0..<state.fieldCount {
            let field = table[index]
            if field.id == .cookie && first >= 0 { continue }
            let isJoined = field.id == .cookie
            if isJoined { first = kept }
            table[kept] = isJoined ? joined(from: index) : moved(field)
            kept += 1
        }
        state.fieldCount = kept
        swap(&text, &spare)
    }

    private func joined(from start: Int) -> HeaderField {
        var field = moved(table[start])
        for index in (start + 1)..<max(state.fieldCount, start + 1) where table[index].id == .cookie
        {
            spare.append("; ")
            spare.append(text.bytes().extracting(table[index].valueRange))
        }
        field.valueLength = UInt16(clamping: spare.count - Int(field.valueOffset))
        return field
    }

    private func moved(_ field: HeaderField) -> HeaderField {
        var field = field
        let bytes = text.bytes()
        let nameOffset = spare.count
        spare.append(bytes.extracting(field.nameRange))
        let valueOffset = spare.count
        spare.append(bytes.extracting(field.valueRange))
        field.nameOffset = UInt32(nameOffset)
        field.valueOffset = UInt32(valueOffset)
        return field
    }

    private func copyPseudo() {
        move(&state.pseudo.methodOffset, state.pseudo.methodLength)
        move(&state.pseudo.pathOffset, state.pseudo.pathLength)
        move(&state.pseudo.authorityOffset, state.pseudo.authorityLength)
        move(&state.pseudo.protocolOffset, state.pseudo.protocolLength)
    }

    private func move(_ offset: inout Int, _ length: Int) {
        let start = spare.count
        spare.append(text.bytes(offset, length))
        offset = start
    }
}
