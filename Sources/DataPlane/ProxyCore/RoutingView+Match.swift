extension RoutingView {
    /// Host names longer than this have no route (RFC 1035 section 2.3.4).
    private static let hostByteLimit = 255

    /// What a virtual host's listener sets for requests.
    func edge(of host: Int32) -> EdgeRow { edges[Int(hosts[Int(host)].edge)] }

    /// Whether an entry point bounds its connections.
    func boundsConnections(_ entry: Int32) -> Bool {
        guard entry >= 0, Int(entry) < entries.count else { return false }
        let row = entries[Int(entry)]
        return row.connectionMax > 0 || row.connectionPerSourceMax > 0
    }

    /// What an entry point's clients are waited for.
    func times(_ entry: Int32) -> ListenerTimes {
        guard entry >= 0, Int(entry) < entries.count else { return ListenerTimes() }
        return entries[Int(entry)].times
    }

    /// Whether connections of an entry point may begin by a header of the PROXY protocol.
    func proxyAcceptance(_ entry: Int32) -> ProxyAcceptance {
        guard entry >= 0, Int(entry) < entries.count else { return .off }
        return entries[Int(entry)].proxyProtocol
    }

    // MARK: Hosts

    /// Searches the tables for a host.
    func searchHost(_ entry: Int32, _ bytes: RawSpan, _ start: Int, _ count: Int) -> Int32 {
        let any = entries[Int(entry)].anyHost
        guard hostSlots.count > 0 else { return any }
        let length = RoutingView.nameLength(bytes, start, count)
        guard length > 0 && length <= RoutingView.hostByteLimit else { return any }
        if let host = lookUpHost(entry, bytes, start, length, isWildcard: false) { return host }
        var at = start
        while at < start + length {
            if bytes.byte(at: at) == UInt8(ascii: ".") && at > start {
                let rest = start + length - at - 1
                if let host = lookUpHost(entry, bytes, at + 1, rest, isWildcard: true) {
                    return host
                }
            }
            at += 1
        }
        return any
    }

    /// The name's bytes without port and without a trailing dot.
    @inline(__always)
    static func nameLength(_ bytes: RawSpan, _ start: Int, _ count: Int) -> Int {
        guard count > 0 else { return 0 }
        var length = count
        if bytes.byte(at: start) == UInt8(ascii: "[") {
            while length > 0 && bytes.byte(at: start + length - 1) != UInt8(ascii: "]") {
                length -= 1
            }
            return length
        }
        let colon = bytes.firstColon(start..<(start + count))
        if colon >= 0 { length = colon - start }
        if length > 1 && bytes.byte(at: start + length - 1) == UInt8(ascii: ".") { length -= 1 }
        return length
    }

    private func lookUpHost(
        _ entry: Int32,
        _ bytes: RawSpan,
        _ start: Int,
        _ count: Int,
        isWildcard: Bool
    ) -> Int32? {
        var hash = RouteHash.host(entry: entry, isWildcard: isWildcard)
        hash.combine(lowered: bytes, start, count)
        var place = RouteHash.place(hash.value, hostSlots.count)
        while hostSlots[place].host >= 0 {
            let slot = hostSlots[place]
            if slot.hash == hash.value && slot.entry == entry && slot.isWildcard == isWildcard
                && equalsLowered(slot.text, bytes, start, count)
            {
                return slot.host
            }
            place = (place + 1) & (hostSlots.count - 1)
        }
        return nil
    }

    private func equalsLowered(
        _ range: TextRange,
        _ bytes: RawSpan,
        _ start: Int,
        _ count: Int
    ) -> Bool {
        guard Int(range.byteCount) == count else { return false }
        let text = wholeText
        let base = Int(range.start)
        guard count >= 8 else {
            let mask = 1 &<< UInt64(count &* 8) &- 1 as UInt64
            let given = ByteScan.lower(bytes.word(at: start))
            return (text.word(at: base) ^ given) & mask == 0
        }
        var at = count &- 8
        while text.word(at: base &+ at) == ByteScan.lower(bytes.word(at: start &+ at)) {
            guard at > 0 else { return true }
            at = max(at &- 8, 0)
        }
        return false
    }

    // MARK: Paths

    /// The most path elements whose prefixes are looked up.
    static let prefixDepthLimit = 32

    /// Searches the tables for an action.
    func searchAction(
        _ host: Int32,
        _ bytes: RawSpan,
        _ fields: Span<HeaderField>,
        _ method: TextRange,
        _ path: RequestPath
    ) -> Int32 {
        guard pathSlots.count > 0 else {
            return searchPatterns(host, bytes, fields, method, path)
        }
        let start = path.start
        let end = start + path.pathByteCount
        var hash = RouteHash()
        // Hash and length of every prefix that ends at an element's border, the empty one first.
        borders[0] = PathBorder(hash: hash)
        var count = 1
        let depthMax = min(prefixDepthMax, RoutingView.prefixDepthLimit)
        var at = start
        while at < end {
            let byte = bytes.byte(at: at)
            if byte == UInt8(ascii: "/") && at > start && count <= depthMax {
                borders[count] = PathBorder(hash: hash, byteCount: Int32(at - start))
                count += 1
            }
            hash.combine(byte)
            at += 1
        }
        let exact = hash.key(host: host, isPrefix: false)
        if hosts[Int(host)].hasExactPaths {
            let action = find(host, exact, false, bytes, start, end - start, fields, method, path)
            if action >= 0 { return action }
        }
        if hosts[Int(host)].patterns.count > 0 {
            let action = searchPatterns(host, bytes, fields, method, path)
            if action >= 0 { return action }
        }
        if count <= depthMax && end > start {
            let whole = hash.key(host: host, isPrefix: true)
            let found = find(host, whole, true, bytes, start, end - start, fields, method, path)
            if found >= 0 { return found }
        }
        while count > 0 {
            count -= 1
            let border = borders[count]
            let key = border.hash.key(host: host, isPrefix: true)
            let length = Int(border.byteCount)
            let found = find(host, key, true, bytes, start, length, fields, method, path)
            if found >= 0 { return found }
        }
        return -1
    }

    private func find(
        _ host: Int32,
        _ hash: UInt64,
        _ isPrefix: Bool,
        _ bytes: RawSpan,
        _ start: Int,
        _ count: Int,
        _ fields: Span<HeaderField>,
        _ method: TextRange,
        _ path: RequestPath
    ) -> Int32 {
        var place = RouteHash.place(hash, pathSlots.count)
        while pathSlots[place].host >= 0 {
            let slot = pathSlots[place]
            if slot.hash == hash && slot.host == host && slot.isPrefix == isPrefix
                && equals(slot.text, bytes, start, count)
            {
                return firstRule(slot.rules, bytes, fields, method, path)
            }
            place = (place + 1) & (pathSlots.count - 1)
        }
        return -1
    }

    private func equals(
        _ range: TextRange,
        _ bytes: RawSpan,
        _ start: Int,
        _ count: Int
    ) -> Bool {
        guard Int(range.byteCount) == count else { return false }
        let text = wholeText
        var at = 0
        while at < count {
            var difference = text.word(at: Int(range.start) &+ at) ^ bytes.word(at: start &+ at)
            if count &- at < 8 { difference &= 1 &<< UInt64((count &- at) &* 8) &- 1 }
            guard difference == 0 else { return false }
            at &+= 8
        }
        return true
    }

    // MARK: Conditions

    func firstRule(
        _ range: RowRange,
        _ bytes: RawSpan,
        _ fields: Span<HeaderField>,
        _ method: TextRange,
        _ path: RequestPath
    ) -> Int32 {
        for offset in 0..<range.count {
            let rule = rules[Int(range.first + offset)]
            if rule.method.byteCount > 0
                && !equals(rule.method, bytes, Int(method.start), Int(method.byteCount))
            {
                continue
            }
            if rule.headers.count > 0 && !headersMatch(rule.headers, bytes, fields) { continue }
            if rule.query.count > 0 && !queryMatches(rule.query, bytes, path) { continue }
            return rule.action
        }
        return -1
    }

    private func headersMatch(
        _ range: RowRange,
        _ bytes: RawSpan,
        _ fields: Span<HeaderField>
    ) -> Bool {
        for offset in 0..<range.count {
            let condition = conditions[Int(range.first + offset)]
            guard headerMatches(condition, bytes, fields) else { return false }
        }
        return true
    }

    /// Whether a value is the one asked for, or matches the expression.
    private func holds(
        _ condition: ConditionRow,
        _ bytes: RawSpan,
        _ start: Int,
        _ count: Int
    ) -> Bool {
        condition.pattern < 0
            ? equals(condition.value, bytes, start, count)
            : matches(condition.pattern, bytes, start, count)
    }

    /// The first line of the name decides (the Gateway API leaves repeated names open).
    private func headerMatches(
        _ condition: ConditionRow,
        _ bytes: RawSpan,
        _ fields: Span<HeaderField>
    ) -> Bool {
        for index in fields.indices {
            let field = fields[index]
            let start = Int(field.nameOffset)
            guard equalsLowered(condition.name, bytes, start, Int(field.nameLength)) else {
                continue
            }
            return holds(condition, bytes, Int(field.valueOffset), Int(field.valueLength))
        }
        return false
    }

    private func queryMatches(_ range: RowRange, _ bytes: RawSpan, _ path: RequestPath) -> Bool {
        for offset in 0..<range.count {
            let condition = conditions[Int(range.first + offset)]
            guard parameterMatches(condition, bytes, path) else { return false }
        }
        return true
    }

    /// The first parameter of the name decides; names and values are compared as they came.
    private func parameterMatches(
        _ condition: ConditionRow,
        _ bytes: RawSpan,
        _ path: RequestPath
    ) -> Bool {
        let end = path.queryStart + path.queryByteCount
        var start = path.queryStart
        while start < end {
            var stop = start
            var equal = -1
            while stop < end && bytes.byte(at: stop) != UInt8(ascii: "&") {
                if equal < 0 && bytes.byte(at: stop) == UInt8(ascii: "=") { equal = stop }
                stop += 1
            }
            let nameEnd = equal < 0 ? stop : equal
            if equals(condition.name, bytes, start, nameEnd - start) {
                let valueStart = equal < 0 ? stop : equal + 1
                return holds(condition, bytes, valueStart, stop - valueStart)
            }
            start = stop + 1
        }
        return false
    }
}
