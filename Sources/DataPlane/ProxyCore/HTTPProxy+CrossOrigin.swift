/// Cross-origin requests (the Fetch standard, CORS protocol; GEP-1767).
extension HTTPProxy {
    /// Judges a request by its rule's policy: an allowed origin is told so by fields of the response,
    /// a preflight request is answered here.
    ///
    /// - Returns: whether the request is to go on.
    func admitsOrigin(_ exchange: ExchangeHandle, _ action: Int) -> Bool {
        let policy = view.crossOrigins[Int(view.actions[action].crossOrigin)]
        let origin = value(exchange, "origin")
        guard origin.byteCount > 0 else { return true }
        let isAllowed = allows(policy, origin)
        let asked = value(exchange, "access-control-request-method")
        if exchanges[exchange].head.method == .options && asked.byteCount > 0 {
            exchanges[exchange].action.routeRow = view.actions[action].routeRow
            exchanges[exchange].action.routeName = view.actions[action].routeName
            exchanges[exchange].flags.insert(.namesView)
            let fields = isAllowed ? preflight(exchange, policy, origin, method: asked) : []
            reply(exchange, LocalReply(status: 204, fields: fields))
            return false
        }
        guard isAllowed else { return true }
        guard tellOrigin(exchange, policy, origin) else {
            fail(exchange, status: 431, .overflow)
            return false
        }
        return true
    }

    /// The value of a field's first line; empty when there is none.
    @_lifetime(immortal)
    private func value(_ exchange: ExchangeHandle, _ name: StaticString) -> RawSpan {
        let bytes = headBytes(exchange)
        let fields = headFields(exchange)
        for index in fields.indices where fields[index].isNamed(name, in: bytes) {
            return bytes.extracting(fields[index].valueRange)
        }
        return RawSpan()
    }

    private func allows(_ policy: CrossOriginRow, _ origin: RawSpan) -> Bool {
        for offset in 0..<policy.origins.count {
            let row = view.origins[Int(policy.origins.first + offset)]
            let start = view.bytes(row.start)
            let end = view.bytes(row.end)
            if !row.isWildcard {
                if origin.byteCount == start.byteCount, equals(start, origin, at: 0) { return true }
                continue
            }
            // `*` alone stands for every origin, `null` among them.
            if start.byteCount == 0 && end.byteCount == 0 { return true }
            let rest = origin.byteCount - end.byteCount
            guard rest > start.byteCount, equals(start, origin, at: 0),
                equals(end, origin, at: rest)
            else { continue }
            // What stands for the wildcard is part of a host, never a port.
            let host = origin.extracting(start.byteCount..<rest)
            if !host.holds(UInt8(ascii: ":")) && !host.holds(UInt8(ascii: "/")) { return true }
        }
        return false
    }

    /// Whether a text of lower case stands somewhere, in any case.
    private func equals(_ text: RawSpan, _ bytes: RawSpan, at start: Int) -> Bool {
        guard start >= 0, start + text.byteCount <= bytes.byteCount else { return false }
        for offset in 0..<text.byteCount
        where text.byte(at: offset) != ByteScan.lower(bytes.byte(at: start + offset)) {
            return false
        }
        return true
    }

    /// Adds what an allowed origin is told to the response's operations.
    private func tellOrigin(
        _ exchange: ExchangeHandle,
        _ policy: CrossOriginRow,
        _ origin: RawSpan
    ) -> Bool {
        guard addResponseField(exchange, "access-control-allow-origin", origin),
            "origin".withBytes({ addResponseField(exchange, "vary", $0, .add) })
        else { return false }
        if policy.allowsCredentials {
            let isAdded = "true".withBytes {
                addResponseField(exchange, "access-control-allow-credentials", $0)
            }
            guard isAdded else { return false }
        }
        let exposed = view.bytes(policy.exposedHeaders)
        return exposed.byteCount == 0
            || addResponseField(exchange, "access-control-expose-headers", exposed)
    }

    private func addResponseField(
        _ exchange: ExchangeHandle,
        _ name: StaticString,
        _ value: RawSpan,
        _ kind: OperationRow.Kind = .set
    ) -> Bool {
        let id = name.withUTF8Bytes { HeaderID.identify($0, offset: 0, count: $0.byteCount) }
        guard let start = append(value, to: exchange),
            let nameStart = name.withUTF8Bytes({ append($0, to: exchange) })
        else { return false }
        let position = Int(exchanges[exchange].action.responseOperationCount)
        var rows = copiedOperations(exchange, count: position + 1)
        rows[position] = OperationRow(
            kind: kind,
            id: id,
            name: TextRange(start: nameStart, byteCount: Int32(name.utf8CodeUnitCount)),
            value: TextRange(start: start, byteCount: Int32(value.byteCount))
        )
        exchanges[exchange].action.responseOperationCount += 1
        return true
    }

    private func preflight(
        _ exchange: ExchangeHandle,
        _ policy: CrossOriginRow,
        _ origin: RawSpan,
        method: RawSpan
    ) -> [LocalReply.Field] {
        var fields = [
            LocalReply.Field("access-control-allow-origin", String(decodingBytes: origin)),
            LocalReply.Field("vary", "origin"),
        ]
        func add(_ name: String, _ value: RawSpan) {
            if value.byteCount > 0 {
                fields.append(LocalReply.Field(name, String(decodingBytes: value)))
            }
        }
        add(
            "access-control-allow-methods",
            policy.allowsAnyMethod ? method : view.bytes(policy.methods)
        )
        let asked = value(exchange, "access-control-request-headers")
        add(
            "access-control-allow-headers",
            policy.allowsAnyHeader ? asked : view.bytes(policy.headers)
        )
        add("access-control-expose-headers", view.bytes(policy.exposedHeaders))
        add("access-control-max-age", view.bytes(policy.maxAge))
        if policy.allowsCredentials {
            fields.append(LocalReply.Field("access-control-allow-credentials", "true"))
        }
        return fields
    }
}
