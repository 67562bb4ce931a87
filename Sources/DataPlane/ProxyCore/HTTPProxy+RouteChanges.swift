/// Redirects and rewritten targets.
extension HTTPProxy {
    /// Keeps what is to become of a request's target until its filters have let it pass.
    ///
    /// - Returns: `false` when the block has no room.
    func takeChange(_ index: Int32, for exchange: ExchangeHandle) -> Bool {
        var row = view.changes[Int(index)]
        for field in [
            \ChangeRow.scheme, \ChangeRow.host, \ChangeRow.port, \ChangeRow.replacement,
        ] {
            guard let start = append(view.bytes(row[keyPath: field]), to: exchange) else {
                return false
            }
            row[keyPath: field].start = start
        }
        annexes[annex(exchange)].change = row
        exchanges[exchange].flags.insert(.changesTarget)
        return true
    }

    /// Does what a request's rule or backend does to its target.
    ///
    /// - Returns: whether the request is to go on.
    func changeTarget(_ exchange: ExchangeHandle) -> Bool {
        exchanges[exchange].flags.remove(.changesTarget)
        let row = annexes[exchanges[exchange].annex].change
        guard row.status == 0 else {
            redirect(exchange, row)
            return false
        }
        let head = exchanges[exchange].head
        annexes[exchanges[exchange].annex].askedPath = TextRange(
            start: head.pathOffset,
            byteCount: head.pathLength
        )
        annexes[exchanges[exchange].annex].askedPathOnlyByteCount = head.pathOnlyLength
        annexes[exchanges[exchange].annex].askedAuthority = TextRange(
            start: head.authorityOffset,
            byteCount: head.authorityLength
        )
        exchanges[exchange].flags.insert(.changedTarget)
        exchanges[exchange].head.verbatimByteCount = 0
        if row.host.byteCount > 0 {
            exchanges[exchange].head.authorityOffset = row.host.start
            exchanges[exchange].head.authorityLength = row.host.byteCount
        }
        guard row.path == .keep || head.tunnel == .connect || rewritePath(exchange, row) else {
            fail(exchange, status: 431, .overflow)
            return false
        }
        return true
    }

    /// Puts back the target that was asked for, which logs and traces show.
    func restoreTarget(_ exchange: ExchangeHandle) {
        let annex = annexes[exchanges[exchange].annex]
        exchanges[exchange].head.pathOffset = annex.askedPath.start
        exchanges[exchange].head.pathLength = annex.askedPath.byteCount
        exchanges[exchange].head.pathOnlyLength = annex.askedPathOnlyByteCount
        exchanges[exchange].head.authorityOffset = annex.askedAuthority.start
        exchanges[exchange].head.authorityLength = annex.askedAuthority.byteCount
    }

    /// Puts a new path into the block; `false` when there is no room.
    private func rewritePath(_ exchange: ExchangeHandle, _ row: ChangeRow) -> Bool {
        edgeText.reset()
        appendPath(exchange, row)
        let pathByteCount = edgeText.count
        appendQuery(exchange)
        guard let start = append(edgeText.bytes(), to: exchange) else { return false }
        exchanges[exchange].head.pathOffset = start
        exchanges[exchange].head.pathLength = Int32(edgeText.count)
        exchanges[exchange].head.pathOnlyLength = Int32(pathByteCount)
        return true
    }

    /// Appends the path as it is to be.
    private func appendPath(_ exchange: ExchangeHandle, _ row: ChangeRow) {
        let bytes = headBytes(exchange)
        let path = exchanges[exchange].head.pathOnlyRange
        let before = edgeText.count
        switch row.path {
        case .keep: edgeText.append(bytes.extracting(path))
        case .whole: edgeText.append(bytes.extracting(row.replacement.range))
        case .prefix:
            edgeText.append(bytes.extracting(row.replacement.range))
            let rest = min(path.lowerBound + Int(row.matchedByteCount), path.upperBound)
            edgeText.append(bytes.extracting(rest..<path.upperBound))
            if rest == path.upperBound && row.endsInSlash { edgeText.append("/") }
        }
        if edgeText.count == before { edgeText.append("/") }
    }

    private func appendQuery(_ exchange: ExchangeHandle) {
        let head = exchanges[exchange].head
        edgeText.append(
            headBytes(exchange).extracting(
                head.pathOnlyRange.upperBound..<head.pathRange.upperBound
            )
        )
    }

    /// Sends the client elsewhere.
    private func redirect(_ exchange: ExchangeHandle, _ row: ChangeRow) {
        let bytes = headBytes(exchange)
        edgeText.reset()
        let asked = exchanges[exchange].head.authorityRange
        let hostByteCount = RoutingView.nameLength(bytes, asked.lowerBound, asked.count)
        if row.host.byteCount > 0 || hostByteCount > 0 {
            edgeText.append(bytes.extracting(row.scheme.range))
            if row.host.byteCount > 0 {
                edgeText.append(bytes.extracting(row.host.range))
            } else {
                edgeText.append(
                    bytes.extracting(asked.lowerBound..<(asked.lowerBound + hostByteCount))
                )
            }
            edgeText.append(bytes.extracting(row.port.range))
        }
        appendPath(exchange, row)
        appendQuery(exchange)
        let location = String(decodingBytes: edgeText.bytes())
        reply(
            exchange,
            LocalReply(status: row.status, fields: [LocalReply.Field("location", location)])
        )
    }
}
