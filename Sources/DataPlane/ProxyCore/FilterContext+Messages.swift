/// The response and the bodies, as filters see and change them.
extension FilterContext {
    // MARK: The response's head

    /// Calls `body` with the first value of a response header given as bytes (any case).
    ///
    /// - Returns: `nil` when there is none, or before the response phases.
    package func withResponseHeader<Result>(
        named name: RawSpan,
        _ body: (RawSpan) -> Result
    ) -> Result? {
        guard proxy.hasHeldHead(exchange) else { return nil }
        let annex = proxy.exchanges[exchange].annex
        let text = proxy.pool.bytes(
            proxy.annexes[annex].responseBlock,
            0,
            ExchangeBlock.textByteLimit
        )
        let count = proxy.annexes[annex].responseHead.fieldCount
        let fields = proxy.heldResponseFields(annex, count: count)
        let id = HeaderID.identify(name, offset: 0, count: name.byteCount)
        for index in 0..<count where fields[index].isNamed(id, name, in: text) {
            return body(text.extracting(fields[index].valueRange))
        }
        return nil
    }

    /// Appends a line to the response. Framing fields are the proxy's own.
    ///
    /// - Returns: `false` when the head has gone out, has no room left, or there is none yet.
    @discardableResult
    package func addResponseHeader(named name: RawSpan, value: RawSpan) -> Bool {
        proxy.canChangeHead(exchange) && proxy.addResponseField(exchange, name, value)
    }

    /// Takes every line of a name out of the response, unless its head has gone out.
    package func removeResponseHeader(named name: RawSpan) {
        if proxy.canChangeHead(exchange) { proxy.removeResponseFields(exchange, name) }
    }

    /// Gives the response another status, unless its head has gone out.
    package func replaceStatus(_ status: UInt16) {
        guard proxy.canChangeHead(exchange), (200...599).contains(status) else { return }
        proxy.annexes[proxy.exchanges[exchange].annex].responseHead.status = status
        proxy.annexes[proxy.exchanges[exchange].annex].responseHead.reasonLength = 0
        proxy.exchanges[exchange].status = status
    }

    // MARK: Whole bodies

    /// Puts another body in the place of the whole one; in the phases `request` and `response` only.
    ///
    /// - Returns: `false` in other phases, or when there is no room.
    package func replaceBody(_ body: [UInt8]) -> Bool {
        mayReplaceBody && proxy.replaceBody(exchange, body)
    }

    // MARK: Bodies in passing

    /// Puts other bytes, or none, in the place of the piece in hand; in the data phases only, by
    /// filters that said they would (`replacesData`).
    ///
    /// - Returns: `false` in other phases.
    @discardableResult
    package func replaceData(_ bytes: [UInt8]) -> Bool {
        guard mayReplaceData else { return false }
        replacement = bytes
        return true
    }

    /// Says that the request's body will have another length than announced; in phase
    /// `requestHeaders` only.
    package func streamRequestBody() {
        guard !proxy.exchanges[exchange].head.framing.isBodyless else { return }
        proxy.exchanges[exchange].head.framing = .chunked
        "content-length".withBytes { removeRequestHeader(named: $0) }
        proxy.exchanges[exchange].head.verbatimByteCount = 0
    }

    /// Says that the response's body will have another length than announced; in phase
    /// `responseHeaders` only.
    package func streamResponseBody() {
        guard proxy.canChangeHead(exchange) else { return }
        let annex = proxy.exchanges[exchange].annex
        guard !proxy.annexes[annex].responseHead.framing.isBodyless else { return }
        proxy.annexes[annex].responseHead.framing = .chunked
        "content-length".withBytes { removeResponseHeader(named: $0) }
    }

    // MARK: Trailers

    /// Calls `body` with name and value of every response trailer.
    package func forEachResponseTrailer(_ body: (RawSpan, RawSpan) -> Void) {
        let fields = proxy.trailerFields(exchange, .response)
        guard fields.count > 0 else { return }
        let text = proxy.trailerBytes(exchange, .response)
        for index in fields.indices {
            body(
                text.extracting(fields[index].nameRange),
                text.extracting(fields[index].valueRange)
            )
        }
    }

    /// Takes all trailers out of the response.
    package func removeAllResponseTrailers() {
        proxy.exchanges[exchange].flags.remove(.responseTrailers)
    }

    /// Calls `body` with the first value of a request trailer (any case); `nil` when there is none.
    package func withRequestTrailer<Result>(
        named name: RawSpan,
        _ body: (RawSpan) -> Result
    ) -> Result? {
        withTrailer(.request, name, body)
    }

    /// Calls `body` with the first value of a response trailer (any case); `nil` when there is none.
    package func withResponseTrailer<Result>(
        named name: RawSpan,
        _ body: (RawSpan) -> Result
    ) -> Result? {
        withTrailer(.response, name, body)
    }

    /// Appends a trailer to a request that has trailers.
    ///
    /// - Returns: `false` when there is no room, or no trailer may have the name.
    @discardableResult
    package func addRequestTrailer(named name: RawSpan, value: RawSpan) -> Bool {
        proxy.addTrailer(exchange, .request, name, value)
    }

    /// Appends a trailer to a response that has trailers.
    ///
    /// - Returns: `false` when there is no room, or no trailer may have the name.
    @discardableResult
    package func addResponseTrailer(named name: RawSpan, value: RawSpan) -> Bool {
        proxy.addTrailer(exchange, .response, name, value)
    }

    /// Takes every trailer of a name out of the request.
    package func removeRequestTrailer(named name: RawSpan) {
        proxy.removeTrailers(exchange, .request, name)
    }

    /// Takes every trailer of a name out of the response.
    package func removeResponseTrailer(named name: RawSpan) {
        proxy.removeTrailers(exchange, .response, name)
    }

    private func withTrailer<Result>(
        _ side: FilterSide,
        _ name: RawSpan,
        _ body: (RawSpan) -> Result
    ) -> Result? {
        let fields = proxy.trailerFields(exchange, side)
        guard fields.count > 0 else { return nil }
        let text = proxy.trailerBytes(exchange, side)
        let id = HeaderID.identify(name, offset: 0, count: name.byteCount)
        for index in fields.indices where fields[index].isNamed(id, name, in: text) {
            return body(text.extracting(fields[index].valueRange))
        }
        return nil
    }
}
