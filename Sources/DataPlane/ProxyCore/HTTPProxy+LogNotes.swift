/// What a log line or a metric needs of an exchange and would be gone when it ends.
extension HTTPProxy {
    /// Exchanges whose end takes more than counting.
    @inline(__always)
    static var rare: Exchange.Flags {
        [.usesChain, .responseTrailers, .grpc, .traced, .changedTarget]
    }

    /// Notes of a response's head: the headers that the log's format asks for, and the status of a
    /// gRPC response that has nothing but a head. `fields` stand in `responseFields`.
    func noteResponse(
        _ exchange: ExchangeHandle,
        _ head: HTTP1ResponseHead,
        _ bytes: RawSpan
    ) {
        let fields = responseFields.span.extracting(0..<head.fieldCount)
        if exchanges[exchange].head.isHTTP2 && head.framing.isBodyless {
            noteStatus(exchange, fields, bytes)
        }
        if let format = accessLog.format, !format.responseNames.isEmpty {
            keep(format, exchange, fields, bytes)
        }
    }

    /// Notes the status among a response's trailers.
    func noteTrailers(_ exchange: ExchangeHandle) {
        let fields = trailerFields(exchange, .response)
        guard fields.count > 0 else { return }
        noteStatus(exchange, fields, trailerBytes(exchange, .response))
    }

    private func noteStatus(
        _ exchange: ExchangeHandle,
        _ fields: Span<HeaderField>,
        _ bytes: RawSpan
    ) {
        for index in fields.indices where fields[index].isNamed("grpc-status", in: bytes) {
            let value = bytes.extracting(fields[index].valueRange)
            exchanges[exchange].grpcStatus = GRPCStatus.code(of: value)
            exchanges[exchange].flags.insert(.grpc)
            return
        }
    }

    /// Copies the values behind the request's head, each after its length; a name that the response
    /// does not have is a length that no value has.
    private func keep(
        _ format: LogFormat,
        _ exchange: ExchangeHandle,
        _ fields: Span<HeaderField>,
        _ bytes: RawSpan
    ) {
        let copy = accessLog.kept
        copy.reset()
        for name in format.responseNames {
            var found: Range<Int>?
            for index in fields.indices where format.names(name, fields[index], in: bytes) {
                found = fields[index].valueRange
                break
            }
            let value = found.map { $0.prefix(AccessLog.textByteLimit) }
            let length = value.map(\.count) ?? KeptResponse.absent
            copy.append(byte: UInt8(length >> 8))
            copy.append(byte: UInt8(length & 0xff))
            if let value { copy.append(bytes.extracting(value)) }
        }
        guard !copy.overflowed, let start = append(copy.bytes(), to: exchange) else { return }
        annexes[annex(exchange)].keptResponse = TextRange(
            start: start,
            byteCount: Int32(copy.count)
        )
    }

    /// Where the value of a kept response header stands in the exchange's block.
    func keptResponse(_ exchange: ExchangeHandle, _ name: LogFormat.Name) -> Range<Int>? {
        let annex = exchanges[exchange].annex
        guard name.kept >= 0, annexes.contains(annex) else { return nil }
        let kept = annexes[annex].keptResponse.range
        guard !kept.isEmpty else { return nil }
        let bytes = headBytes(exchange)
        var at = kept.lowerBound
        for index in 0...Int(name.kept) {
            guard at + 2 <= kept.upperBound else { return nil }
            let length = Int(bytes.byte(at: at)) << 8 | Int(bytes.byte(at: at + 1))
            let isAbsent = length == KeptResponse.absent
            if index == Int(name.kept) { return isAbsent ? nil : (at + 2)..<(at + 2 + length) }
            at += 2 + (isAbsent ? 0 : length)
        }
        return nil
    }

    /// Notes when a request was complete, where the log's format asks for it.
    func noteRequestEnd(_ exchange: ExchangeHandle) {
        guard accessLog.format?.wantsRequestEnd == true else { return }
        annexes[annex(exchange)].requestEndNanoseconds = loop.nowNanoseconds
    }

    /// Counts what exchanges of gRPC and those that are traced have besides.
    func accountRare(_ exchange: ExchangeHandle) {
        let flags = exchanges[exchange].flags
        if flags.contains(.changedTarget) { restoreTarget(exchange) }
        if flags.contains(.usesChain) { runLogFilters(exchange) }
        if flags.contains(.responseTrailers) { noteTrailers(exchange) }
        if exchanges[exchange].flags.contains(.grpc) {
            traffic.count(grpcStatus: exchanges[exchange].grpcStatus)
        }
        if flags.contains(.traced) { writeSpan(exchange) }
    }
}

/// How response headers are kept for the log.
enum KeptResponse {
    /// The length of a value that is not there.
    static let absent = 0xffff
}
