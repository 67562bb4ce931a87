/// Trailer fields (RFC 9110 section 6.5): kept beside the exchange until the body's end, passed on
/// where the next hop's framing can carry them, dropped where it cannot.
extension HTTPProxy {
    /// Fields that are no trailers: what frames, routes, authenticates or qualifies a message is
    /// decided by its head (RFC 9110 section 6.5.1), and what the proxy writes itself is not taken
    /// from a peer.
    private static let forbidden = HeaderMask(
        .host,
        .contentLength,
        .transferEncoding,
        .connection,
        .upgrade,
        .expect,
        .keepAlive,
        .te,
        .trailer,
        .proxyConnection,
        .proxyAuthorization,
        .proxyAuthenticate,
        .http2Settings,
        .xForwardedFor,
        .xForwardedProto,
        .xForwardedHost,
        .xForwardedPort,
        .xRealIP,
        .xRequestID,
        .forwarded,
        .contentType,
        .contentEncoding,
        .contentRange,
        .date,
        .authorization,
        .wwwAuthenticate,
        .cookie,
        .setCookie,
        .location,
        .cacheControl,
        .pragma,
        .ifNoneMatch,
        .ifModifiedSince,
        .vary,
        .range,
        .age,
        .expires,
        .retryAfter
    )
    private static let forbiddenNames: [StaticString] = [
        "max-forwards", "if-match", "if-range", "if-unmodified-since", "warning",
    ]

    // MARK: Receiving

    /// Keeps the bytes of a trailer section that came with the last `consumed` bytes of framing.
    ///
    /// - Parameters:
    ///   - byteCount: bytes of the section so far, its last line feed not counted.
    ///   - isEnd: whether the section ended with these bytes.
    /// - Returns: why the section is refused.
    func keepTrailers(
        _ exchange: ExchangeHandle,
        _ side: FilterSide,
        _ bytes: RawSpan,
        consumed: Int,
        byteCount: Int,
        isEnd: Bool
    ) -> HTTP1Fault? {
        // The empty line alone: no trailers.
        if isEnd && byteCount == 1 { return nil }
        guard let annex = trailerAnnex(exchange) else { return .trailersTooLarge }
        let kept = list(annex, side).byteCount
        let end = isEnd ? consumed - 1 : consumed
        let start = end - (byteCount - kept)
        let offset = TrailerBlock.textOffset(side)
        let block = annexes[annex].trailerBlock
        pool.write(bytes.extracting(start..<end), to: block, at: offset + kept)
        setList(annex, side, TrailerList(byteCount: byteCount))
        guard isEnd else { return nil }
        var lineFeed = pool.mutableBytes(block, offset + byteCount, 1)
        lineFeed.storeBytes(of: UInt8(ascii: "\n"), as: UInt8.self)
        return readTrailers(exchange, annex, side, byteCount + 1)
    }

    private func readTrailers(
        _ exchange: ExchangeHandle,
        _ annex: AnnexHandle,
        _ side: FilterSide,
        _ byteCount: Int
    ) -> HTTP1Fault? {
        let text = pool.bytes(
            annexes[annex].trailerBlock,
            TrailerBlock.textOffset(side),
            byteCount
        )
        var fields = mutableTrailers(annex, side, count: TrailerBlock.fieldMax)
        var lines = FieldLines()
        switch lines.read(text, from: 0, into: &fields, limits.head, fieldMemos) {
        case .complete: break
        case .needMore: return .trailerInvalid
        case .fault(let fault): return fault
        }
        lines.markNominated(text, &fields)
        let count = keepAllowed(text, &fields, lines.count)
        setList(annex, side, TrailerList(byteCount: byteCount, fieldCount: count))
        if count > 0 { exchanges[exchange].flags.insert(hasTrailers(side)) }
        return nil
    }

    /// Keeps the trailers of an HTTP/2 message.
    ///
    /// - Returns: whether there was room.
    func keepTrailers(
        _ exchange: ExchangeHandle,
        _ bytes: RawSpan,
        _ given: Span<HeaderField>,
        _ side: FilterSide = .request
    ) -> Bool {
        guard bytes.byteCount <= ChunkedDecoder.trailerByteLimit,
            given.count <= TrailerBlock.fieldMax, let annex = trailerAnnex(exchange)
        else { return false }
        let block = annexes[annex].trailerBlock
        pool.write(bytes, to: block, at: TrailerBlock.textOffset(side))
        var fields = mutableTrailers(annex, side, count: given.count)
        for index in given.indices { fields[index] = given[index] }
        let count = keepAllowed(bytes, &fields, given.count)
        setList(annex, side, TrailerList(byteCount: bytes.byteCount, fieldCount: count))
        if count > 0 { exchanges[exchange].flags.insert(hasTrailers(side)) }
        return true
    }

    private func keepAllowed(
        _ text: RawSpan,
        _ fields: inout MutableSpan<HeaderField>,
        _ count: Int
    ) -> Int {
        var kept = 0
        for index in 0..<count {
            let field = fields[index]
            guard !field.flags.contains(.hopByHop), !HTTPProxy.forbidden.contains(field.id),
                !HTTPProxy.forbiddenNames.contains(where: { field.isNamed($0, in: text) })
            else { continue }
            fields[kept] = field
            kept += 1
        }
        return kept
    }

    private func trailerAnnex(_ exchange: ExchangeHandle) -> AnnexHandle? {
        let annex = annex(exchange)
        if annexes[annex].trailerBlock.isSome { return annex }
        guard let block = pool.take() else {
            counters.count(.bufferLimitHits)
            return nil
        }
        annexes[annex].trailerBlock = block
        return annex
    }

    // MARK: The block

    private func list(_ annex: AnnexHandle, _ side: FilterSide) -> TrailerList {
        side == .request ? annexes[annex].requestTrailers : annexes[annex].responseTrailers
    }

    private func setList(_ annex: AnnexHandle, _ side: FilterSide, _ list: TrailerList) {
        if side == .request {
            annexes[annex].requestTrailers = list
        } else {
            annexes[annex].responseTrailers = list
        }
    }

    private func hasTrailers(_ side: FilterSide) -> Exchange.Flags {
        side == .request ? .requestTrailers : .responseTrailers
    }

    @_lifetime(immortal)
    private func mutableTrailers(
        _ annex: AnnexHandle,
        _ side: FilterSide,
        count: Int
    ) -> MutableSpan<HeaderField> {
        pool.mutableElements(
            annexes[annex].trailerBlock,
            at: TrailerBlock.fieldOffset(side),
            count: count,
            of: HeaderField.self
        )
    }

    /// The text that a direction's trailers point into.
    @_lifetime(immortal)
    func trailerBytes(_ exchange: ExchangeHandle, _ side: FilterSide) -> RawSpan {
        pool.bytes(
            annexes[exchanges[exchange].annex].trailerBlock,
            TrailerBlock.textOffset(side),
            TrailerBlock.textByteLimit
        )
    }

    /// A direction's trailers; none where there are none.
    @_lifetime(immortal)
    func trailerFields(_ exchange: ExchangeHandle, _ side: FilterSide) -> Span<HeaderField> {
        guard exchanges[exchange].flags.contains(hasTrailers(side)) else { return Span() }
        let annex = exchanges[exchange].annex
        return pool.elements(
            annexes[annex].trailerBlock,
            at: TrailerBlock.fieldOffset(side),
            count: list(annex, side).fieldCount,
            of: HeaderField.self
        )
    }

    // MARK: For filters

    /// Appends a trailer.
    ///
    /// - Returns: `false` when there is no room, or when a trailer may not have the name.
    func addTrailer(
        _ exchange: ExchangeHandle,
        _ side: FilterSide,
        _ name: RawSpan,
        _ value: RawSpan
    ) -> Bool {
        guard let annex = trailerAnnex(exchange) else { return false }
        var list = list(annex, side)
        let size = name.byteCount + value.byteCount
        guard list.byteCount + size <= TrailerBlock.textByteLimit,
            list.fieldCount < TrailerBlock.fieldMax
        else { return false }
        let field = HeaderField(
            nameOffset: UInt32(list.byteCount),
            valueOffset: UInt32(list.byteCount + name.byteCount),
            nameLength: UInt16(name.byteCount),
            valueLength: UInt16(value.byteCount),
            id: HeaderID.identify(name, offset: 0, count: name.byteCount)
        )
        guard !HTTPProxy.forbidden.contains(field.id) else { return false }
        let start = TrailerBlock.textOffset(side) + list.byteCount
        pool.write(name, to: annexes[annex].trailerBlock, at: start)
        pool.write(value, to: annexes[annex].trailerBlock, at: start + name.byteCount)
        var fields = mutableTrailers(annex, side, count: list.fieldCount + 1)
        fields[list.fieldCount] = field
        list.byteCount += size
        list.fieldCount += 1
        setList(annex, side, list)
        exchanges[exchange].flags.insert(hasTrailers(side))
        return true
    }

    /// Takes every trailer of a name out.
    func removeTrailers(_ exchange: ExchangeHandle, _ side: FilterSide, _ name: RawSpan) {
        guard exchanges[exchange].flags.contains(hasTrailers(side)) else { return }
        let annex = exchanges[exchange].annex
        var list = list(annex, side)
        let text = trailerBytes(exchange, side)
        let id = HeaderID.identify(name, offset: 0, count: name.byteCount)
        var fields = mutableTrailers(annex, side, count: list.fieldCount)
        var kept = 0
        for index in 0..<list.fieldCount {
            let field = fields[index]
            guard !field.isNamed(id, name, in: text) else { continue }
            fields[kept] = field
            kept += 1
        }
        list.fieldCount = kept
        setList(annex, side, list)
        if kept == 0 { exchanges[exchange].flags.remove(hasTrailers(side)) }
    }

    // MARK: Sending

    /// Ends a chunked body: the last chunk, the trailers, the empty line.
    func appendLastChunk(_ exchange: ExchangeHandle, _ side: FilterSide) {
        gathered.append("0\r\n")
        if exchanges[exchange].flags.contains(hasTrailers(side)) {
            let fields = trailerFields(exchange, side)
            let text = trailerBytes(exchange, side)
            for index in fields.indices {
                gathered.append(text.extracting(fields[index].nameRange))
                gathered.append(": ")
                gathered.append(text.extracting(fields[index].valueRange))
                gathered.append("\r\n")
            }
        }
        gathered.append("\r\n")
    }
}
